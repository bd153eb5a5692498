"""No noise model: the images are as a microscope recorded them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cryobench.errors import InputError
from cryobench.noise.base import NoiseModel


@dataclass(frozen=True)
class Recorded(NoiseModel):
    """Nothing is added: the noisy images are those that the microscope recorded (data=particles)."""

    recorded: ClassVar[bool] = True

    def sigma(self, clean: np.ndarray) -> np.ndarray:
        """Raises InputError: the true noise level of a recorded image is known to nobody."""
        raise InputError(
            "noise=recorded: nobody knows the true noise level of recorded images; expected "
            "method.sigma=border or a number"
        )

    def add(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """Raises InputError: recorded images have their noise, simulated ones want another model."""
        raise InputError(
            "noise=recorded: expected recorded images (data=particles), got simulated ones; give noise=gaussian"
        )

    def spectrum(self, size: int, *, split: str) -> np.ndarray | None:
        """Raises InputError: the true spectrum of recorded noise is known to nobody."""
        raise InputError(
            "noise=recorded: nobody knows the true spectrum of recorded noise; expected method.whiten=border or none"
        )
