"""Is a structure that a method found in noisy images the true one, and are the poses that it gave them?

Images fix a structure up to a rotation and a mirror image. The map is turned onto the true one, the mean over the conformations
of the training images, in the hand that fits better, and poses with it; what is left is the error.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from cryobench.evaluation.analysis import Evidence

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = np.arange(0, 181, 5)  # degrees
ALIGNED = 16  # px of the volumes that are turned onto each other
HALF = 0.5  # the FSC with a map without noise that corresponds to 0.143 between half maps (Rosenthal & Henderson 2003)


def analyse(evidence: Evidence) -> dict:
    """{} for a method that finds no structure.

    "degrees": quantile → angle between a training image's pose and the true one; "histogram": number of images in each 5° from 0
    to 180; "mirrored": whether the other hand was found; "fsc" with the true map, shell by shell; "resolution": Å where
    it first falls below ½, null where it is below from the first shell on.
    """
    if evidence.found is None or evidence.volumes is None or evidence.train_labels is None:
        return {}
    import torch
    from torch_fourier_shell_correlation import fourier_shell_correlation

    from cryobench.data.io.stack import resample
    from cryobench.methods.posterior.align import align

    volume, poses = evidence.found.volume, evidence.found.rotations
    truth = np.average(
        evidence.volumes, axis=0, weights=np.bincount(evidence.train_labels, minlength=len(evidence.volumes))
    )
    edge = truth.shape[0] * evidence.pixel_size

    def sized(one: np.ndarray, size: int) -> torch.Tensor:
        return torch.from_numpy(resample(np.asarray(one, np.float32), size, axes=(0, 1, 2)))

    onto = align(sized(volume, ALIGNED), sized(truth, ALIGNED))
    apart = onto.orientations(poses) @ evidence.train_rotations[: len(poses)].transpose(0, 2, 1)
    degrees = np.degrees(Rotation.from_matrix(apart).magnitude())
    fsc = fourier_shell_correlation(onto(torch.from_numpy(volume)), sized(truth, len(volume)))[1:].numpy()
    above = next((shell for shell, value in enumerate(fsc) if value < HALF), len(fsc))
    return {
        "degrees": {f"{q:g}": round(float(np.quantile(degrees, q)), 3) for q in QUANTILES},
        "histogram": [int(((low <= degrees) & (degrees < high)).sum()) for low, high in pairwise([*BINS[:-1], 180.1])],
        "mirrored": bool(onto.mirrored),
        "fsc": [round(float(value), 4) for value in fsc],
        "resolution": round(edge / above, 3) if above else None,
    }
