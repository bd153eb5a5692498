"""Images of known orientation → a volume, by direct Fourier inversion with torch-fourier-slice.

Padded to twice the size, so that linear interpolation between Fourier samples is good enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch_fourier_slice import insert_central_slices_rfft_3d_multichannel
from torch_fourier_slice.volume_utils import separable_sinc2_correction

from cryobench.data.insertion import insert


def back_project(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Batches of (images (b, L, L), rotations (b, 3, 3)), L even → the volume (L, L, L) whose central slices are theirs.

    As `torch_fourier_slice.backproject_2d_to_3d` does it (weights below one image counted as one), but a batch of images
    at a time. At least one batch.
    """
    total, weight = torch.zeros(()), torch.zeros(())
    for images, rotations in batches:
        added, share = inserted(slices(images), torch.ones((1, 1, 1), device=images.device), rotations)
        total, weight = total + added, weight + share
    return volume_of(total / weight.clamp(min=1.0))


def insert_weighted(
    images: torch.Tensor,
    weights: torch.Tensor,
    rotations: torch.Tensor,
    at_once: int = 256,
    plane: Callable[[torch.Tensor], torch.Tensor] = lambda weights: weights[:, None, None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, L, L) that are sums over many, and how many each stands for (n,), as central slices in `rotations`.

    Both (2L, 2L, L + 1): what came to each Fourier sample, complex, and the weight that came to it.
    plane: weights of b images → those of the samples of their slices, (b, 2L, L + 1), where these are not all alike.
    """
    shape = padded(images.shape[-1])
    total = torch.zeros((*shape[:2], shape[2] // 2 + 1), dtype=torch.complex64, device=images.device)
    weight = torch.zeros(total.shape, device=images.device)
    for start in range(0, len(images), at_once):
        some = slice(start, start + at_once)
        added, share = inserted(slices(images[some]), plane(weights[some]), rotations[some])
        total, weight = total + added, weight + share
    return total, weight


def inserted(slices: torch.Tensor, weights: torch.Tensor, rotations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As insertion.insert, on any device."""
    if slices.device.type == "cpu":
        return insert(slices, weights, rotations)
    both = torch.stack([slices, weights.to(slices.dtype).expand_as(slices)], dim=1)
    (total, share), _ = insert_central_slices_rfft_3d_multichannel(both, (slices.shape[-2],) * 3, rotations)
    return total, share.real


def slices(images: torch.Tensor) -> torch.Tensor:
    """The padded transforms of images (n, L, L), as they are inserted."""
    shifted = torch.fft.ifftshift(F.pad(images, [images.shape[-1] // 2] * 4), dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.rfftn(shifted, dim=(-2, -1)), dim=-2)


def padded(size: int) -> tuple[int, int, int]:
    """The shape of the padded volume of images of L pixels, L even."""
    return (size + 2 * (size // 2),) * 3


def volume_of(spectrum: torch.Tensor) -> torch.Tensor:
    """The volume (L, L, L) that a padded spectrum, (2L, 2L, L + 1), is of."""
    shape = (spectrum.shape[0],) * 3
    shifted = torch.fft.ifftshift(spectrum, dim=(-3, -2))
    volume = torch.fft.fftshift(torch.fft.irfftn(shifted, dim=(-3, -2, -1), s=shape), dim=(-3, -2, -1))
    return F.pad(volume / separable_sinc2_correction(shape, device=volume.device), [-(shape[0] // 4)] * 6)


def spectrum_of(volume: torch.Tensor) -> torch.Tensor:
    """The padded spectrum, (2L, 2L, L + 1), that `volume_of` makes a volume (L, L, L) of."""
    padding = F.pad(volume, [volume.shape[-1] // 2] * 6)
    padding = padding * separable_sinc2_correction(tuple(padding.shape), device=volume.device)
    return torch.fft.fftshift(torch.fft.rfftn(torch.fft.ifftshift(padding), dim=(-3, -2, -1)), dim=(-3, -2))
