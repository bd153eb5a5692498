"""Where somebody's own code is written, and the hash of that file."""

from __future__ import annotations

import hashlib
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path

DRAWN = secrets.token_hex(16)  # anew in each process


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
