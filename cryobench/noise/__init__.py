"""Clean → noisy: the models of what a microscope adds."""
