"""Files that are written whole, and folders that can't be written said in one line."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryobench.errors import InputError


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


def new_file(path: Path, force: bool) -> None:
    """Raise InputError if `path` exists (unless `force`) or is a folder, its folder doesn't, or the system refuses it."""
    try:
        os.lstat(path)
        if path.is_dir():
            raise InputError(f"expected a file to write to, got {path}, which is a folder")
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise InputError(f"expected a folder to write to, got {path.parent}, which does not exist") from None
    except OSError as error:
        raise InputError(f"expected a file to write to, got '{error.strerror}' for {path}") from None
    else:
        if not force:
            raise InputError(f"expected a new file, got {path}, which exists; --force writes over it")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"expected a folder that can be written, got {path.parent}, which can't; write elsewhere")
