"""Images of known orientation → a volume, by direct Fourier inversion with torch-fourier-slice."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch_fourier_slice import insert_central_slices_rfft_3d
from torch_fourier_slice.volume_utils import separable_sinc2_correction


def back_project(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Batches of (images (b, L, L), rotations (b, 3, 3)), L even → the volume (L, L, L) whose central slices are theirs.

    As `torch_fourier_slice.backproject_2d_to_3d` does it (padded to twice the size, weights below one image counted as one),
    but a batch of images at a time. At least one batch.
    """
    total, weight = torch.zeros(()), torch.zeros(())
    for images, rotations in batches:
        pad = images.shape[-1] // 2
        shape = (images.shape[-1] + 2 * pad,) * 3
        slices = torch.fft.rfftn(torch.fft.ifftshift(F.pad(images, [pad] * 4), dim=(-2, -1)), dim=(-2, -1))
        added, share = insert_central_slices_rfft_3d(torch.fft.fftshift(slices, dim=-2), shape, rotations)
        total, weight = total + added, weight + share
    spectrum = torch.fft.ifftshift(total / weight.clamp(min=1.0), dim=(-3, -2))
    volume = torch.fft.fftshift(torch.fft.irfftn(spectrum, dim=(-3, -2, -1), s=shape), dim=(-3, -2, -1))
    return F.pad(volume / separable_sinc2_correction(shape, device=volume.device), [-pad] * 6)
