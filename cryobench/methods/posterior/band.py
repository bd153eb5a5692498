"""Noisy images at a size of pixels of their own, as coefficients in a steerable basis, and what they were seen through.

Where particles may be off the centre, each image comes in several places: y(· + s) for shifts s of whole px. With S x for a
shifted view, ⟨y, T S x⟩ = ⟨S⁻¹ T y, x⟩ and ‖T S x‖ = ‖T x‖, so only coefficients differ between places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cryobench.data.io.stack import resample
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.seen import Seen, cropped, rings_of
from cryobench.methods.posterior.steerable import SteerableBasis
from cryobench.noise.ctf import through

READ = 256  # images read at a time


@dataclass(frozen=True)
class Places:
    """Where the particles of n images may be. centres: (n, 2) int64, (down, right) in px, about which each is looked for; steps:
    (S, 2) int64, from there, the first (0, 0); allowed: (n, S) bool."""

    centres: torch.Tensor
    steps: torch.Tensor
    allowed: torch.Tensor

    def __getitem__(self, rows) -> Places:
        return Places(self.centres[rows], self.steps, self.allowed[rows])

    @classmethod
    def around(cls, centres: torch.Tensor, reach: int, most: int) -> Places:
        """Those up to `reach` px from the centres, and no more than `most` px off that of the image."""
        axis = torch.arange(-reach, reach + 1)
        steps = torch.cartesian_prod(axis, axis)
        distance = steps.square().sum(dim=1)
        steps = steps[distance.argsort(stable=True)][: int((distance <= reach**2).sum())].to(centres.device)
        allowed = (centres[:, None] + steps).square().sum(dim=2) <= most**2
        allowed[:, 0] = True  # whatever rounding made of a centre
        return cls(centres, steps, allowed)

    def back(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, L, L) → (n, S, L, L): for each place with what is there in the centre."""
        return self._moved(images[:, None].expand(-1, len(self.steps), -1, -1), -1)

    def together(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, S, L, L) for each place, moved there → their sums (n, L, L)."""
        return self._moved(images, 1).sum(dim=1)

    def _moved(self, images: torch.Tensor, sign: int) -> torch.Tensor:
        size = images.shape[-1]
        axis = torch.arange(size, device=images.device)
        down, right = ((axis - sign * (self.centres[:, None] + self.steps)[..., k, None]) % size for k in (0, 1))
        images = images.gather(2, down[..., None].expand_as(images))
        return images.gather(3, right[:, :, None].expand_as(images))


def places(shifts: np.ndarray, size: int, reach: float, near: bool = False, device="cpu") -> Places | None:
    """Where particles may be in images of `size` px that are up to `reach` off the centre, a share of the edge: anywhere, or
    `near`: up to a px from these shifts (n, 2), in shares of the edge. None where they are in the centre."""
    if not reach:
        return None
    most = math.ceil(reach * size)
    far = np.linalg.norm(shifts, axis=1, keepdims=True)  # in coarser px it may have been rounded up
    shifts = shifts * np.minimum(1, reach / np.maximum(far, 1e-9))
    centres = torch.from_numpy(np.rint(shifts * size * near).astype(np.int64)).to(device)
    return Places.around(centres, 1 if near else most, most)


@dataclass(frozen=True)
class Band:
    """n images y resampled to `size` px: their coefficients (n, S, K) in `basis` in each of S places, and σ² (n,) of their noise.

    seen: what they were seen through, or None; the coefficients are then those of T y (seen.py).
    places: the S shifts that are tried; None: particles are where they were looked for.
    """

    basis: SteerableBasis
    coefficients: torch.Tensor
    variance: torch.Tensor
    seen: Seen | None = None
    places: Places | None = None

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def size(self) -> int:
        """In pixels."""
        return self.basis.size

    def take(self, rows: np.ndarray | torch.Tensor) -> Band:
        """Some of the images."""
        seen = None if self.seen is None else self.seen[rows]
        places = None if self.places is None else self.places[rows]
        return Band(self.basis, self.coefficients[rows], self.variance[rows], seen, places)


def band_of(
    noisy: Callable[[slice], np.ndarray],
    n: int,
    length: int,
    sigma: np.ndarray,
    size: int,
    device,
    transfers: Callable[[slice], np.ndarray | None] = lambda rows: None,
    places: Places | None = None,
) -> Band:
    """n images noisy(rows) of `length` px, σ (n,), without the frequencies that `size` px can't hold; transfers(rows): T of
    each, (b, L, L/2+1), or None; places: where particles may be, in px of `size`."""
    basis = fourier_bessel(size, device=device)
    coefficients, seen = [], []
    for start in range(0, n, READ):
        part = slice(start, start + READ)
        images, transfer = resample(noisy(part), size), transfers(part)
        if transfer is not None:
            transfer = cropped(transfer, length, size)
            seen.append(seen_through(images, transfer, device))
            images = through(images, transfer)
        there = torch.from_numpy(images).to(device)[:, None]
        if places is not None:
            there = places[part].back(there[:, 0])
        coefficients.append(basis.coefficients(there.flatten(0, 1)).unflatten(0, there.shape[:2]))
    variance = torch.from_numpy((sigma * size / length) ** 2).float().to(device)
    columns = zip(*([one.gain, one.rings, one.total, one.square] for one in seen), strict=True)
    return Band(basis, torch.cat(coefficients), variance, Seen(*map(torch.cat, columns)) if seen else None, places)


def seen_through(images: np.ndarray, transfers: np.ndarray, device) -> Seen:
    """Of images (n, L, L) that were seen through T, (n, L, L/2+1)."""
    y, transfer = torch.from_numpy(images).to(device), torch.from_numpy(np.ascontiguousarray(transfers)).to(device)
    squares = rings_of(images.shape[-1]).means(transfer.square())
    return Seen(transfer[:, 0, 0], squares, y.sum(dim=(1, 2)), y.square().sum(dim=(1, 2)))
