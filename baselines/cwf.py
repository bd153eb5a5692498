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

import json
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console
from rich.progress import track

from cryobench.errors import InputError
from cryobench.methods.base import WithSigma
from cryobench.noise.gaussian import NoisyImages

from .image_by_image import check_varied, described_sigma, good_ones, left_out

BATCH = 256  # images in memory at a time
SMALLEST = 8, "below that the Fourier-Bessel basis has next to no functions"


@dataclass
class CWF(WithSigma):
    """n_fit: how many training images to estimate the covariance from; None for all."""

    n_fit: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fit is not None and self.n_fit < 2:
            raise InputError(f"method.n_fit: expected 2 images or more, or null for all, got {self.n_fit}")

    def fit(self, train: NoisyImages) -> None:
        """Estimate σ², mean and covariance from noisy images, without bad ones, which the report names.

        Raises InputError for fewer than 2 good images.
        """
        train = train.subset(slice(self.n_fit))
        sigma = np.empty(len(train))

        def check(noisy: np.ndarray, rows: np.ndarray) -> None:
            check_varied(noisy, *SMALLEST)
            sigma[rows] = self.noise_level(noisy, {"sigma": train.sigma(rows)} if self.knows else {})

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
        self._filter = DenoiserCov2D(_source(train), basis, var_noise=variance, batch_size=BATCH)
        self._filter.build_denoiser()

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, with the σ² of the fit.

        Raises InputError for another L than that of the fit, BadImages for NaN, Inf, or constant images.
        """
        from aspire.image import Image

        basis, covariance = self._filter.basis, self._filter.cov2d
        check_varied(noisy, *SMALLEST)
        if noisy.shape[-1] != basis.nres:
            raise InputError(f"expected images of {basis.nres} pixels, as in training, got {noisy.shape[-1]}")
        denoised = np.empty(noisy.shape, np.float32)
        starts = track(range(0, len(noisy), BATCH), "denoising", console=Console(stderr=True),
                       disable=not self.setting.progress)  # fmt: skip
        for start in starts:
            batch = slice(start, start + BATCH)
            coefficients = basis.evaluate_t(Image(noisy[batch].astype(np.float64)))
            filtered = covariance.get_cwf_coefs(
                coefficients, covariance.ctf_basis, np.zeros(len(noisy[batch]), int), mean_coef=self._filter.mean_est,
                covar_coef=self._filter.covar_est, noise_var=self._filter.var_noise,
            )  # fmt: skip
            denoised[batch] = basis.evaluate(filtered).asnumpy()
        return denoised


def _source(train: NoisyImages):
    """The training images as ASPIRE wants them, made when asked for, so that a large stack needs little memory."""
    from aspire.image import Image
    from aspire.operators import IdentityFilter
    from aspire.source import ImageSource

    class NoisySource(ImageSource):
        def _images(self, indices):
            return Image(train.noisy(indices).astype(np.float64))

    source = NoisySource(L=train.image_size, n=len(train), dtype=np.float64, pixel_size=train.pixel_size)
    source.filter_indices = np.zeros(len(train), int)
    source.unique_filters = [IdentityFilter()]  # no CTF
    return source


def import_aspire() -> None:
    """Import ASPIRE without what else it does then, unless somebody did so already.

    Left alone, it makes a folder `logs` where the user stands, takes over the root logger, silences all others, puts
    its own sys.excepthook in place, and reads the user's ASPIRE configuration, which could change results.
    """
    if "aspire" in sys.modules:
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = {"logging": {"log_dir": folder, "log_exceptions": 0, "tqdm_disable": True}}
        Path(folder, "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
        with (
            mock.patch.dict(os.environ, ASPIREDIR=folder),
            mock.patch("logging.config.fileConfig"),
            mock.patch("logging.basicConfig"),
        ):
            import aspire  # noqa: F401
    # Of its warnings, those about rounding in the covariance come with every stack.
    logging.getLogger("aspire").setLevel(logging.ERROR)
