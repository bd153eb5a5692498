"""A sweep as a list of runs: rows × whatever else is swept, composed before anything is started.

A row is a name and the overrides that make it (`rows` in the sweep's yaml); the paper's rows are no Cartesian product,
so Hydra's sweeper goes over the names: all of them, unless the command line names some. What stands on the command line wins
over the sweep's file.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from cryobench.config import hydra
from cryobench.config.command import as_command
from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.config.mistakes import readable
from cryobench.config.schema import GROUPS
from cryobench.errors import InputError

ADDED = "++"  # how Hydra is told to set a key whether it is there or not
SETS_A_VALUE = re.compile(rf"((?:{'|'.join(GROUPS)})(?:\.\w+)+|seed)=")


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the row that it belongs to (None outside rows), its resolved config and its id.

    words: the overrides that make this run and no other.
    """

    row: str | None
    config: dict
    run_id: str
    words: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What one would type to have this run."""
        return as_command(self.words)


@dataclass(frozen=True)
class Plan:
    """The runs that a command line asks for, each once; `writes` names the tables and figures made at the end."""

    jobs: list[Job]
    is_sweep: bool
    writes: list[str]


def plan(overrides: list[str], multirun: bool = False, single: bool = False) -> Plan:
    """All runs of a command line, single runs and sweeps alike. Raises InputError.

    multirun: a sweep even where nothing is swept; single: one job of a sweep, which has all its values given.
    """
    given = parse(overrides)
    fixed = {key: value for key, (values, swept) in given.items() for value in values if not swept}
    asked = [f"{key}={value}" for key, value in fixed.items() if key != "row"]
    base = base_of(asked)
    composed = {choices(asked): base}
    swept = {} if single else {key: values for key, (values, _) in parse_params(base).items()}
    swept |= {key: values for key, (values, is_swept) in given.items() if is_swept}
    swept = {key: [fixed[key]] if key in fixed else values for key, values in swept.items()}
    every = [] if single or "row" in given else list(base.get("rows") or [])
    is_sweep = multirun or bool(swept) or bool(every)

    rows = every or [unquoted(value) for value in swept.pop("row", [fixed.get("row", "null")])]
    groups = {key: values for key, values in swept.items() if key.split("@")[0] in GROUPS}
    plain = {key: values for key, values in swept.items() if key not in groups}
    jobs: dict[str, Job] = {}
    for row in rows:
        for choice in itertools.product(*groups.values()):
            chosen = dict(zip(groups, choice, strict=True))
            config, made_by = compose_row(row, {**fixed, **chosen}, base, composed)
            for point in itertools.product(*plain.values()):
                for key, value in zip(plain, point, strict=True):
                    put(config, key, value, made_by)
                resolved = resolve(config)
                name = run_id(resolved)
                values = {**fixed, **chosen, **dict(zip(plain, point, strict=True))}
                words = in_order(given, values, None if row == "null" else row)
                jobs.setdefault(name, Job(None if row == "null" else row, resolved, name, words))
    return Plan(list(jobs.values()), is_sweep, list(base.get("writes") or []))


def in_order(given: dict, values: dict[str, str], row: str | None) -> tuple[str, ...]:
    """One run's overrides: those given in their order, then what the sweep's own file sweeps over."""
    keys = [key for key in dict.fromkeys((*given, *values)) if key in values and key != "row"]
    words = [key if key.startswith("~") and not values[key] else f"{key}={values[key]}" for key in keys]
    return (*words, *([f"row={in_quotes(row)}"] if row is not None else []))


def in_quotes(name: str) -> str:
    """A row's name as a value for Hydra."""
    escaped = name.replace("'", r"\'")
    return f"'{escaped}'"


def base_of(asked: list[str]) -> DictConfig:
    """What these overrides make before any row is looked at, without those that a row's method alone may know.

    Raises InputError.
    """
    try:
        return compose(asked)
    except InputError:
        base = compose(list(choices(asked)))
        if not base.get("rows"):
            raise
        return base


def for_hydra(overrides: list[str]) -> list[str]:
    """The same overrides for Hydra, which knows of no rows.

    It is told the names of a sweep's rows where all of them are meant, and to add what only a row's method knows.
    """
    given = parse(overrides)
    base = base_of([f"{key}={value}" for key, (values, swept) in given.items() for value in values if not swept])
    if not base.get("rows"):
        return overrides
    words = [f"{ADDED}{word}" if SETS_A_VALUE.match(word) and not known(base, word) else word for word in overrides]
    return words if "row" in given else [*words, "row=" + ",".join(map(in_quotes, base.rows))]


def from_hydra(overrides: Sequence[str]) -> list[str]:
    """One job's overrides as they were given, before `for_hydra`."""
    return [bare if SETS_A_VALUE.match(bare := word.removeprefix(ADDED)) else word for word in overrides]


def known(config: DictConfig, word: str) -> bool:
    """Whether the key of an override is in a config."""
    return OmegaConf.select(config, word.partition("=")[0], default=ListConfig) is not ListConfig


def compose_row(
    row: str, given: dict[str, str], base: DictConfig, composed: dict[tuple, DictConfig]
) -> tuple[DictConfig, tuple[str, ...]]:
    """The config of one row, the row's overrides first, then what was given; and the choices that made it.

    composed: what Hydra made of the choices of groups so far. Composing takes a tenth of a second, so rows that differ in
    values alone share it.
    """
    rows = base.get("rows") or {}
    if row != "null" and row not in rows:
        raise InputError(f"row: expected one of {', '.join(rows) or 'a sweep (+sweep=…)'}, got {row}")
    overrides = list(rows[row]) if row != "null" else []
    overrides += [f"{key}={value}" for key, value in given.items() if key != "row"]
    if (chosen := choices(overrides)) not in composed:
        composed[chosen] = compose(list(chosen))
    config = copy.deepcopy(composed[chosen])
    try:
        for override in overrides:
            if override not in chosen:
                key, value = override.split("=", 1)
                put(config, key, value, chosen)
    except InputError as error:
        raise InputError(f"row {row}: {error}" if row != "null" else str(error)) from None
    return config, chosen


def choices(overrides: list[str]) -> tuple[str, ...]:
    """Those of the overrides that may choose what a config is made of: all but the ones that set a value in a group."""
    return tuple(word for word in overrides if not SETS_A_VALUE.match(word))


def put(config: DictConfig, key: str, value: str, chosen: Sequence[str]) -> None:
    """Set a value in a composed config, as an override would. Raises InputError for a key that isn't there.

    chosen: the overrides that made the config.
    """
    if not key.startswith("+") and not known(config, key):
        compose([*chosen, f"{key}={value}"])  # raises, with the keys that are there
    typed = hydra.parsed([f"{key}={value}"])[0].value()
    OmegaConf.update(config, key.lstrip("+"), typed, force_add=True)


def parse(overrides: list[str]) -> dict[str, tuple[list[str], bool]]:
    """Overrides → key: (its values as text, whether it is swept over); a later override of a key wins, but not of a group."""
    try:
        read = hydra.parsed(overrides)
    except HydraException as error:
        raise InputError(readable(error)) from None
    values: dict[str, tuple[list[str], bool]] = {}
    for override in read:
        key = override.get_key_element()
        if (group := key.lstrip("+").split("@")[0]) in (*GROUPS, "sweep") and key in values:
            raise InputError(
                f"{group}: expected one choice, got {' and '.join(values[key][0])} and "
                f"{override.get_value_element_as_str()}"
            )
        if hydra.is_glob(override):
            raise InputError(f"{key}: expected a list of values a,b,c, got {override.input_line.partition('=')[2]}")
        if override.is_sweep_override():
            if not override.is_discrete_sweep():
                raise InputError(f"{key}: expected a list of values a,b,c, got an interval")
            values[key] = (list(override.sweep_string_iterator()), True)
        else:
            values[key] = ([override.get_value_element_as_str()], False)
    return values


def parse_params(config: DictConfig) -> dict[str, tuple[list[str], bool]]:
    """What the sweep's own file sweeps over."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return parse([f"{key}={value}" for key, value in params.items()])


def unquoted(text: str) -> str:
    """A row's name as it stands in the yaml, from 'in quotes' or from Hydra's in\\ escapes."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return re.sub(r"\\(.)", r"\1", text)
