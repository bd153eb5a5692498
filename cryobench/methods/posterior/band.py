"""Noisy images at a size of pixels of their own, as coefficients in a steerable basis, and what they were seen through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cryobench.data.io.stack import resample
from cryobench.methods.posterior.seen import Seen, cropped, rings_of
from cryobench.methods.posterior.steerable import SteerableBasis, fourier_bessel
from cryobench.noise.ctf import through

READ = 256  # images read at a time


@dataclass(frozen=True)
class Band:
    """n images y resampled to `size` px: their coefficients (n, K) in `basis`, and σ² (n,) of their noise there.

    seen: what they were seen through, or None; the coefficients are then those of T y (seen.py).
    """

    basis: SteerableBasis
    coefficients: torch.Tensor
    variance: torch.Tensor
    seen: Seen | None = None

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def size(self) -> int:
        """In pixels."""
        return self.basis.size

    def take(self, rows: np.ndarray | torch.Tensor) -> Band:
        """Some of the images."""
        seen = None if self.seen is None else self.seen[rows]
        return Band(self.basis, self.coefficients[rows], self.variance[rows], seen)


def band_of(
    noisy: Callable[[slice], np.ndarray],
    n: int,
    length: int,
    sigma: np.ndarray,
    size: int,
    device,
    transfers: Callable[[slice], np.ndarray | None] = lambda rows: None,
) -> Band:
    """n images noisy(rows) of `length` px, σ (n,), without the frequencies that `size` px can't hold; transfers(rows): T of
    each, (b, L, L/2+1), or None."""
    basis = fourier_bessel(size).to(device)
    coefficients, seen = [], []
    for start in range(0, n, READ):
        part = slice(start, start + READ)
        images, transfer = resample(noisy(part), size), transfers(part)
        if transfer is not None:
            transfer = cropped(transfer, length, size)
            seen.append(seen_through(images, transfer, device))
            images = through(images, transfer)
        coefficients.append(basis.coefficients(images))
    variance = torch.from_numpy((sigma * size / length) ** 2).float().to(device)
    columns = zip(*([one.gain, one.rings, one.total, one.square] for one in seen), strict=True)
    return Band(basis, torch.cat(coefficients), variance, Seen(*map(torch.cat, columns)) if seen else None)


def seen_through(images: np.ndarray, transfers: np.ndarray, device) -> Seen:
    """Of images (n, L, L) that were seen through T, (n, L, L/2+1)."""
    y, transfer = torch.from_numpy(images).to(device), torch.from_numpy(np.ascontiguousarray(transfers)).to(device)
    squares = rings_of(images.shape[-1]).means(transfer.square())
    return Seen(transfer[:, 0, 0], squares, y.sum(dim=(1, 2)), y.square().sum(dim=(1, 2)))
