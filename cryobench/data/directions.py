"""Views of a molecule: how far apart two are, whatever the in-plane angle, and the one in which a domain's motion shows."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from cryobench.data.project import Projector
from cryobench.data.rotations import random_rotations


def nearest_view(rotations: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Angle in degrees, 0 to 90, from each view (n, 3, 3) to the nearest of other views (m, 3, 3) → (n,) float64.

    Orientations as in `project`: the molecule is seen along the third column, d. Views along d and -d are mirror images
    of each other and count as one, so the angle is arccos max |d·d'|. To compare views of one conformation only, give
    those of one.
    """
    directions, known = np.asarray(rotations)[:, :, 2], np.asarray(others)[:, :, 2]
    chord, _ = cKDTree(np.concatenate([known, -known])).query(directions)
    return np.degrees(2 * np.arcsin(chord / 2))


def motion_view(volumes: np.ndarray, directions: int = 400) -> np.ndarray:
    """The rotation (3, 3) under which the first and the last of the volumes (k, L, L, L) differ most.

    Chosen among `directions` uniformly drawn ones, always the same; both projections are blurred to a twentieth of the box:
    details of single helices seen end on don't count, a moving domain does.
    """
    rotations = random_rotations(directions, np.random.default_rng(0))
    first, last = (Projector(volumes[k])(rotations) for k in (0, -1))
    width = volumes.shape[-1] / 20
    moved = gaussian_filter(last - first, (0, width, width))
    return rotations[int(np.argmax((moved**2).sum(axis=(1, 2))))]
