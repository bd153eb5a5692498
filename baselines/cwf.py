"""Covariance Wiener filtering: the best linear filter that turns with the image, learnt from the noisy stack alone.

T. Bhamre, T. Zhang, A. Singer, "Denoising and covariance estimation of single particle cryo-EM images", J. Struct.
Biol. 195 (2016), as ASPIRE, by the group that invented it, implements it. In a Fourier-Bessel basis, with the mean m
and the shrunken covariance Σ of the clean coefficients, both estimated from noisy training images whatever their
in-plane rotation, an image with coefficients a becomes

    m + Σ (Σ + σ² I)⁻¹ (a − m)

with one σ² for the whole stack, as ASPIRE assumes: the mean of the training images' own σ². A test image is filtered by
itself with what was learnt, so its result depends on no other.

Told of the CTFs H_i (method.ctf), m and Σ are those of images without, and an image becomes m + Σ Hᵀ (H Σ Hᵀ + σ² I)⁻¹ (a − H m).
ASPIRE takes CTFs as round, and a matrix for each; images whose defocus falls into the same step share one. Noise that is not
white is whitened, and H times the whitening filter stands in place of H (method.whiten).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from rich.console import Console
from rich.progress import track

from cryobench.checks import above_zero, at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import WithSigma, check_images
from cryobench.methods.imaging import Imaging, given
from cryobench.noise.ctf import Ctf

from .aspire import filtered, import_aspire, source, transfer_filter
from .image_by_image import check_varied, described_sigma, good_ones, left_out

BATCH = 256  # images in memory at a time
OFF = 0.25  # rad that sharing a filter may put the CTF's phase off at Nyquist, where method.defocus_step leaves it open
SMALLEST = 8, "below that the Fourier-Bessel basis has next to no functions"


@dataclass
class CWF(WithSigma, Imaging):
    """n_fit: how many training images to estimate the covariance from; None for all.

    defocus_step: the width in Å of the steps of defocus that share a CTF; None for what puts its phase off by 0.25 rad at most.
    """

    n_fit: int | None = None
    defocus_step: float | None = field(default=None, metadata={"later": True})

    needs: ClassVar[dict[str, str]] = {"aspire": "pip install aspire"}
    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("method", at_least(self, 2, "n_fit"), above_zero(self, "defocus_step"))
        self.check_imaging()

    def fewest(self, size: int) -> int:
        """As many as the largest block of the covariance (order 0) has functions, L/2: with fewer it has not full rank."""
        return size // 2

    def fit(self, train: NoisyImages) -> None:
        """Estimate σ², mean and covariance from noisy images, without bad ones, which the report names.

        Raises InputError for fewer than 2 good images, MissingPackage without ASPIRE.
        """
        self.require()
        train = train.subset(slice(self.n_fit))
        self.learn_spectrum(train)
        sigma = np.empty(len(train))

        def check(noisy: np.ndarray, rows: np.ndarray) -> None:
            check_varied(noisy, *SMALLEST)
            sigma[rows] = self.noise_level(self.whitened(noisy), train.hints(self.side_information, rows))

        good, bad = good_ones(train, check, BATCH)
        if len(good) < self.least:
            raise InputError(
                f"expected {self.least} training images or more to estimate a covariance from, got {len(good)}{left_out(bad)}"
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
        self._matrices: dict[tuple, object] = {}
        filters, which = None, None
        if self.ctf != "none":
            groups, which = np.unique(self.groups(train.ctf()), axis=0, return_inverse=True)
            order = np.argsort(
                which, kind="stable"
            )  # so that few groups meet in a batch, each of which costs a product
            train, which = train.subset(order), which[order]
            filters = [transfer_filter(group, self.whitener) for group in groups]
            self.report["defocus_groups"] = len(groups)
        elif self.whitener is not None:
            filters = [transfer_filter(None, self.whitener)]
        self._filter = DenoiserCov2D(
            source(train, self.whitened, filters, which), basis, var_noise=variance, batch_size=BATCH
        )
        self._filter.build_denoiser()
        if self.ctf != "none":
            self._matrices = dict(zip(map(tuple, groups), self._filter.cov2d.ctf_basis, strict=True))

    def groups(self, ctf: Ctf) -> np.ndarray:
        """The numbers of each CTF as those of its group have them, (n, 7): round, its defocus at the middle of a step."""
        if self.defocus_step is None:
            wavelength = 12.2643 / np.sqrt(1e3 * ctf.values[:, 3] + 0.97845 * ctf.values[:, 3] ** 2)  # Å
            step = 2 * OFF * (2 * ctf.pixel_size) ** 2 / (np.pi * wavelength)
        else:
            step = np.full(len(ctf), self.defocus_step)
        values = ctf.values.copy()
        defocus = (np.round(values[:, :2].mean(axis=1) / step) * step).round(6)
        values[:, 0], values[:, 1], values[:, 2] = defocus, defocus, 0
        return values

    def _seen_through(self, ctf: Ctf) -> tuple[list, np.ndarray]:
        """The matrices of the filters that images were seen through, and which each was."""
        groups, which = np.unique(self.groups(ctf), axis=0, return_inverse=True)
        for group in set(map(tuple, groups)) - set(self._matrices):
            self._matrices[group] = self._filter.basis.filter_to_basis_mat(
                transfer_filter(np.array(group), self.whitener), pixel_size=ctf.pixel_size
            )
        return [self._matrices[tuple(group)] for group in groups], which

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, with the σ² of the fit.

        Raises InputError for another L than that of the fit, BadImages for NaN, Inf, or constant images.
        """
        size = self.from_fit("_filter").basis.nres
        check_varied(noisy, *SMALLEST)
        check_images(noisy, size)
        denoised = np.empty(noisy.shape, np.float32)
        starts = track(
            range(0, len(noisy), BATCH), "denoising", console=Console(stderr=True), disable=not self.setting.progress
        )
        for start in starts:
            batch = slice(start, start + BATCH)
            ctf = None if self.ctf == "none" else given(hints.get("ctf"))[batch]
            seen = (None, None) if ctf is None else self._seen_through(ctf)
            denoised[batch] = self.as_asked(filtered(self._filter, self.whitened(noisy[batch]), *seen), ctf)
        return denoised
