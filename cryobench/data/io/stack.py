"""Image stacks and maps on disk (.mrc, .mrcs): checked when opened, read a few images at a time, written whole or not at all.

Memory is that of the images asked for, however large a stack is: nothing stays mapped between two calls.
"""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import mrcfile
import numpy as np
import scipy.fft

from cryobench.errors import InputError
from cryobench.files import replacing

KEPT = ("exttyp", "nxstart", "nystart", "nzstart", "origin", "nlabl", "label")  # of a header, from stack to stack
TOLERANCE = 0.01  # relative; pixel sizes that differ by less are taken for one


class Stack:
    """A stack of square images on disk.

    path; shape (n, L, L); pixel_size in Å, or None where the header has none; header: as mrcfile reads it;
    is_volume: whether the header calls it a volume, as many programs do with stacks. Raises InputError for a file that
    is missing, truncated, no MRC file, complex, empty, or whose images are not square.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        with _opened(self.path) as file:
            data = file.data if file.data.ndim == 3 else file.data[None]
            self.shape = data.shape
            self._place = {"dtype": data.dtype, "offset": file.data.offset, "shape": data.shape}
            self.pixel_size = _voxel_size(file)
            self.header, self.extended = file.header.copy(), np.array(file.extended_header)
            self.is_volume = bool(file.is_volume())
        if self.shape[1] != self.shape[2]:
            raise InputError(f"{self.path}: expected square images, got {self.shape[2]} × {self.shape[1]} pixels")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """L in pixels."""
        return self.shape[-1]

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images at these positions, (b, L, L) float32. Raises InputError for NaN, infinity, or beyond the stack."""
        indices = np.asarray(indices)
        if len(indices) and not (0 <= indices.min() and indices.max() < len(self)):
            raise InputError(f"{self.path}: expected images 1 to {len(self)}, got number {indices.max() + 1}")
        images = np.memmap(self.path, mode="r", **self._place)[indices].astype(np.float32)
        finite = np.isfinite(images).all(axis=(1, 2))
        if not finite.all():
            raise InputError(f"{self.path}: expected finite pixels, got NaN or infinity in image "
                             f"{int(indices[np.argmin(finite)]) + 1}; leave it out")  # fmt: skip
        return images


def read_map(path: Path | str) -> tuple[np.ndarray, float | None]:
    """A map (L, L, L) float32, indexed zyx, and its voxel size in Å or None. Raises InputError for anything else."""
    with _opened(Path(path)) as file:
        if file.data.ndim != 3 or len(set(file.data.shape)) != 1:
            raise InputError(
                f"{path}: expected a cubic map, got one of {' × '.join(map(str, file.data.shape[::-1]))} voxels"
            )
        volume = np.array(file.data, dtype=np.float32)
        if not np.isfinite(volume).all():
            raise InputError(f"{path}: expected finite voxels, got NaN or infinity")
        return volume, _voxel_size(file)


def write_map(path: Path | str, volume: np.ndarray, voxel_size: float) -> Path:
    """Write a map (L, L, L), indexed zyx, voxel size in Å, whole or not at all."""
    path = Path(path)
    with replacing(path) as partial, mrcfile.new(partial, np.asarray(volume, np.float32), overwrite=True) as file:
        file.voxel_size = voxel_size
    return path


def same_pixel_size(one: float | None, other: float | None) -> bool:
    """Whether two pixel sizes agree; an unknown one agrees with any."""
    return one is None or other is None or abs(one - other) <= TOLERANCE * max(one, other)


class StackWriter:
    """Writes n images (L, L) as float32 to `path`, a block at a time, under a temporary name until all are there.

        with StackWriter(path, n, size, pixel_size) as stack:
            stack.append(images)

    like: a Stack whose header (labels, origin, extended header, stack or volume flag) is kept. Raises InputError if there
    is no room, the folder can't be written, or other images come than those announced; nothing is left behind then.
    """

    def __init__(self, path: Path | str, n: int, size: int, pixel_size: float | None, *, like: Stack | None = None):
        self.path, self.n, self.size, self.pixel_size, self.like = Path(path), n, size, pixel_size, like
        self.partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> StackWriter:
        try:
            free, needs = shutil.disk_usage(self.path.parent).free, 4 * self.n * self.size**2
            if free < needs:
                raise InputError(f"expected {needs / 1e9:.2g} GB free for {self.path.name}, got {free / 1e9:.2g}; "
                                 "make room or write elsewhere")  # fmt: skip
            with mrcfile.new_mmap(self.partial, (self.n, self.size, self.size), mrc_mode=2, overwrite=True) as file:
                self._head(file)
                offset = file.data.offset
            self._file = open(self.partial, "r+b")
            self._file.seek(offset)
        except OSError as error:
            self._forget()
            raise InputError(f"{self.path}: expected a place to write to, got '{error.strerror or error}'; "
                             "make room or write elsewhere") from None  # fmt: skip
        except BaseException:
            self._forget()
            raise
        self.done, self._low, self._high, self._sums = 0, np.inf, -np.inf, np.zeros(2)
        return self

    def _head(self, file) -> None:
        volume = self.like is not None and self.like.is_volume
        (file.set_volume if volume else file.set_image_stack)()
        file.voxel_size = self.pixel_size or 0
        if self.like is not None:
            if len(self.like.extended):
                file.set_extended_header(self.like.extended)
            for name in KEPT:
                file.header[name] = self.like.header[name]

    def append(self, images: np.ndarray) -> None:
        """The next images (b, L, L)."""
        if images.shape[1:] != (self.size, self.size) or self.done + len(images) > self.n:
            raise InputError(f"expected {self.n} images of {self.size} px, got more, or one of another size")
        images = np.ascontiguousarray(images, dtype="<f4")
        self._file.write(images.data)
        self.done += len(images)
        self._low, self._high = min(self._low, images.min()), max(self._high, images.max())
        self._sums += images.sum(dtype=np.float64), np.square(images, dtype=np.float64).sum()

    def __exit__(self, kind, error, _) -> None:
        try:
            if kind is None:
                self._file.flush()
                if self.done < self.n:
                    raise InputError(f"expected {self.n} images, got {self.done}")
                mean, square = self._sums / (self.n * self.size**2)
                with mrcfile.mmap(self.partial, mode="r+") as file:
                    file.header.dmin, file.header.dmax, file.header.dmean = self._low, self._high, mean
                    file.header.rms = max(square - mean**2, 0) ** 0.5
                os.replace(self.partial, self.path)
        except OSError as error:
            raise InputError(f"{self.path}: expected to write to the end, got '{error.strerror or error}'; "
                             "make room or write elsewhere") from None  # fmt: skip
        finally:
            self._forget()
        if isinstance(error, OSError):
            raise InputError(f"{self.path}: expected room for {self.n} images, got '{error.strerror or error}'; "
                             "make room or write elsewhere") from None  # fmt: skip

    def _forget(self) -> None:
        if file := getattr(self, "_file", None):
            file.close()
        self.partial.unlink(missing_ok=True)


def _opened(path: Path):
    """An MRC file, memory-mapped. Raises InputError for what can't be read as real numbers."""
    if not path.is_file():
        raise InputError(f"{path}: expected an .mrc or .mrcs file, there is none")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # bytes after the end of the data, say
            file = mrcfile.mmap(path, mode="r")
    except (ValueError, OSError) as error:
        size = path.stat().st_size
        raise InputError(
            f"{path}: expected a whole MRC file, got {size} bytes that are not one ({_words(error)})"
        ) from None
    if file.data is None or file.data.size == 0:
        file.close()
        raise InputError(f"{path}: expected images, got an empty stack")
    if file.data.dtype.kind not in "fiu" or file.data.ndim not in (2, 3):
        kind, axes = file.data.dtype, file.data.ndim
        file.close()
        raise InputError(
            f"{path}: expected images of real numbers (MRC mode 0, 1, 2, 6 or 12), got {kind} with {axes} axes"
        )
    return file


def _voxel_size(file) -> float | None:
    size = float(file.voxel_size.x)
    return size if np.isfinite(size) and size > 0 else None


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


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
