"""Particles as RELION and cryoSPARC list them: a .star file of one block (RELION 3.0 and before) or with optics groups.

Angles are RELION's (data.rotations). An origin (x, y) is the shift that would centre the particle: in the
image it lies at the centre minus the origin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from cryobench.data.io.listing import PIXEL_SIZE_BY, Listing
from cryobench.data.io.stack import numbers
from cryobench.data.io.startext import GROUP, Table, groups_once, named_lines, read_tables, the_one, with_cells
from cryobench.errors import InputError, note

DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
FLIPPED, PREMULTIPLIED = "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied"
# RELION's metadata_label.h: what is not made use of, and the value with which it does nothing; lists of Zernike coefficients: 0.
UNUSED = {
    **{"rlnMagMat00": 1.0, "rlnMagMat01": 0.0, "rlnMagMat10": 0.0, "rlnMagMat11": 1.0},
    **{"rlnCtfBfactor": 0.0, "rlnCtfScalefactor": 1.0, "rlnBeamTiltX": 0.0, "rlnBeamTiltY": 0.0},
    **{"rlnOddZernike": 0.0, "rlnEvenZernike": 0.0},
}
IMAGE = "rlnImageName"
IMAGE_NAME = re.compile(r"(?:(\d{1,15})@)?(.+)", re.S)
SHOWN = 30  # column names in an error


@dataclass(frozen=True)
class Star(Listing):
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

    ending: ClassVar[str] = ".star"

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

    def unused(self) -> list[str]:
        """The columns of UNUSED in which something else stands than what does nothing; a word that is no number is something."""
        return [
            name
            for name, nothing in UNUSED.items()
            if name in self.columns and not all(is_all(cell, nothing) for cell in set(self.cells(name)))
        ]

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

    def _listed_pixel_sizes(self) -> np.ndarray | None:
        """(n,) by the columns of the star file, whatever they are; None without them."""
        if "rlnImagePixelSize" in self.columns:
            return self.column("rlnImagePixelSize")
        if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(self.columns):
            with np.errstate(divide="ignore", invalid="ignore"):
                return 1e4 * self.column("rlnDetectorPixelSize") / self.column("rlnMagnification")  # from μm
        return None

    def _listed_sizes(self) -> np.ndarray | None:
        return self.column("rlnImageSize")[:, None] if "rlnImageSize" in self.columns else None

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

    @property
    def _all_stacks(self) -> set[str]:
        """Without those of names that name no image."""
        return {part[1] for name in set(self.table.cells(IMAGE, range(len(self.table)))) if (part := named_image(name))}

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

    def pointing_to(self, stack: str, indices: np.ndarray) -> bytes:
        """The file with these particles, their images now 000001@stack and so on, every other byte of a row as it was."""
        rows = self.rows[np.asarray(indices)].tolist()
        names = [f"{i:06d}@{stack}" for i in range(1, len(rows) + 1)]
        return with_cells(self.content, self.table, IMAGE, names, rows)


def is_all(cell: str, value: float) -> bool:
    """Whether a number, or each of a list of them as [0,0.5], is this value.

    >>> is_all("1.000000", 1.0), is_all("[0,0,1e-3]", 0.0), is_all("none", 0.0)
    (True, False, False)
    """
    try:
        return all(abs(float(word) - value) < 1e-6 for word in cell.strip("[]").split(",") if word.strip())
    except ValueError:
        return False


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
