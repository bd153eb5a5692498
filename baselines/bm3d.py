"""BM3D: groups of alike blocks, shrunk together in a transform domain.

Y. Mäkinen, L. Azzari, A. Foi, "Collaborative Filtering of Correlated Noise", IEEE Trans. Image Process. 29 (2020), by
its authors' own package `bm3d` (free for non-commercial use only).

The package scales its thresholds by the largest value in the image, so images need not lie in [0, 1]: a·image with a·σ
gives a times the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .image_by_image import ImageByImage


@dataclass
class BM3D(ImageByImage):
    """With its authors' normal profile: block 8, step 3, search window 39, which the paper's released code has too."""

    needs: ClassVar[dict[str, str]] = {"bm3d": "pip install bm3d"}

    @property
    def smallest(self) -> tuple[int, str]:
        """More than one block."""
        # One block and a pixel: on an image of exactly one block the package crashes, rather than raises.
        return 9, "more than one block of BM3D"

    def one(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """The package's own normal profile: (L, L) → (L, L)."""
        from bm3d import BM3DProfile, bm3d

        profile = BM3DProfile()
        profile.num_threads = 1  # images run side by side; with more threads the last digits vary from call to call
        return bm3d(image, sigma, profile)
