"""What a few runs that are missing will cost, from whatever is known: bench.json, finished runs like them, or a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryobench.config.sweep import Job
from cryobench.cost.estimate import run_seconds, speed_of, taken, work_of
from cryobench.cost.speed import SLICES
from cryobench.runs.record import Record

SMALL = 2 * SLICES[-1]  # pairs; with fewer a run takes less than measuring it


@dataclass(frozen=True)
class Foreseen:
    """Seconds of the runs whose cost is known, one after the other; how many are small, and how many unknown."""

    seconds: float
    small: int
    unknown: int


def foreseen(jobs: Sequence[Job], records: Sequence[Record], bench: dict, threads: int, measure: bool) -> Foreseen:
    """Of runs that are not done. records: finished ones; bench: as `estimate.read_bench` gives it; measure: what nothing is
    known of, which takes seconds for each method."""
    known: dict[str, float] = {}
    small = 0
    took = taken(records)
    measured = dict(bench, methods=list(bench["methods"]))
    for job in jobs:
        if (alike := took.get(work_of(job.config))) is not None:
            known[job.run_id] = alike
            continue
        speed = speed_of(job.config, measured, threads)
        if speed is None and is_small(job.config):
            small += 1
        elif speed is None and measure:
            from cryobench.cost.bench import measure_one

            measured["methods"].append(measure_one(job, threads))
            speed = speed_of(job.config, measured, threads)
        if speed is not None:
            known[job.run_id] = run_seconds(job.config, speed)
    return Foreseen(sum(known.values()), small, len(jobs) - small - len(known))


def is_small(config: dict) -> bool:
    """Whether a run has so few images that measuring its method would take longer than the run."""
    return config["data"]["n_train"] + config["data"]["n_test"] <= SMALL
