"""cryobench: where cryo-EM denoisers are compared, by the physical limit and by the paper that started it."""

__version__ = "0.1.0"
