"""The contrast transfer function of each particle, by torch-ctf, in RELION's conventions.

    CTF(s) = −sin(−πλ Δf s² + π/2 C_s λ³ s⁴ − φ − arctan(A/√(1−A²))),   Δf = (U+V)/2 + (U−V)/2 cos 2(∠s − angle)

with defocus U, V (underfocus positive) and its angle, spherical aberration C_s, phase shift φ and amplitude contrast A.
It is +A at frequency 0: a projection of a map keeps its sign, the molecule brighter than its surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ctf:
    """values (n, 7): defocus U, V in Å, its angle in degrees, voltage in kV, C_s in mm, amplitude contrast, phase in degrees."""

    values: np.ndarray

    def transfer(self, rows: np.ndarray, size: int, pixel_size: float) -> np.ndarray:
        """(b, L, L/2+1) float32 over the frequencies of scipy.fft.rfft2 of images of L = `size` px, for these rows."""
        import torch
        from torch_ctf import calculate_ctf_2d

        u, v, angle, voltage, aberration, contrast, phase = torch.from_numpy(self.values[rows].T.copy()).float()
        # torch-ctf takes the root of U − V: where V is larger, U's axis is at right angles to the one named.
        u, v, angle = torch.maximum(u, v), torch.minimum(u, v), angle + 90 * (v > u)
        return calculate_ctf_2d(
            defocus=(u + v) / 2e4,
            astigmatism=(u - v) / 2e4,
            astigmatism_angle=angle,
            voltage=voltage,
            spherical_aberration=aberration,
            amplitude_contrast=contrast,
            phase_shift=phase,
            pixel_size=pixel_size,
            image_shape=(size, size),
            rfft=True,
            fftshift=False,
        ).numpy()
