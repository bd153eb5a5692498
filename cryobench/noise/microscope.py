"""Particles as a microscope leaves them: off the centre of their box, seen through a contrast transfer function, under
noise that is not white.

Without `train` this befalls test particles only, and shows where a method breaks that learnt from particles without. With
it training and test particles come about alike, as they do in a microscope. The truth of an image that lies off the centre
is the clean image there, that of one with a CTF the clean image without: to undo it is part of the task.

The power of coloured noise falls exponentially from frequency 0 to Nyquist, and σ² is its variance in a pixel:

    P(s) ∝ colour^(−s/s_Nyquist),   mean of P over all frequencies 1
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.fft
from scipy.ndimage import fourier_shift

from cryobench.checks import above_zero, at_least, refuse, shares
from cryobench.errors import InputError
from cryobench.noise.base import generator
from cryobench.noise.ctf import Ctf, through
from cryobench.noise.gaussian import Gaussian

STREAM = 3  # of shifts and defoci; 0 is the noise, 1 and 2 are contamination's


@dataclass(frozen=True)
class Microscope(Gaussian):
    """Gaussian noise at var(clean)/var(noise) = snr, on particles that are shifted, or have a CTF, or both.

    shift: how far from the centre, in px: uniform on a disc of that radius. ctf: whether there is one; of defocus (µm, the
    least and the most, uniform between), voltage (kV), aberration (mm) and amplitude contrast. box: edge of an image in Å.
    σ is what the SNR makes of the clean image, with a CTF too: the same noise, less signal. colour: the power of the noise at
    frequency 0 over that at Nyquist, 1 for white noise. train: whether all this is true of training particles, too.
    """

    shift: float = 0.0
    ctf: bool = False
    defocus: list[float] = field(default_factory=lambda: [1.0, 3.0])
    voltage: float = 300.0
    aberration: float = 2.7
    amplitude: float = 0.1
    box: float = 204.8
    colour: float = field(default=1.0, metadata={"later": True})
    train: bool = field(default=False, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = above_zero(self, "box", "voltage", "colour")
        refuse("noise", at_least(self, 0, "shift"), shares(self, "amplitude"), numbers)
        if len(self.defocus) != 2 or not 0 <= self.defocus[0] <= self.defocus[1]:
            raise InputError(f"noise.defocus: expected the least and the most in µm, got {self.defocus}")

    @staticmethod
    def plainest(settings: dict) -> dict:
        """Neither a shift nor a CTF nor a colour is Gaussian noise, and the same run."""
        if settings["shift"] or settings["ctf"] or settings.get("colour", 1.0) != 1.0:
            return settings
        Microscope(**{name: value for name, value in settings.items() if name not in ("name", "_target_")})  # checks
        kept = {name: settings[name] for name in ("snr", "clip")}
        return {"name": "gaussian", "_target_": "cryobench.noise.gaussian.Gaussian", **kept}

    def add(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str, draw: int = 0) -> np.ndarray:
        """As Gaussian.add; what noise is added to is the shifted image through its CTF."""
        clean = np.asarray(clean, dtype=np.float32)
        signal = self.reference(clean, indices, seed=seed, split=split)
        if (ctf := self.optics(indices, clean.shape[-1], seed=seed, split=split)) is not None:
            signal = through(signal, ctf.transfer(clean.shape[-1]))
        # The noise of Gaussian, whose σ is that of the clean image.
        noise = Gaussian(self.snr).add(clean, indices, seed=seed, split=split, draw=draw) - clean
        if (power := self.spectrum(clean.shape[-1], split=split)) is not None:
            noise = through(noise, np.sqrt(power))
        noisy = (signal + noise).astype(np.float32)
        return np.clip(noisy, 0.0, 1.0, out=noisy) if self.clip else noisy

    def reference(self, clean: np.ndarray, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
        """The clean images (n, L, L), where the particles lie."""
        if not self.shift or not self._befalls(split):
            return clean
        moved = np.empty(clean.shape, np.float32)
        for row, (down, right, _) in enumerate(self.draws(indices, seed, split)):
            spectrum = fourier_shift(scipy.fft.rfft2(clean[row]), (down, right), n=clean.shape[-1])
            moved[row] = scipy.fft.irfft2(spectrum, s=clean.shape[1:])
        return moved

    def displaced(self, indices: np.ndarray, *, seed: int, split: str) -> np.ndarray | None:
        """Where these particles lie, (n, 2), x and y in px from the centre; None where all are there."""
        if not self.shift or not self._befalls(split):
            return None
        return self.draws(indices, seed, split)[:, 1::-1]

    def optics(self, indices: np.ndarray, size: int, *, seed: int, split: str) -> Ctf | None:
        """The CTFs of these particles, in images of L = `size` px; None where there is none."""
        if not self.ctf or not self._befalls(split):
            return None
        defocus = 1e4 * self.draws(indices, seed, split)[:, 2]
        flat = np.zeros(len(defocus))
        columns = (defocus, defocus, flat, flat + self.voltage, flat + self.aberration, flat + self.amplitude, flat)
        return Ctf(np.stack(columns, axis=1), self.box / size)

    def spectrum(self, size: int, *, split: str) -> np.ndarray | None:
        """P over the frequencies of rfft2 of images of L = `size` px, (L, L/2+1) float32; None for white noise."""
        if self.colour == 1.0 or not self._befalls(split):
            return None
        y, x = scipy.fft.fftfreq(size)[:, None], scipy.fft.fftfreq(size)[None, :]
        power = self.colour ** (-np.hypot(y, x) / 0.5)
        return (power / power.mean())[:, : size // 2 + 1].astype(np.float32)

    def _befalls(self, split: str) -> bool:
        return self.train or split == "test"

    def draws(self, indices: np.ndarray, seed: int, split: str) -> np.ndarray:
        """Of each image: px down, px right, and defocus in µm; (n, 3)."""
        uniform = np.array([generator(seed, split, int(index), STREAM).random(3) for index in indices]).reshape(-1, 3)
        radius, angle = self.shift * np.sqrt(uniform[:, 0]), 2 * np.pi * uniform[:, 1]
        low, high = self.defocus
        return np.stack([radius * np.sin(angle), radius * np.cos(angle), low + (high - low) * uniform[:, 2]], axis=1)
