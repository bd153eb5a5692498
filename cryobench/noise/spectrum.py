"""The power spectrum of a stack's noise, from the corners of its images.

Particles are centred and leave the corners empty. There the covariance of two pixels at a distance d is taken over all pairs
and images, and its Fourier transform is the power (Wiener & Khinchin):

    C(d) = Σ n(p) n(p + d) / pairs,      P(s) = Σ_d C(d) w(d) exp(−2πi s·d)

P goes by |s| alone. w falls from 1 to 0 between half of the longest distance and all of it, a quarter of the image.

Of each image its own mean in the corners is taken off, since images differ in level. That takes the variance v of the mean
of the noise there off every C(d), and with it power from the lowest frequencies; v is the mean of C over all pairs of the N
pixels in the corners, so it can be had back: v = Σ_d pairs(d) w(d) (C(d) + v) / N².
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.fft

from cryobench.noise.background import outside_circle

LEAST = 1e-2  # of the mean power: what an estimate may fall to


def border_spectrum(batches: Iterable[np.ndarray]) -> np.ndarray:
    """P of images, batches (b, L, L): (L, L/2+1) float32 over the frequencies of rfft2, of mean 1 over all frequencies."""
    products, n = None, 0
    for images in batches:
        size = images.shape[-1]
        outside = outside_circle(size)
        noise = np.asarray(images, dtype=np.float64)
        noise = (noise - noise[:, outside].mean(axis=1)[:, None, None]) * outside
        power = (np.abs(scipy.fft.rfft2(noise, s=(2 * size, 2 * size))) ** 2).sum(axis=0)
        products, n = power if products is None else products + power, n + len(images)
    # Padded to twice their size, images meet no copies of themselves.
    pairs = scipy.fft.irfft2(np.abs(scipy.fft.rfft2(outside.astype(float), s=(2 * size, 2 * size))) ** 2)
    lag = scipy.fft.fftfreq(2 * size, 1 / (2 * size))
    reach = np.hypot(lag[:, None], lag) / (size // 4)
    window = np.where(pairs > 0.5, 0.5 + 0.5 * np.cos(np.pi * np.clip(2 * reach - 1, 0, 1)), 0.0)
    sums = scipy.fft.irfft2(products) / n
    of_mean = (window * sums).sum() / (outside.sum() ** 2 - (window * pairs).sum())
    covariance = window * (sums / np.maximum(pairs, 1) + of_mean)
    # Lags reach a quarter of the image, so those of its own size are all that there are.
    near = np.r_[0 : (size + 1) // 2, -(size // 2) : 0]
    by_ring = scipy.fft.fft2(covariance[np.ix_(near, near)]).real
    frequency = scipy.fft.fftfreq(size, 1 / size)
    radius = np.hypot(frequency[:, None], frequency)
    ring = np.rint(radius).astype(int)
    by_ring = np.bincount(ring.ravel(), by_ring.ravel()) / np.bincount(ring.ravel())
    power = np.interp(radius, np.arange(len(by_ring)), by_ring)
    power = np.maximum(power, LEAST * power.mean())
    return (power / power.mean())[:, : size // 2 + 1].astype(np.float32)
