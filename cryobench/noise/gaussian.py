"""Clean → noisy: Gaussian noise at a signal-to-noise ratio. Pure functions of (seed, split, image index).

SNR is var(clean)/var(noise), image by image, as in the paper. The noise of image i never depends on the batch, the
order, the number of workers or the device it is asked for on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.errors import InputError
from cryobench.noise.base import DRAWS, NoiseModel, generator


@dataclass(frozen=True)
class Gaussian(NoiseModel):
    """White Gaussian noise, independent in every pixel.

    snr: var(clean)/var(noise) of each image, > 0.
    clip: cut the noisy image to [0, 1] afterwards. The released code of the paper does, its text does not say so;
        no classical method can undo it (see docs/protocol.md), so it is off unless asked for.
    """

    snr: float = 0.1
    clip: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite(self.snr) or self.snr <= 0:
            raise InputError(f"noise.snr: expected a number above 0, got {self.snr}; the paper uses 0.1 and 0.05")

    def sigma(self, clean: np.ndarray) -> np.ndarray:
        """Standard deviation of the noise of each image: (n, h, w) clean in [0, 1] → (n,) float64."""
        return np.sqrt(np.asarray(clean, dtype=np.float64).var(axis=(-2, -1)) / self.snr)

    def add(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """Noisy images (n, h, w) float32 from clean ones (n, h, w) in [0, 1]; `indices` (n,) names them in `split`.

        draw: 0 for the noise that the image has; others are independent of it and of each other.
        """
        purpose = (DRAWS, draw) if draw else ()
        noisy = np.array(clean, dtype=np.float32)
        for row, (index, sigma) in enumerate(zip(indices, self.sigma(clean), strict=True)):
            normal = generator(seed, split, int(index), *purpose).standard_normal(noisy.shape[1:], dtype=np.float32)
            noisy[row] += np.float32(sigma) * normal
        return np.clip(noisy, 0.0, 1.0, out=noisy) if self.clip else noisy
