"""Classical denoisers and controls; they know only the Denoiser contract."""
