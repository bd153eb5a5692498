"""Two volumes from two halves of the images, and how much of each shell of frequencies to believe.

What came to each Fourier sample is divided by the weight that came to it, and by as much more as a shell's signal-to-noise
ratio asks for (Wiener; Scheres 2012, "RELION: implementation of a Bayesian approach"), which the Fourier shell correlation
of the two halves gives: SNR = FSC/(1 − FSC) of a half map, twice that of both together (Rosenthal & Henderson 2003). Of images
that were seen through a CTF, what comes is Σ w T y, and its weight Σ w T² (there equation 5): what one image lacks, others have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch_fourier_shell_correlation import fourier_shell_correlation

from cryobench.data.backproject import insert_weighted, padded, spectrum_of, volume_of
from cryobench.methods.posterior.seen import rings_of

RIM = 0.85  # of the sphere's radius: beyond it there is no molecule, so its mean is the level of the background
FEWEST = 0.05  # of a shell's mean weight, for samples on which next to nothing fell, before the SNR is known
LEAST, MOST = 1e-3, 0.9999  # FSC


@dataclass(frozen=True)
class HalfMaps:
    """halves: two volumes (L, L, L); both: that of all images; fsc (L/2 + 1,): between the halves, shell by shell."""

    halves: tuple[torch.Tensor, torch.Tensor]
    both: torch.Tensor
    fsc: torch.Tensor

    @property
    def size(self) -> int:
        """L in voxels."""
        return self.both.shape[-1]

    def times(self, factor: float) -> HalfMaps:
        """The same in another unit."""
        one, other = self.halves
        return HalfMaps((one * factor, other * factor), self.both * factor, self.fsc)


@dataclass(frozen=True)
class Part:
    """What a half is made of: images (n, L, L) that are sums over many, their weights, (n,), and rotations, (n, 3, 3).

    Of images seen through a CTF: weights (n, D) of each of their rings (seen.py), and the map before; images are then what is
    left of the sums without that map's views of these weights. A CTF spreads a particle beyond the disc that sums are kept on,
    and what is cut off of the whole sums would come in at all frequencies.
    """

    images: torch.Tensor
    weights: torch.Tensor
    rotations: torch.Tensor
    before: torch.Tensor | None = None

    def inserted(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What comes to each Fourier sample, and its weight."""
        if self.before is None:
            return insert_weighted(self.images, self.weights, self.rotations)
        plane = rings_of(self.images.shape[-1]).padded
        left, weight = insert_weighted(self.images, self.weights, self.rotations, plane=plane)
        return left + weight * spectrum_of(self.before), weight


class Samples:
    """What comes to each Fourier sample of a volume of `size` voxels from images that are added a few at a time."""

    def __init__(self, size: int, device: torch.device | str):
        width, *_ = shape = padded(size)
        self.total = torch.zeros((*shape[:2], width // 2 + 1), dtype=torch.complex64, device=device)
        self.weight = torch.zeros(self.total.shape, device=device)
        self.rings = rings_of(size)

    def add(self, images: np.ndarray, weights: np.ndarray, rotations: np.ndarray) -> None:
        """Images (n, L, L), the weights (n, D) of their rings (seen.py) and rotations (n, 3, 3)."""
        some, shares, turns = (
            torch.from_numpy(one).float().to(self.total.device) for one in (images, weights, rotations)
        )
        total, weight = insert_weighted(some, shares, turns, plane=self.rings.padded)
        self.total += total
        self.weight += weight

    def both(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The samples, complex, and their weights, (2L, 2L, L + 1) each."""
        return self.total, self.weight


def half_maps(parts: list[Part], shared: int | None = None) -> HalfMaps:
    """The maps of two halves; shared: as for from_samples."""
    return from_samples([part.inserted() for part in parts], shared)


def from_samples(
    halves: list[tuple[torch.Tensor, torch.Tensor]],
    shared: int | None = None,
    support: torch.Tensor | float = 1.0,
) -> HalfMaps:
    """The maps of two halves, of each what came to the samples of the padded spectrum, (2L, 2L, L + 1), and their weights.

    shared: up to which shell the halves get the same, that of both, so that they stay in one frame; None: all shells.
    support: (L, L, L) from 0 to 1, where there may be something.
    """
    size = halves[0][1].shape[0] // 2
    radius = padded_radius(size).to(halves[0][1].device)
    shell = radius.round().long().clamp(max=size)

    def within(spectrum: torch.Tensor) -> torch.Tensor:
        return masked(volume_of(spectrum)) * support

    first = [within(total / (weight + FEWEST * mean_of(weight, shell) + 1e-6)) for total, weight in halves]
    fsc = torch.nan_to_num(fourier_shell_correlation(*first)).clamp(LEAST, MOST)
    fsc[:2] = MOST  # of one and of a few samples
    at = np.interp(np.arange(size + 1) / 2, np.arange(size // 2 + 1), fsc.cpu().numpy())
    snr = torch.from_numpy(at / (1 - at)).float().to(radius.device)

    def spectrum(total, weight, snr):
        return total / (weight + (mean_of(weight, shell) / snr)[shell] + 1e-6) * (radius <= size)

    joint = spectrum(sum(total for total, _ in halves), sum(weight for _, weight in halves), 2 * snr)
    if shared is None:
        both = within(joint)
        return HalfMaps((both, both), both, fsc)
    one, other = (torch.where(radius <= 2 * shared, joint, spectrum(total, weight, snr)) for total, weight in halves)
    return HalfMaps((within(one), within(other)), within(joint), fsc)


def mean_of(weight: torch.Tensor, shell: torch.Tensor) -> torch.Tensor:
    """The mean weight of each shell."""
    return torch.bincount(shell.flatten(), weight.flatten()) / torch.bincount(shell.flatten())


def padded_radius(size: int) -> torch.Tensor:
    """The frequency of each sample of the padded spectrum, (2L, 2L, L + 1), in padded samples: L is Nyquist."""
    axis = torch.fft.fftshift(torch.fft.fftfreq(2 * size)) * 2 * size
    half = torch.fft.rfftfreq(2 * size) * 2 * size
    return (axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2).sqrt()


def radius_of(size: int) -> torch.Tensor:
    """The distance of each voxel from the centre over that of the nearest face, (L, L, L)."""
    axis = torch.arange(size) - size // 2
    return (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).float().sqrt() / (size / 2)


def masked(volume: torch.Tensor) -> torch.Tensor:
    """The volume within its sphere, with a soft edge, on a background of 0."""
    radius = radius_of(volume.shape[-1]).to(volume.device)
    level = volume[(radius > RIM) & (radius < 1)].mean()
    return (volume - level) * (0.5 + 0.5 * torch.cos(torch.pi * ((radius - RIM) / (1 - RIM)).clamp(0, 1)))
