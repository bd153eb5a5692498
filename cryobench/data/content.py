"""What a file holds, in 64 hex digits: computed once, then known by its path, size and time.

A data set that is given by paths is what the files hold, not what they are called: RELION calls every refinement's list
run_data.star.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from cryobench.errors import InputError
from cryobench.files import whole

BLOCK = 2**20
SETTLED = 2.0  # seconds after which a change to a file is sure to change its time, too


def together(digests: Iterable[str]) -> str:
    """One digest of several, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def content_of(dataset, cache: Path) -> str | None:
    """Of the files that a data set's settings name by a path, None without any. Raises InputError where they are missing."""
    files = dataset.given_files()
    return together(Digests(cache).of(files)) if files else None


def check_content(dataset, cache: Path) -> None:
    """Raise InputError if the files are no longer those that the data set's settings were made for."""
    if dataset.content is not None and content_of(dataset, cache) != dataset.content:
        names = ", ".join(str(path) for path in dataset.given_files()[:3])
        raise InputError(
            f"expected the files that this run was made with, got others under their names ({names} …); put "
            "them back, or do the run again with these"
        )


class Digests:
    """sha256 of files, kept in `cache`/digests. `of(paths)` shows how far it is where that takes long.

    Raises InputError for a file that can't be read.
    """

    def __init__(self, cache: Path):
        self.folder = cache / "digests"

    def of(self, paths: Iterable[Path]) -> list[str]:
        """sha256 of what each file holds, in the order of the paths, with a bar where it takes long."""
        paths = list(paths)
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("reading what the files hold", total=sum(map(size, paths)))
            return [self._one(path, lambda done: bar.advance(task, done)) for path in paths]

    def _one(self, path: Path, advance: Callable[[int], None]) -> str:
        path = path.resolve()
        try:
            stat = path.stat()
            is_now = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
            note = self.folder / f"{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:20]}.json"
            if (digest := known(note, is_now)) is not None:
                advance(stat.st_size)
                return digest
            hasher = hashlib.sha256()
            with open(path, "rb") as file:
                while block := file.read(BLOCK):
                    hasher.update(block)
                    advance(len(block))
        except OSError as error:
            raise InputError(f"{path}: expected a file that can be read, got '{error.strerror or error}'") from None
        if time.time() - stat.st_mtime > SETTLED:
            keep(note, {**is_now, "sha256": hasher.hexdigest()})
        return hasher.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file; 0 for one that is not there."""
    return path.stat().st_size if path.is_file() else 0


def known(note: Path, is_now: dict) -> str | None:
    """The digest that was noted for a file, if it is as it was then."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        digest = noted.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return digest if noted == is_now and isinstance(digest, str) and len(digest) == 64 else None


def keep(note: Path, content: dict) -> None:
    """Note it for the next time; a cache that can't be written costs that time, and nothing else."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with whole(note) as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")
    except (OSError, InputError):
        pass
