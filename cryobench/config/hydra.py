"""Hydra, where more of it is needed than it offers: its state, its parser of overrides, its launchers without its command line.

Composing goes by its public `compose`. Not public, or not meant to be called from inside a program, are these:

    whether it is initialised   a worker of a sweep is, and `compose` goes on from there; a process of ours isn't yet
    the override parser         a sweep is planned, and shown, before anything is started, so what an override means has to be
                                known here just as Hydra will read it
    hydra.main                  the one way to its launchers; it reads sys.argv, and prints errors unless told to raise them
    HydraConfig                 which launcher calls a job, and with which overrides
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from omegaconf import DictConfig

from cryobench.config import at_scale  # noqa: F401 (yamls use it)

CONFIG = "cryobench.conf"


def composed(overrides: Sequence[str]) -> DictConfig:
    """The config, not yet resolved, with Hydra's own part. Raises HydraException, OmegaConfBaseException or ValueError."""
    if GlobalHydra.instance().is_initialized():
        return compose("config", list(overrides), return_hydra_config=True)
    with initialize_config_module(CONFIG, version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


def parsed(overrides: Sequence[str]) -> list:
    """Hydra's Override objects. Raises HydraException."""
    return OverridesParser.create().parse_overrides(list(overrides))


def is_glob(override) -> bool:
    """Whether an Override stands for all names of a pattern, which only Hydra's own launchers could look up."""
    return isinstance(override.value(), Glob)


def launch(job: Callable[[DictConfig], object], overrides: Sequence[str], environment: dict[str, str]) -> None:
    """Let Hydra's launcher (hydra/launcher=…) call `job` with each config of a sweep; errors are raised, not printed.

    environment: variables for the processes that it starts; this one has its own back at the end.
    """
    import hydra

    words, variables = sys.argv, os.environ.copy()
    sys.argv = [words[0], "--multirun", *overrides]
    os.environ |= {"HYDRA_FULL_ERROR": "1", **environment}
    try:
        hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG}", config_name="config")(job)()
    finally:
        sys.argv = words
        for name in ("HYDRA_FULL_ERROR", *environment):
            os.environ.pop(name)
            os.environ |= {name: variables[name]} if name in variables else {}


def current_job() -> tuple[str, list[str]]:
    """In a job: the name of the launcher that calls it, and the overrides that make its config.

    Where yamls are looked for is among these: Hydra keeps it apart, and would look for them in its own process alone.
    """
    from hydra.core.hydra_config import HydraConfig

    now = HydraConfig.get()
    places = [word for word in now.overrides.hydra if word.startswith("hydra.searchpath=")]
    return now.runtime.choices["hydra/launcher"], [*now.overrides.task, *places]
