"""Simulated clean images: projections of volumes, each from a pose of its own.

Image i of a split is a projection of a uniformly drawn conformation at a uniformly drawn orientation, rescaled to
[0, 1] by its own minimum and maximum (as the paper's code does). Conformation and orientation come from a random stream
of their own for each (data seed, split, i): the first 4,000 of 16,000 training images are the 4,000 of a smaller set,
and no training orientation is ever a test orientation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cryobench.data.cache import new_array
from cryobench.data.directions import motion_view
from cryobench.data.project import Projector
from cryobench.data.rotations import random_rotations
from cryobench.errors import InputError
from cryobench.noise.base import SPLITS

# Sets the streams of poses apart from those of the noise, which are seeded by (seed, split, i) too.
POSES = 1
# Bytes of images held in memory at a time.
BLOCK = 2**26


def simulate(
    folder: Path,
    volumes: np.ndarray,
    counts: Mapping[str, int],
    *,
    size: int,
    seed: int,
    one_view: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> None:
    """Write SPLIT_clean.npy, SPLIT_labels.npy and SPLIT_rotations.npy of each split into `folder`.

    volumes (k, L, L, L); counts: split → number of images; size: L; seed: of poses; one_view: all test images from the view in
    which the conformations differ most; `advance(number)` counts images done. Raises InputError for an empty volume.
    """
    projectors = [Projector(volume) for volume in volumes]
    for split, n in counts.items():
        labels, rotations = draw_poses(n, len(volumes), seed=seed, split=split)
        if split == "test" and one_view:
            rotations[:] = motion_view(volumes)
        np.save(folder / f"{split}_labels.npy", labels)
        np.save(folder / f"{split}_rotations.npy", rotations)
        _write_images(folder / f"{split}_clean.npy", projectors, labels, rotations, size, advance)


def draw_poses(n: int, conformations: int, *, seed: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) int64 and rotations (n, 3, 3) float64 of the images 0 … n−1 of a split ("train" or "test")."""
    labels, rotations = np.empty(n, np.int64), np.empty((n, 3, 3))
    for i in range(n):
        rng = np.random.default_rng(np.random.SeedSequence([seed, SPLITS[split], i], spawn_key=(POSES,)))
        labels[i], rotations[i] = rng.integers(conformations), random_rotations(1, rng)[0]
    return labels, rotations


def rescale(images: np.ndarray) -> np.ndarray:
    """(x − min) / (max − min) of each image (n, L, L) → float32 in [0, 1]. Raises InputError for a constant image."""
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    if not (high > low).all():
        raise InputError("expected volumes with something in them, got a projection without any contrast")
    return ((images - low) / (high - low)).astype(np.float32)


def _write_images(path: Path, projectors, labels, rotations, size: int, advance) -> None:
    step = max(1, BLOCK // (4 * size**2))
    with new_array(path, (len(labels), size, size)) as file:
        for start in range(0, len(labels), step):
            block = slice(start, start + step)
            images = np.empty((len(labels[block]), size, size), np.float32)
            for conformation, projector in enumerate(projectors):
                chosen = np.flatnonzero(labels[block] == conformation)
                if len(chosen):
                    images[chosen] = rescale(projector(rotations[block][chosen]))
                    advance(len(chosen))
            file.write(images.data)
