"""Clean → noisy: Gaussian noise at a signal-to-noise ratio. Pure functions of (seed, split, image index).

SNR is var(clean)/var(noise), image by image, as in the paper. The noise of image i never depends on the batch, the
order, the number of workers or the device it is asked for on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.errors import InputError

SPLITS = {"train": 0, "test": 1}
# The streams of noise drawn afresh; 1 and 2 are those of cryobench.noise.contaminated, 3 is cryobench.noise.microscope's.
DRAWS = 4


def generator(seed: int, split: str, index: int, *purpose: int) -> np.random.Generator:
    """The random generator that belongs to image `index` of `split` ("train" or "test") under `seed`.

    purpose: numbers that name an independent stream of that image; none for its Gaussian noise.
    """
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, SPLITS[split], index], spawn_key=purpose))
    )


@dataclass(frozen=True)
class Gaussian:
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

    def reference(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
        """What a method is given as clean images (n, h, w) float32: the clean ones."""
        return clean

    def contaminated(self, indices: np.ndarray, *, seed: int, split: str) -> dict[str, list[int]]:
        """Which of `indices` have something else than a "reference" or an "input": none; see cryobench.noise.contaminated."""
        return {}


@dataclass(frozen=True)
class Recorded:
    """Nothing is added: the noisy images are those that the microscope recorded (data=particles)."""

    def sigma(self, clean: np.ndarray) -> np.ndarray:
        raise InputError("noise=recorded: nobody knows the true noise level of recorded images; expected "
                         "method.sigma=border or a number")  # fmt: skip

    def reference(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
        """The projections (n, h, w) of the map."""
        return clean

    def contaminated(self, indices: np.ndarray, *, seed: int, split: str) -> dict[str, list[int]]:
        return {}


def border_sigma(noisy: np.ndarray) -> np.ndarray:
    """σ of each image (n, h, w) → (n,) float64, from the pixels outside the circle inscribed in the image.

    Particles are centred and leave the corners empty, so what varies there is noise. Clipping breaks this on purpose.
    """
    return np.asarray(noisy, dtype=np.float64)[:, outside_circle(noisy.shape[-1])].std(axis=-1)


def outside_circle(size: int) -> np.ndarray:
    """(L, L) bool: the pixels outside the circle inscribed in an image of L = `size` px, where no particle is."""
    y, x = np.ogrid[:size, :size]
    return np.hypot((y - (size - 1) / 2) / (size / 2), (x - (size - 1) / 2) / (size / 2)) > 1


class NoisyImages:
    """The images of one split with their noise, made when asked for: `clean`, `noisy` and `sigma` take an index array.

    noise: Gaussian, or a class with its `sigma`, `add`, `reference` and `contaminated`.
    split: "train" or "test"; clean: (n, L, L) float32 in [0, 1], usually memory-mapped; labels (n,) conformations;
    rotations (n, 3, 3); volumes (k, L, L, L); pixel_size in Å; `indices` names the images that belong to this view.
    recorded: (n, L, L), which the noise Recorded gives. `only(...)` narrows what can be asked for to what a method
    declares that it knows.
    """

    def __init__(self, split, clean, labels, rotations, volumes, pixel_size, noise, seed, indices=None, allowed=None,
                 recorded=None):  # fmt: skip
        if isinstance(noise, Recorded) and recorded is None:
            raise InputError("noise=recorded: expected recorded images (data=particles), got a simulated data set; "
                             "give noise=gaussian")  # fmt: skip
        self.split, self.pixel_size, self.noise, self.seed = split, pixel_size, noise, seed
        self._clean, self._labels, self._rotations, self._volumes = clean, labels, rotations, volumes
        self.indices = np.arange(len(clean)) if indices is None else np.asarray(indices)
        self.allowed, self._recorded = allowed, recorded

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def image_size(self) -> int:
        return self._clean.shape[-1]

    def _view(self, indices, allowed) -> NoisyImages:
        return NoisyImages(self.split, self._clean, self._labels, self._rotations, self._volumes, self.pixel_size,
                           self.noise, self.seed, indices, allowed, self._recorded)  # fmt: skip

    def subset(self, index) -> NoisyImages:
        """The images at `index` (positions in this view), with the noise that they always have."""
        return self._view(self.indices[index], self.allowed)

    def only(self, knows) -> NoisyImages:
        """The same images, of which only the noisy ones and what `knows` names can be seen."""
        return self._view(self.indices, frozenset(knows))

    def _permit(self, what: str) -> None:
        if self.allowed is not None and what not in self.allowed:
            raise PermissionError(f"a denoiser asked for '{what}' without declaring it in `knows`")

    def noisy(self, index=slice(None), draw: int = 0) -> np.ndarray:
        """(b, L, L) float32, the noisy images at these positions; with another `draw` than 0, under other noise."""
        which = self.indices[index]
        if isinstance(self.noise, Recorded):
            return np.array(self._recorded[which])  # of which there is one noise, whatever draw is asked for
        return self.noise.add(self._clean[which], which, seed=self.seed, split=self.split, draw=draw)

    def clean(self, index=slice(None)) -> np.ndarray:
        """(b, L, L) float32 in [0, 1]; contaminated references among them if the noise says so."""
        self._permit("clean")
        which = self.indices[index]
        return self.noise.reference(np.asarray(self._clean[which]), which, seed=self.seed, split=self.split)

    def contaminated(self) -> dict[str, list[int]]:
        """Of these images, those with a contaminated "reference" or "input"; for the record, not for a method."""
        self._permit("contaminated")
        return self.noise.contaminated(self.indices, seed=self.seed, split=self.split)

    def sigma(self, index=slice(None)) -> np.ndarray:
        """(b,) float64, the true standard deviation of the noise."""
        self._permit("sigma")
        return self.noise.sigma(self._clean[self.indices[index]])

    @property
    def labels(self) -> np.ndarray:
        self._permit("labels")
        return self._labels[self.indices]

    @property
    def rotations(self) -> np.ndarray:
        self._permit("rotations")
        return self._rotations[self.indices]

    @property
    def volumes(self) -> np.ndarray:
        self._permit("volumes")
        return self._volumes
