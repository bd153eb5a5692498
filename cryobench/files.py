"""Files that are written whole, and folders that can't be written said in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cryobench.errors import InputError


@contextlib.contextmanager
def writable(folder: Path):
    """Turn the system's refusals to write into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder}: expected a folder that can be written, got '{reason}'; "
                         "free some space or choose another with paths.results=DIR") from None  # fmt: skip


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Another file beside `path` to write to, which takes its place at the end of the body; after an error nothing does."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        flush(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """See to it that a file is on the disk, not only on its way there."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
