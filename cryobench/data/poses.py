"""Poses of particles: in which orientation each is seen, and how far off the centre of its image it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Poses:
    """Those of n particles; [index] gives those of some.

    rotations: (n, 3, 3), as data.rotations has them; displaced: (n, 2), x and y in pixels from the centre to the particle.
    """

    rotations: np.ndarray
    displaced: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, index) -> Poses:
        return Poses(self.rotations[index], self.displaced[index])

    def resampled(self, factor: float) -> Poses:
        """The same in images of `factor` times as many pixels."""
        return Poses(self.rotations, self.displaced * factor)

    def centring(self, size: int) -> np.ndarray:
        """What puts the particles of images of L = `size` px in the centre, times their spectra: (n, L, L/2+1) complex64."""
        return shift_phases(-self.displaced, size)


def shift_phases(displaced: np.ndarray, size: int) -> np.ndarray:
    """exp(−2πi (k·d)) for displacements d (b, 2), x and y in pixels, over the frequencies of rfft2: (b, L, L/2+1)."""
    import scipy.fft

    y, x = scipy.fft.fftfreq(size)[:, None], scipy.fft.rfftfreq(size)[None, :]
    dx, dy = (displaced[:, k, None, None] for k in (0, 1))
    return np.exp(-2j * np.pi * (x * dx + y * dy)).astype(np.complex64)
