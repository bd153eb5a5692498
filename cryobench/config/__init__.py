"""Configs: composed and checked, swept over, and what a run's id is made of."""
