"""Two ways of the same work, timed one after the other several times: a ratio, and how far it varies."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

TURNS = 5


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs, turn by turn: both in `unit`, of which more is faster."""

    what: str
    against: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def each(self) -> list[float]:
        """The ratio of each turn."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def __str__(self) -> str:
        each = self.each
        ours, theirs = (statistics.median(values) for values in (self.ours, self.theirs))
        return (
            f"{self.what} over {self.against}: {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f} in "
            f"{len(each)} turns); {ours:.4g} and {theirs:.4g} {self.unit}"
        )


def in_turn(what: str, against: str, unit: str, ours: Callable[[], float], theirs: Callable[[], float]) -> Ratio:
    """Both once to warm up, then TURNS times one after the other; each says how much it did in a second."""
    ours(), theirs()
    turns = [(ours(), theirs()) for _ in range(TURNS)]
    return Ratio(what, against, unit, tuple(a for a, _ in turns), tuple(b for _, b in turns))
