"""A volume from clean images whose orientation is known.

The volume V is sought whose projections P_i V, in the orientations R_i of the images x_i, agree with them up to each
image's own scale and level (images are rescaled to [0, 1], so neither is known):

    x_i = a_i P_i V + b_i

In turn: the residuals (x_i − b_i)/a_i − P_i V are put into Fourier space as central slices, every voxel divided by the
weight that came to it (direct Fourier inversion), and V is corrected by what that gives; then a_i and b_i are fitted by
least squares.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch_fourier_slice import insert_central_slices_rfft_3d
from torch_fourier_slice.volume_utils import separable_sinc2_correction

from cryobench.data.project import Projector

BATCH = 256  # images put into Fourier space at a time


def rebuild(images: torch.Tensor, rotations: torch.Tensor, rounds: int) -> tuple[torch.Tensor, float]:
    """Clean images (n, L, L) in orientations (n, 3, 3) → their volume (L, L, L), and the MSE that it leaves of them."""
    size = images.shape[-1]
    level = images[:, outside(size, images.device)].mean(dim=1)
    mass = (images - level[:, None, None]).sum(dim=(1, 2))  # every projection of a volume has the same
    scale = mass / mass.mean()
    volume, projected = torch.zeros((size,) * 3, device=images.device), torch.zeros_like(images)
    for _ in range(rounds):
        residual = (images - level[:, None, None]) / scale[:, None, None] - projected
        volume = volume + back_project(residual, rotations)
        projected = Projector(volume)(rotations)
        scale, level = regress(images, projected)
    fitted = scale[:, None, None] * projected + level[:, None, None]
    return volume, float((fitted - images).square().mean())


def back_project(images: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Images (n, L, L) → the volume (L, L, L) whose central slices are theirs, as torch_fourier_slice does it (padded to
    twice the size, weights below one image counted as one), but a batch of images at a time."""
    size = images.shape[-1]
    pad = size // 2
    shape = (size + 2 * pad,) * 3
    total, weight = 0.0, 0.0
    for some, turns in zip(images.split(BATCH), rotations.split(BATCH), strict=True):
        slices = torch.fft.rfftn(torch.fft.ifftshift(F.pad(some, [pad] * 4), dim=(-2, -1)), dim=(-2, -1))
        added, share = insert_central_slices_rfft_3d(torch.fft.fftshift(slices, dim=-2), shape, turns)
        total, weight = total + added, weight + share
    spectrum = torch.fft.ifftshift(total / weight.clamp(min=1.0), dim=(-3, -2))
    volume = torch.fft.fftshift(torch.fft.irfftn(spectrum, dim=(-3, -2, -1), s=shape), dim=(-3, -2, -1))
    return F.pad(volume / separable_sinc2_correction(shape, device=images.device), [-pad] * 6)


def regress(images: torch.Tensor, projected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """a and b, both (n,), for which a·projected + b is nearest to the images, one by one."""
    means, centres = images.mean(dim=(1, 2)), projected.mean(dim=(1, 2))
    there, here = projected - centres[:, None, None], images - means[:, None, None]
    scale = (there * here).sum(dim=(1, 2)) / there.square().sum(dim=(1, 2))
    return scale, means - scale * centres


def outside(size: int, device) -> torch.Tensor:
    """Pixels beyond the circle inscribed in an image, which particles leave empty: (L, L) bool."""
    axis = torch.arange(size, device=device) - (size - 1) / 2
    return torch.hypot(axis[:, None], axis[None]) > size / 2
