"""Covariance Wiener filtering: the best linear filter that turns with the image, learnt from the noisy stack alone.

T. Bhamre, T. Zhang, A. Singer, "Denoising and covariance estimation of single particle cryo-EM images", J. Struct.
Biol. 195 (2016), as ASPIRE, by the group that invented it, implements it. In a Fourier-Bessel basis, with the mean m
and the shrunken covariance Σ of the clean coefficients, both estimated from noisy training images whatever their
in-plane rotation, an image with coefficients a becomes

    m + Σ (Σ + σ² I)⁻¹ (a − m)

with one σ² for the whole stack, as ASPIRE assumes: the mean of the training images' own σ². A test image is filtered by
itself with what was learnt, so its result depends on no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.console import Console
from rich.progress import track

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import WithSigma

from .aspire import filtered, import_aspire, source
from .image_by_image import check_varied, described_sigma, good_ones, left_out

BATCH = 256  # images in memory at a time
SMALLEST = 8, "below that the Fourier-Bessel basis has next to no functions"


@dataclass
class CWF(WithSigma):
    """n_fit: how many training images to estimate the covariance from; None for all."""

    n_fit: int | None = None

    needs: ClassVar[dict[str, str]] = {"aspire": "pip install aspire"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fit is not None and self.n_fit < 2:
            raise InputError(f"method.n_fit: expected 2 images or more, or null for all, got {self.n_fit}")

    def fewest(self, size: int) -> int:
        """As many as the largest block of the covariance (order 0) has functions, L/2: with fewer it has not full rank."""
        return size // 2

    def fit(self, train: NoisyImages) -> None:
        """Estimate σ², mean and covariance from noisy images, without bad ones, which the report names.

        Raises InputError for fewer than 2 good images, MissingPackage without ASPIRE.
        """
        self.require()
        train = train.subset(slice(self.n_fit))
        sigma = np.empty(len(train))

        def check(noisy: np.ndarray, rows: np.ndarray) -> None:
            check_varied(noisy, *SMALLEST)
            sigma[rows] = self.noise_level(noisy, {"sigma": train.sigma(rows)} if self.side_information else {})

        good, bad = good_ones(train, check, BATCH)
        if len(good) < 2:
            raise InputError(
                f"expected 2 training images or more to estimate a covariance from, got {len(good)}{left_out(bad)}"
            )
        if bad:
            self.report["bad_training_images"] = bad
            sigma, train = np.delete(sigma, [int(index) for index in bad]), good
        self.report["sigma"] = described_sigma(self.sigma, sigma)
        self.report["n_fit"] = len(train)

        import_aspire()
        from aspire.basis import FFBBasis2D
        from aspire.denoising import DenoiserCov2D

        # Double precision costs no more here, and makes an image's result the same in any batch.
        basis = FFBBasis2D((train.image_size, train.image_size), dtype=np.float64)
        variance = float(np.mean(sigma**2))
        self._filter = DenoiserCov2D(source(train), basis, var_noise=variance, batch_size=BATCH)
        self._filter.build_denoiser()

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, with the σ² of the fit.

        Raises InputError for another L than that of the fit, BadImages for NaN, Inf, or constant images.
        """
        basis = self._filter.basis
        check_varied(noisy, *SMALLEST)
        if noisy.shape[-1] != basis.nres:
            raise InputError(f"expected images of {basis.nres} pixels, as in training, got {noisy.shape[-1]}")
        denoised = np.empty(noisy.shape, np.float32)
        starts = track(
            range(0, len(noisy), BATCH), "denoising", console=Console(stderr=True), disable=not self.setting.progress
        )
        for start in starts:
            batch = slice(start, start + BATCH)
            denoised[batch] = filtered(self._filter, noisy[batch])
        return denoised
