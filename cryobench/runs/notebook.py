"""A run's parts for a notebook: the images of a data set, and what a denoiser makes of them; nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cryobench.config.compose import compose, resolve
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Denoiser
from cryobench.runs.denoising import Images, Judged, setting, trial


@dataclass(frozen=True)
class Data:
    """The images of a run. They are simulated, once, when they are first asked for, and lie in the cache from then on.

    train, test: `NoisyImages`, of which .clean(index) and .noisy(index) are (n, L, L) float32, clean ones in [0, 1];
    .sigma(index) is the noise's standard deviation (n,), .labels (n,) and .rotations (n, 3, 3) are the conformations and
    orientations; each without an index is of all images. volumes: (k, L, L, L); pixel_size in Å; config: as in a record.
    """

    config: dict = field(repr=False)
    progress: bool = field(default=False, repr=False)

    def __repr__(self) -> str:
        noise = self.config["noise"]
        words = f"SNR {noise['snr']:g}" if "snr" in noise else f"noise {noise['name']}"
        return f"Data({self.config['data']['name']}, {self.config['scale']['name']} scale, {words}, seed {self.config['seed']})"

    @cached_property
    def images(self) -> Images:
        """Both splits, as a run has them."""
        return Images.of(self.config, self.progress)

    @property
    def train(self) -> NoisyImages:
        """The training images."""
        return self.images.train

    @property
    def test(self) -> NoisyImages:
        """The test images."""
        return self.images.test

    @property
    def volumes(self) -> np.ndarray:
        """(k, L, L, L) float32, the true volume of each conformation."""
        return self.images.pairs.volumes

    @property
    def pixel_size(self) -> float:
        """Å per pixel."""
        return self.images.pairs.pixel_size


@dataclass
class Function(Denoiser):
    """A function noisy (n, L, L) → denoised (n, L, L) as a denoiser; with side information it gets sigma=, truth= too."""

    function: Callable[..., np.ndarray]
    side_information: frozenset[str] = frozenset()

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """The function's own result."""
        return self.function(noisy, **hints)


@dataclass(frozen=True)
class Evaluation:
    """What a denoiser made of the test images, and what that is worth: a run's numbers.

    metrics: mse, psnr, ssim, nmse, and ssim_range2 → mean and std over test images; noisy_metrics: those of the noisy images;
    per_image: metric → (n,), NaN for an image that was refused; denoised: (n, L, L); refused: image → why; seconds of fitting
    and of denoising one image.
    """

    metrics: dict[str, dict]
    noisy_metrics: dict[str, dict]
    per_image: dict[str, np.ndarray] = field(repr=False)
    denoised: np.ndarray = field(repr=False)
    refused: dict[str, str]
    side_information: list[str]
    fit_s: float
    seconds_per_image: float

    def __str__(self) -> str:
        words = [
            f"{name.upper()} {self.metrics[name]['mean']:.3g}"
            for name in ("mse", "psnr", "ssim", "nmse")
            if self.metrics[name]["mean"] is not None
        ]
        return f"{', '.join(words)} (noisy: MSE {self.noisy_metrics['mse']['mean']:.3g})"


def load(
    data: str = "phantom",
    *overrides: str,
    scale: str = "quick",
    snr: float | None = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> Data:
    """The images of a data set under noise: load("rnap_ecoli", scale="desk", snr=0.1).

    data, scale: names, as data=… and scale=… on the command line; snr: var(clean) / var(noise), None for noise without one
    (recorded images); seed: of the noise; overrides: anything else that the command line takes, as "data.n_test=100" or
    "noise.clip=true". Raises InputError for what a run would refuse.
    """
    words = [f"data={data}", f"scale={scale}", f"seed={seed}", *overrides]
    return Data(resolve(compose(words + ([] if snr is None else [f"noise.snr={snr}"]))), progress)


def evaluate(
    denoiser: Denoiser | Callable[..., np.ndarray], data: Data, *, side_information: Iterable[str] = ()
) -> Evaluation:
    """Fit a denoiser on the training images, denoise the test images, and score them as a run does.

    denoiser: a `Denoiser`, which sees what it declares; or a function noisy (n, L, L) float32 → denoised (n, L, L), which needs
    no fit. side_information: of a function: {"sigma"} has it called with sigma=(n,), {"truth"} with truth=(n, L, L). Raises
    InputError or RunFailed as a run would.
    """
    if not isinstance(data, Data):
        raise InputError(f"evaluate: expected what cryobench.load gave, got {type(data).__name__}")
    if not isinstance(denoiser, Denoiser):
        if not callable(denoiser) or isinstance(denoiser, type):
            raise InputError(f"evaluate: expected a Denoiser or a function of noisy images, got {denoiser!r}")
        denoiser = Function(denoiser, frozenset(side_information))
    elif side_information:
        raise InputError("evaluate: expected side_information of a function alone, since a Denoiser declares its own")
    denoiser.require()
    denoiser.setting = setting(data.config, None, data.progress)
    result = trial(denoiser, data.images, type(denoiser).__name__)
    judged = Judged.of(data.images, result.outcomes, data.config["protocol"]["ssim_range"])
    n = len(result.outcomes) * (len(data.test) - len(judged.bad))
    return Evaluation(
        judged.metrics,
        judged.noisy_metrics,
        judged.per_image,
        judged.denoised,
        judged.bad,
        sorted(denoiser.side_information),
        result.fit_s,
        result.denoise_s / n,
    )
