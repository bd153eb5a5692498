"""The limit's method without the volumes: they are rebuilt from clean training images whose orientation is known (volumes.py).

What follows is the posterior mean of `Bayes` with these volumes in place of the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.progress import track

from cryobench.checks import at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.methods.base import WithSigma, check_images
from cryobench.methods.posterior.bayes import Bayes


@dataclass
class Rebuilt(WithSigma, Bayes):
    """The settings of `Bayes`, and how σ is found.

    rounds: how often the volumes are corrected; n_exemplars: how many training images to use, None for all.
    """

    rounds: int = 3
    n_exemplars: int | None = None

    def __post_init__(self) -> None:
        WithSigma.__post_init__(self)
        Bayes.__post_init__(self)
        refuse("method", at_least(self, 1, "rounds", "n_exemplars"))

    @property
    def side_information(self) -> frozenset[str]:
        """What `Bayes` uses, but clean images, their conformations and orientations in place of the volumes, and σ where told."""
        known = super().side_information - {"volumes", *(() if self.sigma == "known" else ("sigma",))}
        return known | {"clean", "labels", "rotations"}

    def fit(self, train: NoisyImages) -> None:
        """Rebuild the volume of every conformation that a training image shows."""
        import torch

        from cryobench.methods.device import compute_device
        from cryobench.methods.posterior.volumes import rebuild

        device = compute_device(self.setting.accelerator)
        self.learn_spectrum(train)
        train = train.subset(slice(0, self.n_exemplars))
        self.shown, counts = np.unique(train.labels, return_counts=True)
        volumes, residuals = [], []
        for label in track(self.shown, "rebuilding volumes", disable=not self.setting.progress):
            chosen = np.flatnonzero(train.labels == label)
            volume, residual = rebuild(
                torch.from_numpy(train.clean(chosen)).to(device),
                torch.from_numpy(train.rotations[chosen]).float().to(device),
                self.rounds,
            )
            volumes.append(volume)
            residuals.append(residual)
        self.report.update(images_per_volume=counts.tolist(), residual_mse=residuals)
        self.prepare(torch.stack(volumes))

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) → posterior means (n, L, L) float32, σ as the settings say; reports what `Bayes` does."""
        check_images(noisy, self.from_fit("sampler").simulator.size)
        denoised = super().denoise(noisy, **{**hints, "sigma": self.noise_level(self.whitened(noisy), hints)})
        sorted_out = np.zeros((len(noisy), int(self.shown.max()) + 1))
        if self.uncertainty is not None:
            sorted_out[:, self.shown] = self.uncertainty.conformations
            self.uncertainty = replace(self.uncertainty, conformations=sorted_out)
        named = self.report["per_image"]["conformation"]
        self.report["per_image"]["conformation"] = [int(self.shown[k]) for k in named]
        return denoised
