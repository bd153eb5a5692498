"""MSE, PSNR, SSIM and NMSE, image by image: (n, h, w) and (n, h, w) → (n,) float64."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from cryobench.errors import InputError

NAMES = ("mse", "psnr", "ssim", "nmse")
BLOCK = 64  # images in double precision at a time


def in_blocks(metric: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The metric of a few images at a time, in double precision. Raises InputError for stacks of two shapes."""

    @functools.wraps(metric)
    def whole(clean: np.ndarray, denoised: np.ndarray, *, data_range: float = 1.0) -> np.ndarray:
        if np.ndim(clean) != 3 or np.shape(clean) != np.shape(denoised):
            shapes = f"{np.shape(clean)} and {np.shape(denoised)}"
            raise InputError(f"expected two stacks (n, h, w) of one shape, got {shapes}")
        blocks = [slice(start, start + BLOCK) for start in range(0, len(clean), BLOCK)]
        pairs = ((np.asarray(one[some], np.float64) for one in (clean, denoised)) for some in blocks)
        return np.concatenate([np.zeros(0), *(metric(*pair, data_range=data_range) for pair in pairs)])

    return whole


@in_blocks
def mse(clean: np.ndarray, denoised: np.ndarray, *, data_range: float = 1.0) -> np.ndarray:
    """Mean squared error over the pixels of each image. `data_range` does not enter; it is there for a common call.

    >>> mse(np.zeros((2, 8, 8)), np.full((2, 8, 8), 0.5))
    array([0.25, 0.25])
    """
    return np.mean((clean - denoised) ** 2, axis=(1, 2))


def psnr(clean: np.ndarray, denoised: np.ndarray, *, data_range: float = 1.0) -> np.ndarray:
    """10 log₁₀(data_range² / MSE) in dB; infinite where the images are equal.

    >>> psnr(np.zeros((1, 8, 8)), np.full((1, 8, 8), 0.1)).round(6)
    array([20.])
    """
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / mse(clean, denoised))


@in_blocks
def ssim(clean: np.ndarray, denoised: np.ndarray, *, data_range: float = 1.0) -> np.ndarray:
    """Structural similarity by scikit-image: 7×7 uniform window, sample covariance, up to 1.

    The paper's code gave no data range, which in the library of that day meant 2 for floats; with 1 SSIM is lower.

    >>> clean = np.tile(np.linspace(0, 1, 8), (2, 8, 1))
    >>> ssim(clean, clean), bool((ssim(clean, 1 - clean) < 0).all())
    (array([1., 1.]), True)
    """
    from skimage.metrics import structural_similarity

    return np.array([structural_similarity(c, d, data_range=data_range) for c, d in zip(clean, denoised, strict=True)])


@in_blocks
def nmse(clean: np.ndarray, denoised: np.ndarray, *, data_range: float = 1.0) -> np.ndarray:
    """Σ(denoised − clean)² / Σ(clean − its mean)² of each image: the share of its variance that is lost.

    It doesn't depend on the unit of grey values, nor on the image size through it, so it compares data sets; a flat image
    at the right level has 1. NaN where the clean image is flat. `data_range` does not enter; it is there for a common call.

    >>> clean = np.arange(64.0).reshape(1, 8, 8)
    >>> nmse(clean, np.full((1, 8, 8), clean.mean())).round(6), nmse(10 * clean, 10 * clean + 1).round(6)
    (array([1.]), array([2.9e-05]))
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = mse(clean, denoised) / clean.var(axis=(1, 2))
    return np.where(np.isfinite(share), share, np.nan)
