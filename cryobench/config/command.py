"""A run as a command line, for its record: what whoever reads it would type to have that run and no other."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

OF_A_MACHINE = ("paths.", "hydra.", "hydra/")  # where it ran and was kept, which a record does not tell


def as_command(words: Iterable[str]) -> str:
    """Overrides → "python -m cryobench …", without the folders and launchers of one machine.

    Of the folders of --config-dir those are told that lie below the one where one stands.
    """
    kept, folders = [], []
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        if key == "hydra.searchpath":
            folders += re.findall(r"file://([^',\]]+)", value)
        elif not key.startswith(OF_A_MACHINE):
            kept.append(word)
    current = Path.cwd()
    near = [str(Path(folder).relative_to(current)) for folder in folders if Path(folder).is_relative_to(current)]
    return " ".join(["python -m cryobench", *(f"--config-dir {quoted(folder)}" for folder in near), *map(quoted, kept)])


def quoted(word: str) -> str:
    """A word as a shell takes it: in double quotes where it has single ones and nothing that these would change."""
    if "'" in word and not set(word) & set('"$`\\!'):
        return f'"{word}"'
    return shlex.quote(word)
