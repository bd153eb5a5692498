"""The Denoiser contract: what every method, ours or yours, promises and may use.

A denoiser is a dataclass of its own settings (they are its config schema), one Python file, and one yaml that names
it in `_target_`:

    @dataclass
    class Blur(Denoiser):
        width: float = 1.5

        def denoise(self, noisy):
            return scipy.ndimage.gaussian_filter(noisy, (0, self.width, self.width))
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cryobench.checks import above_zero, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import BadImages, InputError, MissingPackage, NotFinite, RunFailed, in_short
from cryobench.noise.background import border_sigma

if TYPE_CHECKING:
    from cryobench.noise.ctf import Ctf

# What a method may use beyond the noisy images themselves.
SIDE_INFORMATION = {
    "clean": "clean training images",
    "labels": "the conformation of each training image",
    "rotations": "the orientation of each training image",
    "poses": "the orientation of each image that is denoised",
    "draws": "other noisy images of each training image, under independent noise",
    "sigma": "the true noise level of each image",
    "spectrum": "the true power spectrum of the noise",
    "ctf": "the contrast transfer function of each image",
    "volumes": "the true volumes",
    "truth": "the clean test image itself (a control)",
}

REAL = "biuf"  # kinds of NumPy's types


@dataclass(frozen=True)
class Watch:
    """Test images, noisy and clean (n, L, L), that a learned method is scored on every so many steps, for the record.

    ctf: theirs, for a method that is told of it.
    """

    every: int
    noisy: np.ndarray
    clean: np.ndarray
    ctf: Ctf | None = None


@dataclass(frozen=True)
class Setting:
    """Where and how a denoiser runs; none of it may change what it computes beyond rounding.

    seed: for anything random in the method; workdir: a folder of its own for checkpoints, from
    which the next fit goes on, or None for a temporary one;
    workers: processes or threads to use; accelerator, devices, precision, strategy: as Lightning names them;
    cuda_graphs: on one GPU, training steps that can be recorded are (methods/learned/graphs.py);
    checkpoint_minutes: how often, within an epoch, a learned method writes what it would go on from;
    logger: "csv" or "tensorboard" to write training curves step by step into workdir/curves, "none" not to;
    progress: show progress bars; watch: what to score a net on while it trains, or None.
    """

    seed: int = 0
    workdir: Path | None = None
    workers: int = 1
    accelerator: str = "cpu"
    devices: int = 1
    precision: str = "32-true"
    strategy: str = "auto"
    cuda_graphs: bool = True
    checkpoint_minutes: float = 10.0
    logger: str = "none"
    progress: bool = False
    watch: Watch | None = None


@dataclass(frozen=True)
class Uncertainty:
    """The posterior of the images that a method denoised last, beyond its mean.

    deviation: (n, L, L) float32, the posterior standard deviation of each pixel; conformations: (n, k), the posterior
    probabilities of the conformations 0 … k−1, or None.
    """

    deviation: np.ndarray
    conformations: np.ndarray | None = None


@dataclass(frozen=True)
class Found:
    """A structure that a method found in noisy training images, in a frame and a hand of its own.

    volume: (l, l, l) float32, of as many Å as the images; rotations: (n, 3, 3), the likeliest pose of each of the first n images.
    stages: how it came about, in words, and the map's projections along z, y and x then, (3, l', l'); fsc: between half maps, the
    last time, (l/2 + 1,).
    """

    volume: np.ndarray
    rotations: np.ndarray
    stages: tuple[tuple[str, np.ndarray], ...] = ()
    fsc: np.ndarray | None = None


class Denoiser(ABC):
    """Turns noisy images into denoised ones.

    side_information: what it uses beyond noisy images, names in SIDE_INFORMATION; shown in every table.
    needs: module → the command that installs it, for what is not among cryobench's own dependencies; where it is
        missing, a sweep leaves the method's row out.
    least: training images below which `fit` refuses them.
    setting: put there by the run before `fit`.
    report: what the method wants to have in the record (JSON-able); "per_image" holds lists, one value an image, and
        "curve" the training curve, one dict a point.
    uncertainty: how sure a method is of the images of its last `denoise`, if it can say.
    found: the structure that `fit` found in the training images, of a method that looks for one.
    """

    needs: ClassVar[dict[str, str]] = {}
    least: ClassVar[int] = 1
    setting: Setting = Setting()
    uncertainty: Uncertainty | None = None
    found: Found | None = None

    @property
    def side_information(self) -> frozenset[str]:
        """What this method uses beyond noisy images, names in SIDE_INFORMATION; a plain class attribute will do."""
        return frozenset()

    @property
    def report(self) -> dict:
        """A dict of its own for each denoiser, empty at first."""
        return self.__dict__.setdefault("_report", {})

    def require(self) -> None:
        """Raise MissingPackage, with the command that installs it, where something that this method needs is missing."""
        for module, command in self.needs.items():
            if find_spec(module) is None:
                raise MissingPackage(
                    f"{type(self).__name__}: expected the package {module}, which is installed apart, got none; {command}"
                )

    def fit(self, train: NoisyImages) -> None:  # noqa: B027 (an empty fit is what most classical methods want)
        """Learn from training images; sees no more of them than `side_information` declares."""

    def from_fit(self, name: str) -> Any:
        """The attribute of this name, which `fit` gives a value. Raises NotFitted where it has none, or None, yet."""
        if (value := getattr(self, name, None)) is None:
            raise NotFitted(self)
        return value

    @property
    def learns(self) -> bool:
        """Whether `fit` does anything, so that what an image becomes depends on the training images."""
        return type(self).fit is not Denoiser.fit

    def fewest(self, size: int) -> int | None:
        """With how few images of L = `size` px a fit is still worth having; None where that is not known."""
        return None

    @abstractmethod
    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """Noisy images (n, L, L) float32 → denoised ones (n, L, L) float32.

        Each image's result is its own: it does not depend on the batch, its size or its order. `hints` holds "sigma"
        (n,) if `side_information` has "sigma", "ctf" (a Ctf of n images) if it has "ctf", "poses" (Poses of
        n images) if it has "poses", and "truth" (n, L, L) if it has "truth"; nothing else.
        """

    def variants(self) -> Iterator[Denoiser]:
        """What `fit` left, to be scored one after the other: most methods are one, itself.

        A run reports the mean over them; the first is the one whose images and weights are kept.
        """
        yield self

    def leave(self, folder: Path) -> list[Path]:
        """Write into the run's folder what else was found, as maps; returns the files. Most methods find nothing else."""
        return []

    def weights(self) -> dict | None:
        """Tensors to be saved as safetensors, or None for a method without any."""
        return None


class NotFitted(InputError):
    """A denoiser was asked for what only a fit gives it."""

    def __init__(self, denoiser: Denoiser):
        super().__init__(f"{type(denoiser).__name__}: expected to be fitted before it denoises; call fit first")


def check_images(noisy: np.ndarray, size: int | None = None) -> None:
    """Refuse what no denoiser can take. size: the only L that this one can, None for any.

    Raises InputError for a wrong shape, BadImages for NaN or Inf.
    """
    if noisy.ndim != 3 or noisy.shape[-1] != noisy.shape[-2]:
        raise InputError(f"expected square images (n, L, L), got an array of shape {noisy.shape}")
    if size is not None and noisy.shape[-1] != size:
        raise InputError(f"expected images of {size} pixels, as in training, got {noisy.shape[-1]}")
    finite = np.isfinite(noisy).all(axis=(1, 2))
    if not finite.all():
        raise BadImages(np.flatnonzero(~finite), "expected finite pixels, got NaN or Inf; leave that image out")


def denoised_by(
    method: Denoiser, noisy: np.ndarray, hints: dict[str, Any], named: Callable[[np.ndarray], str] | None = None
) -> np.ndarray:
    """What a method makes of noisy images (n, L, L), float32: whoever calls a method's `denoise` calls it here.

    named: what people call the images at these positions, for errors; by default "image 0, 1", from 0. Raises RunFailed for what
    are no images of real numbers in the shape of the noisy ones, and NotFinite for NaN or Inf in them.
    """
    made = method.denoise(noisy, **hints)
    if made is None or np.shape(made) != noisy.shape:
        got = "None" if made is None else np.shape(made)
        raise RunFailed(f"expected denoised images of shape {noisy.shape}, got {got}")
    images = np.asarray(made)
    if images.dtype.kind not in REAL:
        raise RunFailed(f"expected denoised images of real numbers, as float32, got {images.dtype}")
    with np.errstate(over="ignore"):
        images = images.astype(np.float32, copy=False)
    if not (finite := np.isfinite(images).all(axis=(1, 2))).all():
        wrong = np.flatnonzero(~finite)
        what = named(wrong) if named else f"image {in_short(wrong)}"
        raise NotFinite(f"expected denoised images of finite pixels, got NaN or infinity in {what}")
    return images


def without_bad(rows: np.ndarray, use: Callable[[np.ndarray], None]) -> tuple[np.ndarray, dict[str, str]]:
    """use(rows) of positions (n,), again without those that it refuses as BadImages, until it takes the rest.

    Returns those taken, and the others: position → why not.
    """
    bad: dict[str, str] = {}
    while len(rows):
        try:
            use(rows)
            break
        except BadImages as error:
            refused = error.within(len(rows))
            bad |= {str(rows[i]): error.reason for i in refused}
            rows = np.delete(rows, refused)
    return rows, bad


@dataclass
class WithSigma(Denoiser):
    """A denoiser that needs the noise level.

    sigma: "border" (estimated from the corners of each image), "known" (the true value), or a number above 0.
    sigma_factor: σ is taken for this many times what `sigma` says, to see what a wrong one does.
    """

    sigma: str = field(default="border", kw_only=True)
    sigma_factor: float = field(default=1.0, kw_only=True, metadata={"later": True})

    def __post_init__(self) -> None:
        refuse("method", above_zero(self, "sigma_factor"))
        if self.sigma not in ("border", "known"):
            try:
                valid = 0 < float(self.sigma) < math.inf
            except ValueError:
                valid = False
            if not valid:
                raise InputError(f"method.sigma: expected border, known or a finite number above 0, got {self.sigma}")

    @property
    def side_information(self) -> frozenset[str]:
        """σ, where `sigma` is "known", beside what else the method uses."""
        return super().side_information | ({"sigma"} if self.sigma == "known" else set())

    def noise_level(self, noisy: np.ndarray, hints: dict) -> np.ndarray:
        """σ of each image: (n, L, L) → (n,). Raises BadImages where an estimate is 0."""
        return self.sigma_factor * self._estimate(noisy, hints)

    def _estimate(self, noisy: np.ndarray, hints: dict) -> np.ndarray:
        if self.sigma == "known":
            return np.asarray(hints["sigma"], dtype=np.float64)
        if self.sigma != "border":
            return np.full(len(noisy), float(self.sigma))
        estimate = border_sigma(noisy)
        if (estimate <= 0).any():
            raise BadImages(
                np.flatnonzero(estimate <= 0),
                "expected noise to estimate σ from, got a constant border; "
                "leave that image out or give method.sigma a number",
            )
        return estimate
