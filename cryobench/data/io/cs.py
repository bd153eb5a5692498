"""Particles as cryoSPARC lists them: a .cs file is a structured array in NumPy's format, of which nothing can be executed.

    cryoSPARC                            RELION's name here            in other units
    blob/path, blob/idx                  rlnImageName                  counted from 0; a leading ">" is left out
    blob/psize_A                         rlnImagePixelSize
    blob/sign                            contrast                      -1: molecules are darker than the ice
    ctf/df1_A, df2_A, df_angle_rad       rlnDefocusU, V, Angle         angle in radians
    ctf/accel_kv, cs_mm                  rlnVoltage, rlnSphericalAberration
    ctf/amp_contrast, or ctf/ac          rlnAmplitudeContrast
    ctf/phase_shift_rad                  rlnPhaseShift                 radians
    alignments3D/pose                    rlnAngleRot, Tilt, Psi        a rotation vector (axis times angle in radians)
    alignments3D/shift                   origin                        in pixels of alignments3D/psize_A, or else of the images
    alignments3D/class                   rlnClassNumber                counted from 0

as pyem's csparc2star.py has them (Asarnow, Palovcak & Cheng, UCSF pyem, doi:10.5281/zenodo.3576630): its matrix of a pose, the
transposed rotation, is RELION's, which in turn is the transpose of ours. Paths are relative to the project's folder.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from cryobench.data.io.listing import ANGLES, Listing
from cryobench.data.io.stack import numbers
from cryobench.data.rotations import euler_from_rotations
from cryobench.errors import InputError, note

NUMPY, PACKED = b"\x93NUMPY", b"\x94CSDAT"
CONVERT = "convert it with pyem's csparc2star.py"
LONGEST_HEADER = 2**18  # characters; a file of all fields has a few thousand
SHOWN = 30  # field names in an error
PATH, IDX, SIGN, PIXEL, SHAPE = "blob/path", "blob/idx", "blob/sign", "blob/psize_A", "blob/shape"
POSE, SHIFT, SHIFT_PIXEL, CLASS = (
    "alignments3D/pose",
    "alignments3D/shift",
    "alignments3D/psize_A",
    "alignments3D/class",
)


def as_it_is(values: np.ndarray) -> np.ndarray:
    """The same numbers."""
    return values


# RELION's name → fields of which the first that is there counts, and what makes RELION's number of it
FIELDS: dict[str, tuple[tuple[str, ...], Callable[[np.ndarray], np.ndarray]]] = {
    "rlnImagePixelSize": ((PIXEL,), as_it_is),
    "rlnDefocusU": (("ctf/df1_A",), as_it_is),
    "rlnDefocusV": (("ctf/df2_A",), as_it_is),
    "rlnDefocusAngle": (("ctf/df_angle_rad",), np.rad2deg),
    "rlnVoltage": (("ctf/accel_kv",), as_it_is),
    "rlnSphericalAberration": (("ctf/cs_mm",), as_it_is),
    "rlnAmplitudeContrast": (("ctf/amp_contrast", "ctf/ac"), as_it_is),
    "rlnPhaseShift": (("ctf/phase_shift_rad",), np.rad2deg),
    "rlnClassNumber": ((CLASS,), lambda values: values + 1),
}

# What is not made use of, and the value with which it does nothing; anisomag is what is added to the identity.
UNUSED = {
    **{"ctf/anisomag": 0.0, "ctf/bfactor": 0.0, "ctf/scale": 1.0, "ctf/scale_const": 0.0},
    **{"ctf/tilt_A": 0.0, "ctf/shift_A": 0.0, "ctf/trefoil_A": 0.0, "ctf/tetra_A": 0.0},
}


@dataclass(frozen=True)
class Cs(Listing):
    """A .cs file: its particles (N,), a structured array, and the rows that are meant, from 0.

    given: Å per pixel, in place of what the files say.
    """

    path: Path
    particles: np.ndarray = field(repr=False)
    rows: np.ndarray
    given: float | None = None

    ending: ClassVar[str] = ".cs"

    def named(self, indices: np.ndarray) -> str:
        """Particles at these positions, as people count a file's images."""
        return f"image {numbers(self.rows[np.asarray(indices)] + 1)}"

    @cached_property
    def kinds(self) -> dict[str, np.dtype]:
        """The file's own names and what is in them."""
        return {name: self.particles.dtype.fields[name][0] for name in self.particles.dtype.names}  # type: ignore[index,union-attr]

    @property
    def columns(self) -> tuple[str, ...]:
        """RELION's names of what the file has."""
        names = [name for name, (fields, _) in FIELDS.items() if any(one in self.kinds for one in fields)]
        return (*names, *(ANGLES if POSE in self.kinds else ()))

    def column(self, name: str, default: float | None = None) -> np.ndarray:
        """(n,) float64. Raises InputError where it is missing without a default, or not a finite number."""
        if name in ANGLES and POSE in self.kinds:
            return self._angles[:, ANGLES.index(name)]
        fields, convert = FIELDS.get(name, ((POSE,) if name in ANGLES else (), as_it_is))
        own = next((one for one in fields if one in self.kinds), None)
        if own is None:
            if default is not None:
                return np.full(len(self), default)
            listed = ", ".join(list(self.kinds)[:SHOWN])
            raise InputError(
                f"{self.path}: expected a field {' or '.join(fields) or name}, got {listed}; if another one has it, {CONVERT}"
            )
        return convert(self._numbers(own))

    def called(self, name: str) -> str:
        """The field that a column is made of."""
        fields, _ = FIELDS.get(name, ((POSE,) if name in ANGLES else (name,), as_it_is))
        return next((one for one in fields if one in self.kinds), fields[0])

    def unused(self) -> list[str]:
        """The fields of UNUSED in which something else stands than what does nothing."""
        names = [name for name in UNUSED if name in self.kinds and self.kinds[name].base.kind in "fiu"]
        return [name for name in names if not np.allclose(self.particles[name][self.rows], UNUSED[name], atol=1e-6)]

    def origins(self, pixel_size: float | None) -> np.ndarray:
        """(n, 2) x and y in pixels: alignments3D/shift, in pixels of alignments3D/psize_A or of the images; 0 without one."""
        if SHIFT not in self.kinds:
            return np.zeros((len(self), 2))
        shifts = self._numbers(SHIFT, 2)
        pixels = SHIFT_PIXEL if SHIFT_PIXEL in self.kinds else PIXEL
        if pixels not in self.kinds or pixel_size is None:
            return shifts
        return shifts * self._numbers(pixels)[:, None] / pixel_size

    @property
    def contrast(self) -> str | None:
        """By blob/sign: "white" for 1, "dark" for -1. Raises InputError for other signs, or both."""
        if SIGN not in self.kinds:
            return None
        signs = self._numbers(SIGN)
        for sign, contrast in ((1, "white"), (-1, "dark")):
            if (signs == sign).all():
                return contrast
        raise InputError(
            f"{self.path}: expected one sign, 1 or -1, in {SIGN}, got {signs.min():g} to {signs.max():g}; "
            "take images of one with --images"
        )

    def pointing_to(self, stack: str, indices: np.ndarray) -> bytes:
        """The file with these particles, their images now 0, 1, … of this stack, and every other field as it was."""
        before = self.particles[self.rows[np.asarray(indices)]]
        kinds = dict(self.kinds)
        text = stack.encode("utf-8", "surrogateescape") if kinds[PATH].kind == "S" else stack
        kinds[PATH] = np.dtype((kinds[PATH].type, max(1, len(text))))
        if np.iinfo(kinds[IDX]).max < len(before):
            kinds[IDX] = np.dtype("<u4")
        after = np.empty(len(before), list(kinds.items()))
        for name in kinds:
            after[name] = text if name == PATH else np.arange(len(before)) if name == IDX else before[name]
        out = io.BytesIO()
        np.save(out, after, allow_pickle=False)
        return out.getvalue()

    def _listed_pixel_sizes(self) -> np.ndarray | None:
        return self._numbers(PIXEL) if PIXEL in self.kinds else None

    def _listed_sizes(self) -> np.ndarray | None:
        return self._numbers(SHAPE, 2) if SHAPE in self.kinds else None

    @cached_property
    def _angles(self) -> np.ndarray:
        """(n, 3) rot, tilt and psi in degrees."""
        return euler_from_rotations(Rotation.from_rotvec(self._numbers(POSE, 3)).as_matrix())

    @property
    def _all_stacks(self) -> set[str]:
        return {path_in(field) for field in set(self.particles[PATH].tolist())} - {""}

    @cached_property
    def _places(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        paths = self.particles[PATH][self.rows]
        which, kinds = pd.factorize(paths.astype(object))
        names = [path_in(kind) for kind in kinds]
        if empty := [k for k, name in enumerate(names) if not name]:
            wrong = np.flatnonzero(np.isin(which, empty))
            raise InputError(f"{self.path}: expected the path of a stack in {PATH}, got none for {self.named(wrong)}")
        places = self.particles[IDX][self.rows].astype(np.float64)
        if (places < 0).any() or (places > 2**40).any():
            wrong = np.flatnonzero((places < 0) | (places > 2**40))
            raise InputError(
                f"{self.path}: expected image numbers from 0 in {IDX}, got {places[wrong[0]]:g} for {self.named(wrong)}"
            )
        return names, which, places.astype(np.int64)

    def _numbers(self, name: str, width: int | None = None) -> np.ndarray:
        """(n,) or (n, width) float64 of a field. Raises InputError unless these are finite numbers of this shape."""
        kind = self.kinds[name]
        if kind.base.kind not in "fiu" or kind.shape != (() if width is None else (width,)):
            what = "a number" if width is None else f"{width} numbers"
            raise InputError(f"{self.path}: expected {what} in {name}, got {kind}; {CONVERT}")
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.particles[name][self.rows].astype(np.float64)
        if not (good := np.isfinite(values).reshape(len(values), -1).all(axis=1)).all():
            raise InputError(
                f"{self.path}: expected numbers in {name}, got {values[~good].ravel()[0]:g} for "
                f"{self.named(np.flatnonzero(~good))}"
            )
        return values


def path_in(field: bytes | str) -> str:
    """The path in a field of blob/path, of any bytes."""
    return (field.decode("utf-8", "surrogateescape") if isinstance(field, bytes) else field).removeprefix(">")


def read_cs(path: Path | str, pixel_size: float | None = None) -> Cs:
    """A .cs file of particles. Raises InputError for a file that is missing, none, packed, cut short, or without images."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            first = file.read(len(NUMPY))
    except OSError as error:
        what = "there is none" if not path.exists() else f"got '{error.strerror or error}'"
        raise InputError(f"{path}: expected a .cs file, {what}") from None
    if first == PACKED:
        raise InputError(
            f"{path}: expected a .cs file in NumPy's format, got cryoSPARC's packed one; save it with "
            f"cryosparc-tools (format NUMPY_FORMAT), or {CONVERT}"
        )
    if first != NUMPY:
        raise InputError(
            f"{path}: expected a .cs file of cryoSPARC 2 or later, got none (it doesn't begin as NumPy's files do)"
        )
    try:  # mapped: nothing is believed about its size that the file's own doesn't bear out
        table = np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=LONGEST_HEADER)
        rest = path.stat().st_size - table.offset - table.nbytes
        table = np.array(table)
    except (
        ValueError,
        TypeError,
        KeyError,
        OSError,
        EOFError,
        SyntaxError,
        OverflowError,
        MemoryError,
        RecursionError,
        AttributeError,
        IndexError,
        tokenize.TokenError,
    ) as error:
        raise InputError(f"{path}: expected a whole .cs file, got '{' '.join(str(error).split())[:150]}'") from None
    if table.dtype.names is None or table.ndim != 1 or not len(table):
        raise InputError(
            f"{path}: expected a table of particles, got an array of shape {table.shape} and type "
            f"{str(table.dtype)[:80]}"
        )
    made = Cs(path, table, np.arange(len(table)), pixel_size)
    for name, kinds, what in ((PATH, "SU", "text"), (IDX, "iu", "whole numbers")):
        if name not in made.kinds:
            raise InputError(
                f"{path}: expected a field {name}, got {', '.join(list(made.kinds)[:SHOWN])}; give the file that has the "
                f"particles' images (not the passthrough file), or {CONVERT}"
            )
        if (kind := made.kinds[name]).kind not in kinds:
            raise InputError(f"{path}: expected {what} in {name}, got {kind}; {CONVERT}")
    if rest > 0:
        note(f"{path}: {rest} bytes after the {len(table)} particles that its header announces are not read")
    return made
