"""A crab-claw molecule made in code, for a first run without any download and for tests.

Its size and shape are those of a bacterial RNA polymerase seen from afar: a body, a fixed pincer, and a clamp that
swings about a hinge. Nothing in it is symmetric, so that no two orientations look alike by accident.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.checks import at_least, refuse
from cryobench.data.dataset import DataSet
from cryobench.data.molecules.density import Atoms, density

# Ellipsoids in Å: centre xyz, half-axes, and the angle in degrees by which they are turned about y. The long axis is x,
# and the cleft opens towards +x.
BODY = [
    ((-28, 0, 0), (36, 36, 44), 0),
    ((-54, 26, 22), (23, 23, 18), 30),
    ((-46, -30, -28), (20, 25, 17), -20),
    ((-2, 26, -30), (28, 22, 15), 15),
    ((-10, 34, 4), (20, 16, 16), 0),
]
PINCER = [((18, 6, -38), (38, 20, 14), 10), ((56, 0, -30), (23, 12, 12), -35), ((36, 26, -42), (14, 16, 10), 0)]
CLAMP = [((14, -6, 36), (36, 30, 18), -12), ((50, -14, 28), (24, 22, 14), 30), ((26, -36, 40), (16, 14, 15), 0)]
HINGE = (-20.0, 0.0, 28.0)  # the clamp turns about an axis along y through this point
VOLUME = 27.0  # Å³ for each pseudo-atom


@dataclass
class Phantom(DataSet):
    """conformations: how many; opening: degrees that the clamp swings from the first (open) to the last (closed)."""

    conformations: int = 5
    opening: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("data", at_least(self, 1, "conformations"))

    def volumes(self) -> np.ndarray:
        """(k, L, L, L) float32: the density of each conformation, see `DataSet.volumes`."""
        return np.stack([density(atoms, self.image_size, self.box) for atoms in self.molecules()])

    def volume_key(self) -> dict:
        """As for any data set, with the shape that stands in the code."""
        return {**super().volume_key(), "shape": [BODY, PINCER, CLAMP, HINGE, VOLUME]}

    def molecules(self) -> list[Atoms]:
        """The pseudo-atoms of each conformation, at equally spaced clamp angles; all share the core's place."""
        from scipy.spatial.transform import Rotation

        core, clamp = _fill(BODY + PINCER), _fill(CLAMP)
        clamp = clamp[~_inside(clamp, BODY + PINCER)]
        centre = np.concatenate([core, clamp]).mean(axis=0)
        molecules = []
        for angle in np.linspace(-self.opening / 2, self.opening / 2, self.conformations):
            turn = Rotation.from_euler("y", angle, degrees=True)  # +x goes towards −z: the clamp closes
            positions = np.concatenate([core, turn.apply(clamp - HINGE) + HINGE]) - centre
            molecules.append(Atoms(positions, np.full(len(positions), "C")))
        return molecules


def _inside(points: np.ndarray, ellipsoids) -> np.ndarray:
    """Which of the points (n, 3) lie within any of the ellipsoids: (n,) bool."""
    from scipy.spatial.transform import Rotation

    inside = np.zeros(len(points), bool)
    for centre, axes, angle in ellipsoids:
        local = Rotation.from_euler("y", -angle, degrees=True).apply(points - np.array(centre)) / axes
        inside |= (local**2).sum(axis=1) < 1
    return inside


def _fill(ellipsoids) -> np.ndarray:
    """(n, 3) points that fill the ellipsoids at random; always the same ones."""
    points = np.random.default_rng(0).uniform(-100, 100, (int(200**3 / VOLUME), 3))
    return points[_inside(points, ellipsoids)]
