"""Recorded particles: a stack and its .star file beside a map, as pairs of clean and noisy images (matched.py makes them)."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cryobench.checks import one_of, refuse, wrong_of
from cryobench.data.cache import new_array
from cryobench.data.dataset import DataSet
from cryobench.data.io.stack import crop_centre, read_map, resample, same_pixel_size
from cryobench.errors import InputError, note
from cryobench.source import sha256_of

if TYPE_CHECKING:
    from cryobench.data.io.listing import Listing
    from cryobench.data.io.stack import Stack
    from cryobench.noise.ctf import Ctf


@dataclass(kw_only=True)
class Particles(DataSet):
    """Particle images of a .star file, and one map, or one for each rlnClassNumber in turn.

    star, maps: files, looked for in data_dir first; crop: pixels of the recorded image that are kept about its centre, null
    for all of them; ctf: whether the projections go through the particle's CTF; contrast: "white" where molecules are
    brighter than the ice in the stack, as RELION wants them, "dark" where they aren't; normalise: "background" as above, or
    "none" for a stack that has the clean images' scale already, as cryobench writes it; shuffle: draw training and test
    particles by data.seed, or take the first n_train and the n_test after them; pixel_size_angstrom: in place of what the
    files say; halves: two stacks or .star files, the same particles in the same order from two halves of the exposure (even
    and odd frames), for methods that learn from pairs of noisy images; null where there are none; reference: what clean images
    are, "recorded" (with the particle's CTF, if `ctf`) or "corrected" (without it; then methods can be told of it).
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
    halves: list[str] | None = field(default=None, metadata={"later": True})
    reference: str = field(default="recorded", metadata={"later": True})
    box: float = field(init=False, default=204.8)
    test_view: str = field(init=False, default="random")

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"contrast": ("white", "dark"), "normalise": ("background", "none")}
        pixel = wrong_of(self, ("pixel_size_angstrom",), lambda value: 0 < value < math.inf, "a number of Å above 0")
        refuse("data", one_of(self, **choices, reference=("recorded", "corrected")), pixel)
        if self.reference == "corrected" and not self.ctf:
            raise InputError("data.reference=corrected: expected data.ctf=true, whose CTF is corrected for, got false")
        if not self.maps:
            raise InputError("data.maps: expected a list of one map or more, got none; as data.maps=[map.mrc]")
        if self.halves is not None and len(self.halves) != 2:
            raise InputError(f"data.halves: expected two stacks, one for each half of the exposure, got {self.halves}")
        if self.crop is not None and (self.crop < 16 or self.crop % 2):
            raise InputError(f"data.crop: expected an even number of pixels, at least 16, got {self.crop}")

    @cached_property
    def particles(self) -> Listing:
        """The .star or .cs file, its stacks checked."""
        from cryobench.data.io.images import open_listing

        star = open_listing(self._find(self.star), self.pixel_size_angstrom)
        total = self.n_train + self.n_test
        if len(star) < total:
            raise InputError(
                f"{star.path}: expected {total} particles, got {len(star)}; set data.n_train and data.n_test to fewer"
            )
        if (again := star.again()).size:  # it may come to stand among training and test particles
            raise InputError(
                f"{star.path}: expected each particle once, got images that earlier ones have, too, for {star.named(again)}; "
                "remove these"
            )
        return star

    @cached_property
    def half_exposures(self) -> list[Stack | Listing]:
        """The two halves, opened and checked: as many particles of the same size; none where none are named."""
        from cryobench.data.io.images import open_images

        opened = []
        for name in self.halves or []:
            half = open_images(self._find(name), self.pixel_size_angstrom)
            for what, got, expected in (
                ("particles", len(half), len(self.particles)),
                ("pixels a side", half.size, self.particles.size),
            ):
                if got != expected:
                    raise InputError(
                        f"data.halves: expected the particles of {self.particles.path} in their order, {expected} {what}, got "
                        f"{got} in {half.path}"
                    )
            self._same_particles(half)
            opened.append(half)
        return opened

    def _same_particles(self, half: Stack | Listing) -> None:
        """Raise InputError where a half's star file has its particles at other coordinates than ours."""
        from cryobench.data.io.listing import Listing

        columns = ("rlnCoordinateX", "rlnCoordinateY")
        if isinstance(half, Listing) and set(columns) <= set(half.columns) & set(self.particles.columns):
            apart = [np.abs(half.column(name) - self.particles.column(name)) for name in columns]
            if (other := np.flatnonzero(np.max(apart, axis=0) > 1)).size:
                raise InputError(
                    f"data.halves: expected the particles of {self.particles.path} in their order, got other coordinates in "
                    f"{half.path} for {half.named(other)}"
                )

    def check(self) -> None:
        """Raise InputError for a star file, stacks or maps that a run could not use."""
        from cryobench.data.listed import ctf_of, pose_of

        star, *_ = self.particles, self.spacing, self.half_exposures
        pose_of(star, self.spacing, len(self.maps))
        if self.ctf:
            ctf_of(star, self.spacing)
        for _ in self.densities():
            pass

    @cached_property
    def spacing(self) -> float:
        """Å per pixel of the stack and voxel of the maps."""
        from cryobench.data.io.listing import agreed_pixel_size

        if (given := self.pixel_size_angstrom) is not None:
            self.particles.pixel_size  # noqa: B018 (says so where the star file lists another)
            for name in self.maps:
                if not same_pixel_size(voxel := read_map(self._find(name))[1], given):
                    note(f"{name}: {given:g} Å per voxel as given; what its own header says, {voxel:g}, is not used")
            return given
        known = {str(self.particles.path): self.particles.pixel_size}
        known |= {str(self._find(name)): read_map(self._find(name))[1] for name in self.maps}
        size = agreed_pixel_size(known)
        if size is None:
            raise InputError(
                f"{self.particles.path}: expected a pixel size in the star file, stack or map, got none; "
                "give data.pixel_size_angstrom"
            )
        return size

    @property
    def cropped(self) -> int:
        """Pixels of the recorded image that are kept: even."""
        return self.crop or self.particles.size // 2 * 2

    @property
    def bytes_per_pair(self) -> int:
        """Room for a projection and a recorded image, and for its two halves."""
        return (2 + len(self.halves or [])) * super().bytes_per_pair

    @property
    def pixel_size(self) -> float:
        """Å per pixel of the images as they are given to a method."""
        return self.spacing * self.cropped / self.image_size

    def volumes(self) -> np.ndarray:
        """(k, L, L, L) float32: the maps, resampled to the size of the images."""
        return np.stack([resample(density, self.image_size, axes=(0, 1, 2)) for density in self.densities()])

    def volume_key(self) -> dict:
        """What the resampled maps depend on, the files by their content."""
        return {
            "data": type(self).__name__,
            "image_size": self.image_size,
            "crop": self.cropped,
            "maps": [sha256_of(self._find(name)) for name in self.maps],
            **self.code_key(),
        }

    def given_files(self) -> list[Path]:
        """The star file, the maps, and all stacks, those of halves that are star files among them."""
        return [self._find(self.star), *map(self._find, self.maps), *self._stacks()]

    def _stacks(self) -> list[Path]:
        """The files that images are read from, and the star files of halves."""
        halves = [
            path for half in self.half_exposures for path in (half.path, *(s.path for s in getattr(half, "stacks", [])))
        ]
        return [*(stack.path for stack in self.particles.stacks), *halves]

    def key(self) -> dict:
        """All files by content where that is known, as it is in a run; else the stacks by name, length and time."""
        from cryobench.data.io.star import FLIPPED

        stacks = self.content or [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in self._stacks()]
        own = {
            name: getattr(self, name)
            for name in ("n_train", "n_test", "seed", "ctf", "contrast", "normalise", "shuffle")
        }
        corrected: dict = {"reference": self.reference} if self.reference == "corrected" else {}
        if self.ctf and self.particles.column(FLIPPED, 0.0).any():  # once taken for images as recorded
            corrected["flipped"] = True
        return {
            **self.volume_key(),
            **own,
            **corrected,
            "spacing": self.spacing,
            "star": sha256_of(self.particles.path),
            "stacks": stacks,
        }

    def write_pairs(self, folder: Path, volumes: np.ndarray, advance) -> None:
        """As DataSet.write_pairs, and SPLIT_noisy.npy beside the clean images; of training images the halves, train_half_1.npy
        and train_half_2.npy."""
        from cryobench.data.io.unusable import refuse, unusable
        from cryobench.data.matched import BLOCK, PairMaker

        maker = PairMaker(self)
        train, test = self.rows()
        chosen = np.concatenate([train, test])
        halves = self.half_exposures
        for source, rows in ((self.particles, chosen), *((half, train) for half in halves)):
            refuse(source, rows, unusable(source, rows), "leave them out of the star file")
        if halves:
            maker.refuse_shared_noise(train, *halves)
        scaled = self.normalise == "background"
        sources = [(source, maker.factor(train, source) if scaled else 1.0) for source in (self.particles, *halves)]
        for split, rows in (("train", train), ("test", test)):
            stacks = sources if split == "train" else sources[:1]
            names = ["clean", "noisy", "half_1", "half_2"][: 1 + len(stacks)]
            shape = (len(rows), self.image_size, self.image_size)
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context(new_array(folder / f"{split}_{name}.npy", shape)) for name in names]
                for start in range(0, len(rows), BLOCK):
                    made = maker.pairs(rows[start : start + BLOCK], stacks)
                    for file, images in zip(files, made, strict=True):
                        file.write(np.ascontiguousarray(images).data)
                    advance(len(made[0]))
            np.save(folder / f"{split}_labels.npy", maker.labels[rows])
            np.save(folder / f"{split}_rotations.npy", maker.poses.rotations[rows])

    def optics(self, split: str) -> Ctf | None:
        """The particles' CTFs, in images as they are given to a method, where the clean images are without."""
        if self.reference != "corrected":
            return None
        from cryobench.data.listed import ctf_of

        rows = self.rows()[("train", "test").index(split)]
        return ctf_of(self.particles, self.spacing)[rows].at(self.pixel_size)

    def displaced(self, split: str) -> np.ndarray:
        """(n, 2), as Poses has it, in px of images as they are given to a method."""
        rows = self.rows()[("train", "test").index(split)]
        poses = self.particles.take(rows).poses(self.spacing)
        return poses.resampled(self.image_size / self.cropped).displaced

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the star file, from 0, that train and that test."""
        order = np.arange(len(self.particles))
        if self.shuffle:
            order = np.random.default_rng(self.seed).permutation(order)
        return np.sort(order[: self.n_train]), np.sort(order[self.n_train : self.n_train + self.n_test])

    def densities(self):
        """The maps (C, C, C), cut to the crop, one at a time."""
        size = self.particles.size
        for name in self.maps:
            density, voxel = read_map(self._find(name))
            if density.shape[0] != size:
                raise InputError(
                    f"{name}: expected a map of {size}³ voxels, as the images have {size} px, got "
                    f"{density.shape[0]}³; resample one of them"
                )
            if self.pixel_size_angstrom is None and not same_pixel_size(voxel, self.spacing):
                raise InputError(f"{name}: expected {self.spacing:g} Å per voxel, got {voxel:g}")
            yield crop_centre(density, self.cropped, axes=(0, 1, 2))

    def _find(self, name: str) -> Path:
        for folder in (self.data_dir, "."):
            if folder is not None and (path := Path(folder).expanduser() / Path(name).expanduser()).is_file():
                return path
        raise InputError(f"expected the file {name} in paths.data or where you stand, it is in neither")
