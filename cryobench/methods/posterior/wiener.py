"""The linear limit: the best filter that is linear and turns with the image, learnt from clean images.

Its equation is in linear.py. Among linear estimates it has the lowest mean squared error (N. Wiener 1949), and where clean
images are Gaussian it is the posterior mean. CWF (`method=cwf`) is the same filter with μ and C estimated from noisy
images alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cryobench.checks import at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import WithSigma, check_images
from cryobench.methods.imaging import Imaging

BATCH = 256  # images in memory at a time


@dataclass
class Wiener(WithSigma, Imaging):
    """n_fit: how many training images to learn from; None for all. One σ², the mean of the training images', for all."""

    n_fit: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_imaging()
        refuse("method", at_least(self, 2, "n_fit"))

    @property
    def side_information(self) -> frozenset[str]:
        return super().side_information | {"clean"}

    def fit(self, train: NoisyImages) -> None:
        """Mean and covariance of the clean images with all their rotations and mirror images, and σ² of the noisy ones.

        report: sigma, n_fit, functions (real numbers an image has in the basis), and predicted_mse, what images with this
        mean, covariance and white noise, and no CTF, would be left with. Raises InputError for fewer than 2 images.
        """
        from cryobench.methods.device import compute_device
        from cryobench.methods.posterior.fourier_bessel import fourier_bessel
        from cryobench.methods.posterior.linear import Filter, moments

        train = train.subset(slice(self.n_fit))
        if len(train) < 2:
            raise InputError(f"data.n_train: expected 2 images or more to learn a covariance from, got {len(train)}")
        parts = [np.arange(start, min(start + BATCH, len(train))) for start in range(0, len(train), BATCH)]
        self.learn_spectrum(train)
        variance = np.empty(len(train))
        for rows in parts:
            variance[rows] = (
                self.noise_level(self.whitened(train.noisy(rows)), train.hints(self.side_information, rows)) ** 2
            )
        basis = fourier_bessel(train.image_size, device=compute_device(self.setting.accelerator))
        mean, covariances = moments(basis, (train.clean(rows) for rows in parts))
        self.filter = Filter(basis, mean, covariances, float(variance.mean()))
        self.report.update(
            functions=self.filter.functions,
            predicted_mse=self.filter.predicted_mse,
            sigma=float(np.sqrt(variance.mean())),
            n_fit=len(train),
        )

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, with the σ² of the fit.

        Raises InputError for another L than that of the fit, BadImages for NaN or Inf.
        """
        check_images(noisy, size := self.from_fit("filter").basis.size)
        out = np.empty(noisy.shape, np.float32)
        for start in range(0, len(noisy), BATCH):
            rows = slice(start, start + BATCH)
            ctf = hints["ctf"][rows] if "ctf" in hints else None
            transfers = self.transfers(ctf, len(noisy[rows]), size)
            if transfers is None:
                out[rows] = self.filter(noisy[rows])
            else:
                out[rows] = self.as_asked(self.filter.through(self.whitened(noisy[rows]), transfers), ctf)
        return out
