"""Particles as RELION and cryoSPARC list them: a .star file of one block (RELION 3.0 and before) or with optics groups.

Angles are RELION's (project.rotations_from_euler). An origin (x, y) is the shift that would centre the particle: in the
image it lies at the centre minus the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from cryobench.data.io.stack import Stack, same_pixel_size
from cryobench.errors import InputError
from cryobench.files import replacing

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")


@dataclass(frozen=True)
class Star:
    """A .star file: its blocks, as they are, and the particles with their optics group's columns beside their own.

    read(indices) gives images as a Stack does, out of as many stacks as the file names.
    """

    path: Path
    blocks: dict[str, pd.DataFrame]
    block: str
    particles: pd.DataFrame

    def __len__(self) -> int:
        return len(self.particles)

    def column(self, name: str, default: float | None = None) -> np.ndarray:
        """(n,) float64. Raises InputError where it is missing without a default, or not a finite number."""
        if name not in self.particles:
            if default is None:
                raise InputError(f"{self.path}: expected a column {name}, got {', '.join(self.particles.columns[:30])}")
            return np.full(len(self), default)
        values = pd.to_numeric(self.particles[name], errors="coerce").to_numpy(np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{self.path}: expected numbers in {name}, got "
                             f"'{self.particles[name].iloc[int(np.argmin(np.isfinite(values)))]}'")  # fmt: skip
        return values

    def origins(self, pixel_size: float | None) -> np.ndarray:
        """(n, 2) x and y in pixels: rlnOriginXAngst over the pixel size, or RELION 3.0's rlnOriginX; 0 without either."""
        if "rlnOriginXAngst" in self.particles:
            values = np.stack([self.column(f"rlnOrigin{axis}Angst") for axis in "XY"], axis=-1)
            if pixel_size is None and values.any():
                raise InputError(f"{self.path}: expected a pixel size, to turn origins in Å into pixels; give it")
            return values / (pixel_size or 1.0)
        return np.stack([self.column(f"rlnOrigin{axis}", 0.0) for axis in "XY"], axis=-1)

    @cached_property
    def pixel_size(self) -> float | None:
        """Å, by the star file, else by the stacks. Raises InputError where it says two, or the stacks say another."""
        if "rlnImagePixelSize" in self.particles:
            sizes = self.column("rlnImagePixelSize")
        elif {"rlnDetectorPixelSize", "rlnMagnification"} <= set(self.particles):
            sizes = self.column("rlnDetectorPixelSize") * 1e4 / self.column("rlnMagnification")  # μm over magnification
        else:
            sizes = None
        if sizes is not None and not same_pixel_size(sizes.min(), sizes.max()):
            raise InputError(f"{self.path}: expected one pixel size, got {sizes.min():g} to {sizes.max():g} Å; "
                             "rescale the particles, or take one optics group at a time")  # fmt: skip
        known = {str(self.path): None if sizes is None else float(np.median(sizes))}
        known |= {str(stack.path): stack.pixel_size for stack in self.stacks}
        return agreed_pixel_size(known)

    @cached_property
    def _places(self) -> tuple[list[Path], np.ndarray, np.ndarray]:
        """The stacks, and for each particle which of them and which image there, from 0."""
        if "rlnImageName" not in self.particles:
            raise InputError(
                f"{self.path}: expected a column rlnImageName, got {', '.join(self.particles.columns[:30])}"
            )
        names = self.particles["rlnImageName"].astype(str)
        parts = names.str.extract(r"^(?:(\d+)@)?(.+)$")
        numbers = parts[0].fillna("1").astype(np.int64).to_numpy()
        if (numbers < 1).any():
            raise InputError(f"{self.path}: expected image names like 000001@stack.mrcs, counted from 1, got "
                             f"{names.iloc[int(np.argmin(numbers))]}")  # fmt: skip
        which, files = pd.factorize(parts[1])
        return [self._find(name) for name in files], which, numbers - 1

    def _find(self, name: str) -> Path:
        """A stack's path is relative to the project's folder, which is the star file's or one above it."""
        home = self.path.resolve().parent
        for folder in (home, *home.parents, Path.cwd()):
            if (folder / name).is_file():
                return folder / name
        raise InputError(f"{self.path}: expected the stack {name} in {home} or a folder above it, it is in none; "
                         "keep the project's folders as they were")  # fmt: skip

    @cached_property
    def stacks(self) -> list[Stack]:
        paths, which, numbers = self._places
        stacks = [Stack(path) for path in paths]
        for k, stack in enumerate(stacks):
            if stack.size != stacks[0].size:
                raise InputError(f"{stack.path}: expected images of {stacks[0].size} px, as in {stacks[0].path}, got "
                                 f"{stack.size}")  # fmt: skip
            last = int(numbers[which == k].max()) + 1
            if last > len(stack):
                raise InputError(
                    f"{self.path}: expected image numbers up to {len(stack)}, which {stack.path} holds, got {last}"
                )
        return stacks

    @property
    def size(self) -> int:
        return self.stacks[0].size

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images of these rows, (b, L, L) float32. Raises InputError for NaN or infinity."""
        _, which, numbers = self._places
        indices = np.asarray(indices)
        images = np.empty((len(indices), self.size, self.size), np.float32)
        for k in np.unique(which[indices]):
            rows = which[indices] == k
            images[rows] = self.stacks[k].read(numbers[indices][rows])
        return images

    def pointing_to(self, stack: str, rows: np.ndarray) -> dict[str, pd.DataFrame]:
        """The blocks with only these rows of particles, their images now 000001@stack and so on, all else as it was."""
        table = self.blocks[self.block].iloc[rows].copy()
        table["rlnImageName"] = [f"{i:06d}@{stack}" for i in range(1, len(table) + 1)]
        return {**self.blocks, self.block: table}


def read_star(path: Path | str) -> Star:
    """A particle .star file. Raises InputError for a file that is missing, is none, or has no particles."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a .star file, there is none")
    try:
        blocks = starfile.read(path, always_dict=True)
    except Exception as error:  # whatever pandas makes of a damaged table
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{path}: expected a .star file, got what can't be read as one ({reason})") from None
    tables = {name: table for name, table in blocks.items() if isinstance(table, pd.DataFrame)}
    name = next((n for n in ("particles", "images") if n in tables), None)
    name = name or next((n for n, table in tables.items() if "rlnImageName" in table), None)
    if name is None:
        found = ", ".join(map(repr, blocks)) or "none"
        raise InputError(f"{path}: expected a table of particles with rlnImageName, got tables {found}")
    particles = tables[name].reset_index(drop=True)
    if not len(particles):
        raise InputError(f"{path}: expected particles, got an empty table")
    optics = tables.get("optics")
    if optics is None and isinstance(blocks.get("optics"), dict):  # starfile's form of a block without a loop
        optics = pd.DataFrame([blocks["optics"]])
    if optics is not None and "rlnOpticsGroup" in particles:
        unknown = set(particles["rlnOpticsGroup"]) - set(optics["rlnOpticsGroup"])
        if unknown:
            raise InputError(
                f"{path}: expected optics groups out of {sorted(optics['rlnOpticsGroup'])}, got {sorted(unknown)}"
            )
        extra = optics[["rlnOpticsGroup", *(c for c in optics if c not in particles)]]
        particles = particles.merge(extra, on="rlnOpticsGroup", how="left")
    return Star(path, blocks, name, particles)


def write_star(path: Path | str, blocks: dict[str, pd.DataFrame]) -> Path:
    """Write blocks to `path`, whole or not at all."""
    path = Path(path)
    try:
        with replacing(path) as partial:
            starfile.write(blocks, partial)
    except OSError as error:
        raise InputError(f"{path}: expected a place to write to, got '{error.strerror or error}'") from None
    return path


def agreed_pixel_size(known: dict[str, float | None]) -> float | None:
    """The first pixel size that is known, name → Å or None. Raises InputError if another one disagrees."""
    first = next(((name, size) for name, size in known.items() if size is not None), None)
    if first is None:
        return None
    for name, size in known.items():
        if not same_pixel_size(first[1], size):
            raise InputError(f"expected one pixel size, got {first[1]:g} Å in {first[0]} and {size:g} Å in {name}; "
                             "correct the wrong one")  # fmt: skip
    return first[1]


def open_images(path: Path | str) -> Stack | Star:
    """A stack of images, or a .star file, whose images come in its rows' order."""
    return read_star(path) if Path(path).suffix.lower() == ".star" else Stack(path)
