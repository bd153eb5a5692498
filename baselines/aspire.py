"""ASPIRE, where it has to be handled from inside: its import, images that are made when asked for, single batches."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from cryobench.data.images import NoisyImages


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


def source(train: NoisyImages, prepare: Callable, filters: list | None = None, which: np.ndarray | None = None):
    """The training images as ASPIRE wants them, made when asked for, so that a large stack needs little memory.

    An ImageSource gives images by its `_images`, and says of each which CTF it has by `filter_indices`, `unique_filters`.
    prepare(images): what is done to them first; filters: those that images were seen through, and `which` of them each was;
    None for none.
    """
    from aspire.image import Image
    from aspire.operators import IdentityFilter
    from aspire.source import ImageSource

    class NoisySource(ImageSource):
        def _images(self, indices):
            return Image(prepare(train.noisy(indices)).astype(np.float64))

    made = NoisySource(L=train.image_size, n=len(train), dtype=np.float64, pixel_size=train.pixel_size)
    made.filter_indices = np.zeros(len(train), int) if which is None else which
    made.unique_filters = filters or [IdentityFilter()]
    return made


def transfer_filter(optics: np.ndarray | None, whitener: np.ndarray | None):
    """A round CTF, its seven numbers as Ctf.values has them, times a whitening filter (L, L/2+1), as an ASPIRE filter.

    ASPIRE's CTF is sin(χ − θ), θ = arcsin(alpha) up to a right angle; ours is −sin(χ − θ), θ the phase shift and the arcsin of
    the amplitude contrast, which a phase plate takes beyond.
    """
    from aspire.operators import FunctionFilter, IdentityFilter, MultiplicativeFilter, RadialCTFFilter, ScalarFilter

    parts = []
    if optics is not None:
        u, v, _, voltage, aberration, contrast, phase = optics
        theta = np.deg2rad(phase) + np.arcsin(contrast)
        side = 1.0 if np.cos(theta) >= 0 else -1.0
        alpha = side * np.sin(theta)
        parts += [RadialCTFFilter(voltage, (u + v) / 2, aberration, alpha), ScalarFilter(value=-side)]
    if whitener is not None:
        size, n = whitener.shape
        frequency, gain = np.linspace(0, np.pi * (2 * (n - 1) / size), n), whitener[0]  # odd L have no frequency π
        parts.append(FunctionFilter(lambda x, y: np.interp(np.hypot(x, y), frequency, gain)))
    return MultiplicativeFilter(*parts) if parts else IdentityFilter()


def filtered(denoiser, images: np.ndarray, matrices: list | None = None, which: np.ndarray | None = None) -> np.ndarray:
    """Images (n, L, L) through a DenoiserCov2D that has been built, each by itself: (n, L, L) float64.

    matrices: those of filters in its basis (`filter_to_basis_mat`), of which image i was seen through number which[i]; None
    for the one filter that all training images were seen through.

    Its public `denoise` takes whole sources only, and estimates from them; this is what it does with one batch, with its
    own estimates (`mean_est`, `covar_est`) and its covariance's `get_cwf_coefs`.
    """
    from aspire.image import Image

    basis, covariance = denoiser.basis, denoiser.cov2d
    coefficients = basis.evaluate_t(Image(images.astype(np.float64)))
    return basis.evaluate(
        covariance.get_cwf_coefs(
            coefficients,
            covariance.ctf_basis if matrices is None else matrices,
            np.zeros(len(images), int) if which is None else which,
            mean_coef=denoiser.mean_est,
            covar_coef=denoiser.covar_est,
            noise_var=denoiser.var_noise,
        )
    ).asnumpy()
