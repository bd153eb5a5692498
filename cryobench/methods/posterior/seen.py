"""What stands between views and noisy images, y = T x + σn, as sums over poses need it: T is a CTF, whitened or not (imaging.py).

    ⟨y, T x⟩ = ⟨T y, x⟩        ‖T x‖² = Σ_r T_r² X_r        ⟨1, T x⟩ = h ⟨1, x⟩

With T y in the place of y, inner products cost what they cost without T. T_r² is the mean of T² over the frequencies at one
distance from 0, X_r the power of x there, h is T at frequency 0. Norms are exact where T is round, as far as turning an image
on its pixels leaves its rings' power alone. Where T is not, T² averaged over a ring is what images averaged over their in-plane
angles see of it; an astigmatism of δ changes it in the order of δ² only, since a ring has each of its frequencies at a right
angle, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from cryobench.methods.posterior.frequencies import stands_for

AT_ONCE = 512  # images whose spectra are in memory together


@dataclass(frozen=True)
class Seen:
    """Of n images: gain (n,), h; rings (n, D), T² on each ring; total (n,), ⟨1, y⟩; square (n,), ‖y‖²."""

    gain: torch.Tensor
    rings: torch.Tensor
    total: torch.Tensor
    square: torch.Tensor

    def __getitem__(self, rows) -> Seen:
        return Seen(self.gain[rows], self.rings[rows], self.total[rows], self.square[rows])


class Rings:
    """The D distances from 0 of the frequencies of rfft2 of images of L = `size` px, each a ring: radii (D,), ascending."""

    def __init__(self, size: int):
        down, right = torch.fft.fftfreq(size, 1 / size), torch.fft.rfftfreq(size, 1 / size)
        square = (down[:, None] ** 2 + right**2).round().long()
        values, ring = torch.unique(square, return_inverse=True)
        self.size, self.radii, self.ring = size, values.double().sqrt().float(), ring.flatten()
        self.stands_for = stands_for(size)

    def sums(self, plane: torch.Tensor) -> torch.Tensor:
        """Over each ring, of (n, L, L/2+1): (n, D)."""
        terms = plane.flatten(1) * self.stands_for.to(plane.device)
        return terms.new_zeros(len(terms), len(self.radii)).index_add_(1, self.ring.to(plane.device), terms)

    def power(self, images: torch.Tensor) -> torch.Tensor:
        """X_r of images (n, L, L): (n, D), whose sum is ‖x‖²."""
        return torch.cat(
            [self.sums(torch.fft.rfft2(some, norm="ortho").abs().square()) for some in images.split(AT_ONCE)]
        )

    def means(self, squares: torch.Tensor) -> torch.Tensor:
        """The means (n, D) of (n, L, L/2+1) over each ring."""
        return self.sums(squares) / self.sums(torch.ones_like(squares[:1]))

    def filtered(self, images: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Images (n, L, L), each ring times its value (n, D)."""
        parts = [
            torch.fft.irfft2(
                torch.fft.rfft2(some) * value[:, self.ring.to(value.device)].view(len(some), self.size, -1)
            )
            for some, value in zip(images.split(AT_ONCE), values.split(AT_ONCE), strict=True)
        ]
        return torch.cat(parts)

    def padded(self, values: torch.Tensor) -> torch.Tensor:
        """Values (n, D) at the frequencies of images padded to twice their size, linear between rings: (n, 2L, L + 1), as slices
        are inserted (frequency 0 in the middle of the rows)."""
        half = self.size // 2
        down = torch.arange(-half, half, 0.5, device=values.device)
        right = torch.arange(0, half + 0.5, 0.5, device=values.device)
        radius, radii = (down[:, None] ** 2 + right**2).sqrt(), self.radii.to(values.device)
        above = torch.searchsorted(radii, radius).clamp(1, len(radii) - 1)
        share = ((radius - radii[above - 1]) / (radii[above] - radii[above - 1])).clamp(0, 1)
        return torch.lerp(values[:, above - 1], values[:, above], share)


@lru_cache(maxsize=8)
def rings_of(size: int) -> Rings:
    """Those of images of `size` px."""
    return Rings(size)


def cropped(transfers: np.ndarray, length: int, size: int) -> np.ndarray:
    """Transfer functions (n, L, L/2+1) of images of L = `length` px, for those images resampled to `size` px, no more than L."""
    start = length // 2 - size // 2
    rows = np.fft.fftshift(transfers, axes=-2)[..., start : start + size, : size // 2 + 1]
    return np.fft.ifftshift(rows, axes=-2)
