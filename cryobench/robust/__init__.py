"""Robust estimation by GANs (supplement, note 1): location and scatter of an elliptical law under contamination."""
