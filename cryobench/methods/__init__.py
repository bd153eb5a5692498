"""Denoisers that learn, and the contract that every denoiser keeps."""
