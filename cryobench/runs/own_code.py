"""The file of a class of the user's own: what a record says of it, and whether it has changed since.

A run's id is made of names and settings, so that a finished run is found again whatever became of its code. Of cryobench's own
code a record has the commit; of somebody's class, in a file beside, the hash of that file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryobench.config.identity import BUILT
from cryobench.runs.record import Record
from cryobench.source import file_of, is_own, sha256_of

OWN = "own_code"  # in a record's environment


def own_code(config: dict) -> dict[str, dict[str, str]]:
    """group → {"file", its name, and "sha256"} of each class of this config that is not cryobench's own."""
    found = {}
    for group in BUILT:
        module = str((config.get(group) or {}).get("_target_", "")).rpartition(".")[0]
        if module and is_own(module) and (file := file_of(module)):
            found[group] = {"file": file.name, "sha256": sha256_of(file)}
    return found


def changed(config: dict, record: Record) -> list[str]:
    """The names of files of the user's own that are not what they were when this run of a config was made."""
    then = record.environment.get(OWN)
    known = then if isinstance(then, dict) else {}
    return [now["file"] for group, now in own_code(config).items() if known.get(group, now) != now]


def told(runs: Iterable[tuple[dict, Record]], folder: Path) -> str:
    """One line on finished runs whose code has changed since; nothing where there are none.

    runs: config as it is now (a record's own may name anything) and record; folder: RESULTS/runs.
    """
    older = {record.run_id: files for config, record in runs if (files := changed(config, record))}
    if not older:
        return ""
    names = ", ".join(dict.fromkeys(name for files in older.values() for name in files))
    first, more = next(iter(older)), len(older) - 1
    which = f"{first} and {more} more were" if more else f"{first} was"
    return (
        f"{names} has changed since {which} run: what is shown is of the older code. `python -m cryobench rerun {first}` "
        f"compares both; remove {folder / first} to run it anew."
    )
