"""Equal cells of orientation space: view directions of a hemisphere × mirror × in-plane angle.

Directions d and -d give mirror images, so a hemisphere of directions and a mirror cover the sphere. The hemisphere is
cut into cells of the same area, in rings of near-squares (after Leopardi 2006, "A partition of the unit sphere into
regions of equal area and small diameter"); uniform in (cos θ, φ) within a cell is uniform on the sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from roma import euler_to_rotmat
from scipy.spatial.transform import Rotation

MIRROR = np.diag([1.0, -1.0, -1.0])  # R·MIRROR looks from behind: I(x, -y)


@dataclass(frozen=True)
class Hemisphere:
    """n cells in rings, from the pole down. z_range and phi_range (n, 2), bounds of cos θ and φ; centre (n, 2), (z, φ); of each
    ring: lowest (rings,), its lower bound of cos θ, first (rings,), its first cell, and count (rings,) of its cells."""

    z_range: torch.Tensor
    phi_range: torch.Tensor
    centre: torch.Tensor
    lowest: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor

    def __len__(self) -> int:
        return len(self.centre)

    def to(self, device: torch.device | str) -> Hemisphere:
        """The same cells on a device."""
        return Hemisphere(**{name: tensor.to(device) for name, tensor in vars(self).items()})

    def rotations(
        self, cell: torch.Tensor, offset: torch.Tensor, mirrored: torch.Tensor, angle: torch.Tensor
    ) -> torch.Tensor:
        """Orientations (…, 3, 3) in the cells `cell` (…), at `offset` (…, 2) in [0, 1)² of their (z, φ) ranges.

        Their image is that of the cell's own direction without in-plane angle, seen from a little aside, mirrored
        (y → -y) where `mirrored`, then turned by `angle` (radians). "From aside" adds no turn: φ comes with a
        counter-turn by cos θ of the centre, which is a shear and leaves volumes alone, so uniform offsets and angles
        are uniform on SO(3).
        """
        z = _between(self.z_range[cell], offset[..., 0])
        phi = _between(self.phi_range[cell], offset[..., 1])
        z_centre, phi_centre = self.centre[cell].unbind(-1)
        views = euler_to_rotmat("ZYZ", [phi, torch.arccos(z), -z_centre * (phi - phi_centre)])
        sides = torch.ones_like(views[..., 0, :])
        sides[..., 1:] -= 2 * mirrored[..., None].to(sides)  # MIRROR, or not
        return views * sides[..., None, :] @ euler_to_rotmat("Z", [-angle])

    def find(self, rotations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The inverse of `rotations`: (…, 3, 3) → cell (…) int64, mirrored (…) bool, in-plane angle (…) in [-π, π]."""
        direction = rotations[..., 2]
        mirrored = direction[..., 2] < 0
        x, y, z = torch.where(mirrored[..., None], -direction, direction).unbind(-1)
        # Rings from the equator up have ascending bounds.
        ring = len(self.lowest) - torch.searchsorted(self.lowest.flip(0), z.contiguous(), right=True)
        ring = ring.clamp(0, len(self.lowest) - 1)
        phi = torch.atan2(y, x).remainder(2 * math.pi)
        within = torch.floor(phi / (2 * math.pi / self.count[ring])).long()
        cell = self.first[ring] + torch.minimum(within, self.count[ring] - 1)
        offset = torch.stack([_share(self.z_range[cell], z), _share(self.phi_range[cell], phi)], dim=-1)
        unturned = self.rotations(cell, offset, mirrored, torch.zeros_like(z))
        turn = unturned.mT @ rotations  # about the viewing axis by -angle
        return cell, mirrored, torch.atan2(turn[..., 0, 1], turn[..., 0, 0])

    def views(self) -> np.ndarray:
        """The orientation (n, 3, 3) at the centre of each cell, unmirrored and without in-plane angle."""
        z, phi = self.centre.cpu().numpy().T
        return Rotation.from_euler("ZYZ", np.stack([phi, np.arccos(z), 0 * z], axis=1)).as_matrix()


def _share(bounds: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return (value - bounds[..., 0]) / (bounds[..., 1] - bounds[..., 0])


def _between(bounds: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return bounds[..., 0] + share * (bounds[..., 1] - bounds[..., 0])


def hemisphere(spacing: float) -> Hemisphere:
    """Cells about `spacing` radians wide (0 < spacing ≤ π/2): a cap at the pole, then rings of near-squares."""
    rings = max(1, round((np.pi / 2 - spacing / 2) / spacing))
    theta = (np.arange(rings) + 1) * (np.pi / 2) / (rings + 0.5)  # of the middle of each ring; the cap is half a ring
    counts = np.r_[1, np.round(2 * np.pi * np.sin(theta) / spacing).astype(int).clip(3)]
    ends = np.r_[0, counts.cumsum()]
    z = 1 - ends / counts.sum()
    z_range = np.repeat(np.stack([z[:-1], z[1:]], axis=1), counts, axis=0)
    index = np.concatenate([np.arange(count) for count in counts])
    width = np.repeat(2 * np.pi / counts, counts)
    phi_range = np.stack([index * width, (index + 1) * width], axis=1)
    centre = np.stack([z_range.mean(axis=1), phi_range.mean(axis=1)], axis=1)
    centre[0] = 1, 0  # the cap's centre is the pole
    return Hemisphere(*map(torch.from_numpy, (z_range, phi_range, centre, z[1:], ends[:-1], counts)))
