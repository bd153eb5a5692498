"""How far apart two views of a molecule are, whatever the in-plane angle."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def nearest_view(rotations: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Angle in degrees, 0 to 90, from each view (n, 3, 3) to the nearest of other views (m, 3, 3) → (n,) float64.

    Orientations as in `project`: the molecule is seen along the third column, d. Views along d and -d are mirror images
    of each other and count as one, so the angle is arccos max |d·d'|. To compare views of one conformation only, give
    those of one.
    """
    directions, known = np.asarray(rotations)[:, :, 2], np.asarray(others)[:, :, 2]
    chord, _ = cKDTree(np.concatenate([known, -known])).query(directions)
    return np.degrees(2 * np.arcsin(chord / 2))
