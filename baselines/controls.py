"""The two controls that bracket every table: an image left alone, and the answer itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.methods.base import Denoiser, check_images


@dataclass
class Noisy(Denoiser):
    """The noisy image as it is: a method that does worse than this one is broken."""

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) → the same values, as float32. Raises BadImages for NaN or Inf."""
        check_images(noisy)
        return np.array(noisy, dtype=np.float32)


@dataclass
class Oracle(Denoiser):
    """The clean image: an MSE of 0, which shows that clean and denoised images are compared in the right order."""

    knows = frozenset({"truth"})

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) → hints["truth"] (n, L, L) as float32. Raises BadImages for NaN or Inf in a noisy image."""
        check_images(noisy)
        return np.array(hints["truth"], dtype=np.float32)
