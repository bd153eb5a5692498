"""ASPIRE, where it has to be handled from inside: its import, images that are made when asked for, single batches."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
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


def source(train: NoisyImages):
    """The training images as ASPIRE wants them, made when asked for, so that a large stack needs little memory.

    An ImageSource gives images by its `_images`, and says of each which CTF it has by `filter_indices`, `unique_filters`.
    """
    from aspire.image import Image
    from aspire.operators import IdentityFilter
    from aspire.source import ImageSource

    class NoisySource(ImageSource):
        def _images(self, indices):
            return Image(train.noisy(indices).astype(np.float64))

    made = NoisySource(L=train.image_size, n=len(train), dtype=np.float64, pixel_size=train.pixel_size)
    made.filter_indices = np.zeros(len(train), int)
    made.unique_filters = [IdentityFilter()]  # no CTF
    return made


def filtered(denoiser, images: np.ndarray) -> np.ndarray:
    """Images (n, L, L) through a DenoiserCov2D that has been built, each by itself: (n, L, L) float64.

    Its public `denoise` takes whole sources only, and estimates from them; this is what it does with one batch, with its
    own estimates (`mean_est`, `covar_est`) and its covariance's `get_cwf_coefs`.
    """
    from aspire.image import Image

    basis, covariance = denoiser.basis, denoiser.cov2d
    coefficients = basis.evaluate_t(Image(images.astype(np.float64)))
    return basis.evaluate(
        covariance.get_cwf_coefs(
            coefficients,
            covariance.ctf_basis,
            np.zeros(len(images), int),
            mean_coef=denoiser.mean_est,
            covar_coef=denoiser.covar_est,
            noise_var=denoiser.var_noise,
        )
    ).asnumpy()
