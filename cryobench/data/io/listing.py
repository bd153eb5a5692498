"""Particles that a file lists, their images in stacks: what a .star file of RELION and a .cs file of cryoSPARC have in common.

Columns have RELION's names and units, whatever the file calls them. Angles are RELION's (data.rotations). An origin (x, y) is
the shift that would centre the particle: in the image it lies at the centre minus the origin.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from cryobench.data.io.stack import TOLERANCE, Stack, numbers, same_pixel_size
from cryobench.data.poses import Poses
from cryobench.errors import InputError, note

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
PIXEL_SIZE_BY = "--pixel-size, or data.pixel_size_angstrom in a run"


class Listing(ABC):
    """Particles in the order of a file's rows; read(indices) gives images as a Stack does, out of as many stacks as it names.

    path; rows: those that are meant, from 0; given: Å per pixel, in place of what the files say; ending: of such a file;
    contrast: "white" or "dark" where the file says whether molecules are brighter than the ice, else None. A subclass is a
    frozen dataclass of these.
    """

    path: Path
    rows: np.ndarray
    given: float | None
    ending: ClassVar[str]

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names that `column` knows."""

    @abstractmethod
    def column(self, name: str, default: float | None = None) -> np.ndarray:
        """(n,) float64. Raises InputError where it is missing without a default, or not a finite number."""

    def called(self, name: str) -> str:
        """What the file itself calls one of the columns."""
        return name

    @abstractmethod
    def unused(self) -> list[str]:
        """The file's names of what it says of the microscope and is not made use of, where that is not nothing."""

    @abstractmethod
    def origins(self, pixel_size: float | None) -> np.ndarray:
        """(n, 2) x and y in pixels of this size in Å; 0 where the file has none."""

    @abstractmethod
    def named(self, indices: np.ndarray) -> str:
        """Particles at these positions, as people count them."""

    @abstractmethod
    def pointing_to(self, stack: str, indices: np.ndarray) -> bytes:
        """The file with these particles, their images now the first, second … of this stack, and all else as it was."""

    @property
    @abstractmethod
    def _all_stacks(self) -> set[str]:
        """The stacks' names of all particles in the file, whichever are meant."""

    @property
    @abstractmethod
    def _places(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The stacks' names, and for each particle which of them and which image there, from 0; -1 where none is named."""

    @abstractmethod
    def _listed_pixel_sizes(self) -> np.ndarray | None:
        """(n,) as the file has them, whatever they are; None without any."""

    @abstractmethod
    def _listed_sizes(self) -> np.ndarray | None:
        """(n, k) pixels along the images' edges as the file has them; None without any."""

    def poses(self, pixel_size: float | None) -> Poses:
        """Those of the particles, in images of this pixel size in Å. Raises InputError for missing columns."""
        from cryobench.data.rotations import rotations_from_euler

        rotations = rotations_from_euler(*(self.column(name) for name in ANGLES))
        return Poses(rotations, -self.origins(pixel_size))

    @property
    def contrast(self) -> str | None:
        """Not said."""
        return None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: np.ndarray) -> Listing:
        """The file with only these of its particles, in that order."""
        return replace(self, rows=self.rows[np.asarray(indices)])  # type: ignore[type-var]  # each is a dataclass

    @cached_property
    def pixel_size(self) -> float | None:
        """Å: as given, else by the star file, else by the stacks. Raises InputError where these particles have two.

        Where the header of a stack has another one than the star file, the star file is right: RELION never reads the
        header's, and many programs leave 1 Å there.
        """
        if self.given is not None:
            listed = self._listed_pixel_sizes()
            if listed is not None and not np.isclose(listed, self.given, rtol=TOLERANCE).all():
                note(
                    f"{self.path}: {self.given:g} Å per pixel as given; the pixel sizes that it lists are not used, and stay as "
                    "they are where its rows are written anew"
                )
            return self.given
        sizes = self._pixel_sizes()
        if sizes is None:
            return agreed_pixel_size({str(stack.path): stack.pixel_size for stack in self.stacks})
        size = float(np.median(sizes))
        others = {stack.pixel_size: stack.path for stack in self.stacks if not same_pixel_size(size, stack.pixel_size)}
        for other, path in others.items():
            note(f"{path}: {size:g} Å per pixel as in {self.path}; what its own header says, {other:g}, is not used")
        return size

    def _pixel_sizes(self) -> np.ndarray | None:
        """The same. Raises InputError unless they are above 0 and one."""
        if (sizes := self._listed_pixel_sizes()) is None:
            return None
        if not (good := np.isfinite(sizes) & (sizes > 0)).all():
            raise InputError(
                f"{self.path}: expected pixel sizes above 0 Å, got {sizes[int(np.argmin(good))]:g} for "
                f"{self.named(np.flatnonzero(~good))}"
            )
        if not same_pixel_size(sizes.min(), sizes.max()):
            first = np.isclose(sizes, sizes[0], rtol=0.01)
            raise InputError(
                f"{self.path}: expected one pixel size, got {sizes.min():g} to {sizes.max():g} Å; take images "
                f"of one (--images {numbers(self.rows[first] + 1)} have {sizes[0]:g} Å), or give one for all "
                f"({PIXEL_SIZE_BY})"
            )
        return sizes

    def _find(self, name: str) -> Path:
        """A stack's path is relative to the project's folder, which is the star file's or one above it.

        Its bytes are the file's name, whatever the locale; those that are no UTF-8 are also tried as Latin-1.
        """
        home = self.path.resolve().parent
        raw = name.encode("utf-8", "surrogateescape")
        for spelt in dict.fromkeys((os.fsdecode(raw), raw.decode("latin-1"))):
            for folder in (home, *home.parents, Path.cwd()):
                if is_file(folder / spelt):
                    return folder / spelt
        raise InputError(
            f"{self.path}: expected the stack {shown(name)} in {home} or a folder above it, it is in none; "
            "keep the project's folders as they were"
        )

    def files(self) -> list[Path]:
        """The file, and all stacks of it that are there, whichever of its particles are meant."""
        found = [self.path]
        for name in sorted(self._all_stacks):
            with contextlib.suppress(InputError):
                found.append(self._find(name))
        return found

    @cached_property
    def stacks(self) -> list[Stack]:
        """The stacks that these particles are in. Raises InputError unless all have one size and the images named."""
        files, which, places = self._places
        stacks = [Stack(self._find(name)) for name in files]
        for k, stack in enumerate(stacks):
            rows = np.flatnonzero(which == k)
            if stack.size != stacks[0].size:
                raise InputError(
                    f"{stack.path}: expected images of {stacks[0].size} px, as in {stacks[0].path}, got {stack.size}"
                )
            if len(stack) > 1 and (places[rows] < 0).any():
                raise InputError(
                    f"{self.path}: expected image names like 000001@{files[k]}, since {stack.path} holds "
                    f"{len(stack)} images (a tilt series or a volume?), got no number for "
                    f"{self.named(rows[places[rows] < 0])}"
                )
            if (last := int(places[rows].max()) + 1) > len(stack):
                raise InputError(
                    f"{self.path}: expected image numbers up to {len(stack)}, which {stack.path} holds, got "
                    f"{last} for {self.named(rows[places[rows] >= len(stack)])}"
                )
        listed = self._listed_sizes()
        if listed is not None and (other := (listed != stacks[0].size).any(axis=1)).any():
            note(
                f"{self.path}: it says {listed[other].flat[0]:g} px, where the images of {stacks[0].path} have {stacks[0].size}, "
                f"for {self.named(np.flatnonzero(other))}: are its pixel size and origins those of these images?"
            )
        return stacks

    def again(self) -> np.ndarray:
        """Positions of particles whose image an earlier one has, or names by another path."""
        _, which, places = self._places
        known: dict[Path, int] = {}  # of a stack that several names lead to the first
        first = np.array([known.setdefault(stack.path.resolve(), len(known)) for stack in self.stacks])
        images = np.stack([first[which], np.maximum(places, 0)], axis=1)
        _, earliest = np.unique(images, axis=0, return_index=True)
        return np.setdiff1d(np.arange(len(self)), earliest)

    @property
    def size(self) -> int:
        """L in pixels."""
        return self.stacks[0].size

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images of these particles, (b, L, L) float32. Raises InputError for NaN or infinity."""
        images = self.raw(indices)
        if not (finite := np.isfinite(images).all(axis=(1, 2))).all():
            raise InputError(
                f"{self.path}: expected finite pixels, got NaN or infinity in "
                f"{self.named(np.asarray(indices)[~finite])}; leave it out"
            )
        return images

    def raw(self, indices: np.ndarray) -> np.ndarray:
        """As `read`, whatever the values are."""
        _, which, places = self._places
        indices = np.asarray(indices)
        images = np.empty((len(indices), self.size, self.size), np.float32)
        for k in np.unique(which[indices]):
            in_stack = which[indices] == k
            images[in_stack] = self.stacks[k].raw(np.maximum(places[indices][in_stack], 0))
        return images


def shown(name: str) -> str:
    """A name of any bytes, in one line."""
    return "".join(c if c.isprintable() else "?" for c in name)


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def agreed_pixel_size(known: dict[str, float | None]) -> float | None:
    """The first pixel size that is known, name → Å or None. Raises InputError if another one disagrees."""
    first = next(((name, size) for name, size in known.items() if size is not None), None)
    if first is None:
        return None
    for name, size in known.items():
        if not same_pixel_size(first[1], size):
            raise InputError(
                f"expected one pixel size, got {first[1]:g} Å in {first[0]} and {size:g} Å in {name}; "
                f"correct the wrong one, or give the right one ({PIXEL_SIZE_BY})"
            )
    return first[1]
