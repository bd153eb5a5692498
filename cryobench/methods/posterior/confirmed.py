"""Are poses confirmed by a map that their images are no part of?

That half maps agree does not prove them: they share their lowest frequencies, and an image stays in the pose that it once got,
since its half's map was made from it there. So the pose of each image is looked for again, everywhere, under the map of the other
half. Under a right map that finds the same pose, or one beside it; under a wrong one that fits images in several poses, which it
is made of, many go elsewhere. (So they do where a molecule has a symmetry: there, several poses are right.)
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from cryobench.methods.posterior.band import Band
from cryobench.methods.posterior.structure import AROUND, Structure, ViewGrid, expectation, mixture


def confirmed(structure: Structure, band: Band, halves: np.ndarray, poses: ViewGrid) -> float:
    """The share of images whose poses under both halves' maps are neighbours, as the search has it (AROUND).

    band: the images of `structure`, at the size at which they are looked for among `poses`; halves (n,) 0 or 1.
    """
    maps = structure.resized(band.size).maps
    mixtures = [mixture(band.basis, half, poses, structure.contrast, band.seen is not None) for half in maps.halves]
    _, _, best = expectation(band, mixtures, 1 - halves, 1.0, None)
    again = poses.orientations(best[:, :3], mixtures[0].angles)
    apart = Rotation.from_matrix(again @ structure.rotations.transpose(0, 2, 1)).magnitude()
    return float(np.mean(apart < AROUND * poses.spacing))
