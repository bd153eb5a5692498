"""How nets are trained: Lightning modules, one file for each file of settings beside this folder. They load torch."""
