"""Denoisers by Bayes' rule: over training images, over the true volumes, over rebuilt ones."""
