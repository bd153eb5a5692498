"""A stack of images with all their in-plane rotations and mirror images, none of which is stored.

Element (s, t, i) of the stack is image i, mirrored (y → -y) if s = 1, then turned by α_t = 2πt/T. Uniformly oriented
projections have these symmetries exactly, so they multiply n samples of the prior by 2n for nothing.

In a steerable basis the inner product of an image y with all elements is a Fourier series in α,
    ⟨y, x_i(α)⟩ = Re Σ_m exp(imα) Z_im,   Z_im = Σ_{k: m_k = m} conj(b_k) c_ik,   b_k = Σ_pixels y F_k,
and for the mirrored ones Z_im = conj(Σ b_k c_ik): four real products within each order m (by_order.py) and an FFT.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import scipy.fft
import torch

from cryobench.methods.posterior.by_order import ByOrder
from cryobench.methods.posterior.steerable import SteerableBasis

# On a CPU products are taken with so many images of the stack at a time, and summed over orders for so many elements at a time:
# few enough for a core's cache.
MULTIPLIED, ELEMENTS = 4096, 2**18
NEGLIGIBLE = 1e-6  # total weight of the images that a weighted sum may leave out


class Orbits:
    """The orbits of n images under rotation and mirroring.

    coefficients: (n, K) complex64 in `basis`; angles: the least number of in-plane angles, of which there are more if
    the basis turns faster than they can follow; always a multiple of four, so that a quarter turn is among them.
    """

    def __init__(self, basis: SteerableBasis, coefficients: torch.Tensor, angles: int = 0):
        self.basis, self.coefficients = basis, coefficients
        self.norms = coefficients.abs().square().sum(dim=1)
        # (K, n) each, so that the products with an image read memory in order
        self.real, self.imaginary = (
            ByOrder(part.T.contiguous(), basis.blocks) for part in (coefficients.real, coefficients.imag)
        )
        self.angles = angles_of(basis, angles)

    def __len__(self) -> int:
        return len(self.norms)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(mirrors, angles, images)."""
        return 2, self.angles, len(self)

    def inner_products(self, images: torch.Tensor) -> torch.Tensor:
        """⟨y, element⟩ of images' coefficients (b, K) with all elements, (b, 2, angles, n) float32; angles lie
        innermost in memory."""
        found = self.norms.new_empty((len(images), 2, len(self), self.angles))
        for part, products in self.in_parts(images, len(self)):  # multiplied in parts, the last digits would be others
            if len(self) == part.stop - part.start:
                return products.transpose(2, 3)
            found[:, :, part] = products
        return found.transpose(2, 3)

    def in_parts(self, images: torch.Tensor, multiplied: int | None = None) -> Iterator[tuple[slice, torch.Tensor]]:
        """The same in parts, one after the other, on a GPU in one: a slice of the stack's images, and the inner products with
        their elements, (b, 2, c, angles). multiplied: how many of the stack a CPU multiplies at a time, None: MULTIPLIED."""
        vectors, n, b = torch.cat([images.real, images.imag]) * (self.angles / 2), len(self), len(images)
        whole = self.norms.is_cuda
        for chosen in shared_out(0, n, n if whole else multiplied or MULTIPLIED):
            (rr, ir), (ri, ii) = (
                one.times_left(vectors, chosen).split(b, dim=1) for one in (self.real, self.imaginary)
            )
            at_once = n if whole else ELEMENTS // (2 * b * self.angles)
            for part in shared_out(chosen.start, chosen.stop, at_once):
                here = slice(part.start - chosen.start, part.stop - chosen.start)
                yield part, self._summed(*(one[:, :, here] for one in (rr, ir, ri, ii)))

    def _summed(self, rr: torch.Tensor, ir: torch.Tensor, ri: torch.Tensor, ii: torch.Tensor) -> torch.Tensor:
        """Products within each order (orders, b, c) → their sums at each angle, (b, 2, c, angles)."""
        series = rr.new_zeros((rr.shape[1], 2, rr.shape[2], self.angles // 2 + 1), dtype=torch.complex64)
        orders_first = series.permute(3, 1, 0, 2)
        orders_first[self.real.orders, 0] = torch.complex(rr + ii, ri - ir)
        orders_first[self.real.orders, 1] = torch.complex(rr - ii, -ri - ir)
        series[..., 0] *= 2  # irfft counts every order but 0 twice
        return torch.fft.irfft(series, n=self.angles, dim=3)

    def norms_through(self, transfer: np.ndarray | torch.Tensor) -> torch.Tensor:
        """‖T x‖² of every image x seen through a transfer function (L, L/2+1): (n,), the mean along an orbit."""
        total = torch.zeros_like(self.norms)
        if self.real.filled is not None and self.imaginary.filled is not None:
            seen = self.spectra * self.basis.known_at(transfer)
            grams = seen @ seen.mT
            for part in (self.real.filled, self.imaginary.filled):
                total += ((grams @ part) * part).sum(dim=(0, 1))
            return total
        for order, gram in self.basis.gram(transfer).items():
            for part in (self.real.matrix[self.basis.blocks[order]], self.imaginary.matrix[self.basis.blocks[order]]):
                total += ((gram @ part) * part).sum(dim=0)
        return total

    @cached_property
    def spectra(self) -> torch.Tensor:
        """Those of the basis, orders filled up: (orders, length, 2P)."""
        return self.real.fill(self.basis.spectra)

    def weighted_sum(self, weights: torch.Tensor, which: torch.Tensor | None = None) -> torch.Tensor:
        """Σ w·element over all elements, or those of the images `which` (m,), by their positions: b times weights
        (b, 2, angles, n or m), none below 0, of sum about 1 → coefficients (b, K)."""
        heavy = torch.nonzero((weights.sum(dim=(1, 2)) > NEGLIGIBLE / len(self)).any(dim=0))[:, 0]
        turned = torch.fft.rfft(weights[..., heavy], dim=2).conj()  # Σ_t w exp(i m α_t), (b, 2, orders, heavy)
        plain, mirrored = turned[:, :, self.real.orders].permute(1, 2, 3, 0)
        heavy = heavy if which is None else which[heavy]
        both, odds = (torch.view_as_real(one).flatten(2) for one in (plain + mirrored, plain - mirrored))
        real, imaginary = (
            one.times_right(columns, heavy).unflatten(1, (-1, 2)).permute(2, 1, 0)
            for one, columns in ((self.real, both), (self.imaginary, odds))
        )
        return torch.complex(real[0] - imaginary[1], real[1] + imaginary[0])


def shared_out(start: int, stop: int, most: int) -> Iterator[slice]:
    """Slices from start to stop, of about the same length and no more than `most`, or 1."""
    parts = -(-(stop - start) // max(1, most))
    for k in range(parts):
        yield slice(start + (stop - start) * k // parts, start + (stop - start) * (k + 1) // parts)


def angles_of(basis: SteerableBasis, angles: int) -> int:
    """At least so many in-plane angles: as many as the basis turns, a multiple of four, and a number that FFTs are fast for."""
    return 4 * scipy.fft.next_fast_len(-(-max(angles, 2 * int(basis.orders.max()) + 1) // 4), real=True)
