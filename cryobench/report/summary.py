"""The page's first table: every method of a results folder, one's own too, and its MSE as a multiple of the limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cryobench.printed import multiple, named, short
from cryobench.runs.record import Record
from cryobench.tables import frame, limits, table
from cryobench.tables.table import Cell
from cryobench.tables.text import formatted, meanings

SNRS = (0.1, 0.05)  # the paper's noise levels; a folder without them shows its own
CONTROLS = ("noisy", "mean image", "oracle")


@dataclass(frozen=True)
class Row:
    """A method: cells by SNR; method, as it is typed; published, whether the paper has such a row; side_information, what it
    used; limit: of LIMITS, the linear one where nothing has a Bayes limit; records: by SNR and seed."""

    name: str
    cells: dict[float, Cell]
    method: str
    published: bool
    side_information: tuple[str, ...]
    limit: str = "bayes"
    records: Mapping[float, Mapping[int, Record]] = field(default_factory=dict)

    def times(self, snr: float) -> float | None:
        """Its MSE there as a multiple of the limit, mean over seeds; None where either is not known."""
        multiple = self.cells[snr].times(self.limit) if snr in self.cells else None
        return multiple[0] if multiple else None

    def mse(self, snr: float) -> float | None:
        """Its mean MSE there; None without a run."""
        return self.cells[snr].mean if snr in self.cells else None

    @property
    def judged(self) -> bool:
        """Whether it stands for a denoiser: neither a limit nor a control."""
        return self.name not in (*limits.ROWS, *CONTROLS)


def rows(runs: pd.DataFrame) -> list[Row]:
    """The methods of Tables 2 and 1, those given from outside, one's own, and others with the settings of their yaml.

    The lowest MSE first, at the folder's first noise level, and last the rows without that; `oracle`, which is told the answer,
    is left out.
    """
    levels = snrs(runs)
    own = frame.outside(runs) | frame.own(runs)
    pairs = {f"{row}-GAN + l1, ResNet": wanted for row, wanted in frame.sweep_rows("alpha_beta").items()}
    named = {"methods": frame.sweep_rows("methods") | own, "alpha_beta": pairs}
    covered = {wanted.get("method.name") for part in named.values() for wanted in part.values()}
    named["pggan"] = {row: at for row, at in frame.sweep_rows("pggan").items() if at["method.name"] not in covered}
    covered |= {wanted["method.name"] for wanted in named["pggan"].values()}
    rest = sorted(set(runs["method"].dropna()) - covered - {"given"})
    named["rest"] = {name: {"method.name": name} for name in rest}
    published = {name for part in (1, 2) for name, _, _ in table.published(part)}
    record_of = {record.run_id: record for record in runs["record"]}
    entries = []
    for part in named.values():
        by_name: dict[str, dict[float, Cell]] = {}
        for cell in table.cells(runs, part, None, levels, ("mse",))[0]:
            if cell.values:
                by_name.setdefault(cell.row, {})[cell.snr] = cell
        for name, cells in by_name.items():
            first = next(iter(cells.values()))
            method = str(record_of[first.run_ids[0]].name("method"))
            in_paper = name.removesuffix("-GAN + l1, ResNet") in published
            records = {
                snr: {record_of[run].seed: record_of[run] for run in cell.run_ids} for snr, cell in cells.items()
            }
            entries.append(Row(name, cells, method, in_paper, tuple(first.side_information), records=records))
    bayes = any(cell.times("bayes") for row in entries for cell in row.cells.values())
    entries = [replace(row, limit="bayes" if bayes else "linear") for row in entries if row.name != "oracle"]
    return sorted(entries, key=lambda row: [np.inf if (mse := row.mse(snr)) is None else mse for snr in levels])


def snrs(runs: pd.DataFrame) -> list[float]:
    """The paper's two noise levels as far as there are runs, or else the two that most runs have; the less noisy first."""
    counts = runs.loc[runs["done"].astype(bool) & runs["snr"].notna(), "snr"].value_counts()
    known = [snr for snr in SNRS if snr in counts]
    return known or sorted(counts.index[:2], reverse=True)


def shown(runs: pd.DataFrame) -> dict:
    """For the page: {"snrs", "limit", "rows": [{"name", "kind", "note", "cells"}], "words", "lower", "left_out"}; {} without
    runs.

    limit is "" if there is none; words: what each name of side information there means; lower: rows that are
    `lower_under_more_noise`, which a reader may take for a slip; left_out: how many finished runs at
    these noise levels have settings of no row.
    """
    ranked, levels = rows(runs), snrs(runs)
    if not ranked:
        return {}
    best = {
        snr: min((mse for row in ranked if row.judged and (mse := row.mse(snr)) is not None), default=None)
        for snr in levels
    }
    floor = limits.ROWS[ranked[0].limit != "bayes"]
    floors = {snr: len(cell.values) for row in ranked if row.name == floor for snr, cell in row.cells.items()}
    lines = []
    for row in ranked:
        kind = "limit" if row.name in limits.ROWS else "control" if row.name in CONTROLS else ""
        cells = [cell(row, snr, row.judged and row.mse(snr) == best[snr], floors.get(snr, 0)) for snr in levels]
        lines.append({"name": named(row.name), "kind": kind, "note": ", ".join(row.side_information), "cells": cells})
    words = meanings(word for row in ranked for word in row.side_information)
    limited = any(row.times(snr) is not None for row in ranked for snr in levels)
    limit = limits.CALLED[ranked[0].limit] if limited else ""
    in_rows = {run for row in ranked for cell in row.cells.values() for run in cell.run_ids}
    usable = runs["done"].astype(bool) & (runs["method"] != "oracle") & runs["snr"].isin(levels)
    return {
        "snrs": [f"{snr:g}" for snr in levels],
        "limit": limit,
        "rows": lines,
        "words": words,
        "lower": [named(row.name) for row in ranked if row.judged and lower_under_more_noise(row, levels)],
        "left_out": int((usable & ~runs["run_id"].isin(in_rows)).sum()),
    }


def lower_under_more_noise(row: Row, levels: list[float]) -> bool:
    """Whether each seed at the lowest SNR has a lower MSE than every one at the highest."""
    least, most = (row.cells[snr].values if snr in row.cells else () for snr in (levels[0], levels[-1]))
    return bool(least and most) and max(most) < min(least)


def cell(row: Row, snr: float, best: bool, floors: int) -> dict:
    """One number of the page's first table, and the runs that it came from; floors: how many seeds the limit has there."""
    value, times = row.cells.get(snr), row.times(snr)
    fewer = value is not None and len(value.values) < floors
    if value is None or value.mean is None:
        return {"mse": "–", "mean": "–", "times": "–", "sort": "", "sort_times": "", "runs": "", "best": False}
    return {
        "mse": formatted("mse", value.mean, value.spread),
        "mean": short(value.mean) + ("¹" if value.spread is None else ""),  # where there is no room for a spread
        "times": multiple(times) + ("" if times is None else "¹" if value.spread is None else "²" if fewer else ""),
        "sort": f"{value.mean:.8g}",
        "sort_times": "" if times is None else f"{times:.8g}",
        "runs": " ".join(value.run_ids),
        "best": best,
    }
