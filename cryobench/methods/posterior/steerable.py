"""A steerable basis: image functions f_k(r)·exp(i m_k θ), in which turning an image is a phase and mirroring a conjugate.

An image in its span is x(r, θ) = Re Σ_k conj(c_k) F_k(r, θ) with F_k = f_k(r)·exp(i m_k θ), m_k ≥ 0, orthonormal, so
that c_k = Σ_pixels x F_k and ‖x‖² = Σ|c_k|². Turned by α (from +x towards +y) its coefficients are c_k·exp(i m_k α);
mirrored (y → -y) they are conj(c_k).

Fourier-Bessel functions are such a basis (fourier_bessel.py), and so are the principal components of images seen in every
rotation, since their covariance splits by m (Zhao, Shkolnisky & Singer 2016, "Fast steerable principal component analysis").
How its functions are kept is told in every_pixel.py and folded.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import torch

from cryobench.methods.posterior.frequencies import frequencies


class SteerableBasis(ABC):
    """K functions F_k on the pixels of images of L = `size` px, whose √2 for m > 0 is in them.

    orders: (K,) int64, m_k, ascending; blocks: order → the slice of its functions.
    """

    def __init__(self, size: int, orders: torch.Tensor, blocks: dict[int, slice] | None = None):
        self.size, self.orders = size, orders
        self.blocks = blocks_of(orders) if blocks is None else blocks

    def __len__(self) -> int:
        return len(self.orders)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.orders.device

    @abstractmethod
    def to(self, device: torch.device | str) -> SteerableBasis:
        """The same basis on another device; itself, if it is there."""

    @abstractmethod
    def coefficients(self, images: torch.Tensor | np.ndarray) -> torch.Tensor:
        """(n, L, L) float32 → (n, K) complex64, on the basis's device."""

    @abstractmethod
    def render(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(n, K) complex64 → (n, L, L) float32."""

    @abstractmethod
    def of_order(self, m: int) -> torch.Tensor:
        """The k functions of an order, (2k, L·L) float32: the real and then the imaginary parts, zeros for m = 0."""

    @abstractmethod
    def combined(self, combinations: Sequence[torch.Tensor], keep: torch.Tensor) -> SteerableBasis:
        """The basis of combinations of the functions of each order, the columns of (k, k) in the order of `blocks`, of which
        `keep` (K,) bool are kept."""

    @property
    def functions(self) -> torch.Tensor:
        """(2K, L·L) float32, the real and then the imaginary parts of F_k."""
        values = torch.empty((2, len(self), self.size**2), device=self.device)
        for m, block in self.blocks.items():
            values[:, block] = self.of_order(m).unflatten(0, (2, -1))
        return values.flatten(0, 1)

    @cached_property
    def whole(self) -> float:
        """The first function's coefficient of an image of ones: L or −L where that function is a constant."""
        return float(self.of_order(0)[0].sum())

    def products(self, m: int) -> torch.Tensor:
        """Of the k functions of an order with each other, Re⟨F_i, F_j⟩: (k, k) float64."""
        real, imaginary = self.of_order(m).double().chunk(2)
        return real @ real.T + imaginary @ imaginary.T

    @cached_property
    def spectra(self) -> torch.Tensor:
        """(K, 2P) float32: the functions' transforms at an eighth of frequencies (frequencies.py), real and imaginary parts; over
        √2 where m > 0, since each of two parts has half of what is in a coefficient."""
        kept, size, spectra = frequencies(self.size, self.device).kept, self.size, []
        for m in self.blocks:
            functions = self.of_order(m).unflatten(1, (size, size))
            real, imaginary = torch.fft.rfft2(functions, norm="ortho").flatten(1)[:, kept].chunk(2)
            spectra.append(
                torch.cat([real.real - imaginary.imag, real.imag + imaginary.real], dim=1) / (2**0.5 if m else 1)
            )
        return torch.cat(spectra)

    def known_at(self, transfer: np.ndarray | torch.Tensor) -> torch.Tensor:
        """What a transfer function (L, L/2+1) multiplies `spectra` by: (2P,)."""
        # A copy of an array, which may be one that is not to be written to.
        known = transfer if isinstance(transfer, torch.Tensor) else torch.tensor(transfer, device=self.device)
        return frequencies(self.size, self.device).sums(known.square()).sqrt().repeat(2)

    def gram(self, transfer: np.ndarray | torch.Tensor) -> dict[int, torch.Tensor]:
        """m → (k, k) float32, products of the functions of order m seen through a transfer function (L, L/2+1).

        With them ‖T x‖² = Σ_m Re(c_mᴴ G_m c_m), the mean over all turns of x and of its mirror image where T is not round.
        """
        known = self.known_at(transfer)
        seen = {m: self.spectra[block] * known for m, block in self.blocks.items()}
        return {m: functions @ functions.T for m, functions in seen.items()}


def blocks_of(orders: torch.Tensor) -> dict[int, slice]:
    """Order → the slice of its functions, of ascending orders (K,)."""
    values, counts = torch.unique_consecutive(orders, return_counts=True)
    ends = counts.cumsum(0).tolist()
    return {m: slice(a, b) for m, a, b in zip(values.tolist(), [0, *ends[:-1]], ends, strict=True)}


def principal(basis: SteerableBasis, batches: Iterable[torch.Tensor | np.ndarray], components: int) -> SteerableBasis:
    """The `components` best combinations of a basis for images, batches of (b, L, L), in all rotations and mirrors.

    Components are counted as real numbers: one for m = 0, two for m > 0. The second moments of a set of images together
    with all their rotations and mirror images are Re(C_mᴴ C_m)/n in order m, and zero between orders.
    """
    moments = {m: torch.zeros((), device=basis.device) for m in basis.blocks}
    for batch in batches:
        coefficients = basis.coefficients(batch).to(torch.complex128)
        for m, block in basis.blocks.items():
            moments[m] = moments[m] + (coefficients[:, block].mH @ coefficients[:, block]).real
    spectra = [torch.linalg.eigh(moment) for moment in moments.values()]
    price = torch.where(basis.orders > 0, 2, 1)
    power = torch.cat([values for values, _ in spectra]) / price
    best = power.argsort(descending=True)
    keep = torch.zeros(len(basis), dtype=torch.bool, device=power.device)
    keep[best[price[best].cumsum(0) <= components]] = True
    return basis.combined([vectors for _, vectors in spectra], keep)
