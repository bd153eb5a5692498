"""How good denoised images are: metrics, statistics over runs, and analyses that a record keeps."""
