"""What a noise model promises, and the random numbers of each image.

A noise model is a dataclass of its own settings (they are its config schema), one Python file, and one yaml in conf/noise that
names it in `_target_`. Whatever it draws for image i depends on (seed, split, i) alone: not on the batch, the order, the number
of workers or the device that it is asked for on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from cryobench.noise.ctf import Ctf

SPLITS = {"train": 0, "test": 1}
# The streams of noise drawn afresh; 1 and 2 are those of cryobench.noise.contaminated, 3 is cryobench.noise.microscope's.
DRAWS = 4


class NoiseModel(ABC):
    """Clean images → noisy ones. `indices` (n,) names the images in their `split` ("train" or "test"); seed: the run's.

    recorded: whether the noisy images are those of a data set, which a microscope recorded; such a model adds nothing.
    A static method `plainest(settings: dict) -> dict` may say that some settings amount to another model's: they make the
    same run then.
    """

    recorded: ClassVar[bool] = False

    @abstractmethod
    def sigma(self, clean: np.ndarray) -> np.ndarray:
        """True standard deviation of each image's noise: clean (n, L, L) in [0, 1] → (n,) float64. Raises InputError where
        nobody knows it."""

    @abstractmethod
    def add(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """Noisy images (n, L, L) float32 of clean ones (n, L, L) in [0, 1], which stay as they are.

        draw: 0 for the noise that an image has; any other number for noise independent of it, and of other draws.
        """

    def reference(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
        """What a denoiser is given as clean images, and is measured by: (n, L, L) float32, usually `clean` itself."""
        return clean

    def optics(self, indices: np.ndarray, size: int, *, seed: int, split: str) -> Ctf | None:
        """The CTF that each of the images, of L = `size` px, was seen through; None where there is none, or where it is the data
        set's to tell."""
        return None

    def displaced(self, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray | None:
        """How far the particles of these images lie off the centre, (n, 2) as data.poses has it; None where they do not, or
        where it is the data set's to tell."""
        return None

    def spectrum(self, size: int, *, split: str) -> np.ndarray | None:
        """The power of the noise over that of white noise of the same σ, over the frequencies of rfft2: (L, L/2+1); None for
        white noise. Raises InputError where nobody knows it."""
        return None

    def contaminated(self, indices: np.ndarray, *, seed: int, split: str) -> dict[str, list[int]]:
        """Which of the images have something else than their "reference" or their "input": part → indices, {} for none."""
        return {}


def generator(seed: int, split: str, index: int, *purpose: int) -> np.random.Generator:
    """The random generator that belongs to image `index` of `split` ("train" or "test") under `seed`.

    purpose: numbers that name an independent stream of that image; none for its Gaussian noise.
    """
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, SPLITS[split], index], spawn_key=purpose))
    )
