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

from cryobench.data.backproject import back_project
from cryobench.data.project import Projector
from cryobench.noise.background import outside_circle

BATCH = 256  # images put into Fourier space at a time


def rebuild(images: torch.Tensor, rotations: torch.Tensor, rounds: int) -> tuple[torch.Tensor, float]:
    """Clean images (n, L, L) in orientations (n, 3, 3) → their volume (L, L, L), and the MSE that it leaves of them."""
    size = images.shape[-1]
    level = images[:, torch.from_numpy(outside_circle(size)).to(images.device)].mean(dim=1)
    mass = (images - level[:, None, None]).sum(dim=(1, 2))  # every projection of a volume has the same
    scale = mass / mass.mean()
    volume, projected = torch.zeros((size,) * 3, device=images.device), torch.zeros_like(images)
    for _ in range(rounds):
        residual = (images - level[:, None, None]) / scale[:, None, None] - projected
        volume = volume + back_project(zip(residual.split(BATCH), rotations.split(BATCH), strict=True))
        projected = Projector(volume)(rotations)
        scale, level = regress(images, projected)
    fitted = scale[:, None, None] * projected + level[:, None, None]
    return volume, float((fitted - images).square().mean())


def regress(images: torch.Tensor, projected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """a and b, both (n,), for which a·projected + b is nearest to the images, one by one."""
    means, centres = images.mean(dim=(1, 2)), projected.mean(dim=(1, 2))
    x, y = projected - centres[:, None, None], images - means[:, None, None]
    scale = (x * y).sum(dim=(1, 2)) / x.square().sum(dim=(1, 2))
    return scale, means - scale * centres
