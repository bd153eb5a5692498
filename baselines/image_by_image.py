"""Denoisers that take one image at a time: what they check, and how a batch is spread over the cores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from rich.console import Console
from rich.progress import track

from cryobench.data.images import NoisyImages
from cryobench.errors import BadImages, InputError
from cryobench.methods.base import Setting, WithSigma, check_images, without_bad
from cryobench.methods.imaging import Whitening


def check_varied(noisy: np.ndarray, smallest: int, because: str) -> None:
    """Refuse images that hold nothing to denoise.

    noisy: (n, L, L); smallest: the least L that the method takes, `because` of what. Raises InputError for a wrong
    shape or too small an L, BadImages for NaN, Inf, and constant images.
    """
    check_images(noisy)
    if noisy.shape[-1] < smallest:
        raise InputError(
            f"expected images of {smallest} × {smallest} pixels or more ({because}), got {noisy.shape[-1]} × "
            f"{noisy.shape[-1]}; use larger images or another method"
        )
    constant = noisy.max(axis=(1, 2), initial=-np.inf) == noisy.min(axis=(1, 2), initial=np.inf)
    if constant.any():
        raise BadImages(
            np.flatnonzero(constant), "expected an image, got one value in every pixel; leave that image out"
        )


def good_ones(train: NoisyImages, check: Callable, block: int) -> tuple[NoisyImages, dict[str, str]]:
    """The training images that a method can learn from, and the others: index → why not.

    check(noisy, positions): raises BadImages for some of the images (b, L, L) at these positions; sees `block` at a time.
    """
    bad: dict[str, str] = {}
    for start in range(0, len(train), block):
        rows = np.arange(start, min(start + block, len(train)))
        bad |= without_bad(rows, lambda rows: check(train.noisy(rows), rows))[1]
    return train.subset(np.setdiff1d(np.arange(len(train)), np.array(list(bad), dtype=int))), bad


def left_out(bad: dict[str, str]) -> str:
    """How an error tells of training images that were left out; nothing if none was."""
    return f" ({len(bad)} left out; image {next(iter(bad))}: {next(iter(bad.values()))})" if bad else ""


def over_cores(function: Callable, noisy: np.ndarray, *values, setting: Setting, prefer: str) -> np.ndarray:
    """function(image, *values of that image) for each image (n, L, L) → (n, L, L) float32, in the same order.

    prefer: "threads" for functions that let go of Python's lock, "processes" for those that don't.
    """
    from joblib import Parallel, delayed

    calls = (delayed(function)(*each) for each in zip(noisy, *values, strict=True))
    results = Parallel(n_jobs=setting.workers, prefer=prefer, return_as="generator")(calls)
    denoised = np.empty(noisy.shape, np.float32)
    watched = track(results, "denoising", len(noisy), console=Console(stderr=True), disable=not setting.progress)
    for row, image in enumerate(watched):
        denoised[row] = image
    return denoised


@dataclass
class ImageByImage(WithSigma, Whitening):
    """A denoiser of single images that needs the noise level: subclasses give `one`."""

    prefer: ClassVar[str] = "threads"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whiten()

    @property
    def learns(self) -> bool:
        """The spectrum of the noise, where it is whitened; nothing else."""
        return self.whiten != "none"

    def fit(self, train: NoisyImages) -> None:
        """Learn the noise's spectrum, if it is to be whitened; nothing else."""
        self.learn_spectrum(train)

    @property
    def smallest(self) -> tuple[int, str]:
        """The least image size in pixels, and why."""
        return 2, "one pixel has no neighbours"

    @abstractmethod
    def one(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """One noisy image (L, L) float32 and the σ of its noise → denoised (L, L)."""

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32.

        Raises InputError for images too small, BadImages for those that hold NaN, Inf, one value, or no σ above 0,
        MissingPackage where the package of the method is not installed, NotFitted where noise is to be whitened whose
        spectrum was not learned.
        """
        self.require()
        check_varied(noisy, *self.smallest)
        white = self.whitened(noisy)
        sigma = self.used_sigma(white, hints)
        return self.coloured(over_cores(self.one, white, sigma, setting=self.setting, prefer=self.prefer))

    def used_sigma(self, noisy: np.ndarray, hints: dict) -> np.ndarray:
        """σ of each image, (n,), which the report tells. Raises BadImages where it is not above 0."""
        sigma = self.noise_level(noisy, hints)
        wrong = np.flatnonzero(~(np.isfinite(sigma) & (sigma > 0)))
        if len(wrong):
            raise BadImages(wrong, f"expected a noise level above 0, got {sigma[wrong[0]]}; leave that image out")
        self.report["sigma"] = described_sigma(self.sigma, sigma)
        return sigma


def described_sigma(setting: str, sigma: np.ndarray) -> dict:
    """What a record says about σ: where it came from ("border", "known", "given"), and its mean."""
    source = setting if setting in ("border", "known") else "given"
    return {"source": source, "mean": float(np.mean(sigma))}
