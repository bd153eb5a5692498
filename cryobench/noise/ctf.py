"""The contrast transfer function of each particle, by torch-ctf, in RELION's conventions.

    CTF(s) = −sin(−πλ Δf s² + π/2 C_s λ³ s⁴ − φ − arctan(A/√(1−A²))),   Δf = (U+V)/2 + (U−V)/2 cos 2(∠s − angle)

with defocus U, V (underfocus positive) and its angle, spherical aberration C_s, phase shift φ and amplitude contrast A.
It is +A at frequency 0: a projection of a map keeps its sign, the molecule brighter than its surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Ctf:
    """The CTFs of n particles; [index] gives those of some.

    values (n, 7): defocus U, V in Å, its angle in degrees, voltage in kV, C_s in mm, amplitude contrast, phase in degrees;
    pixel_size: Å per pixel of the images that they are of; flipped (n,) bool: whose recorded images have their phases flipped
    already, None for none. What is calculated is the CTF before that; `as_before` brings images to it.
    """

    values: np.ndarray
    pixel_size: float
    flipped: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index) -> Ctf:
        flipped = None if self.flipped is None else self.flipped[index]
        return replace(self, values=self.values[index], flipped=flipped)

    def at(self, pixel_size: float) -> Ctf:
        """The same microscope's, of images with another pixel size in Å."""
        return replace(self, pixel_size=pixel_size)

    def as_before(self, images: np.ndarray) -> np.ndarray:
        """These images (n, L, L), recorded with this pixel size, without the flipping of phases that some went through; of
        images without, the same with it: the sign of a frequency changed twice is as it was."""
        if self.flipped is None or not self.flipped.any():
            return images
        images = np.array(images, dtype=np.float32)
        images[self.flipped] = phase_flipped(images[self.flipped], self[self.flipped].transfer(images.shape[-1]))
        return images

    def transfer(self, size: int) -> np.ndarray:
        """(n, L, L/2+1) float32 over the frequencies of scipy.fft.rfft2 of images of L = `size` px."""
        return self._calculated(size, rfft=True, fftshift=False)

    def centred(self, size: int) -> np.ndarray:
        """(n, L, L) float32, as an image of L = `size` px: frequency 0 is pixel L//2."""
        return self._calculated(size, rfft=False, fftshift=True)

    def _calculated(self, size: int, *, rfft: bool, fftshift: bool) -> np.ndarray:
        import torch
        from torch_ctf import calculate_ctf_2d

        u, v, angle, voltage, aberration, contrast, phase = torch.from_numpy(self.values.T.copy()).float()
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
            pixel_size=self.pixel_size,
            image_shape=(size, size),
            rfft=rfft,
            fftshift=fftshift,
        ).numpy()


def through(images: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Images (n, L, L) through transfer functions, (n, L, L/2+1) or one for all: (n, L, L) float32."""
    import scipy.fft

    spectra = scipy.fft.rfft2(np.asarray(images, dtype=np.float32)) * transfer
    return scipy.fft.irfft2(spectra, s=images.shape[-2:]).astype(np.float32)


def phase_flipped(images: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Images (n, L, L) with the sign of every frequency as it was before the CTF; twice is the image itself.

    It leaves white noise white, and takes nothing away: what is weak stays weak.
    """
    return through(images, np.where(transfer < 0, np.float32(-1), np.float32(1)))
