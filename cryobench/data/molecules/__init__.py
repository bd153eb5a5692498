"""Molecules: from coordinates or from code to the volumes of a few conformations."""
