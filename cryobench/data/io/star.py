"""Particles as RELION and cryoSPARC list them: a .star file of one block (RELION 3.0 and before) or with optics groups.

Angles are RELION's (data.rotations). An origin (x, y) is the shift that would centre the particle: in the
image it lies at the centre minus the origin.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cryobench.data.io.stack import TOLERANCE, Stack, numbers, same_pixel_size
from cryobench.data.io.startext import GROUP, Table, groups_once, named_lines, read_tables, the_one, with_cells
from cryobench.errors import InputError, note

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
IMAGE = "rlnImageName"
IMAGE_NAME = re.compile(r"(?:(\d{1,15})@)?(.+)", re.S)
PIXEL_SIZE_BY = "--pixel-size, or data.pixel_size_angstrom in a run"
SHOWN = 30  # column names in an error


@dataclass(frozen=True)
class Star:
    """A .star file: its text, the table of particles, that of their optics groups, and the rows that are meant, from 0.

    read(indices) gives images as a Stack does, out of as many stacks as the file names.
    given: Å per pixel, in place of what the files say.
    """

    path: Path
    content: bytes = field(repr=False)
    table: Table = field(repr=False)
    optics: Table | None = field(repr=False)
    rows: np.ndarray
    given: float | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: np.ndarray) -> Star:
        """The file with only these of its particles, in that order."""
        return replace(self, rows=self.rows[np.asarray(indices)])

    def named(self, indices: np.ndarray) -> str:
        """Particles at these positions, as people count a file's images, and the lines on which they are."""
        rows = np.unique(self.rows[np.asarray(indices)])
        return f"image {numbers(rows + 1)} ({named_lines([self.table.lines[row] for row in rows])})"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the particles' columns and of those of their optics group."""
        extra = self.optics.columns if self.optics is not None else []
        return (*self.table.columns, *(name for name in extra if name not in self.table.columns))

    def cells(self, name: str) -> list[str]:
        """What each particle has in a column, or its optics group. Raises InputError where there is none."""
        if name in self.table.columns:
            return self.table.cells(name, self.rows)
        if name not in self.columns:
            raise InputError(f"{self.path}: expected a column {name}, got {', '.join(self.columns[:SHOWN])}")
        values = self._of_optics(name)
        return [values[group] for group in self._groups]

    def column(self, name: str, default: float | None = None) -> np.ndarray:
        """(n,) float64. Raises InputError where it is missing without a default, or not a finite number."""
        if name not in self.columns and default is not None:
            return np.full(len(self), default)
        cells = self.cells(name)
        values = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(np.float64)
        if not (good := np.isfinite(values)).all():
            raise InputError(
                f"{self.path}: expected numbers in {name}, got '{cells[int(np.argmin(good))]}' for "
                f"{self.named(np.flatnonzero(~good))}"
            )
        return values

    def origins(self, pixel_size: float | None) -> np.ndarray:
        """(n, 2) x and y in pixels: rlnOriginXAngst over the pixel size, or RELION 3.0's rlnOriginX; 0 without either."""
        if "rlnOriginXAngst" in self.columns:
            values = np.stack([self.column(f"rlnOrigin{axis}Angst") for axis in "XY"], axis=-1)
            if pixel_size is None and values.any():
                raise InputError(
                    f"{self.path}: expected a pixel size, to turn origins in Å into pixels; give it ({PIXEL_SIZE_BY})"
                )
            return values / (pixel_size or 1.0)
        return np.stack([self.column(f"rlnOrigin{axis}", 0.0) for axis in "XY"], axis=-1)

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
                    f"{self.path}: {self.given:g} Å per pixel as given; the pixel sizes that it lists are not used, and stay "
                    "as they are where its rows are written anew"
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

    def _listed_pixel_sizes(self) -> np.ndarray | None:
        """(n,) by the columns of the star file, whatever they are; None without them."""
        if "rlnImagePixelSize" in self.columns:
            return self.column("rlnImagePixelSize")
        if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(self.columns):
            with np.errstate(divide="ignore", invalid="ignore"):
                return 1e4 * self.column("rlnDetectorPixelSize") / self.column("rlnMagnification")  # from μm
        return None

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

    def _of_optics(self, name: str) -> list[str]:
        """A column of the optics table, one value a row; nothing where there is no such table."""
        return self.optics.cells(name, range(len(self.optics))) if self.optics is not None else []

    @cached_property
    def _groups(self) -> np.ndarray:
        """(n,) which row of the optics table each particle belongs to."""
        known = self._of_optics(GROUP)
        if GROUP not in self.table.columns:
            if len(known) > 1:
                raise InputError(
                    f"{self.path}: expected a column {GROUP} that says which of {len(known)} optics groups a "
                    f"particle is of, got {', '.join(self.table.columns[:SHOWN])}"
                )
            return np.zeros(len(self), np.int64)
        place = {group: row for row, group in enumerate(known)}
        groups = [place.get(group, -1) for group in self.table.cells(GROUP, self.rows)]
        if -1 in groups:
            wrong = np.flatnonzero(np.array(groups) < 0)
            unknown = sorted({self.table.cells(GROUP, [self.rows[i]])[0] for i in wrong[:100]})
            raise InputError(
                f"{self.path}: expected optics groups out of {', '.join(known)}, got {', '.join(unknown[:5])} "
                f"for {self.named(wrong)}"
            )
        return np.array(groups)

    @cached_property
    def _places(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The stacks' names, and for each particle which of them and which image there, from 0; -1 where none is named."""
        names = self.cells(IMAGE)
        parts = [named_image(name) for name in names]
        if None in parts:
            wrong = np.flatnonzero([part is None for part in parts])
            raise InputError(
                f"{self.path}: expected image names like 000001@stack.mrcs, counted from 1, got "
                f"'{names[wrong[0]]}' for {self.named(wrong)}"
            )
        places, stacks = zip(*filter(None, parts), strict=True)
        which, files = pd.factorize(np.array(stacks, dtype=object))
        return list(files), which, np.array(places)

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
            f"{self.path}: expected the stack {name} in {home} or a folder above it, it is in none; "
            "keep the project's folders as they were"
        )

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
        return stacks

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

    def pointing_to(self, stack: str, indices: np.ndarray) -> bytes:
        """The file with these particles, their images now 000001@stack and so on, every other byte of a row as it was."""
        rows = self.rows[np.asarray(indices)].tolist()
        names = [f"{i:06d}@{stack}" for i in range(1, len(rows) + 1)]
        return with_cells(self.content, self.table, IMAGE, names, rows)


def named_image(name: str) -> tuple[int, str] | None:
    """000012@stack → (11, stack), a stack alone → (-1, stack); None for what names no image.

    >>> named_image("000012@a.mrcs"), named_image("a.mrcs"), named_image("000000@a.mrcs")
    ((11, 'a.mrcs'), (-1, 'a.mrcs'), None)
    """
    match = IMAGE_NAME.fullmatch(name)
    if match is None or match[2].endswith("@") or (match[1] is not None and int(match[1]) == 0):
        return None
    return int(match[1] or 0) - 1, match[2]


def read_star(path: Path | str, pixel_size: float | None = None) -> Star:
    """A particle .star file. Raises InputError for a file that is missing, is none, or has no particles."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        if not path.exists():
            raise InputError(f"{path}: expected a .star file, there is none") from None
        raise InputError(f"{path}: expected a .star file, got '{error.strerror or error}'") from None
    if b"\0" in content:
        raise InputError(f"{path}: expected a .star file in UTF-8, got bytes of 0 (UTF-16, or no text)")
    tables = read_tables(content)
    table = the_one(path, tables, "particles") or the_one(path, tables, "images")
    table = table or next((table for table in tables if IMAGE in table.columns), None)
    if table is None:
        names = ", ".join(f"data_{table.name}" for table in tables) or "none"
        raise InputError(f"{path}: expected a table of particles with {IMAGE}, got tables {names}")
    table.check(path)
    if IMAGE not in table.columns:
        raise InputError(f"{path}: expected a column {IMAGE}, got {', '.join(table.columns[:SHOWN]) or 'none'}")
    if not len(table):
        raise InputError(f"{path}: expected particles, got an empty table")
    if not table.loop:
        raise InputError(f"{path}: expected loop_ in data_{table.name}, got one value for each column")
    optics = groups_once(path, the_one(path, tables, "optics"))
    if table.lines[-1] == len(content.splitlines()) - 1 and not content.endswith((b"\n", b"\r")):
        note(
            f"{path}: its last line has no end; if the file was cut short, the last value of its last image may be, too"
        )
    return Star(path, content, table, optics, np.arange(len(table)), pixel_size)


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


def open_images(path: Path | str, pixel_size: float | None = None) -> Stack | Star:
    """A stack of images, or a .star file, whose images come in its rows' order; pixel_size: in place of what they say.

    Raises InputError.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".cs":
        raise InputError(
            f"{path}: expected a stack or a .star file, got cryoSPARC's own; convert it with csparc2star.py"
        )
    return read_star(path, pixel_size) if suffix == ".star" else Stack(path, pixel_size)
