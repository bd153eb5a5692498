"""p(noisy image | clean image) for white Gaussian noise, and for noise whose image was cut to [0, 1] afterwards.

Where a pixel was cut, only that it was is known (a censored Gaussian; Tobin 1958):
    log p(y | x) = Σ_kept -(y - x)²/2σ²  +  Σ_{y = 0} log Φ(-x/σ)  +  Σ_{y = 1} log Φ((x - 1)/σ)     (+ constant)
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import log_ndtr


def cut_pixels(noisy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels of an image (L, L) were cut to 0 and to 1, both (L, L) bool: those at 0 where nothing lies below 0,
    and those at 1 where nothing lies above. Gaussian noise that was not cut leaves none there."""
    return (noisy == 0) & (noisy.min() == 0), (noisy == 1) & (noisy.max() == 1)


def log_likelihood(images: torch.Tensor, noisy: np.ndarray, sigma: float) -> torch.Tensor:
    """log p(noisy (L, L) | image) of each of the images (n, L, L) → (n,) float64 on their device, up to a constant."""
    low, high = (torch.from_numpy(cut).to(images.device) for cut in cut_pixels(noisy))
    residual = (images - torch.as_tensor(noisy, device=images.device)).masked_fill_(low | high, 0)
    log = residual.square_().sum(dim=(1, 2), dtype=torch.float64) / (-2 * float(sigma) ** 2)
    if low.any():
        log += torch.special.log_ndtr(-images[:, low] / sigma).sum(dim=1, dtype=torch.float64)
    if high.any():
        log += torch.special.log_ndtr((images[:, high] - 1) / sigma).sum(dim=1, dtype=torch.float64)
    return log


def uncut(noisy: np.ndarray, sigma: float, around: np.ndarray) -> tuple[np.ndarray, float]:
    """The image (L, L) and σ² whose plain Gaussian likelihood has, at the clean image `around` (L, L), the slope of the
    true one in every pixel and its mean curvature. The image itself and σ² if nothing was cut.
    """
    cut = cut_pixels(noisy)
    if not any(where.any() for where in cut):
        return noisy, sigma**2
    slope, curvature = (noisy - around) / sigma, np.ones(noisy.shape)
    for where, sign, limit in zip(cut, (-1, 1), (0, 1), strict=True):
        t = sign * (around[where] - limit) / sigma
        hazard = np.exp(-(t**2) / 2 - log_ndtr(t)) / np.sqrt(2 * np.pi)  # d log Φ(t)/dt
        slope[where], curvature[where] = sign * hazard, hazard * (hazard + t)
    mean = float(curvature.mean())
    return around + slope * sigma / mean, sigma**2 / mean
