"""Stacks of one's own: a trained method made ready for them, denoising, and whether to trust it."""
