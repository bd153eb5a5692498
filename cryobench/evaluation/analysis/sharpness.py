"""Are denoised images as sharp as clean ones, and is what they show right? Ring by ring in Fourier space.

    power       P(k) = Σ over images and |q| ≈ k of |F(q)|²                    that of the denoised over that of the clean
    correlation FRC(k) = Re Σ F_d(q) F_c(q)* / √(Σ |F_d(q)|² Σ |F_c(q)|²)   of each image; the mean over images

A blurred image has too little power at high frequencies; one with invented detail has power but no correlation, which
the MSE punishes and the eye does not.
"""

from __future__ import annotations

import numpy as np
import torch
from torch_fourier_shell_correlation import fourier_ring_correlation

from cryobench.evaluation.analysis import Evidence

BLOCK = 64  # images whose spectra are in memory together


def analyse(evidence: Evidence) -> dict:
    """Rings 1 … L/2 of (n, L, L) images, the outermost at Nyquist.

    "frequency": of each ring in 1/Å; "power_ratio": denoised over clean, null where the clean images have none; "frc":
    Fourier ring correlation with the clean image. "resolution": Å where the correlation first falls below ½;
    "power_resolution": Å where the power first falls below half the clean one. Both are Nyquist if that never happens,
    and null if the first ring is below.
    """
    size = evidence.clean.shape[-1]
    frequency = np.arange(1, size // 2 + 1) / (size * evidence.pixel_size)
    clean, denoised = ring_power(evidence.clean), ring_power(evidence.denoised)
    power = np.divide(denoised, clean, out=np.full(len(clean), np.nan), where=clean > 0)
    pair = (
        torch.from_numpy(np.asarray(images, np.float32)).split(BLOCK) for images in (evidence.denoised, evidence.clean)
    )
    each = [fourier_ring_correlation(*some) for some in zip(*pair, strict=True)]
    frc = torch.cat(each).mean(dim=0).numpy()[1:]
    return {
        "frequency": rounded(frequency),
        "power_ratio": rounded(power),
        "frc": rounded(frc),
        "resolution": resolution(frequency, frc),
        "power_resolution": resolution(frequency, power),
    }


def ring_power(images: np.ndarray) -> np.ndarray:
    """Power in the rings 1 … L/2, summed over images: (n, L, L) → (L/2,) float64."""
    size = images.shape[-1]
    axis = np.fft.fftfreq(size) * size
    ring = np.rint(np.hypot(axis[:, None], axis)).astype(int)
    total = np.zeros((size, size))
    for image in images:  # one at a time: their spectra together take 16 times the memory of the images
        total += np.abs(np.fft.fft2(np.asarray(image, np.float64))) ** 2
    return np.bincount(ring.ravel(), total.ravel())[1 : size // 2 + 1]


def resolution(frequency: np.ndarray, curve: np.ndarray, threshold: float = 0.5) -> float | None:
    """Å where `curve` first falls below `threshold`, linear between rings; Nyquist if never, None if it starts below."""
    below = np.flatnonzero(~(curve >= threshold))
    if not len(below):
        return float(f"{1 / frequency[-1]:.5g}")
    if (last := below[0]) == 0:
        return None
    if not np.isfinite(curve[last]):
        return float(f"{1 / frequency[last - 1]:.5g}")
    share = (curve[last - 1] - threshold) / (curve[last - 1] - curve[last])
    return float(f"{1 / (frequency[last - 1] + share * (frequency[last] - frequency[last - 1])):.5g}")


def rounded(values: np.ndarray) -> list[float | None]:
    """Five significant digits of each value, None where it is not finite: JSON has neither NaN nor infinity."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
