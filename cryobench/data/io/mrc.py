"""The header of an MRC file, checked before anything else is read: MRC2014 (Cheng et al. 2015), and what came before it.

    what it says                  what is done
    machine stamp                 the byte order; where it is none, or the file doesn't fit, the order in which it does
    MAP at byte 208               without it a file is read if its size is exactly what the header announces
    mode 0, 1, 2, 6, 12           int8, int16, float32, uint16, float16; other modes are refused
    IMOD's flags, or a maximum    mode 0 as unsigned bytes: where IMOD says so, or where the header's own maximum is above
                                  127, which a signed byte never is
    cell over sampling (mx)       the pixel size; none where either is 0, or mx is 1 in an image of many pixels
    mapc, mapr, maps              the order of the axes; 0, 0, 0 is taken for 1, 2, 3
    nstart, origin                not used: the centre of a map is the centre of its box, as for RELION

Bytes are described by mrcfile's dtype. Everything that is not as it should be is refused, or used with a word (`note`).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from cryobench.errors import InputError, note

MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
OTHER_MODES = {3: "complex numbers", 4: "complex numbers", 16: "colours", 101: "4-bit numbers"}
STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
PACKED = {b"\x1f\x8b": ("gzip", "gunzip"), b"BZh": ("bzip2", "bunzip2"), b"\xfd7zXZ": ("xz", "unxz")}
UNPACKED: dict[str, Callable] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
HEAD = HEADER_DTYPE.itemsize  # 1024
IMOD = 1146047817  # at byte 152, if flags follow
IMOD_SIGNED = 1  # the flag that bytes are signed
SAME = 0.01  # relative difference below which edges of a pixel are equal


@dataclass(frozen=True)
class Header:
    """fields: mrcfile's record; shape: sections, rows, columns; dtype of a pixel; offset of the first one in bytes;
    axes: which of x, y, z (1, 2, 3) columns, rows and sections are; pixels: edges x, y, z of a pixel in Å, None where
    the header says nothing usable."""

    fields: np.record
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    axes: tuple[int, ...]
    pixels: tuple[float | None, ...]

    @property
    def is_volume(self) -> bool:
        """Whether it calls its content a volume, as many programs do with stacks."""
        return self.fields["ispg"] != 0

    @property
    def bytes(self) -> int:
        """What data of this shape need."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(path: Path) -> Header:
    """The header of an unpacked file on disk. Raises InputError for a file that is missing, packed, cut, or none."""
    raw = first_bytes(path)
    if kind := packed_by(raw):
        raise InputError(f"{path}: expected an unpacked stack, got one packed by {kind[0]}; {kind[1]} it first")
    return interpret(raw, path.stat().st_size, path)


def read_whole(path: Path) -> tuple[Header, np.ndarray]:
    """Header and data (sections, rows, columns) of a file, unpacked where gzip, bzip2 or xz packed it. Raises InputError."""
    kind = packed_by(first_bytes(path))
    if not kind:
        header = read_header(path)
        return header, np.fromfile(path, header.dtype, math.prod(header.shape), offset=header.offset).reshape(
            header.shape
        )
    try:
        with UNPACKED[kind[0]](path) as file:
            header = interpret(file.read(HEAD), None, path)
            data = file.read(header.offset - HEAD + header.bytes)[header.offset - HEAD :]
            more = len(file.read(1))
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path}: expected a whole {kind[0]} file, got '{error}'") from None
    except (MemoryError, OverflowError):
        raise InputError(f"{path}: expected a map that fits into memory, got one of {header.bytes:.3g} bytes") from None
    if len(data) < header.bytes:
        raise InputError(f"{path}: expected {header.bytes} bytes of data, as its header announces, got {len(data)}")
    if more and not has_map(header.fields):
        raise InputError(
            f"{path}: expected an MRC file, got one without MAP in its header, and longer than that announces"
        )
    return header, np.frombuffer(data, header.dtype).reshape(header.shape)


def first_bytes(path: Path) -> bytes:
    """The main header, or what there is of its 1024 bytes. Raises InputError for a file that can't be read."""
    if not path.is_file():
        raise InputError(
            f"{path}: expected an .mrc or .mrcs file, {'got a folder' if path.is_dir() else 'there is none'}"
        )
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be read, got '{error.strerror or error}'") from None


def packed_by(raw: bytes) -> tuple[str, str] | None:
    """What packed a file that begins so, and what unpacks it."""
    return next((names for magic, names in PACKED.items() if raw.startswith(magic)), None)


def interpret(raw: bytes, size: int | None, path: Path) -> Header:
    """The first 1024 bytes of a file of `size` bytes (None: not known, since packed). Raises InputError."""
    if len(raw) < HEAD:
        got = f"{len(raw)} bytes" if len(raw) else "an empty file"
        raise InputError(f"{path}: expected a whole MRC file, got {got}, less than its header of {HEAD}")
    stamped = STAMPS.get(raw[212:214])
    orders = (stamped, "<" if stamped == ">" else ">") if stamped else ("<", ">")
    faults = {}
    for order in orders:
        fields = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]
        if (fault := wrong(fields, size)) is None:
            break
        faults[order] = fault
    else:
        raise InputError(f"{path}: expected a whole MRC file of real numbers, got {faults[orders[0]]}")
    named = "little-endian" if order == "<" else "big-endian"
    if order != stamped:
        note(f"{path}: its machine stamp is {raw[212:216].hex(' ')}; read as {named}, which fits its size")
    if not has_map(fields):
        note(f"{path}: its header has no MAP at byte 208; read since its size is what the header announces")
    return described(fields, raw, order, size, path)


def wrong(fields: np.record, size: int | None) -> str | None:
    """What speaks against this reading of a header, None for nothing."""
    mode, shape, extra = int(fields["mode"]), dimensions(fields), int(fields["nsymbt"])
    if mode not in MODES:
        if not has_map(fields):
            return f"{size if size is not None else ''} bytes that are none (no MAP at byte 208, mode {mode})".strip()
        what = f" ({OTHER_MODES[mode]})" if mode in OTHER_MODES else ""
        return f"mode {mode}{what}, which is none of 0, 1, 2, 6 and 12"
    text = " × ".join(map(str, shape[::-1]))
    if min(shape) < 1:
        return f"an empty stack ({text})" if min(shape) == 0 else f"a negative size ({text})"
    if extra < 0:
        return f"an extended header of {extra} bytes"
    if 401 <= fields["ispg"] <= 630 and fields["mz"] != 1:
        return f"a stack of volumes (space group {fields['ispg']}); write its volumes one by one"
    if size is None:
        return None
    announced = HEAD + extra + math.prod(shape) * np.dtype(MODES[mode]).itemsize
    if size < announced or (size != announced and not has_map(fields)):
        return f"{size} bytes, where its header announces {announced} ({text} of mode {mode})"
    return None


def has_map(fields: np.record) -> bool:
    """Whether a header says that it is one (MRC2014): "MAP" in word 53."""
    return bytes(fields["map"])[:3] == b"MAP"


def dimensions(fields: np.record) -> tuple[int, int, int]:
    """Sections, rows, columns."""
    return int(fields["nz"]), int(fields["ny"]), int(fields["nx"])


def described(fields: np.record, raw: bytes, order: str, size: int | None, path: Path) -> Header:
    """A header that was found right, with what it leaves to choose."""
    kind = MODES[int(fields["mode"])]
    stamp, flags = struct.unpack_from(f"{order}ii", raw, 152)
    if kind == "i1" and stamp == IMOD and not flags & IMOD_SIGNED:
        kind = "u1"
    elif kind == "i1" and stamp != IMOD and fields["dmin"] >= 0 and 127 < fields["dmax"] <= 255:
        kind = "u1"
        note(f"{path}: read as unsigned bytes, since its header's maximum is {fields['dmax']:g}")
    axes = tuple(int(fields[name]) for name in ("mapc", "mapr", "maps"))
    if axes == (0, 0, 0):
        axes = (1, 2, 3)
    if sorted(axes) != [1, 2, 3]:
        raise InputError(f"{path}: expected axes 1, 2, 3 in some order in its header (mapc, mapr, maps), got {axes}")
    header = Header(
        fields,
        dimensions(fields),
        np.dtype(f"{order}{kind}"),
        HEAD + int(fields["nsymbt"]),
        axes,
        tuple(pixel(fields, axis, path) for axis in "xyz"),
    )
    if size is not None and (more := size - header.offset - header.bytes):
        note(f"{path}: {more} bytes after the {header.shape[0]} sections that its header announces are not read")
    return header


def pixel(fields: np.record, axis: str, path: Path) -> float | None:
    """Edge of a pixel in Å, None where the header has none, or none to be believed."""
    cell, sampling, length = float(fields["cella"][axis]), int(fields[f"m{axis}"]), int(fields[f"n{axis}"])
    if not (math.isfinite(cell) and cell > 0):
        if cell != 0 and axis == "x":  # 0 is how a header says that it knows none (MRC2014)
            note(f"{path}: its header's pixel size is not used, since its cell has an edge of {cell:g} Å")
        return None
    if sampling < 1 or (sampling == 1 and length > 1):  # mz of a stack is 1, too
        if axis == "x":
            note(f"{path}: its header's pixel size is not used, since it divides the cell by m{axis} = {sampling}")
        return None
    return cell / sampling
