"""Fourier-Bessel functions as a steerable basis (Zhao & Singer 2013, "Fourier-Bessel rotational invariant eigenimages").

A constant, and J_m(ρ_mq r/R)·exp(imθ) on the disc of radius R = L//2 px about the centre, pixel L//2, which is that of the
projections; ρ_mq is the q-th zero of J_m, kept where the next one is below 2π·band·R (their sampling criterion). The constant is
for the level of the background, which functions on a disc can't follow into the corners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from weakref import WeakValueDictionary

import numpy as np
import torch
from scipy.interpolate import CubicHermiteSpline
from scipy.special import jn_zeros, jv

from cryobench.errors import InputError
from cryobench.methods.posterior.every_pixel import EveryPixel
from cryobench.methods.posterior.folded import Folded, eighth, kind
from cryobench.methods.posterior.steerable import SteerableBasis

STEP = 1 / 32  # of the grid on which Bessel functions are interpolated
# Those in use, by size, band, how they are kept, and where they are: to make one of 128 px takes seconds.
IN_USE: WeakValueDictionary[tuple[int, float, bool, torch.device], SteerableBasis] = WeakValueDictionary()


def fourier_bessel(
    size: int, *, band: float = 0.5, device: torch.device | str = "cpu", folded: bool = True
) -> SteerableBasis:
    """The basis for images of `size` px. band: highest frequency in cycles/px, at most 0.5 (Nyquist). folded: it is kept on an
    eighth of the disc (folded.py), which takes 64 MB at 128 px, or at every pixel, 636 MB.

    Raises InputError for an image too small to hold any function.
    """
    if size < 8:
        raise InputError(f"expected images of at least 8 x 8 px for a steerable basis, got {size} x {size}")
    where = torch.empty(0, device=device).device  # with its number
    if (basis := IN_USE.get((size, band, folded, where))) is None:
        basis = IN_USE[size, band, folded, where] = (_folded if folded else _every_pixel)(size, band).to(where)
    return basis


def _zeros(radius: int, band: float) -> dict[int, np.ndarray]:
    """m → the zeros of J_m that make a function."""
    limit, zeros = 2 * np.pi * band * radius, {}
    for m in range(int(limit) + 1):
        some = jn_zeros(m, int((limit - m) / np.pi) + 2)  # neighbours lie more than π apart, the first beyond m
        zeros[m] = some[:-1][some[1:] <= limit]
    return zeros


def _radial(
    zeros: dict[int, np.ndarray], radius: int, distances: np.ndarray, bessel: Callable[[int], Callable]
) -> Iterator[tuple[int, np.ndarray]]:
    """Each function's order, and its values at these distances in px, float64; bessel(m) is J_m."""
    for m, some in zeros.items():
        if not len(some):
            continue
        of_order = bessel(m)
        for zero in some:
            # Unit norm on the plane; sampled on pixels it would depend on how the function falls on the grid.
            norm = (1 if m == 0 else np.sqrt(2)) / (np.sqrt(np.pi) * radius * abs(jv(m + 1, zero)))
            yield m, norm * of_order(zero * distances / radius)


def interpolated(largest: float) -> Callable[[int], Callable]:
    """m → J_m on [0, `largest`] by cubic Hermite splines, for m up to `largest`: off by less than 10⁻⁹, and faster by far."""
    grid = np.arange(0, largest + STEP, STEP)
    table = jv(np.arange(-1, int(largest) + 2)[:, None], grid)  # J_m' = (J_{m−1} − J_{m+1})/2
    return lambda m: CubicHermiteSpline(grid, table[m + 1], (table[m] - table[m + 2]) / 2)


def _every_pixel(size: int, band: float) -> EveryPixel:
    radius = size // 2
    y, x = np.mgrid[:size, :size].reshape(2, -1) - radius
    inside, theta = np.hypot(x, y) < radius, np.arctan2(y, x)
    # Bessel functions are dear, and few radii differ.
    distances, which = np.unique(np.hypot(x, y)[inside], return_inverse=True)
    values, orders, cosines, sines = np.zeros(size * size), [], [], []
    for m, radial in _radial(_zeros(radius, band), radius, distances, lambda m: partial(jv, m)):
        values[inside] = radial[which]
        orders.append(m)
        cosines.append((values * np.cos(m * theta)).astype(np.float32))
        sines.append((values * np.sin(m * theta)).astype(np.float32))
    isotropic = orders.count(0)
    round_ones, _ = np.linalg.qr(np.stack([np.ones(size * size), *cosines[:isotropic]], axis=1, dtype=np.float64))
    cosines[:isotropic] = round_ones.T.astype(np.float32)
    sines.insert(0, np.zeros(size * size, np.float32))
    return EveryPixel(torch.tensor([0, *orders]), torch.from_numpy(np.stack(cosines + sines)))


def _folded(size: int, band: float) -> Folded:
    pixels, radius, zeros = eighth(size, torch.device("cpu")), size // 2, _zeros(size // 2, band)
    angle, distances = np.append(np.arctan2(pixels.y, pixels.x), 0), np.hypot(pixels.x, pixels.y)
    orders = [0, *(m for m, some in zeros.items() for _ in some)]
    counts = np.bincount([kind(m) for m in orders], minlength=3)
    cosines, sines = ([np.zeros((n, len(angle)), np.float32) for n in counts[:2]] for _ in range(2))
    both, row = np.zeros((counts[2], 2 * len(angle)), np.float32), [1, 0, 0]
    for m, radial in _radial(zeros, radius, distances, interpolated(2 * np.pi * band * radius)):
        values, at = np.append(radial, 0), row[kind(m)]  # 0 outside
        cosine, sine = values * np.cos(m * angle), values * np.sin(m * angle)
        if m % 2:
            both[at] = np.concatenate([cosine, sine if m % 4 == 1 else -sine])
        else:
            cosines[kind(m)][at], sines[kind(m)][at] = cosine, sine
        row[kind(m)] += 1
    round_ones = cosines[0][: len(zeros[0]) + 1]
    round_ones[0] = 1
    # Orthonormal over all pixels, of which each of these stands for some.
    stands_for = np.sqrt(np.append(8 / pixels.count, len(pixels.outside)))
    orthonormal, triangle = np.linalg.qr((round_ones * stands_for).T)
    round_ones[:] = (orthonormal * np.sign(np.diag(triangle))).T / stands_for  # which has signs of its own
    of_cosines, of_sines = ([torch.from_numpy(one) for one in some] for some in (cosines, sines))
    return Folded(size, torch.tensor(orders), of_cosines, of_sines, torch.from_numpy(both))
