"""Equal cells of orientation space: view directions of a hemisphere × mirror × in-plane angle.

Directions d and -d give mirror images, so a hemisphere of directions and a mirror cover the sphere. The hemisphere is
cut into cells of the same area, in rings of near-squares (after Leopardi 2006, "A partition of the unit sphere into
regions of equal area and small diameter"); uniform in (cos θ, φ) within a cell is uniform on the sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

MIRROR = np.diag([1.0, -1.0, -1.0])  # R·MIRROR looks from behind: I(x, -y)


@dataclass(frozen=True)
class Hemisphere:
    """Cells, one a row: z_range and phi_range (n, 2), bounds of cos θ and φ; centre (n, 2) their (z, φ)."""

    z_range: np.ndarray
    phi_range: np.ndarray
    centre: np.ndarray

    def __len__(self) -> int:
        return len(self.centre)

    def rotations(self, cell, offset, mirrored, angle) -> np.ndarray:
        """Orientations (n, 3, 3) in the cells `cell` (n,), at `offset` (n, 2) in [0, 1)² of their (z, φ) ranges.

        Their image is that of the cell's own direction without in-plane angle, seen from a little aside, mirrored
        (y → -y) where `mirrored`, then turned by `angle` (radians). "From aside" adds no turn: φ comes with a
        counter-turn by cos θ of the centre, which is a shear and leaves volumes alone, so uniform offsets and angles
        are uniform on SO(3).
        """
        z = _between(self.z_range[cell], offset[:, 0])
        phi = _between(self.phi_range[cell], offset[:, 1])
        z_centre, phi_centre = self.centre[cell].T
        turn = -z_centre * (phi - phi_centre)
        views = Rotation.from_euler("ZYZ", np.stack([phi, np.arccos(z), turn], axis=1)).as_matrix()
        views[mirrored] = views[mirrored] @ MIRROR
        return views @ Rotation.from_euler("z", -angle[:, None]).as_matrix()

    def find(self, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The inverse of `rotations`: (n, 3, 3) → cell (n,) int, mirrored (n,) bool, in-plane angle (n,) in (-π, π]."""
        direction = rotations[:, :, 2]
        mirrored = direction[:, 2] < 0
        x, y, z = np.where(mirrored, -1, 1) * direction.T
        rings, first = np.unique(self.z_range[:, 1], return_index=True)  # lower bounds, from the equator up
        ring = (np.searchsorted(rings, z, side="right") - 1).clip(0)
        phi = np.arctan2(y, x) % (2 * np.pi)
        cell = first[ring] + np.floor(phi / np.diff(self.phi_range[first[ring]], axis=1)[:, 0]).astype(int)
        cell = cell.clip(first[ring], first[ring] + np.bincount(np.searchsorted(rings, self.z_range[:, 1]))[ring] - 1)
        offset = np.stack([_share(self.z_range[cell], z), _share(self.phi_range[cell], phi)], axis=1)
        unturned = self.rotations(cell, offset, mirrored, np.zeros(len(cell)))
        turn = unturned.transpose(0, 2, 1) @ rotations  # about the viewing axis by -angle
        return cell, mirrored, np.arctan2(turn[:, 0, 1], turn[:, 0, 0])

    def views(self) -> np.ndarray:
        """The orientation (n, 3, 3) at the centre of each cell, unmirrored and without in-plane angle."""
        z, phi = self.centre.T
        return Rotation.from_euler("ZYZ", np.stack([phi, np.arccos(z), 0 * z], axis=1)).as_matrix()


def _share(bounds: np.ndarray, value: np.ndarray) -> np.ndarray:
    return (value - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])


def _between(bounds: np.ndarray, share: np.ndarray) -> np.ndarray:
    return bounds[:, 0] + share * (bounds[:, 1] - bounds[:, 0])


def hemisphere(spacing: float) -> Hemisphere:
    """Cells about `spacing` radians wide (0 < spacing ≤ π/2): a cap at the pole, then rings of near-squares."""
    rings = max(1, round((np.pi / 2 - spacing / 2) / spacing))
    theta = (np.arange(rings) + 1) * (np.pi / 2) / (rings + 0.5)  # of the middle of each ring; the cap is half a ring
    counts = np.r_[1, np.round(2 * np.pi * np.sin(theta) / spacing).astype(int).clip(3)]
    z = 1 - np.r_[0, counts.cumsum()] / counts.sum()
    z_range = np.repeat(np.stack([z[:-1], z[1:]], axis=1), counts, axis=0)
    index = np.concatenate([np.arange(count) for count in counts])
    width = np.repeat(2 * np.pi / counts, counts)
    phi_range = np.stack([index * width, (index + 1) * width], axis=1)
    centre = np.stack([z_range.mean(axis=1), phi_range.mean(axis=1)], axis=1)
    centre[0] = 1, 0  # the cap's centre is the pole
    return Hemisphere(z_range, phi_range, centre)
