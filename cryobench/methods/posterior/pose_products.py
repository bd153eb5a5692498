"""Images against all elements of views' orbits (orbits.py), and sums over these: within each order, a product of matrices.

On a CPU one order after the other, in real numbers, written where they are needed. On a GPU all orders at once (by_order.py).
"""

from __future__ import annotations

import torch

from cryobench.methods.posterior.by_order import ByOrder
from cryobench.methods.posterior.steerable import SteerableBasis


class PoseProducts:
    """views: (n, K) complex64 in a `basis`; angles: how many in-plane ones; at_once: all orders, None for on a GPU.

    Spectra are over these angles, (…, angles/2 + 1, n): of the views plain and mirrored, 2.
    """

    def __init__(self, basis: SteerableBasis, views: torch.Tensor, angles: int, at_once: bool | None = None):
        self.basis, self.views, self.angles = basis, views, angles
        self.by_order = self._filled(views) if (views.is_cuda if at_once is None else at_once) else None
        if self.by_order is None:
            self.real, self.imaginary = views.real.T.contiguous(), views.imag.T.contiguous()

    def _filled(self, rows: torch.Tensor) -> ByOrder:
        """Rows (m, K) as a matrix of m columns."""
        return ByOrder(rows.T, self.basis.blocks, filled=True)

    def inner_products(self, images: torch.Tensor) -> torch.Tensor:
        """⟨y, element⟩ of images (b, K) with all elements: (b, 2, angles, n)."""
        shape = (len(images), 2, self.angles // 2 + 1, len(self.views))
        series = torch.zeros(shape, dtype=torch.complex64, device=images.device)
        if self.by_order is not None:
            scaled, orders = images * (self.angles / 2), self.by_order.orders
            series[:, 0, orders] = self.by_order.times_left(scaled.conj()).transpose(0, 1)
            series[:, 1, orders] = self.by_order.times_left(scaled).conj().transpose(0, 1)
        else:
            real, imaginary = images.real * (self.angles / 2), images.imag * (self.angles / 2)
            parts = torch.view_as_real(series)
            for order, block in self.basis.blocks.items():
                rr, ri = real[:, block] @ self.real[block], real[:, block] @ self.imaginary[block]
                ir, ii = imaginary[:, block] @ self.real[block], imaginary[:, block] @ self.imaginary[block]
                parts[:, 0, order, :, 0], parts[:, 0, order, :, 1] = rr + ii, ri - ir
                parts[:, 1, order, :, 0], parts[:, 1, order, :, 1] = rr - ii, -ri - ir
        series[:, :, 0] *= 2  # irfft counts every order but 0 twice
        return torch.fft.irfft(series, n=self.angles, dim=2)

    def onto_views(self, spectra: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """The sum of images (b, K), each turned and mirrored back into each view as its spectra (b, 2, angles/2 + 1, n) of
        weights say: (n, K)."""
        if self.by_order is not None:
            each, (plain, mirrored) = self._filled(images), of_orders(self.by_order, spectra)
            return (each.times_right(plain) + each.times_right(mirrored).conj()).T
        back = torch.zeros_like(self.views)
        for order, block in self.basis.blocks.items():
            plain, mirrored = spectra[:, :, order].transpose(0, 1)
            back[:, block] = plain.T @ images[:, block] + (mirrored.T @ images[:, block]).conj()
        return back

    def of_views(self, spectra: torch.Tensor) -> torch.Tensor:
        """The sum of elements by the conjugate spectra (b, 2, angles/2 + 1, n) of their weights: (b, K)."""
        if self.by_order is not None:
            plain, mirrored = (one.mT for one in of_orders(self.by_order, spectra))
            return (self.by_order.times_right(plain) + self.by_order.times_right(mirrored.conj()).conj()).T
        out = spectra.new_zeros((len(spectra), self.views.shape[1]))
        for order, block in self.basis.blocks.items():
            plain, mirrored = spectra[:, :, order].transpose(0, 1)
            out[:, block] = plain @ self.views[:, block] + mirrored @ self.views[:, block].conj()
        return out


def of_orders(by_order: ByOrder, spectra: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What spectra (b, 2, angles/2 + 1, n) have of the basis's orders, plain and mirrored: (orders, b, n) each."""
    plain, mirrored = spectra[:, :, by_order.orders].permute(1, 2, 0, 3)
    return plain, mirrored
