"""One tidy frame of all records, under every table, figure, claim and report; and whose records enter one mean.

A record belongs to a row if it has every setting that the row's overrides name. All records of a table agree in everything
else, so an experiment with another learning rate never slips into a mean: what sets a record apart from the shipped described
protocol is found once, its `deviations`, and those that its row doesn't name are its `variant`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pandas as pd
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from cryobench.config import at_scale  # noqa: F401 (yamls use it)
from cryobench.config.identity import DENOISING, FULL, PLACES, files_in, own_folders, settings_of, shipped_settings
from cryobench.runs.filters import same, setting
from cryobench.runs.record import Record

Key = TypeVar("Key", bound=Hashable)
FREE = {"noise.snr"}  # a table's columns, as the seeds are its replicates: no deviation
WHERE = {f"{group}.{key}" for group, keys in PLACES.items() for key in keys}  # say where, not what
COLUMNS = tuple("run_id task done data scale noise snr clip protocol method seed deviations record".split())


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """One line for each run, as they come: COLUMNS, each metric's mean over test images, and all settings.

    Settings stand under their dotted names (method.alpha); None is what a record doesn't have. `deviations` is a dict, and
    `record` the Record itself, for what a table takes from an analysis or a method's report.
    """
    lines = [line(record) for record in records if record.config]
    names = dict.fromkeys((*COLUMNS, "mse", *(name for one in lines for name in one)))
    return pd.DataFrame({name: pd.Series([one.get(name) for one in lines], dtype=object) for name in names})


def line(record: Record) -> dict[str, object]:
    """One record's line of the frame."""
    config = record.config
    groups = {group: node for group, node in config.items() if isinstance(node, dict)}
    return {
        "run_id": record.run_id,
        "done": record.done,
        "seed": record.seed,
        "snr": record.snr,
        "clip": config.get("noise", {}).get("clip"),
        "record": record,
        "task": record.task,
        "deviations": deviations(config) if record.task == "denoising" else {},
        **{name: record.name(name) for name in ("data", "scale", "noise", "protocol", "method")},
        **{metric: record.mean(metric) for metric in record.metrics},
        **{f"{group}.{key}": value for group, node in groups.items() for key, value in node.items()},
    }


def deviations(config: dict) -> dict[str, object]:
    """What sets a config apart from the shipped described protocol with Gaussian noise, by dotted names.

    Compared is what a run id is made of. A setting that was added to the shipped ones (+data.train_conformations=…) counts.
    """
    named = {
        "protocol.name": (config["protocol"]["name"], "described"),
        "noise.name": (config["noise"]["name"], "gaussian"),
        "trainer.precision": (config.get("trainer", {}).get("precision", FULL), FULL),
    }
    differing = {key: value for key, (value, shipped_value) in named.items() if value != shipped_value}
    for group in (*DENOISING, "protocol"):
        usual = defaults(group, config)
        for key, value in config[group].items():
            name = f"{group}.{key}"
            if key in ("name", "_target_") or name in FREE | WHERE or (group == "protocol" and key != "ssim_range"):
                continue
            if key not in usual or not same(value, usual[key]):
                differing[name] = value
    return differing


def of_method(record: Record) -> dict[str, object]:
    """The deviations of a record that are its method's: those of its own settings, and of the precision it computes with."""
    differs = deviations(record.config)
    return {key: value for key, value in differs.items() if key.startswith("method.") or key == "trainer.precision"}


def defaults(group: str, config: dict) -> dict:
    """What the yaml of this group's choice says, under the shipped scale and protocol of the record's names."""
    around = {name: shipped(f"{name}/{config[name]['name']}") or config[name] for name in ("scale", "protocol")}
    around["data"] = {"box": config["data"].get("box")}
    return resolved(group, config[group]["name"], json.dumps(around, sort_keys=True), own_folders())


@cache
def resolved(group: str, choice: str, around: str, own: tuple[Path, ...] = ()) -> dict:
    """A yaml, shipped or in a folder of the user's own, with its references to scale, protocol and data (as JSON) filled in."""
    folders = (folder / group for folder in own if choice in files_in(folder / group))
    node = shipped_settings(group).get(choice) or next((settings_of(choice, one, group) for one in folders), {})
    # Names say which class it is; where it lay when a record was made tells nothing.
    node = {key: value for key, value in node.items() if key != "_target_" and "${paths" not in str(value)}
    values, config = {}, OmegaConf.create({**json.loads(around), group: node})
    for key in node:
        with contextlib.suppress(InterpolationResolutionError):  # at a scale of the user's own it has no usual value
            values[key] = config[group][key]
    return cast(dict, OmegaConf.to_container(OmegaConf.create(values), resolve=True))


@cache
def shipped(name: str) -> dict | None:
    """A yaml of cryobench.conf, unresolved; None if there is none."""
    group, _, choice = name.partition("/")
    file = resources.files("cryobench.conf") / group / f"{choice}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None


def sweep_rows(sweep: str) -> dict[str, dict[str, object]]:
    """The rows of a sweep's yaml: name → the settings (dotted key → value) that a record of it has; none without a yaml."""
    rows = (shipped(f"sweep/{sweep}") or {}).get("rows") or {}
    return {name: dict(setting(text) for text in overrides) for name, overrides in rows.items()}


@cache
def in_sweeps() -> frozenset[object]:
    """The names of the methods that the rows of the shipped sweeps have."""
    sweeps = (entry.name for entry in (resources.files("cryobench.conf") / "sweep").iterdir())
    names = [name.removesuffix(".yaml") for name in sweeps if name.endswith(".yaml")]
    return frozenset(wanted.get("method.name") for name in names for wanted in sweep_rows(name).values())


def outside(runs: pd.DataFrame) -> dict[str, dict[str, object]]:
    """A row for each tool whose images were given from outside (verb score): name → its settings, as in `sweep_rows`."""
    given = [record for record in runs["record"] if record.given and record.done]
    return {
        record.given: {f"method.{key}": value for key, value in record.config["method"].items() if key != "_target_"}
        for record in sorted(given, key=lambda record: record.given)
    }


def own(runs: pd.DataFrame) -> dict[str, dict[str, object]]:
    """A row for each setting of a method that no shipped sweep has: name → its settings, as in `sweep_rows`.

    The name is the method's, with the settings in which it differs from its yaml where that is at hand. In a checkout one's own
    yaml may lie beside those that are shipped.
    """
    by_name: dict[str, dict[str, object]] = {}
    for one in runs[runs["done"].astype(bool) & (runs["task"] == "denoising")].itertuples():
        if one.record.given or one.method is None or one.method in in_sweeps():
            continue
        settings = {f"method.{key}": value for key, value in one.record.config["method"].items() if key != "_target_"}
        differs = (f"{key.removeprefix('method.')}={value}" for key, value in one.deviations.items() if key in settings)
        by_name[" ".join((one.method, *sorted(differs)))] = settings
    return dict(sorted(by_name.items()))


def fits(runs: pd.DataFrame, wanted: dict[str, object]) -> pd.Series:
    """Which runs have these settings; one that a run doesn't have is None."""
    matching = pd.Series(True, index=runs.index)
    for key, value in wanted.items():
        matching &= (
            runs[key].map(lambda have, value=value: same(have, value)).astype(bool) if key in runs else value is None
        )
    return matching


def rows(runs: pd.DataFrame, wanted: dict[str, dict[str, object]]) -> pd.DataFrame:
    """The finished runs of each row, with `row`, and `variant`: in words, the deviations that the row doesn't name.

    wanted: row → its settings. Noise is Gaussian where a row says nothing of it.
    """
    parts = []
    for row, named in wanted.items():
        settings = {"noise.name": "gaussian", **named}
        matching = runs[runs["done"].astype(bool) & fits(runs, settings)]
        if matching.empty:
            continue
        words = [
            in_words({k: v for k, v in differing.items() if k not in settings}) for differing in matching["deviations"]
        ]
        parts.append(matching.assign(row=row, variant=words))
    return pd.concat(parts) if parts else runs[:0].assign(row=None, variant=None)


def in_words(differs: dict[str, object]) -> str:
    """Settings as people write them, in alphabetical order: method.lr=0.001, noise.clip=True."""
    return ", ".join(f"{key}={value}" for key, value in sorted(differs.items()))


def usual(runs: pd.DataFrame, wanted: dict[str, object]) -> pd.DataFrame:
    """The finished runs with these settings and the shipped ones elsewhere, of a seed and an SNR the earliest."""
    matching = rows(runs, {"": wanted})
    return earliest(matching[matching["variant"] == ""], ["data", "scale", "snr", "seed"])


@dataclass(frozen=True)
class Chosen:
    """runs: as `rows` has them, all of one `variant`: in words, "" for the shipped settings; left_out: a note on the others, ""
    where there are none."""

    runs: pd.DataFrame
    variant: str = ""
    left_out: str = ""

    @property
    def settings(self) -> str:
        """A note on what is not as shipped; "" where all is."""
        return f"Settings other than the shipped ones: {self.variant}." if self.variant else ""

    @property
    def notes(self) -> list[str]:
        """What a reader has to know."""
        return [note for note in (self.settings, self.left_out) if note]


def chosen(runs: pd.DataFrame, wanted: dict[str, dict[str, object]]) -> Chosen:
    """The runs of one and the same variant, row by row by seed, a seed and SNR once in each.

    Runs with the shipped settings win; where there are none, the variant with the most runs; of a seed the earliest.
    """
    matching = rows(runs, wanted)
    if (
        len(matching[["data", "scale"]].drop_duplicates()) > 1
    ):  # one folder, several data sets or scales: never in one mean
        where = [{"data": one.data, "scale": one.scale} for one in matching.itertuples()]
        matching["variant"] = [
            ", ".join(filter(None, [in_words(place), variant]))
            for place, variant in zip(where, matching["variant"], strict=True)
        ]
    counts = matching["variant"].value_counts(sort=False)
    if counts.empty:
        return Chosen(matching)
    one = "" if "" in counts else str(counts.idxmax())
    others = matching[~matching["run_id"].isin(matching.loc[matching["variant"] == one, "run_id"])]
    left_out = ""
    if left := sorted(set(others["variant"])):
        some = "; ".join(left[:3]) + ("; …" if len(left) > 3 else "")
        number = others["run_id"].nunique()
        left_out = f"{number} runs with other settings are left out ({some or 'the shipped ones'})."
    once = earliest(matching[matching["variant"] == one], ["row", "snr", "seed"])
    place = {row: number for number, row in enumerate(wanted)}
    once = once.sort_values(["row", "seed"], key=lambda c: c.map(place) if c.name == "row" else c, kind="stable")
    return Chosen(once, one, left_out)


def earliest(runs: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """The earliest run of each of `by`: one that was repeated, as with an analysis of its images, changes no number later."""
    return runs.iloc[np.argsort([record.started for record in runs["record"]], kind="stable")].drop_duplicates(by)


def earliest_of(records: Iterable[Record], by: Callable[[Record], Key]) -> dict[Key, Record]:
    """The same of records that are in no frame: what `by` says of one → the earliest of which it says so."""
    found: dict[Key, Record] = {}
    for record in sorted(records, key=lambda one: one.started):
        found.setdefault(by(record), record)
    return found


def by_row(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The chosen runs of each row that has any."""
    return dict(iter(runs.groupby("row", sort=False)))


def measured_on(runs: pd.DataFrame) -> str:
    """A sentence: the data sets and scales of these runs."""
    places = sorted({f"{data}, {scale} scale" for data, scale in zip(runs["data"], runs["scale"], strict=True)})
    return f"Measured on: {'; '.join(places) or 'nothing yet'}."
