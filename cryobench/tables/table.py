"""Records → the cells of a table of the paper; `layout` makes text of them.

A cell is the mean over seeds of a run's mean over test images; its spread is the standard deviation over seeds, and
"–" where there is one seed. A record belongs to a row if it has every setting that the row's overrides name; all records
of a table agree in everything else, so an experiment with another learning rate never slips into a mean.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import yaml
from omegaconf import OmegaConf

from cryobench.config.identity import FULL
from cryobench.evaluation.statistics import LEVEL, against_published
from cryobench.files import writable
from cryobench.runs.store import Store


@dataclass(frozen=True)
class Cell:
    """One number of a table: what was measured, each seed once, and what the paper printed (None where it didn't).

    floors: where an MSE's Bayes limit is known, that of each value's seed, whose noise it is under.
    """

    row: str
    snr: float
    metric: str
    values: tuple[float, ...]
    run_ids: tuple[str, ...]
    paper: float | None
    paper_spread: float | None
    scale: str | None
    knows: tuple[str, ...] = ()
    floors: tuple[float, ...] = ()

    @property
    def mean(self) -> float | None:
        return float(np.mean(self.values)) if self.values else None

    @property
    def spread(self) -> float | None:
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def times(self) -> tuple[float, float | None] | None:
        """The value as a multiple of the limit: mean and spread over seeds (None for one); None where there is no limit."""
        if not self.floors:
            return None
        ratios = np.divide(self.values, self.floors)
        return float(ratios.mean()), float(ratios.std(ddof=1)) if len(ratios) > 1 else None

    @property
    def verdict(self) -> str:
        """Our number against the paper's: "agrees" if that could be one more seed of ours (`against_published`).

        Only the paper's own scale and at least three seeds allow a comparison.
        """
        if not self.values:
            return "missing"
        if self.paper is None:
            return "not published"
        if self.scale != "paper":
            return f"not comparable (scale {self.scale})"
        found = against_published(self.values, self.paper)
        if found is None:
            return "too few seeds"
        if found[0] >= LEVEL:
            return "agrees"
        return "better" if (self.mean < self.paper) == (self.metric == "mse") else "worse"


def sweep_rows(sweep: str) -> dict[str, dict[str, object]]:
    """The rows of a sweep's yaml: name → the settings (dotted key → value) that a record of it has."""
    rows = shipped(f"sweep/{sweep}")["rows"]
    return {name: dict(setting(text) for text in overrides) for name, overrides in rows.items()}


def setting(override: str) -> tuple[str, object]:
    """'method.alpha=0.5' → ('method.alpha', 0.5); a group's choice ('method=gan') names it: ('method.name', 'gan')."""
    key, _, value = override.lstrip("+").partition("=")
    return (key if "." in key or key == "seed" else f"{key}.name"), yaml.safe_load(value)


@cache
def shipped(name: str) -> dict | None:
    """A yaml of cryobench.conf, unresolved; None if there is none (a method of the user's own)."""
    group, _, choice = name.partition("/")
    file = resources.files("cryobench.conf") / group / f"{choice}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None


def deviations(record: dict, wanted: dict[str, object]) -> dict[str, object] | None:
    """None if a record lacks a setting that its row names; else what sets it apart from the shipped described protocol.

    Compared is what a run id is made of. SNR and seed are free: they are a table's columns and its replicates.
    """
    config = record["config"]
    wanted = {"noise.name": "gaussian", **wanted}
    if any(not same(look_up(config, key), value) for key, value in wanted.items()):
        return None
    differs = {} if "protocol.name" in wanted else {"protocol.name": config["protocol"]["name"]}
    if differs.get("protocol.name") == "described":
        differs = {}
    for group, only in (("data", None), ("noise", None), ("method", None), ("protocol", {"ssim_range"})):
        for key, value in defaults(group, config).items():
            name = f"{group}.{key}"
            if name in wanted or name == "noise.snr" or (only and key not in only) or key not in config[group]:
                continue
            if not same(config[group][key], value):
                differs[name] = config[group][key]
    if (precision := config.get("trainer", {}).get("precision", FULL)) != FULL:
        differs["trainer.precision"] = precision
    return differs


def same(one, other) -> bool:
    """Whether two settings are equal once both are what they look like: 1 and 1.0, 0.1 and '0.1'."""
    try:
        return one == other or float(one) == float(other)
    except (TypeError, ValueError):
        return False


def choose_variant(found: list[tuple[str, dict, dict]]) -> tuple[dict[str, list[dict]], list[str]]:
    """Of (row, record, deviations), the records of one and the same variant by row, and notes for the reader.

    Records with the shipped settings win; where there are none, the variant with the most records.
    """
    variants: dict[str, list[tuple[str, dict]]] = {}
    places = {(record["config"]["data"]["name"], record["config"]["scale"]["name"]) for _, record, _ in found}
    for row, record, differs in found:
        if len(places) > 1:  # one folder, several data sets or scales: never in one mean
            differs = {**differs, "data": record["config"]["data"]["name"], "scale": record["config"]["scale"]["name"]}
        name = ", ".join(f"{key}={value}" for key, value in sorted(differs.items()))
        variants.setdefault(name, []).append((row, record))
    if not variants:
        return {}, []
    chosen = "" if "" in variants else max(variants, key=lambda name: len(variants[name]))
    rows: dict[str, list[dict]] = {}
    for row, record in variants.pop(chosen):
        rows.setdefault(row, []).append(record)
    notes = [f"Settings other than the shipped ones: {chosen}."] if chosen else []
    if variants:
        some = "; ".join(sorted(variants)[:3]) + ("; …" if len(variants) > 3 else "")
        notes.append(
            f"{sum(map(len, variants.values()))} runs with other settings are left out ({some or 'the shipped ones'})."
        )
    return rows, notes


def defaults(group: str, config: dict) -> dict:
    """What the shipped yaml of this group's choice says, under the shipped scale and protocol of the record's names."""
    around = {name: shipped(f"{name}/{config[name]['name']}") or config[name] for name in ("scale", "protocol")}
    around["data"] = {"box": config["data"].get("box")}
    return resolved(group, config[group]["name"], json.dumps(around, sort_keys=True))


@cache
def resolved(group: str, choice: str, around: str) -> dict:
    """A shipped yaml with its references to scale, protocol and data (as JSON) filled in; {} for a choice of the user's own."""
    node = shipped(f"{group}/{choice}")
    if node is None:
        return {}
    # Names say which class it is; where it lay when a record was made tells nothing.
    node = {key: value for key, value in node.items() if key != "_target_" and "${paths" not in str(value)}
    return OmegaConf.to_container(OmegaConf.create({**json.loads(around), group: node}), resolve=True)[group]


def look_up(config: dict, dotted: str):
    for key in dotted.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


@cache
def published(table: int | str) -> dict[tuple[str, float, str], tuple[float, float]]:
    """(row, snr, metric) → (value, spread) as the supplement prints them."""
    text = (resources.files("cryobench.experiments") / "paper.csv").read_text(encoding="utf-8")
    rows = (line for line in csv.DictReader(io.StringIO(text)) if line["table"] == str(table))
    return {(r["row"], float(r["snr"]), r["metric"]): (float(r["value"]), float(r["spread"])) for r in rows}


def chosen(records: list[dict], rows: dict[str, dict]) -> tuple[dict[str, list[dict]], list[str]]:
    """The finished records of one and the same variant by row, a seed and SNR once, by seed; and notes for the reader."""
    done = [record for record in records if record["status"] == "done"]
    pairs = ((row, record, deviations(record, wanted)) for row, wanted in rows.items() for record in done)
    mine, notes = choose_variant([(row, record, differs) for row, record, differs in pairs if differs is not None])
    once = {row: {(r["config"]["noise"]["snr"], r["seed"]): r for r in found} for row, found in mine.items()}
    return {row: sorted(found.values(), key=lambda r: r["seed"]) for row, found in once.items()}, notes


def cells(
    records: list[dict], rows: dict[str, dict], paper: int | str | None, snrs, metrics
) -> tuple[list[Cell], list[str]]:
    """All cells of a table, row by row, and notes; a run that is missing or failed leaves its seed out, counted."""
    mine, notes = chosen(records, rows)
    notes += refused(mine)
    limit = bayes_limit(records)
    different = bool(notes) and notes[0].startswith("Settings")
    out = []
    for row in rows:
        for metric in metrics:
            for snr in snrs:
                here = [r for r in mine.get(row, []) if r["config"]["noise"]["snr"] == snr]
                here = [r for r in here if r["metrics"][metric]["mean"] is not None]
                value, spread = (published(paper).get((row, snr, metric)) if paper else None) or (None, None)
                floors = [limit(snr, r["seed"]) for r in here] if metric == "mse" else []
                scale = here[0]["config"]["scale"]["name"] + (", other settings" if different else "") if here else None
                out.append(Cell(
                    row, snr, metric, tuple(r["metrics"][metric]["mean"] for r in here), tuple(r["run_id"] for r in here),
                    value, spread, scale, tuple(here[0]["knows"]) if here else (), () if None in floors else tuple(floors),
                ))  # fmt: skip
    return out, notes


def refused(mine: dict[str, list[dict]]) -> list[str]:
    """A note on the test images that a method refused, which are in none of its means; none if there are none."""
    lines = []
    for row, records in mine.items():
        for record in records:
            if bad := record.get("bad_images"):
                where = f"{row}, SNR {record['config']['noise']['snr']:g}, seed {record['seed']}"
                some = ", ".join(list(bad)[:5]) + (" …" if len(bad) > 5 else "")
                lines.append(f"{where}: {len(bad)} (image {some}; {next(iter(bad.values()))})")
    return [f"Test images that a method refused, which its means leave out: {'; '.join(lines)}."] if lines else []


def write(store: Store, name: str, texts: dict[str, str]) -> list[Path]:
    """Write RESULTS/tables/NAME.SUFFIX for each suffix, each whole or not at all."""
    folder = store.results / "tables"
    files = []
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            file, temporary = folder / f"{name}.{suffix}", folder / f".{name}.{suffix}.part"
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, file)
            files.append(file)
    return files


def bayes_limit(records: list[dict]) -> Callable[..., float | None]:
    """(SNR, seed) → the MSE of the finished `bayes` run there; the mean over seeds where that seed has none, or none is
    given; None where there is no limit at all."""
    found: dict[float, dict[int, float]] = {}
    for record in records:
        if record["status"] == "done" and deviations(record, {"method.name": "bayes"}) == {}:
            found.setdefault(record["config"]["noise"]["snr"], {})[record["seed"]] = record["metrics"]["mse"]["mean"]

    def limit(snr: float, seed: int | None = None) -> float | None:
        there = found.get(snr)
        return there.get(seed, float(np.mean(list(there.values())))) if there else None

    return limit
