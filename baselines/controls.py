"""Controls, which show what a number in a table is worth: an image left alone, one image for all, and the answer itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cryobench.data.images import NoisyImages
from cryobench.methods.base import Denoiser, check_images

BATCH = 256  # images in memory at a time


@dataclass
class Noisy(Denoiser):
    """The noisy image as it is: a method that does worse than this one is broken."""

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) → the same values, as float32. Raises BadImages for NaN or Inf."""
        check_images(noisy)
        return np.array(noisy, dtype=np.float32)


@dataclass
class MeanImage(Denoiser):
    """The mean of the clean training images, the same for every noisy one: a method that does worse than this one has
    learnt less from its input than nothing."""

    side_information = frozenset({"clean"})

    def fit(self, train: NoisyImages) -> None:
        """Take the mean of the clean training images, a batch of them at a time."""
        total = np.zeros((train.image_size, train.image_size))
        for start in range(0, len(train), BATCH):
            total += train.clean(slice(start, start + BATCH)).sum(axis=0, dtype=np.float64)
        self.image = (total / len(train)).astype(np.float32)

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) → n times the mean image. Raises InputError for another L than in training, BadImages for NaN or Inf."""
        check_images(noisy, len(self.from_fit("image")))
        return np.tile(self.image, (len(noisy), 1, 1))


@dataclass
class Oracle(Denoiser):
    """The clean image: an MSE of 0, which shows that clean and denoised images are compared in the right order."""

    side_information = frozenset({"truth"})

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) → hints["truth"] (n, L, L) as float32. Raises BadImages for NaN or Inf in a noisy image."""
        check_images(noisy)
        return np.array(hints["truth"], dtype=np.float32)
