"""One volume turned onto another, in the handedness that fits better.

Images of unknown pose fix a volume up to a rotation, and up to its mirror image. Rotations are tried on a grid of SO(3), then
around the best, twice as finely each time; volumes of some 16 voxels are enough to begin with.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation

from cryobench.methods.posterior.so3_grid import MIRROR, hemisphere

GRID = np.radians(18)
KEPT = 6  # of the rotations of a level, from which the next goes on
HALVINGS = 5
AT_ONCE = 256


@dataclass(frozen=True)
class Alignment:
    """rotation (3, 3); mirrored: whether the volume is mirrored (z → −z) first; correlation: with the other one then."""

    rotation: np.ndarray
    mirrored: bool
    correlation: float

    def __call__(self, volume: torch.Tensor) -> torch.Tensor:
        """The volume (L, L, L), turned onto the other one."""
        return turned(hand(volume, self.mirrored), torch.from_numpy(self.rotation[None]).float())[0]

    def orientations(self, rotations: np.ndarray) -> np.ndarray:
        """Where images seen under `rotations` (n, 3, 3) of the volume are seen from once it is turned: the same images."""
        mirror = np.diag([1.0, 1.0, -1.0]) if self.mirrored else np.eye(3)  # leaves sums along z as they are
        return self.rotation @ mirror @ rotations @ mirror


def hand(volume: torch.Tensor, mirrored: bool) -> torch.Tensor:
    """The volume, or its mirror image in the plane z = 0 of voxel L//2."""
    return torch.roll(volume.flip(0), 1 - volume.shape[0] % 2, 0) if mirrored else volume


def turned(volume: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """ρ(Rᵀ x) for rotations (n, 3, 3): (n, L, L, L), trilinear, about voxel L//2."""
    size = volume.shape[-1]
    axis = torch.arange(size, dtype=torch.float32, device=volume.device) - size // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    places = torch.stack([x, y, z], dim=-1).reshape(-1, 3) @ rotations.to(volume.device)  # rows: (Rᵀ x)ᵀ = xᵀ R
    grid = (places.unflatten(1, (size, size, size)) + size // 2) * 2 / (size - 1) - 1
    source = volume[None, None].expand(len(rotations), 1, size, size, size)
    return F.grid_sample(source, grid, align_corners=True)[:, 0]


def align(volume: torch.Tensor, onto: torch.Tensor) -> Alignment:
    """The rotation and hand that make the correlation of `volume` with `onto`, both (L, L, L), highest."""
    cells = hemisphere(GRID)
    spins = Rotation.from_euler("z", np.arange(0, 2 * np.pi, GRID)[:, None]).as_matrix()
    views = np.concatenate([cells.views(), cells.views() @ MIRROR])
    grid = (views[:, None] @ spins[None]).reshape(-1, 3, 3)
    best = Alignment(np.eye(3), False, -np.inf)
    for mirrored in (False, True):
        source = hand(volume, mirrored)
        rotations, angle = grid, GRID
        for level in range(HALVINGS + 1):
            if level:
                steps = Rotation.from_rotvec(neighbours() * angle).as_matrix()
                rotations, angle = (steps[None] @ rotations[:, None]).reshape(-1, 3, 3), angle / 2
            scores = correlations(source, onto, rotations)
            order = np.argsort(scores)[::-1][:KEPT]
            rotations = rotations[order]
        if scores[order[0]] > best.correlation:
            best = Alignment(rotations[0], mirrored, float(scores[order[0]]))
    return best


def neighbours() -> np.ndarray:
    """Rotation vectors (27, 3) to the neighbours of a point and itself, half a step along each axis."""
    return np.stack(np.meshgrid(*[[-0.5, 0.0, 0.5]] * 3), axis=-1).reshape(-1, 3)


def correlations(volume: torch.Tensor, onto: torch.Tensor, rotations: np.ndarray) -> np.ndarray:
    """Of the volume in each rotation (n, 3, 3) with the other one: (n,)."""
    target = (onto - onto.mean()).flatten()
    scores = []
    for some in torch.from_numpy(rotations).float().split(AT_ONCE):
        images = turned(volume, some).flatten(1)
        images = images - images.mean(dim=1, keepdim=True)
        scores.append(images @ target / (images.norm(dim=1) * target.norm()))
    return torch.cat(scores).cpu().numpy()


def moved_onto(volume: torch.Tensor, onto: torch.Tensor, reach: int) -> torch.Tensor:
    """The volume (L, L, L), moved by up to `reach` voxels along each axis to where it fits the other one best."""
    steps = list(itertools.product(range(-reach, reach + 1), repeat=3))
    moved = [torch.roll(volume, step, (0, 1, 2)) for step in steps]
    return moved[int(torch.stack([(one * onto).sum() for one in moved]).argmax())]
