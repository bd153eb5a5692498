"""Data: structures → volumes → projections → pairs."""
