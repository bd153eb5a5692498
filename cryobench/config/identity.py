"""What a run is, apart from where code lies: its id comes from names and settings, its classes are found by name.

Each of the groups data, noise, method and task of a config has a `name` and a `_target_`, the class that does it. Classes
move as the package grows, so the place that a record wrote down counts for nothing later:

    identity  A class of cryobench is known by its group and name. Names that had records while places still counted keep
              the place of that time in the hash (FIRST_PLACES), so all their ids stay; newer names stand for themselves.
              A class of the user's own is known by name and by `_target_` as their yaml gives it (mine.Blur): that is
              theirs to keep, and two people's `blur` are two methods.
    class     Whoever builds from a record or from a model file asks for the class by name (`at_present`). It comes from the
              yamls shipped with cryobench and those of --config-dir, never from what a file of somebody else says: no
              module is imported because a record names it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from hydra.utils import get_class

from cryobench.config.yamls import content_of, lying_here
from cryobench.errors import InputError

DENOISING = ("data", "noise", "method")  # what decides a denoising run; another task has all of its settings in `task`
BUILT = ("task", *DENOISING)  # groups that name a class in _target_; its signature is their schema
PLACES = {"data": ("data_dir", "source", "sha256")}  # settings that say where, not what
FULL = "32-true"  # precision of numbers, as Lightning calls it

# Where these classes lay when a run's id was still made of that. Frozen: nothing is added, changed or removed here.
FIRST_PLACES = {
    "data": {
        "empiar10028": "cryobench.data.recorded.Particles",
        "particles": "cryobench.data.recorded.Particles",
        "phantom": "cryobench.data.phantom.Phantom",
        "rnap": "cryobench.data.rnap.Rnap",
        "rnap_ecoli": "cryobench.data.rnap.Rnap",
        "rnap_mtb": "cryobench.data.hinged.Hinged",
    },
    "noise": {
        "contaminated": "cryobench.contamination.Contaminated",
        "gaussian": "cryobench.noise.Gaussian",
        "microscope": "cryobench.microscope.Microscope",
        "recorded": "cryobench.noise.Recorded",
    },
    "method": {
        "autoencoder": "cryobench.methods.autoencoder.Autoencoder",
        "bayes": "cryobench.baselines.bayes.Bayes",
        "bm3d": "cryobench.baselines.bm3d.BM3D",
        "cwf": "cryobench.baselines.cwf.CWF",
        "exemplar": "cryobench.methods.exemplar.Exemplar",
        "gan": "cryobench.methods.gan.AlphaBetaGan",
        "ksvd": "cryobench.baselines.ksvd.KSVD",
        "mean_image": "cryobench.baselines.controls.MeanImage",
        "nlm": "cryobench.baselines.nlm.NLM",
        "noisy": "cryobench.baselines.controls.Noisy",
        "oracle": "cryobench.baselines.controls.Oracle",
        "pggan": "cryobench.methods.pggan.Pggan",
        "rebuilt": "cryobench.baselines.rebuilt.Rebuilt",
        "topaz": "cryobench.baselines.topaz.Topaz",
        "unet": "cryobench.methods.unet.UNet",
        "wgan_gp": "cryobench.methods.gan.WassersteinGan",
        "wiener": "cryobench.methods.wiener.Wiener",
    },
    "task": {
        "denoising": "cryobench.run.Denoising",
        "robust_estimation": "cryobench.robust.runs.RobustEstimation",
        "robust_rates": "cryobench.robust.runs.RobustRates",
    },
}

NAME = re.compile(r"[\w+-]+(\.[\w+-]+)*")  # of a group's choice: nothing that could lead out of a folder

_OWN: ContextVar[tuple[Path, ...]] = ContextVar("_OWN", default=())


def run_id(config: dict) -> str:
    """METHOD-HASH, the hash over what decides the result; where it runs and where it is kept are not in it.

    config: resolved, or a record's as `at_present` gives it. A task other than denoising is decided by its own settings and
    the seed, and named TASK-HASH.

    Protocol and scale reach a run through the settings of the groups that use them (but for the SSIM's range, which the
    run itself uses), so of these two only the names enter: a switch added later leaves old records their names. Analyses
    and the watch decide no result but what the record holds; they enter where any is asked for. Of the trainer only a
    precision below the full one does. A setting whose dataclass field has metadata={"later": True} came when there were
    records already, and enters where it isn't at its default.
    """
    if task_name(config) != "denoising":
        return hashed(task_name(config), {"task": identified("task", config["task"]), "seed": config["seed"]})
    deciding = conditions(config) | {
        "method": identified("method", without_later(config["method"])),
        "seed": config["seed"],
        **{name: config[name] for name in ("analysis", "watch") if config.get(name)},
        **({"precision": precision} if (precision := config["trainer"]["precision"]) != FULL else {}),
    }
    return hashed(config["method"]["name"], deciding)


def conditions(config: dict) -> dict:
    """Of what decides a denoising run, all but its method and seed: runs that agree in it can be compared.

    That is which images, under which noise, of how many, scored how. config: as for `run_id`.
    """
    groups = {group: identified(group, without_later(config[group])) for group in ("data", "noise")}
    protocol = config["protocol"]
    return {
        group: {key: value for key, value in node.items() if key not in PLACES.get(group, ())}
        for group, node in groups.items()
    } | {
        "protocol": {"name": protocol["name"], "ssim_range": protocol["ssim_range"]},
        "scale": config["scale"]["name"],
    }


def task_name(config: dict) -> str:
    """What a run of this config does; the first records are older than the word, and denoised."""
    return config.get("task", {"name": "denoising"})["name"]


def hashed(name: str, deciding: dict) -> str:
    """NAME-HASH, the first twelve digits of the sha256 of what decides a result."""
    return f"{name}-{hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:12]}"


def without_later(node: dict) -> dict:
    """A group's settings, without those marked as later that are at their default."""
    cls = get_class(node["_target_"])
    later = {f.name: f.default for f in fields(cls) if f.metadata.get("later")} if is_dataclass(cls) else {}
    return {key: value for key, value in node.items() if key not in later or value != later[key]}


def identified(group: str, node: dict) -> dict:
    """A group's settings with its class known as the module's docstring says, not by where the class lies today."""
    target, shipped = node["_target_"], shipped_targets(group)
    # Our class under a name of the user's own is known by the name that we have for it.
    name = node["name"] if node["name"] in shipped else name_of(group, target)
    if name is None:
        return node
    kept = {key: value for key, value in node.items() if key != "_target_"}
    if first := FIRST_PLACES[group].get(name):
        return {**kept, "_target_": first}
    return kept if name == node["name"] else {**kept, "class": name}


def name_of(group: str, target: str) -> str | None:
    """The first name under which a class of cryobench is shipped; None if there is no yaml for it."""
    return next((name for name, shipped in shipped_targets(group).items() if shipped == target), None)


def at_present(config: dict) -> dict:
    """A record's config, its classes where they lie today. Raises InputError for a name that no yaml here has."""
    return {
        group: {**node, "_target_": target_of(group, node["name"])} if group in BUILT else node
        for group, node in config.items()
    }


def fault_of_config(config) -> str | None:
    """Why something can't be the config of a run, in a few words; None if it can.

    Each group is a mapping with a plain word for its name, and no text in it refers to something else (${…}), which
    OmegaConf would look up: in the environment, say.
    """
    if not isinstance(config, dict):
        return "config is no mapping"
    needed = (*BUILT[1:], "protocol", "scale") if task_of(config) == "denoising" else ("task",)
    for group in needed:
        if not isinstance(config.get(group), dict):
            return f"config.{group} is missing"
    for group in (*BUILT, "protocol", "scale", "trainer"):
        node = config.get(group, {})
        if not isinstance(node, dict):
            return f"config.{group} is no mapping"
        name = node.get("name", "" if group not in needed else None)
        if not isinstance(name, str) or not (NAME.fullmatch(name) or group not in needed):
            return f"config.{group}.name is no plain word"
    return "config refers to something outside (${)" if "${" in json.dumps(config) else None


def task_of(config: dict) -> str | None:
    """`task_name`, or None where the config of a file from elsewhere has none that is a text."""
    task = config.get("task", {"name": "denoising"})
    name = task.get("name") if isinstance(task, dict) else None
    return name if isinstance(name, str) else None


def target_of(group: str, name: str) -> str:
    """The place of the class that a group's choice names, by the yamls here. Raises InputError where none does."""
    if name in shipped_targets(group):
        return shipped_targets(group)[name]
    unusable: dict[str, None] = {}
    for folder in own_folders():
        targets: dict[str, str] = {}
        for stem in files_in(folder / group):
            try:
                targets |= target_in(settings_of(stem, folder / group, group))
            except InputError as error:  # of no matter where another one is meant
                unusable[str(error)] = None
        if name in targets:
            return targets[name]
    if unusable:
        raise InputError("; ".join(unusable))
    choices = [choice for choice in shipped_settings(group) if choice[0] != "_"]
    raise InputError(
        f"{group}={name}: expected one of {', '.join(choices)}, or one of your own whose yaml is in the folder "
        f"named by --config-dir, got neither{lying_here(group, name)}"
    )


def check_name(group: str, node: dict) -> None:
    """Raise InputError for another class under the name of a shipped one: two things of one name would share records."""
    shipped = shipped_targets(group).get(node["name"], node["_target_"])
    if shipped != node["_target_"]:
        raise InputError(
            f"{group}: expected {shipped} under the name {node['name']}, got {node['_target_']}; write a yaml "
            f"with a name of its own, or add {group}.name=…"
        )


@contextmanager
def searching(folders: Sequence[Path]) -> Iterator[None]:
    """In the body, names are looked up in these folders of yamls, too (--config-dir)."""
    token = _OWN.set((*_OWN.get(), *folders))
    try:
        yield
    finally:
        _OWN.reset(token)


def own_folders() -> tuple[Path, ...]:
    """The folders of the user's own yamls that names are looked up in."""
    return _OWN.get()


@cache
def shipped_targets(group: str) -> dict[str, str]:
    """name → `_target_` of the yamls in cryobench.conf."""
    return {name: target for node in shipped_settings(group).values() for name, target in target_in(node).items()}


def target_in(node: dict) -> dict[str, str]:
    """name → `_target_` of a yaml's settings, whose name is by default that of the class; {} where they name no class."""
    target = node.get("_target_")
    return {node.get("name", target.rpartition(".")[2].lower()): target} if isinstance(target, str) else {}


@cache
def shipped_settings(group: str) -> dict[str, dict]:
    """A choice of a group in cryobench.conf → its settings, unresolved, with those of its `defaults`."""
    folder = resources.files("cryobench.conf") / group
    return {stem: settings_of(stem, folder, group) for stem in files_in(folder)}


def files_in(folder) -> dict:
    """The yamls of a folder by what they are called, in order."""
    files = sorted(folder.iterdir(), key=lambda p: p.name) if folder.is_dir() else []
    return {p.name[:-5]: p for p in files if p.name.endswith(".yaml")}


def settings_of(stem: str, folder, group: str, below: tuple[str, ...] = ()) -> dict:
    """The settings of one yaml of a folder, whose `defaults` may name others there or shipped ones; {} if there is none."""
    if (file := files_in(folder).get(stem)) is None:
        return {} if folder == resources.files("cryobench.conf") / group else shipped_settings(group).get(stem, {})
    content = document(file)
    defaults = content.get("defaults")
    bases = [base for base in defaults if isinstance(base, str)] if isinstance(defaults, list) else []
    inherited = [
        settings_of(base, folder, group, (*below, stem)) for base in bases if base not in ("_self_", stem, *below)
    ]
    below_it = content.get(group)  # where the yaml is `# @package _global_`
    own = below_it if isinstance(below_it, dict) else content
    return {key: value for node in (*inherited, own) for key, value in node.items() if key != "defaults"}


def document(file) -> dict:
    """A yaml's content, {} if it is no mapping. Raises InputError for what is no yaml."""
    content = content_of(file)
    return content if isinstance(content, dict) else {}
