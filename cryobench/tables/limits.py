"""The limits: the methods that an MSE is a multiple of, and which of their runs stand under a number.

A limit of some test images under white Gaussian noise is a finished run with the settings of its yaml on these images at this
SNR, unclipped; of one that was repeated the earliest (`frame.earliest_of`). A number is divided by the limit of its own seed,
and where that seed has none by the mean over those that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from cryobench.runs.record import Record
from cryobench.tables import frame

LIMITS = {"bayes": "bayes", "linear": "wiener"}  # limit → the method that is it
CALLED = {"bayes": "limit", "linear": "linear limit"}  # within a sentence
ROWS = ("Bayes limit", "Linear limit")  # of tables
NO_METHODS = {"noisy", "mean_image", "oracle", "bayes"}  # controls: what is there to compare with


class Limits:
    """Those among some records."""

    def __init__(self, records: Iterable[Record]):
        able = [record for record in records if is_limit(record)]
        by_place = frame.earliest_of(able, lambda one: (one.name("method"), images_of(one), one.snr, one.seed))
        self.by_seed: dict[tuple, dict[int, Record]] = {}
        for (*place, seed), record in by_place.items():
            self.by_seed.setdefault(tuple(place), {})[seed] = record

    def of(self, record: Record, name: str) -> list[Record]:
        """The runs of a limit (of LIMITS) on the clean test images of a record, at its SNR: that of its seed, or of all seeds."""
        by_seed = self.by_seed.get((LIMITS[name], images_of(record), record.snr), {})
        return [by_seed[record.seed]] if record.seed in by_seed else list(by_seed.values())

    def under(self, record: Record, name: str, value: Callable[[Record], float | None]) -> float | None:
        """What a record's value is divided by: the limit's, its mean where it is that of all seeds; None where there is none."""
        values = complete([value(one) for one in self.of(record, name)])
        return float(np.mean(values)) if values else None


def mse(record: Record) -> float | None:
    """The mean MSE of a record's test images."""
    return record.mean("mse")


def is_limit(record: Record) -> bool:
    """Whether it is a finished run of a limit, as the module's docstring says."""
    return (
        record.done
        and record.name("method") in LIMITS.values()
        and record.name("noise") == "gaussian"
        and not record.config["noise"].get("clip")
        and not frame.of_method(record)
        and bool(record.data.get("key") or not any(key.startswith("data.") for key in frame.deviations(record.config)))
    )


def images_of(record: Record) -> str:
    """What names the clean images of a record; of one without their key the data set and the scale."""
    return record.data.get("key") or f"{record.name('data')} {record.name('scale')}"


def limit(runs: pd.DataFrame, name: str) -> Callable[..., float | None]:
    """(SNR, seed) → the MSE of a limit (of LIMITS) on the images of the shipped settings, which are one data set's at one scale.

    Its mean over seeds where that seed has none, or none is given; None where there is no limit at all.
    """
    found = [one for one in frame.usual(runs, {"method.name": LIMITS[name]})["record"] if is_limit(one)]

    def at(snr: float, seed: int | None = None) -> float | None:
        here = [one for one in found if one.snr == snr]
        values = [mse(one) for one in here if one.seed == seed] or [mse(one) for one in here]
        numbers = complete(values)
        return float(np.mean(numbers)) if numbers else None

    return at


def complete(values: Iterable[float | None]) -> list[float] | None:
    """The values where there are all of them, else None."""
    each = list(values)
    numbers = [value for value in each if value is not None]
    return numbers if len(numbers) == len(each) else None
