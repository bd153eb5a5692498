"""Simulated images as other software reads them: an .mrcs stack, a RELION 3.1 .star file, and .mrc volumes."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from cryobench.data.io.stack import new_stack, write_map
from cryobench.data.io.star import DEFOCUS, MICROSCOPE
from cryobench.data.rotations import euler_from_rotations
from cryobench.errors import InputError
from cryobench.files import whole
from cryobench.noise.ctf import Ctf


def write_stack(
    folder: Path | str,
    blocks: Iterable[np.ndarray],
    rotations: np.ndarray,
    labels: np.ndarray,
    pixel_size: float,
    *,
    volumes: np.ndarray | None = None,
    name: str = "particles",
    texts: Callable[[str], Mapping[str, str]] | None = None,
    ctf: Ctf | None = None,
    displaced: np.ndarray | None = None,
) -> Path:
    """Write a new folder with NAME.mrcs, NAME.star and, if volumes are given, conformation_1.mrc and so on.

    blocks: the images in order, any number (b, L, L) at a time, so that a stack larger than memory can be written;
    rotations (n, 3, 3), labels (n,) from 0 (rlnClassNumber counts from 1), pixel_size in Å, volumes (k, L, L, L); texts: the
    `digest` of the images → further files, name → text; ctf: of each image, by one microscope, None where there is none;
    displaced (n, 2): how far particles are off the centre, x and y in px, as data.poses has it, None where they are not.
    Returns the path of the .star file. The folder appears when it is whole, and is never written over. Raises
    InputError if it exists, for a wrong number or size of images, or if there is no room.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(
            f"expected a new folder to write particles to, got {folder}, which exists; remove or rename it"
        )
    if not len(rotations) == len(labels) > 0:
        raise InputError(f"expected a rotation and a label for each image, got {len(rotations)} and {len(labels)}")
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        size, digest = _write_images(partial / f"{name}.mrcs", blocks, len(rotations), pixel_size)
        for file, text in (texts(digest) if texts else {}).items():
            (partial / file).write_text(text, encoding="utf-8")
        for number, volume in enumerate(volumes if volumes is not None else (), start=1):
            write_map(partial / f"conformation_{number}.mrc", volume, pixel_size)
        starfile.write(_tables(name, size, pixel_size, rotations, labels, ctf, displaced), partial / f"{name}.star")
        partial.chmod(0o755)
        partial.rename(folder)
    except InputError as error:  # the temporary folder is nobody's business
        raise InputError(str(error).replace(str(partial), str(folder)) if partial else str(error)) from None
    except OSError as error:
        raise InputError(
            f"expected room for {folder}, got '{error.strerror or error}'; make room or write elsewhere"
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / f"{name}.star"


def write_poses(
    path: Path,
    rotations: np.ndarray,
    size: int,
    pixel_size: float,
    name: str = "train",
    shifts: np.ndarray | None = None,
) -> Path:
    """A .star file that RELION reads: images 1@NAME.mrcs and so on, of L = `size` px and pixel_size Å, seen under rotations
    (n, 3, 3); shifts (n, 2): how far particles are off the centre, (down, right) in px, of which origins are the opposite."""
    displaced = None if shifts is None else shifts[:, ::-1]
    tables = _tables(name, size, pixel_size, rotations, np.zeros(len(rotations), np.int64), displaced=displaced)
    with whole(path) as partial:
        starfile.write(tables, partial)
    return path


def digest_of(blocks: Iterable[np.ndarray]) -> str:
    """sha256 of images (b, L, L), however they come in blocks: of their pixels as little-endian float32, row by row."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(np.ascontiguousarray(block, dtype="<f4").data)
    return digest.hexdigest()


def write_split(folder: Path | str, pairs, split: str, noisy=None, texts=None) -> Path:
    """Write the images of "train" or "test" of a data set (`Pairs`) and its volumes as `write_stack` does.

    The clean images, or those of `noisy` (a NoisyImages of this split); texts: as in `write_stack`.
    """
    part = getattr(pairs, split)
    starts = range(0, len(part.clean), 256)
    blocks = (noisy.noisy(slice(s, s + 256)) if noisy is not None else part.clean[s : s + 256] for s in starts)
    ctf = noisy.ctf() if noisy is not None and noisy.has_ctf else None
    displaced = part.displaced if noisy is None else noisy.poses().displaced  # recorded particles lie off in both
    about = {"volumes": pairs.volumes, "name": split, "texts": texts, "ctf": ctf, "displaced": displaced}
    return write_stack(folder, blocks, part.rotations, part.labels, pairs.pixel_size, **about)


def _write_images(path: Path, blocks: Iterable[np.ndarray], n: int, pixel_size: float) -> tuple[int, str]:
    """One .mrcs of n images, block by block. Returns their size in pixels and their digest."""
    blocks = iter(blocks)
    first = next(blocks)
    with new_stack(path, n, first.shape[-1], pixel_size) as stack:

        def written() -> Iterator[np.ndarray]:
            for block in itertools.chain([first], blocks):
                stack.append(block)
                yield block

        digest = digest_of(written())
    return stack.size, digest


def _tables(
    name: str,
    size: int,
    pixel_size: float,
    rotations: np.ndarray,
    labels: np.ndarray,
    ctf: Ctf | None = None,
    displaced: np.ndarray | None = None,
) -> dict[str, pd.DataFrame]:
    # RELION's origins are what puts a particle in the centre; + 0.0, so that none is −0.
    origins = np.zeros((len(labels), 2)) if displaced is None else -pixel_size * np.asarray(displaced, np.float64) + 0.0
    rot, tilt, psi = euler_from_rotations(rotations).T
    # RELION will not read a file without a microscope, whether or not the images have a CTF.
    microscope = [300.0, 2.7, 0.1] if ctf is None else ctf.values[0, 3:6].tolist()
    optics = {
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["opticsGroup1"],
        **{column: [value] for column, value in zip(MICROSCOPE, microscope, strict=True)},
        "rlnImagePixelSize": [pixel_size],
        "rlnImageSize": [size],
        "rlnImageDimensionality": [2],
    }
    particles = {
        "rlnImageName": [f"{i:06d}@{name}.mrcs" for i in range(1, len(labels) + 1)],
        "rlnAngleRot": rot,
        "rlnAngleTilt": tilt,
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": origins[:, 0],
        "rlnOriginYAngst": origins[:, 1],
        "rlnClassNumber": np.asarray(labels) + 1,
        "rlnOpticsGroup": 1,
    }
    if ctf is not None:
        particles |= dict(zip((*DEFOCUS, "rlnPhaseShift"), ctf.values[:, [0, 1, 2, 6]].T, strict=True))
    return {"optics": pd.DataFrame(optics), "particles": pd.DataFrame(particles)}
