"""Where somebody's own code is written, the hash of that file, and the line of it that an error came through."""

from __future__ import annotations

import hashlib
import secrets
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

from cryobench.errors import InputError, RunFailed, one_line

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


def is_through_own_code(error: BaseException) -> bool:
    """Whether an error came through a line of somebody's own."""
    return bool(own_lines(error))


def in_words(error: BaseException) -> str:
    """An error in one line; of one that has no words of ours with its place, of somebody's own code if it came through that."""
    if isinstance(error, InputError | RunFailed) or not (frames := lines(error)):
        return one_line(error)
    last = (own_lines(error) or frames)[-1]
    return f"{one_line(error)} ({Path(last.filename).name}, line {last.lineno})"


def lines(error: BaseException) -> list[traceback.FrameSummary]:
    """What an error came through, the last one where it was raised."""
    return list(traceback.extract_tb(error.__traceback__))


def own_lines(error: BaseException) -> list[traceback.FrameSummary]:
    """Of these, those in files that are neither cryobench's nor Python's nor in a package that was installed."""
    frames = zip(traceback.walk_tb(error.__traceback__), lines(error), strict=True)
    return [
        line
        for (frame, _), line in frames
        if is_own(frame.f_globals.get("__name__", ""))
        and not {"site-packages", "dist-packages"} & set(Path(line.filename).parts)
        and Path(line.filename).is_file()
    ]
