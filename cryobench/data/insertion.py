"""Central slices added to a volume's Fourier transform on a CPU: bit for bit what torch-fourier-slice makes of them, but faster.

A sample of a slice seen under R goes to the eight samples of the transform around R·(x, y, 0), by its nearness to each. Only the
half x ≥ 0 of the transform is stored: what falls into the other half goes to the opposite frequency, conjugated, and what falls
on x = 0 is there twice. Coordinates are rounded as in the package, and numbers added in its order, so that volumes made with it
stay what they are. Time is saved by adding to one list of numbers each for real parts, imaginary parts and weights, by their
place in it, where the package adds complex numbers by four indices each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

SAMPLES = 2**15  # inserted at a time; their coordinates take 400 kB


@dataclass(frozen=True)
class Corners:
    """The eight samples around each of b points: place (b, 8) in the transform, share (b, 8) that goes there; twice (m,), those
    of the 8 b that are on x = 0, where the opposite one is stored, too, and opposite (m,), the places of these."""

    place: torch.Tensor
    share: torch.Tensor
    twice: torch.Tensor
    opposite: torch.Tensor


def insert(slices: torch.Tensor, weights: torch.Tensor, rotations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slices (k, n, n/2 + 1) complex64 with frequency 0 in the middle of the rows, n even, weights of their samples, of a shape
    that expands to theirs, and rotations (k, 3, 3).

    Both (n, n, n/2 + 1), frequency 0 at [n/2, n/2, 0]: the sums, complex64, and the weights that came to each sample, float32.
    """
    k, n, half = slices.shape
    rows, columns = torch.fft.fftshift(torch.fft.fftfreq(n)), torch.fft.rfftfreq(n)
    once = ~((columns == 0) & (rows < 0)[:, None])  # of two opposite samples of a slice
    real, imaginary, weight = torch.zeros(3, n * n * half)
    weights, images, later = weights.expand(slices.shape), max(1, SAMPLES // (n * half)), []
    for start in range(0, k, images):
        some = slice(start, start + images)
        points, turned = points_of(rotations[some].float(), rows, columns, once)
        values, counts = slices[some][:, once].flatten(), weights[some][:, once].flatten()
        kept = ((points >= 0) & (points <= torch.tensor([half - 1, n - 1, n - 1])[:, None])).all(dim=0)
        corners = corners_of(points[:, kept], n, half)
        values, turned = values[kept], turned[kept]
        parts = []
        for into, part in (
            (real, values.real),
            (imaginary, torch.where(turned, -values.imag, values.imag)),
            (weight, counts[kept]),
        ):
            shared = (part[:, None] * corners.share).flatten()
            into.scatter_add_(0, corners.place.flatten(), shared)
            parts.append(shared[corners.twice])
        later.append((corners.opposite, *parts))
    for opposite, *parts in later:  # as the package does, when all else is there
        for into, part, sign in zip((real, imaginary, weight), parts, (1, -1, 1), strict=True):
            into.scatter_add_(0, opposite, sign * part)
    return torch.complex(real, imaginary).view(n, n, half), weight.view(n, n, half)


def points_of(
    rotations: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, once: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the m samples `once` of slices in these rotations (k, 3, 3) are in the stored half, (xyz, k·m) in samples from its
    first; and which of them, (k·m,), are there as their opposites."""
    n, half = once.shape
    axes = rotations.transpose(0, 1)
    points = (axes[..., 1, None] * rows)[..., None] + (axes[..., 0, None] * columns)[..., None, :]
    points = points[..., once].flatten(1)
    turned = points[0] < 0
    points = torch.where(turned, -points, points)
    points[0] *= 2 * (half - 1)
    points[1:].add_(0.5).div_(1 - 1 / torch.tensor(float(n))).mul_(n - 1)
    return points, turned


def corners_of(points: torch.Tensor, n: int, half: int) -> Corners:
    """Those of points (xyz, b) within a transform (n, n, half)."""
    low, high = points.floor(), points.ceil()
    beyond = points - low
    near = 1 - beyond
    (x, y, z), (tx, ty, tz), (sx, sy, sz) = torch.stack([low, high], dim=2).long(), beyond, near
    place = ((z[:, :, None, None] * n + y[:, None, :, None]) * half + x[:, None, None, :]).flatten(1)
    across = [zz * yy for zz in (sz, tz) for yy in (sy, ty)]
    share = torch.stack([zy * xx for zy in across for xx in (sx, tx)], dim=1)
    on_axis = (x == 0)[:, None, None, :].expand(-1, 2, 2, 2).flatten()
    middle = (n // 2 * n + n // 2) * half
    twice = torch.nonzero(on_axis & (place.flatten() != middle))[:, 0]
    there = place.flatten()[twice] // half
    opposite = ((n - there // n) % n * n + (n - there % n) % n) * half
    return Corners(place, share, twice, opposite)
