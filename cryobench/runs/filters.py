"""Which records are meant: by settings, as they stand in a config, and by folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from cryobench.config.mistakes import suggestion
from cryobench.errors import InputError
from cryobench.runs.damage import is_word
from cryobench.runs.record import Record
from cryobench.runs.store import Store, results_folder, where_runs_are

BESIDE = ("status", "seed", "reason", "task")  # what a record says outside its config's groups


def setting(override: str) -> tuple[str, object]:
    """'method.alpha=0.5' → ('method.alpha', 0.5); a group's choice ('method=gan') names it: ('method.name', 'gan')."""
    key, _, value = override.lstrip("+").partition("=")
    return (key if "." in key or key == "seed" else f"{key}.name"), yaml.safe_load(value)


def same(one, other) -> bool:
    """Whether two settings are equal once both are what they look like: 1 and 1.0, 0.1 and '0.1'."""
    try:
        return one == other or float(one) == float(other)
    except (TypeError, ValueError):
        return False


def value_of(record: Record, key: str):
    """A record's setting by its dotted name, or its status, seed, reason or task; None where it has none."""
    if key in BESIDE:
        return getattr(record, key)
    group, _, name = key.partition(".")
    node = record.config.get(group)
    return node.get(name) if isinstance(node, dict) else None


def matching(records: Iterable[Record], words: list[str]) -> list[Record]:
    """The records that have one of the values that each of `words` gives: method=gan,wgan_gp, seed=0, status=failed.

    Raises InputError for a key that none of the records has.
    """
    kept = list(records)
    wanted = {key_of(word): values_of(word) for word in words}
    known = {
        f"{group}.{name}"
        for one in kept
        for group, node in one.config.items()
        if isinstance(node, dict)
        for name in node
    }
    for key in wanted:
        if kept and key not in (*BESIDE, *known):
            groups = sorted(name.removesuffix(".name") for name in known if name.endswith(".name"))
            raise InputError(
                f"unknown setting {key}: expected one of {', '.join((*BESIDE[:3], *groups))}, or one of a group, as "
                f"noise.snr=0.1{suggestion(key, (*BESIDE, *known))}"
            )
    return [
        one
        for one in kept
        if all(any(same(value_of(one, key), value) for value in values) for key, values in wanted.items())
    ]


def key_of(word: str) -> str:
    """The dotted name that a word like method=gan is about: method.name."""
    key = word.lstrip("+").partition("=")[0]
    return key if "." in key or key in BESIDE else f"{key}.name"


def values_of(word: str) -> list[object]:
    """The values that a word like seed=0,1 allows; a list in brackets is one value. Raises InputError for what is none."""
    text = word.partition("=")[2]
    try:
        return [yaml.safe_load(one) for one in ([text] if text.startswith("[") else text.split(","))]
    except yaml.YAMLError:
        raise InputError(f"expected values a,b,c, got {word}") from None


def stores(results: str | None) -> list[Store]:
    """The results folder that is named, or all in results/. Raises InputError where there is none."""
    if results is not None:
        return [Store(results_folder(results))]
    folders = [Store(path.parent) for path in sorted(Path("results").glob("*/runs"))]
    if not folders:
        raise InputError(f"expected results folders in results/, got none; {where_runs_are()}")
    return folders


def having(run_id: str, results: str | None) -> list[tuple[Store, Record]]:
    """Where a run has a record, and the records. Raises InputError for a run that nobody has."""
    places = stores(results)
    records = [(store, record) for store in places if is_word(run_id) and (record := store.read(run_id))]
    if not records:
        known = [path.parent.name for store in places for path in store.runs.glob("*/record.json")]
        where = ", ".join(str(store.results) for store in places)
        raise InputError(f"expected a run of {where}, got {run_id}{suggestion(run_id, known)}")
    return records
