"""Records of several rows → which has the lower MSE, by the test of docs/statistics.md."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from cryobench.evaluation import statistics
from cryobench.runs.record import Record

Row = TypeVar("Row", bound=Hashable)
MARGIN = 0.05  # rows whose MSE differ by less than this share are equivalent


@dataclass(frozen=True)
class Measured(Generic[Row]):
    """values: row → seed → MSE of each test image, NaN for one that was refused; spreads: row → its spread over seeds, None
    for one with too few of them."""

    values: Mapping[Row, Mapping[int, np.ndarray]]
    spreads: Mapping[Row, statistics.Spread | None]

    def compared(self, a: Row, b: Row) -> statistics.Comparison | None:
        """Row a against row b."""
        return statistics.compare(self.values[a], self.values[b], self.spreads[a], self.spreads[b])


def measured(shown: Mapping[Row, Mapping[int, Record]]) -> Measured[Row]:
    """Row → seed → record; a row's spread is moderated by all rows of its kind, each set of runs once."""
    values = {
        row: {seed: as_numbers(record.per_image["mse"]) for seed, record in by_seed.items() if record.per_image}
        for row, by_seed in shown.items()
    }
    names = {row: tuple(record.run_id for record in by_seed.values()) for row, by_seed in shown.items()}
    once = {ids: row for row, ids in names.items() if ids}  # one row may stand in two tables: its runs count once
    logs = {row: {seed: np.log(np.nanmean(mse)) for seed, mse in values[row].items()} for row in once.values()}
    kinds = {row: kind(next(iter(shown[row].values()))) for row in once.values()}
    by_runs = statistics.spreads(logs, kinds)
    return Measured(values, {row: by_runs.get(once[ids]) if ids in once else None for row, ids in names.items()})


def as_numbers(values: Sequence) -> np.ndarray:
    """A record's list as an array, NaN for null."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def kind(record: Record) -> str:
    """Rows that vary alike over seeds: those that train the same net, and those that train none; who knows what a stack that
    was given from outside comes from, so it is a kind of its own."""
    method = record.config["method"]
    if record.given:
        return f"given {record.given}"
    return method.get("net", method["name"]) if "checkpoint" in method else "no net"


def every_pair(rows: Sequence[Row], asked: Sequence[Row] = ()) -> list[tuple[Row, Row]]:
    """Each two rows once, in order; where some are asked about, the pairs that have one of them."""
    pairs = [(a, b) for place, a in enumerate(rows) for b in rows[place + 1 :]]
    return [pair for pair in pairs if not asked or set(pair) & set(asked)]


def judged(rows: Measured[Row], pairs: Sequence[tuple[Row, Row]]) -> dict[tuple[Row, Row], statistics.Answer]:
    """Pair → answer, all corrected together (Holm): "holds" says that the first has a significantly lower MSE."""
    answers = statistics.judge([rows.compared(a, b) for a, b in pairs], MARGIN)
    return dict(zip(pairs, answers, strict=True))
