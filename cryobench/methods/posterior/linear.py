"""Linear estimates that turn with the image: first and second moments in a steerable basis, and the filter they make.

Of images whose in-plane rotation and hand are uniform, as those of particles are, the mean is round and the covariance
splits by the order m of a steerable basis. With the mean μ and the covariance C of the clean images' coefficients there,
and white noise of variance σ² in the pixels, which has the covariance σ²N in the coefficients (N is their functions' Gram
matrix), an image with coefficients a becomes

    μ_m + C_m (C_m + σ²N_m)⁻¹ (a_m − μ_m)        order by order.

Where it was seen through a transfer function T, what its pixels tell of a is b = Fᵀ T y, with the functions F and their Gram
matrix G = Fᵀ T² F as seen through T. Then b is G a under noise of covariance σ²G, and the estimate of a

    μ_m + C_m (G_m C_m + σ²)⁻¹ (b_m − G_m μ_m)        order by order, C being of one real part of a.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from cryobench.methods.posterior.steerable import SteerableBasis
from cryobench.noise.ctf import through


def moments(basis: SteerableBasis, batches: Iterable[np.ndarray]) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """μ (K,) float64 and m → C_m (k, k) float64 of images, batches of (b, L, L), in all rotations and mirrors."""
    total, n = torch.zeros(len(basis), dtype=torch.complex128, device=basis.device), 0
    second = {m: torch.zeros((), device=total.device) for m in basis.blocks}
    for batch in batches:
        n += len(batch)
        clean = basis.coefficients(batch).to(torch.complex128)
        total += clean.sum(dim=0)
        for m, block in basis.blocks.items():
            second[m] = second[m] + (clean[:, block].mH @ clean[:, block]).real
    # Rotations leave of the mean its round part; mirror images of each covariance its real part.
    mean = torch.where(basis.orders == 0, total.real / n, 0.0)
    covariances = {m: moment / n for m, moment in second.items()}
    round_part = mean[basis.blocks[0]]
    covariances[0] = covariances[0] - torch.outer(round_part, round_part)
    return mean, covariances


class Filter:
    """The filter above, from μ (K,) and C_m (k, k), float64, and σ².

    functions: real numbers that an image has in the basis; predicted_mse: what images with these moments and this noise
    would be left with.
    """

    def __init__(
        self, basis: SteerableBasis, mean: torch.Tensor, covariances: dict[int, torch.Tensor], variance: float
    ):
        self.basis, self.mean, self.filters, lost = basis, mean, {}, 0.0
        self.covariances, self.variance = covariances, variance
        for m in basis.blocks:
            noise = variance * basis.products(m)
            self.filters[m] = torch.linalg.solve(covariances[m] + noise, covariances[m]).T  # both are symmetric
            lost += float(torch.trace(covariances[m] - self.filters[m] @ covariances[m]))
        self.functions = len(basis) + int((basis.orders > 0).sum())
        self.predicted_mse = lost / basis.size**2

    def through(self, images: np.ndarray, transfers: np.ndarray) -> np.ndarray:
        """Images (b, L, L) seen through transfer functions (b, L, L/2+1) → (b, L, L) float32, without them."""
        statistics = self.basis.coefficients(through(images, transfers)).to(torch.complex128)
        estimates = torch.empty_like(statistics)
        for row, transfer in enumerate(transfers):
            for m, gram in self.basis.gram(transfer).items():
                block, gram = self.basis.blocks[m], gram.double()
                one_part = self.covariances[m] / (2 if m else 1)
                system = gram @ one_part
                system.diagonal().add_(self.variance)
                seen = statistics[row, block] - (gram @ self.mean[block]).to(torch.complex128)
                solved = torch.linalg.solve(system, torch.view_as_real(seen))
                estimates[row, block] = self.mean[block] + torch.view_as_complex(one_part @ solved)
        return self.basis.render(estimates.to(torch.complex64)).cpu().numpy()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(b, L, L) → (b, L, L) float32."""
        centred = self.basis.coefficients(images).to(torch.complex128) - self.mean
        for m, block in self.basis.blocks.items():
            centred[:, block] = centred[:, block] @ self.filters[m].T.to(torch.complex128)
        return self.basis.render((centred + self.mean).to(torch.complex64)).cpu().numpy()
