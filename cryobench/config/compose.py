"""Configs: composed by Hydra, and checked against the classes that they make."""

from __future__ import annotations

import inspect
import math
import os
import typing
from dataclasses import asdict, make_dataclass
from functools import cache
from pathlib import Path

import yaml
from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryobench.config.classes import class_at, types_of
from cryobench.config.hydra import composed
from cryobench.config.identity import BUILT, PLACES, at_present, check_name, fault_of_config, own_folders, task_name
from cryobench.config.kinds import in_words
from cryobench.config.mistakes import readable, suggestion
from cryobench.config.schema import GROUPS, SETTINGS
from cryobench.config.yamls import check_chosen, why_not
from cryobench.errors import InputError
from cryobench.evaluation.analysis import check


def compose(overrides: list[str]) -> DictConfig:
    """The config, not yet resolved, that these Hydra overrides make. Raises InputError, in one line."""
    if (own := own_folders()) and not any(word.startswith("hydra.searchpath=") for word in overrides):
        overrides = [*overrides, search_path(own)]
    check_chosen(overrides, own)
    try:
        return composed(overrides)
    except yaml.YAMLError as error:  # of a file that a chosen one builds on
        raise InputError(why_not(error)) from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(readable(error, overrides)) from None


def search_path(folders) -> str:
    """Hydra's override for folders of yamls beside those of cryobench."""
    return f"hydra.searchpath=[{','.join(repr(f'file://{Path(folder).resolve()}') for folder in folders)}]"


def resolve(config: DictConfig) -> dict:
    """A composed config → plain dicts, every value of the type that its class declares. Raises InputError."""
    for name in GROUPS:
        if not isinstance(config.get(name), DictConfig):
            raise InputError(f"{name}: expected one of the group's choices, got {config.get(name)}; see --help")
    try:
        groups = {name: DictConfig(contained(config[name], resolve=True)) for name in GROUPS}
        # First what others refer to, so that a wrong value is named where it was given.
        checked = {name: settings(groups[name], name) for name in SETTINGS}
        plain: dict[str, typing.Any] = {name: plainest(typed(groups[name], name)) for name in BUILT}
        plain |= checked
        paths = contained(config.paths, resolve=True)
        plain["paths"] = {key: value and os.path.expanduser(value) for key, value in paths.items()}
        plain["data"] = with_content(plain)
        check_device(build(plain, "task"), plain)  # building refuses what can't be before anything runs
        plain["seed"] = typed_value("seed", config.seed, int)
        plain["watch"] = typed_value("watch", config.watch, int)
        plain["analysis"] = check(typed_value("analysis", config.analysis, list[str]))
    except OmegaConfBaseException as error:
        raise InputError(readable(error)) from None
    known = {*plain, "hydra", "row", "rows", "writes"}
    for key in map(str, config):
        if key not in known:
            raise InputError(f"unknown key {key}: expected one of {', '.join(sorted(plain))}{suggestion(key, plain)}")
    if plain["seed"] < 0:
        raise InputError(f"seed: expected a whole number of at least 0, got {plain['seed']}")
    if plain["watch"] < 0:
        raise InputError(f"watch: expected a number of steps, or 0 for none, got {plain['watch']}")
    return plain


def with_content(config: dict) -> dict:
    """The settings of a data set, with a digest of the files that they name by a path, as far as these are there.

    Files that are missing or wrong are told when they are needed, which may be on another machine.
    """
    from cryobench.data.content import content_of

    settings = {key: value for key, value in config["data"].items() if key != "content"}
    try:
        content = content_of(build({"data": settings}, "data"), cache_folder(config))
    except InputError:
        return settings
    return settings if content is None else {**settings, "content": content}


def typed(node: DictConfig, group: str) -> dict:
    """Check one group against the signature of its `_target_`, and coerce its values to the declared types."""
    target = node.get("_target_")
    cls = class_at(target, group)
    chosen = {"name": node.get("name", cls.__name__.lower()), "_target_": target}
    check_name(group, chosen)
    return chosen | coerced({key: value for key, value in node.items() if key not in chosen}, cls, group)


def settings(node: DictConfig, group: str) -> dict:
    """Check a group of sizes or switches against its dataclass, and coerce its values; what it leaves out is at its default."""
    return asdict(SETTINGS[group](**coerced(dict(node), SETTINGS[group], group)))


def coerced(values: dict, cls: type, group: str) -> dict:
    """Settings as the signature of `cls` has them: no unknown key, none missing, each of its declared type."""
    constructor = inspect.getattr_static(cls, "__init__")
    hints = types_of(cls, constructor, group)
    _, *named = inspect.signature(constructor).parameters.values()
    # A class without settings has object's *args and **kwargs.
    parameters = {one.name: one for one in named if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    if unknown := [key for key in values if key not in parameters]:
        keys, meant = ", ".join(f"{group}.{key}" for key in unknown), suggestion(unknown[0], parameters)
        known = (
            ", ".join(parameters)
            or f"none, as {cls.__module__}.{cls.__qualname__} has no settings (is it a @dataclass?)"
        )
        raise InputError(f"unknown key {keys} of {cls.__name__}: expected one of {known}{meant}")
    needed = [key for key, parameter in parameters.items() if parameter.default is parameter.empty]
    if missing := [key for key in needed if key not in values]:
        raise InputError(
            f"{group}: expected a value for {', '.join(missing)} of {cls.__module__}.{cls.__qualname__}, got none"
        )
    kinds = {key: hints.get(key, typing.Any) for key in values}
    try:  # all at once, which takes a fraction of the time; what is wrong is found one by one
        checked = as_declared(tuple(kinds.items()), values)
    except OmegaConfBaseException:
        return {key: typed_value(f"{group}.{key}", value, kinds[key]) for key, value in values.items()}
    return {key: finite(f"{group}.{key}", checked[key]) for key in values}


def check_device(task, config: dict) -> None:
    """Raise InputError for a device that the task has no code for, so that no record names one that nothing ran on."""
    known, got = getattr(task, "accelerators", None), config["trainer"]["accelerator"]
    if known and got not in known:
        raise InputError(
            f"trainer.accelerator: expected {' or '.join(known)} for task={config['task']['name']}, got {got}"
        )


def from_elsewhere(config, what: str, task: str | None = "denoising") -> dict:
    """The config in a record or model file, as if it had been given on this command line.

    Its classes are those that its names have here (`at_present`), its settings are checked against their signatures, and
    what says where files are is left out. task: the one that is expected, None for any. Raises InputError, before any of it
    is used, naming the file by `what`.
    """
    if fault := fault_of_config(config):
        raise InputError(f"{what}: expected the config of a run, got something else ({fault})")
    if task is not None and task_name(config) != task:
        raise InputError(f"{what}: expected a run that denoises, got the task {task_name(config)}")
    try:
        known = at_present({"task": {"name": "denoising"}, **config})  # the first records are older than the word
        for group in BUILT:
            if group in known:
                places = PLACES.get(group, ())
                node = {key: value for key, value in known[group].items() if key not in places}
                known[group] = typed(OmegaConf.create(node), group)
        return {**known, "seed": typed_value("seed", config.get("seed", 0), int)}
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
    except OmegaConfBaseException as error:
        raise InputError(f"{what}: {readable(error)}") from None


def plainest(node: dict) -> dict:
    """Settings that amount to another class's, as those, so that one and the same run has one id; the class says which."""
    rule = getattr(get_class(node["_target_"]), "plainest", None)
    return rule(node) if rule else node


@cache
def schema_of(kinds: tuple[tuple[str, object], ...]) -> DictConfig:
    """A config with values of these names and kinds (type hints); making one costs as much as checking ten values with it."""
    return OmegaConf.structured(make_dataclass("Settings", kinds))


def as_declared(kinds: tuple[tuple[str, object], ...], values: dict) -> dict[str, typing.Any]:
    """Values of these names and kinds (type hints), by OmegaConf's rules, whose errors it raises."""
    return contained(OmegaConf.merge(schema_of(kinds), values))


def contained(config, **how) -> dict[str, typing.Any]:
    """What a config holds as plain dicts and lists."""
    return typing.cast(dict, OmegaConf.to_container(config, **how))


def finite(name: str, value):
    """The value itself. Raises InputError for a number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name}: expected a finite number, got {value!r}")
    return value


def typed_value(name: str, value, kind):
    """`value` as `kind` (a type hint), by OmegaConf's rules. Raises InputError naming the key."""
    try:
        return finite(name, as_declared((("value", kind),), {"value": value})["value"])
    except OmegaConfBaseException:
        raise InputError(f"{name}: expected {in_words(kind)}, got {value!r}") from None


def build(config: dict, group: str):
    """The object that a group of a resolved config describes. Raises InputError for values that it refuses."""
    node = dict(config[group])
    node.pop("name")
    return get_class(node.pop("_target_"))(**node)


def cache_folder(config: dict) -> Path:
    """Where simulated data is kept: paths.cache, else the user's cache folder."""
    import platformdirs

    return Path(config["paths"]["cache"] or platformdirs.user_cache_path("cryobench")).expanduser()
