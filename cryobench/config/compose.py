"""Configs: composed by Hydra, and checked against the classes that they make."""

from __future__ import annotations

import difflib
import inspect
import math
import os
import re
import typing
from collections.abc import Sequence
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
from cryobench.config.schema import SETTINGS
from cryobench.config.yamls import check_chosen, lying_here, why_not
from cryobench.errors import InputError
from cryobench.evaluation.analysis import check

GROUPS = (*BUILT, *SETTINGS)
TOP = (*GROUPS, "seed", "analysis", "watch", "row", "rows", "writes", "paths")  # what stands in a config without a dot
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
BARE_COMMA = re.compile(r"[=,\[]\s*,|,\s*(\]|$)")  # with no value before or behind it


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


def suggestion(key: str, known) -> str:
    """ "; did you mean …?" where something known is close to `key`, else nothing."""
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def readable(error: Exception, overrides: Sequence[str] = ()) -> str:
    """Hydra's and OmegaConf's errors, of these overrides, in one line: what was expected, what came, what to do."""
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        key = inner_key(error, match[1])
        known = known_beside(key, overrides)
        if key != match[1]:  # of a group of key: value, which is merged into the config's own
            how = f"+{match[1]}=… adds keys, ~{match[1]} +{match[1]}=… replaces all"
            return f"unknown key {key}: it is not in the config{known}; {how}"
        given = [word.partition("=")[0] for word in overrides if "=" in word and "." not in key]
        more = [one for one in given if one.isidentifier() and one not in (*TOP, key)]
        some = f"keys {', '.join([key, *more])}: they are" if more else f"key {key}: it is"
        return f"unknown {some} not in the config{known}; `python -m cryobench --cfg` prints all keys"
    if match := re.search(r"Could not find '([^']+)'\n+Available options in '([^']+)':\n(.*)", text, re.S):
        options = re.findall(r"^\t([^\s_]\S*)$", match[3], re.M)  # a name that begins with _ is for others to build on
        group, _, name = match[1].partition("/")
        return f"{group}: expected one of {', '.join(options)}, got {name}{lying_here(group, name) or suggestion(name, options)}"
    if match := re.search(r"Could not delete from config\. '([^']+)' does not exist", text):
        return f"unknown key {match[1]}: it is not in the config{known_beside(match[1], overrides)}"
    if match := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        return f"{match[1]} is in the config already: write {match[1]}=… without the +"
    if (
        "missing EQUAL" in text
        or "mismatched input" in text
        or "extraneous input" in text
        or "LexerNoViableAlt" in text
        or "no viable alternative" in text
    ):
        words = getattr(error, "override", None) or first_line(text)
        if BARE_COMMA.search(QUOTED.sub("_", words)):
            return f"expected a value on both sides of each comma, got {words}; a list is one word, as seed=0,1,2"
        quotes = (
            "" if "missing EQUAL" in text else "; values with other signs than letters, digits and / . _ - go in quotes"
        )
        example = ", as 'data.maps=[\"~/a map.mrc\"]'" if quotes else ""
        return f"expected overrides like key=value, got {words}{quotes}{example}"
    if match := re.search(r"Sweep parameters '(.*)' requires --multirun", text):
        return f"expected one value for each setting, got {match[1]}; only runs and sweeps take several"
    if match := re.search(r"raised while resolving interpolation: (.*)\n\s+full_key: (\S+)", text):
        return f"{match[2]}: {match[1]}"
    return f"config: {first_line(text)}"


def inner_key(error: Exception, given: str) -> str:
    """The key that OmegaConf missed, where it lies within the one that is given and that Hydra's error names; else that."""
    found = re.search(rf"full_key: ({re.escape(given)}\.\S+)", str(error.__cause__ or ""))
    return found[1] if found else given


def first_line(text: str) -> str:
    """A message of several lines in one of at most 300 characters."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())[:300]


def known_beside(key: str, overrides: Sequence[str]) -> str:
    """The keys that stand where an unknown one was looked for, under the choices that were made, with the likeliest meant."""
    *above, name = key.split(".")
    # No word but a choice: another may be as wrong as this one.
    made = (*(f"{one}=" for one in GROUPS), "+sweep=", "hydra.searchpath=")
    try:
        config = compose([word for word in overrides if word.startswith(made) and not word.startswith(f"{key}=")])
    except InputError:
        return ""
    while above and not isinstance(OmegaConf.select(config, ".".join(above)), DictConfig):
        *above, name = above  # nor is what it was looked for in
    group = ".".join(above)
    node = OmegaConf.select(config, group) if group else config
    names = [str(k) for k in node if k not in ("_target_", "name", "hydra")]
    meant = suggestion(name, names) if group else likeliest(name, names, config)
    if key != ".".join((*above, name)):
        close = closest(key.split("."), config)
        meant = f"; did you mean {close}?" if close else ""
    return f" ({group or 'top level'}: {', '.join(names)}{meant})" if names else ""


def closest(parts: list[str], config: DictConfig) -> str:
    """The dotted key of a config that is spelt nearly so in each of its parts; "" where there is none."""
    found: list[str] = []
    for part in parts:
        node = OmegaConf.select(config, ".".join(found)) if found else config
        names = list(map(str, node)) if isinstance(node, DictConfig) else []
        found += [part] if part in names else difflib.get_close_matches(part, names, n=1)
    return ".".join(found) if len(found) == len(parts) else ""


def likeliest(key: str, names: list[str], config: DictConfig) -> str:
    """What a key without a dot was meant to be: the group `sweep`, which wants a +, one of these names, or a group's key."""
    if key == "sweep":
        return "; did you mean +sweep=…?"
    groups = [*(name for name in names if name != "method"), "method"]  # of keys in several groups a method's
    below = {
        leaf: f"{group}.{leaf}" for group in groups if isinstance(config[group], DictConfig) for leaf in config[group]
    }
    return f"; did you mean {below[key]}?" if key in below else suggestion(key, names)
