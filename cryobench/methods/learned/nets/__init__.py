"""Generators and discriminators, one pair a file; `build.build` makes one of them. Their names are here, without torch."""

NETS = ("resnet", "conv", "deep")
NORMS = ("batch", "layer", "none")  # of a discriminator
