"""What to say of a config that Hydra or OmegaConf refuses: what was expected, what came, and what was likely meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryobench.config.hydra import composed
from cryobench.config.schema import GROUPS
from cryobench.config.yamls import lying_here

TOP = (*GROUPS, "seed", "analysis", "watch", "row", "rows", "writes", "paths")  # what stands in a config without a dot
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
BARE_COMMA = re.compile(r"[=,\[]\s*,|,\s*(\]|$)")  # with no value before or behind it


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
        config = composed([word for word in overrides if word.startswith(made) and not word.startswith(f"{key}=")])
    except (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError):
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


def suggestion(key: str, known) -> str:
    """ "; did you mean …?" where something known is close to `key`, else nothing."""
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
