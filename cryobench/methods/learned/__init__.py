"""Denoisers that are trained: nets, how they learn, and what Lightning does for them."""
