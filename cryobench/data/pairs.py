"""The images of a data set: made once, kept on disk and opened memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import Progress

from cryobench.data.cache import build_once, content_hash
from cryobench.data.content import check_content
from cryobench.data.dataset import DataSet
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError

if TYPE_CHECKING:
    from cryobench.noise.ctf import Ctf


@dataclass(frozen=True)
class Split:
    """clean (n, L, L) float32 in [0, 1], read-only memory map; labels (n,) int64; rotations (n, 3, 3) float64.

    noisy: (n, L, L) float32, the images as recorded, or None where the noise is simulated; halves: the same from the two
    halves of the exposure, or None where they are not at hand; optics: the CTFs of recorded images, or None; displaced (n, 2):
    how far their particles lie off the centre, as data.poses has it, or None.
    """

    clean: np.ndarray
    labels: np.ndarray
    rotations: np.ndarray
    noisy: np.ndarray | None = None
    halves: tuple[np.ndarray, np.ndarray] | None = None
    optics: Ctf | None = None
    displaced: np.ndarray | None = None


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
        """The images of "train" or "test" under `noise` (cryobench.noise.gaussian.Gaussian or alike) and a run's seed."""
        part: Split = getattr(self, split)
        chosen = None
        if split == "train" and self.train_conformations is not None:
            chosen = np.flatnonzero(np.isin(part.labels, self.train_conformations))
            if not len(chosen):
                raise InputError(
                    f"data.train_conformations: expected labels out of 0 to {part.labels.max()}, got "
                    f"{self.train_conformations}"
                )
        return NoisyImages(
            split,
            clean=part.clean,
            labels=part.labels,
            rotations=part.rotations,
            volumes=self.volumes,
            pixel_size=self.pixel_size,
            noise=noise,
            seed=seed,
            indices=chosen,
            recorded=part.noisy,
            halves=part.halves,
            optics=part.optics,
            displaced=part.displaced,
        )


def open_pairs(dataset: DataSet, cache: Path | str, *, progress: bool = False) -> Pairs:
    """The pairs of `dataset`, from the folder `cache` if they are there, else made into it.

    However many processes ask at once, one of them builds. Raises InputError for no room or no right to write.
    """
    cache = Path(cache)
    check_content(dataset, cache)
    volume_key, key = dataset.volume_key(), dataset.key()
    volume_folder = cache / "volumes" / content_hash(volume_key)
    voxels = dataset.image_size**3
    build_once(
        volume_folder,
        lambda folder: np.save(folder / "volumes.npy", dataset.volumes()),
        key=volume_key,
        needs=20 * voxels,
    )
    volumes = np.load(volume_folder / "volumes.npy", mmap_mode="r")

    folder = cache / "pairs" / content_hash(key)
    total = dataset.n_train + dataset.n_test
    with Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("making images", total=total)
        build_once(
            folder,
            lambda path: dataset.write_pairs(path, volumes, lambda done: bar.advance(task, done)),
            key=key,
            needs=dataset.bytes_per_pair * total,
        )
    return Pairs(
        _open(folder, "train", dataset),
        _open(folder, "test", dataset),
        volumes,
        dataset.pixel_size,
        folder.name,
        folder,
        dataset.train_conformations,
    )


def _open(folder: Path, split: str, dataset: DataSet) -> Split:
    clean = np.load(folder / f"{split}_clean.npy", mmap_mode="r")
    recorded = folder / f"{split}_noisy.npy"
    halves = [folder / f"{split}_half_{number}.npy" for number in (1, 2)]
    return Split(
        clean,
        np.load(folder / f"{split}_labels.npy"),
        np.load(folder / f"{split}_rotations.npy"),
        np.load(recorded, mmap_mode="r") if recorded.exists() else None,
        tuple(np.load(half, mmap_mode="r") for half in halves) if halves[0].exists() else None,
        dataset.optics(split),
        dataset.displaced(split),
    )
