"""The frame of records → the cells of a table of the paper; `layout` makes text of them.

A cell is the mean over seeds of a run's mean over test images; its spread is the standard deviation over seeds, and
"–" where there is one seed. Which records enter is the frame's rule (`frame.chosen`).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from cryobench.evaluation.statistics import LEVEL, against_published, mean_and_spread
from cryobench.runs.record import Record
from cryobench.tables import frame
from cryobench.tables.limits import LIMITS, Limits, complete, mse

TRIALS = ("smoke", "quick")  # scales that show that all works
A_TRIAL = "so few and small images show that all works; what is better here need not be so at the paper's size"
BECAME = {  # of a published number (table published_cells): verdict → in words, after how many
    "agrees": "agree in size (within × 1.25, 1 dB or 0.05 of SSIM)",
    "protocol": "are explained by a protocol switch (a setting that the paper's text leaves open or its code has otherwise)",
    "scale": "are put down to scale",
    "unexplained": "are unexplained",
    "missing": "are not run",
}
LATER = ("nmse",)  # metrics that older records lack: no cell where none has it


@dataclass(frozen=True)
class Cell:
    """One number of a table: what was measured, each seed once, and what the paper printed (None where it didn't).

    floors: limit → where it is known, that of an MSE's each value's seed, whose noise it is under; images: what they are of, in
    words.
    """

    row: str
    snr: float
    metric: str
    values: tuple[float, ...]
    run_ids: tuple[str, ...]
    paper: float | None
    paper_spread: float | None
    scale: str | None
    side_information: tuple[str, ...] = ()
    floors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    images: str = ""

    @property
    def mean(self) -> float | None:
        """The mean over seeds; None without a run."""
        return mean_and_spread(self.values)[0] if self.values else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds (n − 1); None for fewer than two."""
        return mean_and_spread(self.values)[1] if self.values else None

    def times(self, limit: str = "bayes") -> tuple[float, float | None] | None:
        """The value as a multiple of a limit: mean and spread over seeds (None for one); None where there is no limit."""
        if limit not in self.floors:
            return None
        return mean_and_spread(np.divide(self.values, self.floors[limit]))

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
        comparison = against_published(self.values, self.paper)
        if comparison is None:
            return "too few seeds"
        if comparison[0] >= LEVEL:
            return "agrees"
        lower = float(np.mean(self.values)) < self.paper
        return "better" if lower == (self.metric == "mse") else "worse"


@cache
def published(table: int | str) -> dict[tuple[str, float, str], tuple[float, float]]:
    """(row, snr, metric) → (value, spread) as the supplement prints them."""
    return {place: (float(value), float(spread)) for place, (value, spread) in printed(table).items()}


@cache
def printed(table: int | str) -> dict[tuple[str, float, str], tuple[str, str]]:
    """(row, snr, metric) → the texts (value, spread) of the supplement, in its order."""
    text = (resources.files("cryobench.experiments") / "paper.csv").read_text(encoding="utf-8")
    rows = (line for line in csv.DictReader(io.StringIO(text)) if line["table"] == str(table))
    return {(r["row"], float(r["snr"]), r["metric"]): (r["value"], r["spread"]) for r in rows}


def cells(
    runs: pd.DataFrame, rows: dict[str, dict], paper: int | str | None, snrs: Sequence[float], metrics: Sequence[str]
) -> tuple[list[Cell], list[str]]:
    """All cells of a table, row by row, and notes; a run that is missing or failed leaves its seed out, counted."""
    found = frame.chosen(runs, rows)
    chosen, notes = found.runs, [*found.notes, *refused(found.runs)]
    limits = Limits(runs["record"])
    different = ", other settings" if found.variant else ""
    places, none = dict(iter(chosen.groupby(["row", "snr"], sort=False))), chosen[:0]
    out = []
    for row in rows:
        for metric in metrics:
            for snr in snrs:
                group = places.get((row, snr), none)
                if len(group):
                    group = group[group[metric].notna()] if metric in group else none
                if group.empty and metric in LATER:
                    continue
                value, spread = (published(paper).get((row, snr, metric)) if paper else None) or (None, None)
                first = None if group.empty else group.iloc[0]
                floors = {name: complete(limits.under(one, name, mse) for one in group["record"]) for name in LIMITS}
                out.append(
                    Cell(
                        row,
                        snr,
                        metric,
                        tuple(group[metric]) if metric in group else (),
                        tuple(group["run_id"]),
                        value,
                        spread,
                        None if first is None else f"{first['scale']}{different}",
                        () if first is None else tuple(first["record"].side_information),
                        {name: tuple(each) for name, each in floors.items() if metric == "mse" and each},
                        "" if first is None else images_of(first["record"]),
                    )
                )
    return out, notes


def nearest(means: Mapping[str, float | None], paper: float | None) -> tuple[str, dict[str, float]]:
    """Which of two means is nearer to the paper's in ratio, and the factor by which each misses it, the nearer first.

    "" where both factors are printed alike; no factors where a number is missing.

    >>> nearest({"described": 2.0, "released": 8.0}, 4.4)[0], nearest({"described": 2.0, "released": 8.0}, 4.0)[0]
    ('released', '')
    """
    known = {name: mean for name, mean in means.items() if mean is not None}
    if paper is None or len(known) < len(means):
        return "", {}
    away = {name: math.exp(abs(math.log(mean / paper))) for name, mean in known.items()}
    first, second = sorted(away, key=lambda name: away[name])
    alike = f"{away[first]:.1f}" == f"{away[second]:.1f}"
    return "" if alike else first, {first: away[first], second: away[second]}


def images_of(record: Record) -> str:
    """Of which molecule, at which scale, and how many; and a warning where that is too little for numbers to mean anything."""
    data, scale = record.config["data"], record.config["scale"]["name"]
    numbers = f"{data['image_size']} px, {data['n_train']:,} training and {data['n_test']:,} test images"
    warning = f"; {A_TRIAL}" if scale in TRIALS else ""
    return f"{data['name']}, {scale} scale: {numbers}{warning}"


def refused(chosen: pd.DataFrame) -> list[str]:
    """`refused_by` of chosen runs, row by row."""
    rows = dict.fromkeys(chosen["row"])
    return refused_by((row, record) for row in rows for record in chosen.loc[chosen["row"] == row, "record"])


def refused_by(runs: Iterable[tuple[str, Record]]) -> list[str]:
    """A note on the test images that a method refused, which are in none of its means; none if there are none.

    runs: (row, record).
    """
    lines = []
    for row, record in runs:
        if bad := record.bad_images:
            some = ", ".join(list(bad)[:5]) + (" …" if len(bad) > 5 else "")
            noise = record.name("noise") if record.snr is None else f"SNR {record.snr:g}"
            why = next(iter(bad.values()))
            lines.append(f"{row}, {noise}, seed {record.seed}: {len(bad)} (image {some}; {why})")
    return [f"Test images that a method refused, which its means leave out: {'; '.join(lines)}."] if lines else []
