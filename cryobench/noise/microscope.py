"""Test particles as a microscope leaves them: off the centre of their box, or seen through a contrast transfer function.

Training pairs have neither, so this shows where a method that learnt from them breaks. The truth of an image that lies off
the centre is the clean image there, that of one with a CTF the clean image without: to undo it is part of the task.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.fft
from scipy.ndimage import fourier_shift

from cryobench.errors import InputError
from cryobench.noise.base import generator
from cryobench.noise.ctf import Ctf
from cryobench.noise.gaussian import Gaussian

STREAM = 3  # of shifts and defoci; 0 is the noise, 1 and 2 are contamination's


@dataclass(frozen=True)
class Microscope(Gaussian):
    """Gaussian noise at var(clean)/var(noise) = snr, on test particles that are shifted, or have a CTF, or both.

    shift: how far from the centre, in px: uniform on a disc of that radius. ctf: whether there is one; of defocus (µm, the
    least and the most, uniform between), voltage (kV), aberration (mm) and amplitude contrast. box: edge of an image in Å.
    σ is what the SNR makes of the clean image, with a CTF too: the same noise, less signal.
    """

    shift: float = 0.0
    ctf: bool = False
    defocus: list[float] = field(default_factory=lambda: [1.0, 3.0])
    voltage: float = 300.0
    aberration: float = 2.7
    amplitude: float = 0.1
    box: float = 204.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shift < 0:
            raise InputError(f"noise.shift: expected 0 px or more, got {self.shift}")
        if len(self.defocus) != 2 or not 0 <= self.defocus[0] <= self.defocus[1]:
            raise InputError(f"noise.defocus: expected the least and the most in µm, got {self.defocus}")
        if not 0 <= self.amplitude <= 1 or self.box <= 0 or self.voltage <= 0:
            raise InputError(
                "noise.amplitude, box, voltage: expected a share, and numbers above 0, got "
                f"{self.amplitude}, {self.box}, {self.voltage}"
            )

    @staticmethod
    def plainest(settings: dict) -> dict:
        """Neither a shift nor a CTF is Gaussian noise, and the same run."""
        if settings["shift"] or settings["ctf"]:
            return settings
        kept = {name: settings[name] for name in ("snr", "clip")}
        return {"name": "gaussian", "_target_": "cryobench.noise.gaussian.Gaussian", **kept}

    def add(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """As Gaussian.add; what noise is added to is the shifted image through its CTF."""
        clean = np.asarray(clean, dtype=np.float32)
        signal = self.reference(clean, indices, seed=seed, split=split)
        if self.ctf and split == "test":
            signal = self._through(signal, self.draws(indices, seed, split)[:, 2])
        # The noise of Gaussian, whose σ is that of the clean image.
        noise = Gaussian(self.snr).add(clean, indices, seed=seed, split=split, draw=draw) - clean
        noisy = (signal + noise).astype(np.float32)
        return np.clip(noisy, 0.0, 1.0, out=noisy) if self.clip else noisy

    def reference(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
        """The clean images (n, L, L), those of test particles where they lie."""
        if not self.shift or split != "test":
            return clean
        moved = np.empty(clean.shape, np.float32)
        for row, (down, right, _) in enumerate(self.draws(indices, seed, split)):
            spectrum = fourier_shift(scipy.fft.rfft2(clean[row]), (down, right), n=clean.shape[-1])
            moved[row] = scipy.fft.irfft2(spectrum, s=clean.shape[1:])
        return moved

    def draws(self, indices: np.ndarray, seed: int, split: str) -> np.ndarray:
        """Of each image: px down, px right, and defocus in µm; (n, 3)."""
        uniform = np.array([generator(seed, split, int(index), STREAM).random(3) for index in indices]).reshape(-1, 3)
        radius, angle = self.shift * np.sqrt(uniform[:, 0]), 2 * np.pi * uniform[:, 1]
        low, high = self.defocus
        return np.stack([radius * np.sin(angle), radius * np.cos(angle), low + (high - low) * uniform[:, 2]], axis=1)

    def _through(self, images: np.ndarray, defocus: np.ndarray) -> np.ndarray:
        """Images (n, L, L) through the CTF of their defocus (n,)."""
        size, flat = images.shape[-1], np.zeros(len(images))
        columns = (
            1e4 * defocus,
            1e4 * defocus,
            flat,
            flat + self.voltage,
            flat + self.aberration,
            flat + self.amplitude,
            flat,
        )
        transfer = Ctf(np.stack(columns, axis=1)).transfer(np.arange(len(images)), size, self.box / size)
        return scipy.fft.irfft2(scipy.fft.rfft2(images) * transfer, s=(size, size)).astype(np.float32)
