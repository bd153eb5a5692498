"""Orientations: RELION's Euler angles, rotation matrices, and uniform draws."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation


def rotations_from_euler(rot, tilt, psi) -> np.ndarray:
    """RELION's Euler angles in degrees (scalars or (n,); intrinsic ZYZ) → rotation matrices (n, 3, 3) float64.

    >>> rotations_from_euler(0, 90, 0).round(6) @ [0, 0, 1]  # z is turned onto x
    array([[1., 0., 0.]])
    """
    angles = np.stack(np.broadcast_arrays(*map(np.atleast_1d, (rot, tilt, psi))), axis=-1).astype(np.float64)
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix()


def euler_from_rotations(rotations: np.ndarray) -> np.ndarray:
    """Rotation matrices (n, 3, 3) → (n, 3) float64, the angles rot, tilt and psi in degrees that RELION gives them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at tilt 0 only rot + psi counts; scipy puts it all into one
        return Rotation.from_matrix(rotations).as_euler("ZYZ", degrees=True)


def random_rotations(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 3, 3) float64 rotation matrices drawn uniformly on SO(3): unit quaternions from normal draws."""
    return Rotation.from_quat(rng.standard_normal((n, 4))).as_matrix()
