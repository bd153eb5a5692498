"""p(noisy image | clean image) for white Gaussian noise, and for noise whose image was cut to [0, 1] afterwards.

Where a pixel was cut, only that it was is known (a censored Gaussian; Tobin 1958):
    log p(y | x) = Σ_kept -(y - x)²/2σ²  +  Σ_{y = 0} log Φ(-x/σ)  +  Σ_{y = 1} log Φ((x - 1)/σ)     (+ constant)
"""

from __future__ import annotations

import math

import torch
from torch.special import log_ndtr


def cut_pixels(noisy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels of images (b, L, L) were cut to 0 and to 1, both (b, L, L) bool: those at 0 of an image with nothing below 0,
    and those at 1 of one with nothing above. Gaussian noise that was not cut leaves none there."""
    least, most = noisy.amin(dim=(1, 2), keepdim=True), noisy.amax(dim=(1, 2), keepdim=True)
    return (noisy == 0) & (least == 0), (noisy == 1) & (most == 1)


def log_likelihood(images: torch.Tensor, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """log p(noisy (b, L, L) | image) of each of its images (b, n, L, L), σ (b,) float64 → (b, n) float64, up to a constant for
    each noisy image."""
    low, high = cut_pixels(noisy)
    cut, residual = low | high, images - noisy[:, None]
    if which := torch.nonzero(cut.any(dim=2).any(dim=1))[:, 0].tolist():
        residual.masked_fill_(cut[:, None], 0)
    log = residual.square_().sum(dim=(2, 3), dtype=torch.float64) / (-2 * sigma[:, None] ** 2)
    for i in which:
        below, above = -images[i][:, low[i]] / sigma[i], (images[i][:, high[i]] - 1) / sigma[i]
        log[i] += log_ndtr(torch.cat([below, above], dim=1)).sum(dim=1, dtype=torch.float64)
    return log


def uncut(noisy: torch.Tensor, sigma: torch.Tensor, around: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (b, L, L) and σ² (b,) whose plain Gaussian likelihood has, at the clean images `around` (b, L, L), the slope of the
    true one in every pixel and its mean curvature. The images themselves and σ² where nothing was cut; float64 where any was.
    """
    low, high = cut_pixels(noisy)
    if not (low | high).any():
        return noisy, sigma**2
    around, wide = around.double(), sigma[:, None, None]
    slope = (noisy - around) / wide
    curvature = torch.ones_like(slope)
    for where, sign, limit in ((low, -1, 0), (high, 1, 1)):
        t = sign * (around - limit) / wide
        hazard = torch.exp(-(t**2) / 2 - log_ndtr(t)) / math.sqrt(2 * math.pi)  # d log Φ(t)/dt
        slope, curvature = (
            torch.where(where, sign * hazard, slope),
            torch.where(where, hazard * (hazard + t), curvature),
        )
    mean = curvature.mean(dim=(1, 2))
    return around + slope * wide / mean[:, None, None], sigma**2 / mean
