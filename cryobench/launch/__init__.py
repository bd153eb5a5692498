"""How runs are started: alone, side by side on one machine, or by a cluster."""
