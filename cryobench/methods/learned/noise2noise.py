"""Noise2Noise: a net that is trained on pairs of noisy images alone.

J. Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean Data" (2018), section 2: with y = x + n and
y' = x + n', n and n' independent and n' of mean zero,

    E‖G(y) − y'‖² = E‖G(y) − x‖² + E‖n'‖²,

so what is minimal for noisy targets is so for clean ones. Clipping (noise.clip) breaks it: clipped noise has another mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from cryobench.checks import at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.methods.learned.autoencoder import Autoencoder


@dataclass
class Noise2Noise(Autoencoder):
    """The ℓ2 autoencoder with a second noisy image in the place of the clean one.

    draws: noisy images of each training image, of which each epoch shows one and asks for another; recorded images have two,
        from the two halves of the exposure (data.halves), so the net learns at half the dose that it denoises later.

    The training curve's `train_mse` and `val_mse` are against noisy images: larger than those of other methods by the
    variance of the noise.
    """

    loss: str = field(default="l2", init=False)  # the mean of y' is x; its median would need noise that is symmetric
    ctf_input: str = field(
        default="none", init=False
    )  # what it learns from has each image's CTF, and so has what it gives

    pairs_repeat: ClassVar[bool] = False
    draws: int = 2

    side_information = frozenset({"draws"})

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("method", at_least(self, 2, "draws"))

    def fit(self, train: NoisyImages) -> None:
        """As any net's. Raises InputError for recorded images of which there is one only."""
        for draw in (0, self.draws - 1):
            train.independent(slice(0, 1), draw)
        self.report["val_mse_against"] = "noisy images"
        super().fit(train)

    def pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """One noisy image and another; over draws × (draws − 1) epochs each ordered pair comes once."""
        shown = epoch % self.draws
        wanted = (shown + 1 + epoch // self.draws % (self.draws - 1)) % self.draws
        return images.independent(index, shown), images.independent(index, wanted)

    def held_pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The first two, for the images that choose the checkpoint."""
        return images.independent(index, 0), images.independent(index, 1)
