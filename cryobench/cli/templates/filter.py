"""Mine: a filter of your own. Everything below is yours to change; docs/adding.md says what a denoiser may have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cryobench import Denoiser
from cryobench.errors import InputError
from cryobench.methods.base import check_images


@dataclass
class Mine(Denoiser):
    """A Gaussian filter. width: its standard deviation in pixels."""

    width: float = 1.5  # the fields are the config's schema

    def __post_init__(self) -> None:
        if self.width < 0:
            raise InputError(f"method.width: expected 0 px or more, got {self.width}")

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, each image by itself."""
        check_images(noisy)  # an image with a NaN is refused by its position, and the others go on
        return gaussian_filter(noisy, (0, self.width, self.width))
