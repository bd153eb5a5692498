"""The config in a record or model file, as one to be used here: its classes and settings, this machine's folders and devices."""

from __future__ import annotations

import inspect

from hydra.utils import get_class
from omegaconf import OmegaConf

from cryobench.config.compose import (
    build,
    check_device,
    compose,
    from_elsewhere,
    resolve,
    settings,
    typed_value,
)
from cryobench.config.identity import run_id
from cryobench.errors import InputError
from cryobench.evaluation.analysis import check


def at_home(config: dict, overrides: list[str], what: str, task: str | None = "denoising") -> dict:
    """The config of a record or model file (`what`) with this machine's folders, devices and classes.

    overrides may only be of trainer and paths; task: the one that is expected, None for any. Raises InputError.
    """
    wrong = [
        word for word in overrides if word.lstrip("+~").partition("=")[0].partition(".")[0] not in ("trainer", "paths")
    ]
    if wrong:
        raise InputError(f"expected no settings but trainer and paths beside a run or a model, got {wrong[0]}")
    local = resolve(compose(overrides))
    config = from_elsewhere(config, what, task) | {"paths": local["paths"], "trainer": local["trainer"]}
    if "data" in config and "data_dir" in inspect.signature(get_class(config["data"]["_target_"])).parameters:
        config["data"] = {**config["data"], "data_dir": local["paths"]["data"]}
    return config


def to_run(recorded: dict, name: str, overrides: list[str]) -> dict:
    """The config of the run `name`, as its record has it, to be run here once more.

    All that decides its result is checked as if it had been given on this command line, and makes the same run: another id
    than `name` is refused. Raises InputError.
    """
    what = f"run {name}"
    if any(word.lstrip("+~").startswith("trainer.precision") for word in overrides):
        raise InputError(f"{what}: expected its own precision, which decides its result, got an override of it")
    config = at_home(recorded, overrides, what, task=None)
    try:
        precision = recorded.get("trainer", {}).get("precision", config["trainer"]["precision"])
        config["trainer"] = settings(OmegaConf.create({**config["trainer"], "precision": precision}), "trainer")
        for group in ("protocol", "scale"):
            if group in config:
                config[group] = overlaid(group, config[group])
        config["analysis"] = check(typed_value("analysis", config.get("analysis", []), list[str]))
        config["watch"] = typed_value("watch", config.get("watch", 0), int)
        if config["watch"] < 0 or config["seed"] < 0:
            raise InputError("expected a seed and a watch of at least 0")
        check_device(build(config, "task"), config)
        id_now = run_id(config)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
    if id_now != name:
        raise InputError(
            f"{what}: expected settings that make this run, got those of {id_now}: its record was changed, or a class of your "
            "own has another _target_ now"
        )
    return config


def overlaid(group: str, node: dict) -> dict:
    """Protocol or scale as the yaml of its name has it, with the values that a record gives to the keys that there are."""
    shipped = resolve(compose([f"{group}={node['name']}"]))[group]
    kept = {key: value for key, value in node.items() if key in shipped}
    return settings(OmegaConf.create({**shipped, **kept}), group)
