"""A yaml, most often the user's own and being written: its content, or what is wrong with it, by file and line."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryobench.config.classes import near
from cryobench.errors import InputError

# What has no end is told by its beginning.
BEGINS = ("while scanning a simple key", "while scanning a quoted", "while parsing a flow")


def check_chosen(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Raise InputError for a yaml in these folders that an override chooses, GROUP=NAME, and that can't be one of a group.

    Hydra takes an empty one, a list or a sentence for a group without settings, and passes a folder of that name by.
    """
    for word in overrides:
        group, _, name = word.partition("=")
        for folder in folders:
            file = folder / group.lstrip("+").partition("@")[0] / f"{name}.yaml"
            if name and os.path.lexists(file):
                choice_in(file)


def lying_here(group: str, name: str) -> str:
    """Which option finds the yaml of a group's choice in a folder where one stands; nothing where there is none."""
    found = sorted(Path().glob(f"*/{glob.escape(group)}/{glob.escape(name)}.yaml"))
    return f"; {found[0]} is here: add --config-dir {found[0].parts[0]}" if found else ""


def choice_in(file: Path) -> dict[str, Any]:
    """key → value of a yaml. Raises InputError for one that is none, or anything else than that."""
    content = content_of(file)
    if not isinstance(content, dict):
        got = (
            "nothing"
            if content is None
            else f"a list of {len(content)}"
            if isinstance(content, list)
            else repr(content)
        )
        raise InputError(f"{file}: expected key: value on each line, as _target_: mine.Blur, got {got[:80]}")
    if wrong := [key for key in content if not isinstance(key, str)]:
        raise InputError(f"{file}: expected names of settings before each colon, got {wrong[0]!r}")
    try:
        OmegaConf.create(content)
    except OmegaConfBaseException as error:
        key = f" of {error.full_key}" if error.full_key else ""
        raise InputError(
            f"{file}: expected a value{key} in Hydra's grammar, got one with a $ that has no end"
        ) from None
    return content


def content_of(file) -> Any:
    """What stands in a yaml (a Path, or one within a package). Raises InputError for what is none, or can't be read."""
    try:
        text = file.read_bytes()
        return yaml.safe_load(text.decode("utf-8"))
    except OSError as error:
        raise InputError(f"{file}: expected a yaml file, got '{error.strerror or error}'") from None
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}, line {line}: expected text in UTF-8, got the byte 0x{text[error.start]:x}") from None
    except yaml.YAMLError as error:
        raise InputError(why_not(error, file)) from None


def why_not(error: yaml.YAMLError, file=None) -> str:
    """File, line and cause of what is no yaml; file: by default the one that the error names."""
    if not isinstance(error, yaml.MarkedYAMLError) or (mark := error.problem_mark) is None:
        named = file or getattr(error, "name", "a yaml")
        return f"{named}: expected text, got '{getattr(error, 'reason', None) or ' '.join(str(error).split())[:150]}'"
    if error.context_mark is not None and (error.context or "").startswith(BEGINS):
        mark = error.context_mark
    named, number = file or near(mark.name), mark.line
    lines = [*(Path(named).read_text(encoding="utf-8") if Path(named).is_file() else "").splitlines(), ""]
    number = min(number, len(lines) - 1)
    if number and "mapping values" in (error.problem or "") and ":" not in lines[number - 1]:
        number -= 1  # a line without a colon is noticed at the colon of the next
    line = lines[number].strip()
    return f"{named}, line {number + 1}: expected key: value, got '{line[:80]}' ({error.problem})"
