"""Files that are written whole, folders that can't be written said in one line, and the file that a module is written in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from cryobench.errors import InputError

DRAWN = secrets.token_hex(16)  # anew in each process


def is_elsewhere(error: OSError, *places: Path) -> bool:
    """Whether what the system refused lies neither at nor in nor above these places; one that names no file may be theirs."""
    named = (name for name in (error.filename, error.filename2) if isinstance(name, str | bytes))
    names, own = ([Path(os.path.realpath(os.fsdecode(one))) for one in some] for some in (named, places))
    return bool(names) and not any(a.is_relative_to(b) or b.is_relative_to(a) for a in names for b in own)


@contextlib.contextmanager
def writable(folder: Path):
    """Turn the system's refusals to write into one line; those about files elsewhere, which a body reads, are passed on."""
    try:
        yield
    except OSError as error:
        if is_elsewhere(error, folder):
            raise
        reason = error.strerror or str(error)
        raise InputError(
            f"{folder}: expected a folder that can be written, got '{reason}'; "
            "free some space or choose another with paths.results=DIR"
        ) from None


def flush(path: Path) -> None:
    """See to it that a file is on the disk, not only on its way there."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved there when the body ends well and removed when it doesn't."""
    partial = path.with_name(f".cryobench.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):  # a read-only disk has none to remove; the error says why
            partial.unlink()


@contextlib.contextmanager
def whole(path: Path | str, needs: int = 0) -> Iterator[Path]:
    """`replacing` where a user said where to.

    needs: bytes that must be free. Raises InputError, before the body, for too little room, a name that the system
    refuses or a folder in the file's place; and for whatever the system refuses later, but for files elsewhere.
    """
    path = Path(path)
    places = [path]
    try:
        if path.is_dir():
            raise InputError(f"expected a file to write to, got {path}, which is a folder")
        with contextlib.suppress(FileNotFoundError):
            os.lstat(path)  # a name that is too long, say, is refused here
        if (free := shutil.disk_usage(path.parent).free) < needs:
            raise InputError(
                f"expected {needs / 1e9:.2g} GB free for {path.name}, got {free / 1e9:.2g}; "
                "make room or write elsewhere"
            )
        with replacing(path) as partial:
            places.append(partial)
            yield partial
    except OSError as error:
        if is_elsewhere(error, *places):
            raise
        raise InputError(
            f"{path}: expected a place to write to, got '{error.strerror or error}'; make room or write elsewhere"
        ) from None


def is_own(module: str) -> bool:
    """Whether a module is somebody's own, and neither cryobench's nor Python's."""
    return module.partition(".")[0] not in {"cryobench", *sys.stdlib_module_names}


def file_of(module: str) -> Path | None:
    """Where a module is written; None where it is not found, or is no file."""
    try:
        spec = find_spec(module)
        origin = spec.origin if spec else None
    except (ImportError, ValueError):  # of a script that is run, Python has no spec
        origin = getattr(sys.modules.get(module), "__file__", None)
    return Path(origin) if origin and Path(origin).is_file() else None


def sha256_of(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_of(cls: type) -> list[list[str]]:
    """[module, name, sha256 of its file] of a class and each of its bases that is somebody's own; [] for cryobench's.

    Where there is no file, as in a notebook, a number drawn once in a process stands in place of the hash.
    """
    own = [base for base in cls.__mro__ if is_own(base.__module__)]
    hashes = {module: sha256_of(file) if (file := file_of(module)) else DRAWN for module in {c.__module__ for c in own}}
    return [[base.__module__, base.__qualname__, hashes[base.__module__]] for base in own]
