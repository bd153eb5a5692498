"""Topaz-Denoise: the pretrained U-Net that people reach for today, as it comes.

T. Bepler, K. Kelley, A. Noble, B. Berger, Nat. Commun. 11 (2020): trained noise-to-noise on micrographs of many
proteins, by whom the package `topaz-em` ships its weights. It knows nothing of this data set, and has never seen single
particles without a micrograph around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
from rich.console import Console
from rich.progress import track

from cryobench.data.images import NoisyImages
from cryobench.errors import MissingPackage
from cryobench.methods.base import Denoiser

from .image_by_image import check_varied

# The network that `topaz denoise` takes unless told otherwise, and its architecture.
WEIGHTS = "pretrained/denoise/unet_L2_v0.2.2.sav"
ARCHITECTURE = {"base_width": 11, "top_width": 5}
# What topaz's own requirements add to these are for picking particles; one of them replaces torch by another version.
INSTALL = "pip install --no-deps topaz-em"


@dataclass
class Topaz(Denoiser):
    """No settings: each image is brought to mean 0 and deviation 1, denoised, and brought back, as topaz does."""

    needs: ClassVar[dict[str, str]] = {"topaz": INSTALL}

    @property
    def learns(self) -> bool:
        """Nothing: its net comes trained."""
        return False

    def fit(self, train: NoisyImages) -> None:
        """Load the network; learns nothing. Raises MissingPackage, with the command that mends it, without topaz-em."""
        _ = self.network
        self.report["weights"] = WEIGHTS

    @cached_property
    def network(self):
        """Topaz's own, with its weights."""
        import torch

        self.require()
        try:
            from topaz.denoising.models import UDenoiseNet
        except ImportError as error:  # a torchvision of another build than torch's
            raise MissingPackage(f"Topaz: expected the package topaz-em, got '{error}'; {INSTALL}") from None
        network = UDenoiseNet(**ARCHITECTURE)
        with files("topaz").joinpath(WEIGHTS).open("rb") as file:  # topaz's own loader would run a pickle
            network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        return network.eval()

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32; L of 32 or more."""
        import torch

        network = self.network
        check_varied(noisy, 32, "the network halves an image five times")
        denoised = np.empty(noisy.shape, np.float32)
        console = Console(stderr=True)
        for row, image in enumerate(track(noisy, "denoising", console=console, disable=not self.setting.progress)):
            mean, deviation = image.mean(), image.std(ddof=1)
            scaled = torch.from_numpy((image - mean) / deviation)[None, None]
            with torch.no_grad():
                denoised[row] = network(scaled)[0, 0].numpy() * deviation + mean
        return denoised
