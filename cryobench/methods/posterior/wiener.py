"""The linear limit: the best filter that is linear and turns with the image, learnt from clean images.

Of images whose in-plane rotation and hand are uniform, as those of particles are, the mean is round and the covariance
splits by the order m of a steerable basis. With the mean μ and the covariance C of the clean images' coefficients there,
and white noise of variance σ² in the pixels, which has the covariance σ²N in the coefficients (N is their functions' Gram
matrix), an image with coefficients a becomes

    μ_m + C_m (C_m + σ²N_m)⁻¹ (a_m − μ_m)        order by order.

Among linear estimates this has the lowest mean squared error (N. Wiener 1949), and where clean images are Gaussian it is the
posterior mean. CWF (`method=cwf`) is the same filter with μ and C estimated from noisy images alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import WithSigma, check_images
from cryobench.methods.posterior.steerable import compute_device, fourier_bessel

BATCH = 256  # images in memory at a time


@dataclass
class Wiener(WithSigma):
    """n_fit: how many training images to learn from; None for all. One σ², the mean of the training images', for all."""

    n_fit: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fit is not None and self.n_fit < 2:
            raise InputError(f"method.n_fit: expected 2 images or more, or null for all, got {self.n_fit}")

    @property
    def knows(self) -> frozenset[str]:
        return super().knows | {"clean"}

    def fit(self, train: NoisyImages) -> None:
        """Mean and covariance of the clean images with all their rotations and mirror images, and σ² of the noisy ones.

        report: sigma, n_fit, functions (real numbers an image has in the basis), and predicted_mse, what images with this
        mean, covariance and noise would be left with. Raises InputError for fewer than 2 images.
        """
        train = train.subset(slice(self.n_fit))
        if len(train) < 2:
            raise InputError(f"data.n_train: expected 2 images or more to learn a covariance from, got {len(train)}")
        basis = fourier_bessel(train.image_size).to(compute_device(self.setting.accelerator))
        total = torch.zeros(len(basis), dtype=torch.complex128, device=basis.functions.device)
        moments = {m: 0.0 for m in basis.blocks}
        variance = np.empty(len(train))
        for start in range(0, len(train), BATCH):
            rows = np.arange(start, min(start + BATCH, len(train)))
            hints = {"sigma": train.sigma(rows)} if self.sigma == "known" else {}
            variance[rows] = self.noise_level(train.noisy(rows), hints) ** 2
            clean = basis.coefficients(train.clean(rows)).to(torch.complex128)
            total += clean.sum(dim=0)
            for m, block in basis.blocks.items():
                moments[m] = moments[m] + (clean[:, block].mH @ clean[:, block]).real
        # Rotations leave of the mean its round part; mirror images of each covariance its real part.
        self.mean = torch.where(basis.orders == 0, total.real / len(train), 0.0)
        covariances = {m: moment / len(train) for m, moment in moments.items()}
        covariances[0] = covariances[0] - torch.outer(self.mean, self.mean)[basis.blocks[0], basis.blocks[0]]
        self.learn(basis, covariances, float(variance.mean()))
        self.report.update(sigma=float(np.sqrt(variance.mean())), n_fit=len(train))

    def learn(self, basis, covariances: dict[int, torch.Tensor], variance: float) -> None:
        """The filter of each order, C_m (C_m + σ²N_m)⁻¹, from C_m (k, k) float64 and σ²."""
        self.basis, self.filters, lost = basis, {}, 0.0
        real, imaginary = (part.double() for part in basis.functions.chunk(2))
        for m, block in basis.blocks.items():
            noise = variance * (real[block] @ real[block].T + imaginary[block] @ imaginary[block].T)
            self.filters[m] = torch.linalg.solve(covariances[m] + noise, covariances[m]).T  # both are symmetric
            lost += float(torch.trace(covariances[m] - self.filters[m] @ covariances[m]))
        functions = len(basis) + int((basis.orders > 0).sum())
        self.report.update(functions=functions, predicted_mse=lost / basis.size**2)

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, with the σ² of the fit.

        Raises InputError for another L than that of the fit, BadImages for NaN or Inf.
        """
        check_images(noisy)
        if noisy.shape[-1] != self.basis.size:
            raise InputError(f"expected images of {self.basis.size} pixels, as in training, got {noisy.shape[-1]}")
        out = np.empty(noisy.shape, np.float32)
        for start in range(0, len(noisy), BATCH):
            rows = slice(start, start + BATCH)
            centred = self.basis.coefficients(noisy[rows]).to(torch.complex128) - self.mean
            for m, block in self.basis.blocks.items():
                centred[:, block] = centred[:, block] @ self.filters[m].T.to(torch.complex128)
            out[rows] = self.basis.render((centred + self.mean).to(torch.complex64)).cpu().numpy()
        return out
