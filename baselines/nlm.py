"""Non-local means: each pixel becomes the mean of those whose surroundings look alike.

A. Buades, B. Coll, J.-M. Morel, CVPR 2005; weights with the expected distance of pure noise, 2σ², taken off, and the
fast algorithm of J. Darbon et al., ISBI 2008, both by scikit-image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.checks import above_zero, refuse

from .image_by_image import ImageByImage


@dataclass
class NLM(ImageByImage):
    """patch, distance: patch size and search radius in pixels; h: the filter's strength, in units of σ."""

    patch: int = 9
    distance: int = 7
    h: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("method", above_zero(self, "patch", "distance", "h"))

    @property
    def smallest(self) -> tuple[int, str]:
        """One patch."""
        return self.patch, f"method.patch is {self.patch}"

    def one(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """scikit-image's fast non-local means: (L, L) → (L, L)."""
        from skimage.restoration import denoise_nl_means

        return denoise_nl_means(
            image, patch_size=self.patch, patch_distance=self.distance, h=self.h * sigma, sigma=sigma, fast_mode=True
        )
