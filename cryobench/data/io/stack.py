"""Image stacks and maps on disk (.mrc, .mrcs): checked when opened, read a few images at a time, written whole or not at all.

Memory is that of the images asked for, however large a stack is: nothing stays mapped between two calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import mrcfile
import numpy as np
import scipy.fft

from cryobench.data.io.mrc import SAME, Header, read_header, read_whole
from cryobench.errors import InputError, note
from cryobench.files import whole

KEPT = ("exttyp", "nxstart", "nystart", "nzstart", "origin", "nlabl", "label")  # of a header, from stack to stack
TOLERANCE = 0.01  # relative; pixel sizes that differ by less are taken for one


class Stack:
    """A stack of square images on disk.

    path; shape (n, L, L); pixel_size in Å: the one given, else the header's, else None; header: its fields, as mrcfile
    names them; is_volume: whether the header calls it a volume, as many programs do with stacks. Raises InputError for a
    file that is missing, packed, truncated, no MRC file, complex, empty, or whose images are not square.
    """

    def __init__(self, path: Path | str, pixel_size: float | None = None):
        self.path = Path(path)
        self._header: Header = read_header(self.path)
        self.shape, self.header, self.is_volume = self._header.shape, self._header.fields, self._header.is_volume
        self.pixel_size = pixel_size or pixel_of(self._header, (0, 1), self.path)
        if self.shape[1] != self.shape[2]:
            raise InputError(f"{self.path}: expected square images, got {self.shape[2]} × {self.shape[1]} pixels")
        if self._header.axes != (1, 2, 3):
            raise InputError(
                f"{self.path}: expected images with x along their rows (mapc, mapr, maps = 1, 2, 3), got "
                f"{self._header.axes}; a map may have its axes in another order"
            )

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """L in pixels."""
        return self.shape[-1]

    @property
    def extended(self) -> np.ndarray:
        """The extended header as single bytes, as mrcfile takes it."""
        with open(self.path, "rb") as file:
            file.seek(1024)
            return np.frombuffer(file.read(self._header.offset - 1024), "V1")

    def named(self, indices: np.ndarray) -> str:
        """Images at these positions, as people count them."""
        return f"image {numbers(np.asarray(indices) + 1)}"

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images at these positions, (b, L, L) float32. Raises InputError for NaN, infinity, or beyond the stack."""
        images = self.raw(indices)
        finite = np.isfinite(images).all(axis=(1, 2))
        if not finite.all():
            raise InputError(
                f"{self.path}: expected finite pixels, got NaN or infinity in "
                f"{self.named(np.asarray(indices)[~finite])}; leave it out"
            )
        return images

    def raw(self, indices: np.ndarray) -> np.ndarray:
        """As `read`, whatever the values are."""
        indices = np.asarray(indices)
        if len(indices) and not (0 <= indices.min() and indices.max() < len(self)):
            raise InputError(f"{self.path}: expected images 1 to {len(self)}, got number {indices.max() + 1}")
        pixels = np.memmap(self.path, self._header.dtype, "r", self._header.offset, self.shape)
        return pixels[indices].astype(np.float32)


def numbers(values: np.ndarray) -> str:
    """Numbers in rising order as people and --images write them: 1-12,40; of many ranges the first eight.

    >>> numbers(np.array([40, 1, 2, 3]))
    '1-3,40'
    """
    values = np.unique(values)
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 2) > 1)
    ends = [*(starts[1:] - 1), len(values) - 1]
    ranges = [f"{values[a]}" if a == b else f"{values[a]}-{values[b]}" for a, b in zip(starts, ends, strict=True)]
    return ",".join(ranges[:8]) + (f" and {len(ranges) - 8} ranges more" if len(ranges) > 8 else "")


def pixel_of(header: Header, axes: tuple[int, ...], path: Path) -> float | None:
    """The edge of a pixel in Å, None where it isn't known, or where a header names another one for each axis."""
    known = [pixel for axis in axes if (pixel := header.pixels[axis]) is not None]
    if not known:
        return None
    if max(known) - min(known) > SAME * max(known):
        text = " × ".join(f"{value:g}" for value in known)
        note(f"{path}: its header's pixel size is not used, since pixels of {text} Å are not square")
        return None
    return header.pixels[0]


def read_map(path: Path | str) -> tuple[np.ndarray, float | None]:
    """A map (L, L, L) float32, indexed zyx whatever its order in the file, and its voxel size in Å or None.

    The file may be packed by gzip, bzip2 or xz. Raises InputError for anything else than a cube of finite numbers.
    """
    path = Path(path)
    header, data = read_whole(path)
    place = [header.axes[::-1].index(axis) for axis in (3, 2, 1)]  # of z, y and x in the file
    if len(set(data.shape)) != 1:
        raise InputError(f"{path}: expected a cubic map, got one of {' × '.join(map(str, data.shape[::-1]))} voxels")
    volume = np.ascontiguousarray(data.transpose(place), dtype=np.float32)
    if not np.isfinite(volume).all():
        raise InputError(f"{path}: expected finite voxels, got NaN or infinity")
    start = [int(header.fields[f"n{axis}start"]) for axis in "xyz"]
    origin = [float(header.fields["origin"][axis]) for axis in "xyz"]
    if any(start) or any(origin):
        where = " and ".join(
            f"{name} ({', '.join(f'{v:g}' for v in values)})"
            for name, values in (("nstart", start), ("origin", origin))
            if any(values)
        )
        note(
            f"{path}: its {where} {'are' if any(start) and any(origin) else 'is'} not used: the centre of the map is "
            "taken for that of its box"
        )
    return volume, pixel_of(header, (0, 1, 2), path)


def write_map(path: Path | str, volume: np.ndarray, voxel_size: float) -> Path:
    """Write a map (L, L, L), indexed zyx, voxel size in Å, whole or not at all."""
    path = Path(path)
    with whole(path) as partial, mrcfile.new(partial, np.asarray(volume, np.float32), overwrite=True) as file:
        file.voxel_size = voxel_size
    return path


def same_pixel_size(one: float | None, other: float | None) -> bool:
    """Whether two pixel sizes agree; an unknown one agrees with any."""
    return one is None or other is None or abs(one - other) <= TOLERANCE * max(one, other)


@contextmanager
def new_stack(
    path: Path | str, n: int, size: int, pixel_size: float | None, *, like: Stack | None = None
) -> Iterator[StackWriter]:
    """Write n images (L, L) as float32 to `path`, a block at a time; the file appears when all are there.

        with new_stack(path, n, size, pixel_size) as stack:
            stack.append(images)

    like: a Stack whose header (labels, origin, extended header, stack or volume flag) is kept. Raises InputError if there
    is no room, the folder can't be written, or other images come than those announced; nothing is left behind then.
    """
    with whole(path, needs=4 * n * size**2) as partial:
        with mrcfile.new_mmap(partial, (n, size, size), mrc_mode=2, overwrite=True) as file:
            (file.set_volume if like is not None and like.is_volume else file.set_image_stack)()
            file.voxel_size = pixel_size or 0
            if like is not None:
                if len(like.extended):
                    file.set_extended_header(like.extended)
                for name in KEPT:
                    file.header[name] = like.header[name]
                file.header.nlabl = min(max(int(like.header["nlabl"]), 0), 10)  # MRC2014 has ten
            offset = file.data.offset
        with open(partial, "r+b") as file:
            file.seek(offset)
            stack = StackWriter(file, n, size)
            yield stack
        if stack.done < n:
            raise InputError(f"{path}: expected {n} images, got {stack.done}")
        mean, square = stack.sums / (n * size**2)
        with mrcfile.mmap(partial, mode="r+") as file:
            file.header.dmin, file.header.dmax, file.header.dmean = stack.low, stack.high, mean
            file.header.rms = max(square - mean**2, 0) ** 0.5


class StackWriter:
    """Puts images behind one another into an open file, and keeps what its header is to say of them."""

    def __init__(self, file: BinaryIO, n: int, size: int):
        self.file, self.n, self.size = file, n, size
        self.done, self.low, self.high, self.sums = 0, np.inf, -np.inf, np.zeros(2)

    def append(self, images: np.ndarray) -> None:
        """The next images (b, L, L)."""
        if images.shape[1:] != (self.size, self.size) or self.done + len(images) > self.n:
            raise InputError(f"expected {self.n} images of {self.size} px, got more, or one of another size")
        images = np.ascontiguousarray(images, dtype="<f4")
        self.file.write(images.data)
        self.done += len(images)
        self.low, self.high = min(self.low, images.min()), max(self.high, images.max())
        self.sums += images.sum(dtype=np.float64), np.square(images, dtype=np.float64).sum()


def crop_centre(
    images: np.ndarray, size: int, *, centre: int | None = None, axes: tuple[int, ...] = (-2, -1)
) -> np.ndarray:
    """The middle `size` pixels of the axes of length L, so that pixel `centre` (L//2) gets to size//2; a view.

    Raises InputError if the image ends before.
    """
    length = images.shape[axes[-1]]
    start = (length // 2 if centre is None else centre) - size // 2
    if start < 0 or start + size > length:
        raise InputError(f"expected to cut {size} pixels out of {length}; give a smaller crop")
    for axis in axes:
        images = np.moveaxis(np.moveaxis(images, axis, 0)[start : start + size], 0, axis)
    return images


def resample(images: np.ndarray, size: int, axes: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Fourier resampling: (…, L, L) → (…, M, M) float32, the pixel L//2 going to M//2; values are kept, not sums.

    axes: those of length L; all three for a volume. Down, the frequencies above M's Nyquist are lost.
    """
    length = images.shape[axes[-1]]
    if size == length:
        return np.asarray(images, dtype=np.float32)
    spectrum = scipy.fft.fftshift(scipy.fft.fftn(scipy.fft.ifftshift(images, axes=axes), axes=axes), axes=axes)
    keep = min(length, size)
    for axis in axes:
        start = length // 2 - keep // 2
        spectrum = np.take(spectrum, np.arange(start, start + keep), axis=axis)
    if size > length:
        pads = [(0, 0)] * images.ndim
        for axis in axes:
            before = size // 2 - length // 2
            pads[axis] = (before, size - length - before)
        spectrum = np.pad(spectrum, pads)
    result = scipy.fft.ifftn(scipy.fft.ifftshift(spectrum, axes=axes), axes=axes).real
    return (scipy.fft.fftshift(result, axes=axes) * (size / length) ** len(axes)).astype(np.float32)
