"""Folders that are built once, by however many processes, and are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from cryobench.errors import InputError
from cryobench.files import is_elsewhere


def content_hash(key: dict) -> str:
    """20 hex digits that name what a JSON-able key decides."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]


def is_whole(folder: Path) -> bool:
    """Whether `folder` holds every file that its meta.json lists, each at its full size."""
    try:
        files = json.loads((folder / "meta.json").read_text())["files"]
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError):
        return False


def build_once(folder: Path, write: Callable[[Path], None], *, key: dict, needs: int = 0) -> Path:
    """`folder`, filled by `write(temporary_folder)` unless it is there already; `key` is kept in its meta.json.

    needs: bytes that must be free. The first process builds, the others wait for it; what a killed one left behind is
    removed by the next. Raises InputError if there is no room, or the place can't be written to; errors about files elsewhere,
    which `write` reads, are passed on.
    """
    if is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with FileLock(folder.with_suffix(".lock"), mode=0o666):  # the cache may be shared among users
            if not is_whole(folder):
                _build(folder, write, key, needs)
    except OSError as error:
        if is_elsewhere(error, folder.parent):  # what the builder reads
            raise
        raise InputError(
            f"expected a cache folder with room to write in, got '{error.strerror or error}' for "
            f"{folder.parent}; make room or give another one with paths.cache"
        ) from error
    return folder


def new_array(path: Path, shape: tuple[int, ...]):
    """A new .npy of float32 of this shape, open to append blocks: memory stays small, a full disk is an error, no crash."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    file = open(path, "wb")
    np.lib.format.write_array_header_1_0(file, header)
    return file


def _build(folder: Path, write: Callable[[Path], None], key: dict, needs: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
    free = shutil.disk_usage(folder.parent).free
    if free < needs:
        raise InputError(
            f"expected {needs / 1e9:.2g} GB free in {folder.parent}, got {free / 1e9:.2g}; "
            "make room, give another folder with paths.cache, or lower data.n_train"
        )
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        write(partial)
        files = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
        (partial / "meta.json").write_text(json.dumps({"key": key, "files": files}, indent=1, sort_keys=True))
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _sweep(parent: Path) -> None:
    """Remove what killed builds left: a `.partial` folder whose lock nobody holds."""
    for partial in parent.glob("*.partial"):
        try:
            with FileLock(partial.with_suffix(".lock"), timeout=0, mode=0o666):
                shutil.rmtree(partial, ignore_errors=True)
        except (Timeout, PermissionError):
            pass  # being built right now, or another user's
