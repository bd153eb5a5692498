"""The clean images of a data set, simulated once, kept on disk and opened memory-mapped.

Image i of a split is a projection of a uniformly drawn conformation at a uniformly drawn orientation, rescaled to
[0, 1] by its own minimum and maximum (as the paper's code does). Conformation and orientation come from a random stream
of their own for each (data seed, split, i): the first 4,000 of 16,000 training images are the 4,000 of a smaller set,
and no training orientation is ever a test orientation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from cryobench.data.cache import build_once, content_hash, new_array
from cryobench.data.content import check_content
from cryobench.data.dataset import DataSet
from cryobench.data.project import Projector, random_rotations
from cryobench.data.views import motion_view
from cryobench.errors import InputError
from cryobench.noise import SPLITS, NoisyImages

# Sets the streams of poses apart from those of the noise, which are seeded by (seed, split, i) too.
POSES = 1
# Bytes of images held in memory at a time.
BLOCK = 2**26


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


@dataclass(frozen=True)
class Split:
    """clean (n, L, L) float32 in [0, 1], read-only memory map; labels (n,) int64; rotations (n, 3, 3) float64.

    noisy: (n, L, L) float32, the images as recorded, or None where the noise is simulated.
    """

    clean: np.ndarray
    labels: np.ndarray
    rotations: np.ndarray
    noisy: np.ndarray | None = None


@dataclass(frozen=True)
class Pairs:
    """A data set: two splits, the volumes (k, L, L, L) they were projected from, Å per pixel.

    key: hash of everything that decided the content; folder: where the images lie; train_conformations: the labels of
    the training images that are given out, None for all.
    """

    train: Split
    test: Split
    volumes: np.ndarray
    pixel_size: float
    key: str
    folder: Path
    train_conformations: list[int] | None = None

    def images(self, split: str, noise, seed: int) -> NoisyImages:
        """The images of "train" or "test" under `noise` (cryobench.noise.Gaussian or alike) and a run's seed."""
        part: Split = getattr(self, split)
        chosen = None
        if split == "train" and self.train_conformations is not None:
            chosen = np.flatnonzero(np.isin(part.labels, self.train_conformations))
            if not len(chosen):
                raise InputError(f"data.train_conformations: expected labels out of 0 to {part.labels.max()}, got "
                                 f"{self.train_conformations}")  # fmt: skip
        return NoisyImages(split, part.clean, part.labels, part.rotations, self.volumes, self.pixel_size, noise, seed, chosen,
                           recorded=part.noisy)  # fmt: skip


def open_pairs(dataset: DataSet, cache: Path | str, *, progress: bool = False) -> Pairs:
    """The pairs of `dataset`, from the folder `cache` if they are there, else made into it.

    However many processes ask at once, one of them builds. Raises InputError for no room or no right to write.
    """
    cache = Path(cache)
    check_content(dataset, cache)
    volume_key, key = dataset.volume_key(), dataset.key()
    volume_folder = cache / "volumes" / content_hash(volume_key)
    voxels = dataset.image_size**3
    build_once(volume_folder, lambda folder: np.save(folder / "volumes.npy", dataset.volumes()), key=volume_key,
               needs=20 * voxels)  # fmt: skip
    volumes = np.load(volume_folder / "volumes.npy", mmap_mode="r")

    folder = cache / "pairs" / content_hash(key)
    total = dataset.n_train + dataset.n_test
    with Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("making images", total=total)
        build_once(folder, lambda path: dataset.write_pairs(path, volumes, lambda done: bar.advance(task, done)), key=key,
                   needs=dataset.bytes_per_pair * total)  # fmt: skip
    return Pairs(_open(folder, "train"), _open(folder, "test"), volumes, dataset.pixel_size, folder.name, folder,
                 dataset.train_conformations)  # fmt: skip


def _open(folder: Path, split: str) -> Split:
    clean = np.load(folder / f"{split}_clean.npy", mmap_mode="r")
    recorded = folder / f"{split}_noisy.npy"
    return Split(clean, np.load(folder / f"{split}_labels.npy"), np.load(folder / f"{split}_rotations.npy"),
                 np.load(recorded, mmap_mode="r") if recorded.exists() else None)  # fmt: skip


def simulate(folder: Path, dataset: DataSet, volumes: np.ndarray, advance) -> None:
    """Write both splits of a simulated data set into `folder`; `advance(number)` counts images done."""
    projectors = [Projector(volume) for volume in volumes]
    for split, n in (("train", dataset.n_train), ("test", dataset.n_test)):
        labels, rotations = draw_poses(n, len(volumes), seed=dataset.seed, split=split)
        if split == "test" and dataset.test_view == "motion":
            rotations[:] = motion_view(volumes)
        np.save(folder / f"{split}_labels.npy", labels)
        np.save(folder / f"{split}_rotations.npy", rotations)
        _write_images(folder / f"{split}_clean.npy", projectors, labels, rotations, dataset.image_size, advance)


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
