"""Contaminated training pairs: a share of the clean references, or of the noisy inputs, is U[0, 1] noise instead.

The robustness experiment of the paper: type A the reference, type B the input, type C both, independently. Test images
stay as they are. The part of the training set that chooses a checkpoint is contaminated like the rest of it: whoever
trains on such data can't tell which pairs are good, so there is no clean part to hold out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.checks import at_least, one_of, refuse
from cryobench.errors import InputError
from cryobench.noise.base import DRAWS, generator
from cryobench.noise.gaussian import Gaussian

TYPES = {"A": ("reference",), "B": ("input",), "C": ("reference", "input")}
STREAMS = {"reference": 1, "input": 2}  # random streams of their own, so that type C's two halves are independent
STRATUM = 10


@dataclass(frozen=True)
class Contaminated(Gaussian):
    """Gaussian noise, and a share of training pairs that are contaminated.

    type: "A", "B" or "C"; share: of the references, of the inputs, or of each, in [0, 1); the images of a larger share
    include those of a smaller one. unit: what is contaminated together, an "image" or, as in the released code, a "batch":
    batch_size consecutive training images. A contaminated pair is the same in every epoch.

    σ stays that of the Gaussian noise at the SNR asked for: it is what the instrument is known to do, and to know more
    would be to know which images are contaminated.
    """

    type: str = "A"
    share: float = 0.1
    unit: str = "image"
    batch_size: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = one_of(self, type=tuple(TYPES), unit=("image", "batch"))
        refuse("noise", choices, at_least(self, 1, "batch_size"))
        if not 0 <= self.share < 1:
            raise InputError(f"noise.share: expected a share in [0, 1), got {self.share}; the paper uses 0.1, 0.2, 0.3")

    @staticmethod
    def plainest(settings: dict) -> dict:
        """A share of 0 is Gaussian noise, and the same run."""
        if settings["share"] != 0:
            return settings
        Contaminated(**{name: value for name, value in settings.items() if name not in ("name", "_target_")})  # checks
        kept = {name: settings[name] for name in ("snr", "clip")}
        return {"name": "gaussian", "_target_": "cryobench.noise.gaussian.Gaussian", **kept}

    def add(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """Noisy images (n, L, L) float32, those whose input is contaminated U[0, 1] noise, of its own in each draw."""
        noisy = super().add(clean, indices, seed=seed, split=split, draw=draw)
        return self._contaminate(noisy, indices, "input", seed, split, draw)

    def reference(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
        """Clean images (n, L, L), those whose reference is contaminated U[0, 1] noise."""
        return self._contaminate(clean, indices, "reference", seed, split)

    def contaminated(self, indices: np.ndarray, *, seed: int, split: str) -> dict[str, list[int]]:
        """Of these images, the indices of those with a contaminated reference, and of those with a contaminated input."""
        return {
            part: [int(i) for i in indices if self._is_contaminated(int(i), part, seed)]
            for part in TYPES[self.type]
            if split == "train"
        }

    def _contaminate(self, images, indices, part: str, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """The images (n, h, w), those of them that are contaminated in `part` replaced by U[0, 1] noise."""
        if split != "train" or part not in TYPES[self.type]:
            return images
        purpose = (STREAMS[part], DRAWS, draw) if draw else (STREAMS[part],)
        images = np.array(images)
        for row, index in enumerate(indices):
            if self._is_contaminated(int(index), part, seed):
                rng = generator(seed, split, int(index), *purpose)
                images[row] = rng.random(images.shape[1:], dtype=np.float32)
        return images

    def _is_contaminated(self, index: int, part: str, seed: int) -> bool:
        """Stratified: each ten consecutive units get one number in each tenth of [0, 1), and are contaminated below the share.

        So shares of whole tenths are met exactly in any ten images (batches), and no image needs to know of the others.
        """
        unit = index if self.unit == "image" else index // self.batch_size
        stratum, place = divmod(unit, STRATUM)
        rng = generator(seed, "train", stratum, STREAMS[part], 1)
        tenth, within = rng.permutation(STRATUM)[place], rng.random(STRATUM)[place]
        return (tenth + within) / STRATUM < self.share
