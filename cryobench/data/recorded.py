"""Recorded particles: a stack and its .star file beside a map, as pairs of clean and noisy images.

    clean   the map's projection at the particle's angles and shift, with its CTF, cropped, resampled to image_size
    noisy   the recorded image, contrast as in the map, cropped and resampled alike

on one scale: the recorded image y is brought to mean 0 and deviation 1 outside the circle inscribed in the image; one
factor a for the whole set, the regression of training images on their projections x, makes y/a a noisy picture of x;
and both get the x − min x over max x − min x that brings the clean image to [0, 1].
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.fft

from cryobench.data.cache import new_array
from cryobench.data.dataset import DataSet
from cryobench.data.io.stack import crop_centre, read_map, resample, same_pixel_size
from cryobench.data.io.star import ANGLES, DEFOCUS, MICROSCOPE, Star, agreed_pixel_size, read_star
from cryobench.data.io.unusable import refuse, unusable
from cryobench.data.project import Projector, rotations_from_euler
from cryobench.errors import InputError
from cryobench.noise.background import outside_circle
from cryobench.noise.ctf import Ctf

BLOCK = 64  # particles in memory at a time
REGRESSED = 500  # training images that decide the factor a


@dataclass(kw_only=True)
class Particles(DataSet):
    """Particle images of a .star file, and one map, or one for each rlnClassNumber in turn.

    star, maps: files, looked for in data_dir first; crop: pixels of the recorded image that are kept about its centre, null
    for all of them; ctf: whether the projections go through the particle's CTF; contrast: "white" where molecules are
    brighter than the ice in the stack, as RELION wants them, "dark" where they aren't; normalise: "background" as above, or
    "none" for a stack that has the clean images' scale already, as cryobench writes it; shuffle: draw training and test
    particles by data.seed, or take the first n_train and the n_test after them; pixel_size_angstrom: in place of what the
    files say.
    """

    recorded: ClassVar[bool] = True

    star: str
    maps: list[str]
    crop: int | None = None
    ctf: bool = True
    contrast: str = "white"
    normalise: str = "background"
    shuffle: bool = True
    pixel_size_angstrom: float | None = None
    data_dir: str | None = None
    box: float = field(init=False, default=204.8)
    test_view: str = field(init=False, default="random")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("contrast", ("white", "dark")), ("normalise", ("background", "none"))):
            if getattr(self, name) not in choices:
                raise InputError(f"data.{name}: expected {' or '.join(choices)}, got {getattr(self, name)}")
        if not self.maps:
            raise InputError("data.maps: expected a list of one map or more, got none; as data.maps=[map.mrc]")
        if self.crop is not None and (self.crop < 16 or self.crop % 2):
            raise InputError(f"data.crop: expected an even number of pixels, at least 16, got {self.crop}")

    @cached_property
    def particles(self) -> Star:
        """The .star file, its stacks checked."""
        star = read_star(self._find(self.star))
        total = self.n_train + self.n_test
        if len(star) < total:
            raise InputError(f"{star.path}: expected {total} particles, got {len(star)}; set data.n_train and data.n_test "
                             "to fewer")  # fmt: skip
        return star

    def check(self) -> None:
        """Raise InputError for a star file, stacks or maps that a run could not use."""
        star, _ = self.particles, self.spacing
        pose_of(star, self.spacing, len(self.maps))
        if self.ctf:
            ctf_of(star)
        for _ in self._densities():
            pass

    @cached_property
    def spacing(self) -> float:
        """Å per pixel of the stack and voxel of the maps."""
        if self.pixel_size_angstrom is not None:
            return self.pixel_size_angstrom
        known = {str(self.particles.path): self.particles.pixel_size}
        known |= {str(self._find(name)): read_map(self._find(name))[1] for name in self.maps}
        size = agreed_pixel_size(known)
        if size is None:
            raise InputError(f"{self.particles.path}: expected a pixel size in the star file, stack or map, got none; "
                             "give data.pixel_size_angstrom")  # fmt: skip
        return size

    @property
    def cropped(self) -> int:
        """Pixels of the recorded image that are kept: even."""
        return self.crop or self.particles.size // 2 * 2

    @property
    def bytes_per_pair(self) -> int:
        return 2 * super().bytes_per_pair

    @property
    def pixel_size(self) -> float:
        return self.spacing * self.cropped / self.image_size

    def volumes(self) -> np.ndarray:
        return np.stack([resample(density, self.image_size, axes=(0, 1, 2)) for density in self._densities()])

    def volume_key(self) -> dict:
        return {"data": type(self).__name__, "image_size": self.image_size, "crop": self.cropped,
                "maps": [_sha256(self._find(name)) for name in self.maps]}  # fmt: skip

    def given_files(self) -> list[Path]:
        """The star file, the maps, and the stacks that the star file names."""
        return [self._find(self.star), *map(self._find, self.maps), *(stack.path for stack in self.particles.stacks)]

    def key(self) -> dict:
        """All files by content where that is known, as it is in a run; else the stacks by name, length and time."""
        stacks = self.content or [
            [str(s.path), s.path.stat().st_size, s.path.stat().st_mtime_ns] for s in self.particles.stacks
        ]
        own = {
            name: getattr(self, name)
            for name in ("n_train", "n_test", "seed", "ctf", "contrast", "normalise", "shuffle")
        }
        return {
            **self.volume_key(),
            **own,
            "spacing": self.spacing,
            "star": _sha256(self.particles.path),
            "stacks": stacks,
        }

    def write_pairs(self, folder: Path, volumes: np.ndarray, advance) -> None:
        """As DataSet.write_pairs, and SPLIT_noisy.npy beside the clean images."""
        maker = PairMaker(self)
        train, test = self.rows()
        chosen = np.concatenate([train, test])
        refuse(self.particles, chosen[unusable(self.particles, chosen)], "leave them out of the star file")
        factor = 1.0 if self.normalise == "none" else maker.factor(train)
        for split, rows in (("train", train), ("test", test)):
            shape = (len(rows), self.image_size, self.image_size)
            with (
                new_array(folder / f"{split}_clean.npy", shape) as clean,
                new_array(folder / f"{split}_noisy.npy", shape) as noisy,
            ):
                for start in range(0, len(rows), BLOCK):
                    for file, images in zip(
                        (clean, noisy), maker.pairs(rows[start : start + BLOCK], factor), strict=True
                    ):
                        file.write(np.ascontiguousarray(images).data)
                    advance(len(rows[start : start + BLOCK]))
            np.save(folder / f"{split}_labels.npy", maker.labels[rows])
            np.save(folder / f"{split}_rotations.npy", maker.rotations[rows])

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the star file, from 0, that train and that test."""
        order = np.arange(len(self.particles))
        if self.shuffle:
            order = np.random.default_rng(self.seed).permutation(order)
        return np.sort(order[: self.n_train]), np.sort(order[self.n_train : self.n_train + self.n_test])

    def _densities(self):
        """The maps (C, C, C), cut to the crop, one at a time."""
        size = self.particles.size
        for name in self.maps:
            density, voxel = read_map(self._find(name))
            if density.shape[0] != size:
                raise InputError(f"{name}: expected a map of {size}³ voxels, as the images have {size} px, got "
                                 f"{density.shape[0]}³; resample one of them")  # fmt: skip
            if self.pixel_size_angstrom is None and not same_pixel_size(voxel, self.spacing):
                raise InputError(f"{name}: expected {self.spacing:g} Å per voxel, got {voxel:g}")
            yield crop_centre(density, self.cropped, axes=(0, 1, 2))

    def _find(self, name: str) -> Path:
        for folder in (self.data_dir, "."):
            if folder is not None and (Path(folder).expanduser() / name).is_file():
                return Path(folder).expanduser() / name
        raise InputError(f"expected the file {name} in paths.data or where you stand, it is in neither")


class PairMaker:
    """Pairs of a Particles data set, for any rows of its star file. labels (n,), rotations (n, 3, 3) of all its rows."""

    def __init__(self, data: Particles):
        star = data.particles
        self.data, self.star, self.spacing = data, star, data.spacing
        self.rotations, self.displaced, self.labels = pose_of(star, self.spacing, len(data.maps))
        self.ctf = ctf_of(star) if data.ctf else None
        self.projectors = [Projector(density) for density in data._densities()]
        self.outside = outside_circle(data.image_size)
        # RELION puts the centre of an odd image one pixel further than L//2, as it does in its projections.
        self.centre = star.size // 2 + star.size % 2

    def pairs(self, rows: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """Clean and noisy (b, L, L) float32 on one scale; factor: what recorded images are divided by."""
        clean, noisy = self.projections(rows), self.recorded(rows)
        low, high = clean.min(axis=(1, 2), keepdims=True), clean.max(axis=(1, 2), keepdims=True)
        if not (high > low).all():
            raise InputError("data.maps: expected maps with something in them, got a projection without any contrast")
        if self.data.normalise == "background":
            noisy = noisy / factor + self._background(clean)
            noisy = (noisy - low) / (high - low)
        return ((clean - low) / (high - low)).astype(np.float32), noisy.astype(np.float32)

    def factor(self, rows: np.ndarray) -> float:
        """a in y ≈ a x over these rows, evenly spaced ones if there are many. Raises InputError unless it is above 0."""
        rows = rows[:: max(1, len(rows) // REGRESSED)]
        products, squares, norms = 0.0, 0.0, 0.0
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            x, y = self.projections(block).astype(np.float64), self.recorded(block).astype(np.float64)
            x -= self._background(x)
            products, squares, norms = products + (x * y).sum(), squares + (x * x).sum(), norms + (y * y).sum()
        if not products > 0:
            correlation = products / max((squares * norms) ** 0.5, 1e-30)
            raise InputError(f"expected particles that look like the map's projections, got a correlation of {correlation:.3g}; "
                             f"is data.contrast={self.data.contrast} right, and are the angles of this map?")  # fmt: skip
        return products / squares

    def projections(self, rows: np.ndarray) -> np.ndarray:
        """What the map looks like in these particles, noise-free: (b, L, L) float32 in the map's units."""
        size, box = self.data.cropped, max(self.star.size // 2 * 2, self.data.cropped)
        images = np.empty((len(rows), size, size), np.float32)
        for k, projector in enumerate(self.projectors):
            mine = self.labels[rows] == k
            if mine.any():
                images[mine] = projector(self.rotations[rows][mine])
        if self.ctf is not None or self.displaced[rows].any():
            # In the whole recorded box, since the CTF spreads the molecule beyond the crop.
            pad = (box - size) // 2
            images = np.pad(
                images - self._background(images), [(0, 0), (pad, box - size - pad), (pad, box - size - pad)]
            )
            spectrum = scipy.fft.rfft2(images) * shift_phases(self.displaced[rows], box)
            if self.ctf is not None:
                spectrum *= self.ctf.transfer(rows, box, self.spacing)
            images = crop_centre(scipy.fft.irfft2(spectrum, s=(box, box)), size, centre=pad + size // 2)
        return resample(images, self.data.image_size)

    def recorded(self, rows: np.ndarray) -> np.ndarray:
        """The particle images themselves: (b, L, L) float32, contrast as in the map, background normalised if asked for."""
        images = resample(
            crop_centre(self.star.read(rows), self.data.cropped, centre=self.centre), self.data.image_size
        )
        if self.data.contrast == "dark":
            images = -images
        if self.data.normalise == "none":
            return images
        deviation = images[:, self.outside].std(axis=1)
        if not (deviation > 0).all():  # what is blank all over was found before
            raise InputError(f"{self.star.path}: expected noise around the particle, got one value there, after cropping, in "
                             f"{self.star.named(rows[~(deviation > 0)])}; leave it out")  # fmt: skip
        return (images - self._background(images)) / deviation[:, None, None]

    def _background(self, images: np.ndarray) -> np.ndarray:
        """Mean outside the circle, (b, 1, 1)."""
        return images[:, outside_circle(images.shape[-1])].mean(axis=1)[:, None, None]


def pose_of(star: Star, spacing: float, maps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations (n, 3, 3), displacement (n, 2) of the particle from the image's centre, x and y in pixels, and labels (n,).

    Raises InputError for missing columns, and for more classes than there are maps.
    """
    rotations = rotations_from_euler(*(star.column(name) for name in ANGLES))
    classes = star.column("rlnClassNumber", 1).astype(np.int64) - 1
    labels = classes if maps > 1 else np.zeros(len(star), np.int64)
    if not (0 <= labels.min() and labels.max() < maps):
        raise InputError(f"data.maps: expected a map for each rlnClassNumber up to {labels.max() + 1}, got {maps}")
    return rotations, -star.origins(spacing), labels


def ctf_of(star: Star) -> Ctf:
    """The CTFs of a star file's particles. Raises InputError for missing columns."""
    missing = [name for name in (*DEFOCUS, *MICROSCOPE) if name not in star.columns]
    if missing:
        raise InputError(f"{star.path}: expected columns {', '.join(missing)} for the CTF, got none; "
                         "data.ctf=false compares with projections without one")  # fmt: skip
    columns = [star.column(name) for name in (*DEFOCUS, *MICROSCOPE)]
    return Ctf(np.stack([*columns, star.column("rlnPhaseShift", 0.0)], axis=-1))


def shift_phases(displaced: np.ndarray, size: int) -> np.ndarray:
    """exp(−2πi (k·d)) for displacements d (b, 2), x and y in pixels, over the frequencies of rfft2: (b, L, L/2+1)."""
    y, x = scipy.fft.fftfreq(size)[:, None], scipy.fft.rfftfreq(size)[None, :]
    dx, dy = (displaced[:, k, None, None] for k in (0, 1))
    return np.exp(-2j * np.pi * (x * dx + y * dy)).astype(np.complex64)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
