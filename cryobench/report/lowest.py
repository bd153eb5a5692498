"""How near to the limit each kind of method comes, the lowest row of each, and from which others it is told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cryobench.printed import counted, listed, multiple, named, short
from cryobench.report.methods import IN_SHORT, in_short
from cryobench.report.summary import Row
from cryobench.tables import verdicts
from cryobench.tables.limits import CALLED, ROWS

FEW = 10  # methods that are named in a line
NAMED = 3  # methods that are named within brackets
NEAR_MEAN = 0.02  # of the mean image's MSE
FEW_SEEDS = "too few seeds"


def limit(ranked: Sequence[Row], levels: Sequence[float]) -> str:
    """The Bayes limit at each noise level; where nothing has one, the linear limit."""
    bayes = not ranked or ranked[0].limit == "bayes"
    floors = {snr: mse for row in ranked for snr in levels if row.name == ROWS[not bayes] and (mse := row.mse(snr))}
    told = " and ".join(f"{short(mse)} at SNR {snr:g}" for snr, mse in floors.items())
    if not floors:
        return ""
    if not bayes:
        return f"The linear limit, the best linear filter, has an MSE of {told}."
    below = {
        called(row): at
        for row in ranked
        if row.judged and (at := [f"{snr:g}" for snr in levels if (row.times(snr) or 1.0) < 1])
    }
    who = " and ".join(f"{name} at SNR {' and '.join(at)}" for name, at in below.items())
    chance = f"; {who} {'comes' if len(below) == 1 else 'come'} out at or below it here, by chance" if below else ""
    return (
        f"The Bayes limit, {IN_SHORT['bayes']}, is an MSE of {told}: only a method that is told each particle's "
        f"pose can be lower on average{chance}."
    )


def nearest(ranked: Sequence[Row], levels: Sequence[float]) -> list[str]:
    """The row of each kind that is nearest to the limit, one kind a line; two, where noise levels differ in it.

    What a method is stands where it is named first.
    """

    def is_net(row: Row) -> bool:
        return row.published and "clean" in row.side_information

    kinds: tuple[tuple[str, str, Callable[[Row], bool]], ...] = (
        ("The lowest MSE", "is that of", lambda row: row.judged),
        (
            "Of methods without side information the lowest MSE",
            "is that of",
            lambda row: row.judged and not row.side_information,
        ),
        ("Of linear filters the best possible", "is the", lambda row: row.name == ROWS[1] and row.limit == "bayes"),
        ("Of the nets in the paper's tables the lowest MSE", "is that of", is_net),
        (
            "Of the paper's classical methods the lowest MSE",
            "is that of",
            lambda row: row.published and not is_net(row),
        ),
    )
    out: list[str] = []
    told: set[str] = set()

    def introduced(row: Row) -> str:
        known = "" if row.method in told else in_short(row)
        told.add(row.method)
        return called(row) + (f" ({known})" if known else "")

    for text, verb, belongs in kinds:
        best: list[tuple[str, Row, str, str]] = []
        for snr in levels:
            able = [row for row in ranked if belongs(row) and row.times(snr) is not None]
            if able:
                first = min(able, key=lambda row: row.times(snr) or math.inf)
                known = beside(first, able, [row for row in ranked if row.judged], snr)
                best.append((f"at SNR {snr:g}", first, times_limit(first, snr), known))
        if not best:
            continue
        (place, row, times, known), *others = best
        if all(one == row for _, one, *_ in others):
            numbers = " and ".join(f"{number} {at}{rest}" for at, _, number, rest in best)
            out.append(f"{text} {verb} {introduced(row)}, {numbers}.")
        else:
            parts = [f"{text} {place} {verb} {introduced(row)}, {times}{known}"]
            parts += [f"{at} that of {introduced(one)}, {number}{rest}" for at, one, number, rest in others]
            out.append(f"{'; '.join(parts)}.")
    return out


def beside(first: Row, able: Sequence[Row], every: Sequence[Row], snr: float) -> str:
    """In brackets, how many of the others the lowest is significantly below there, and which not; "" where it has none beside it.

    able: the rows of its kind; every: all rows, whose seeds tell how much a row's vary (docs/statistics.md).
    """
    others = [row.name for row in able if row.name != first.name]
    known = {row.name: row.records[snr] for row in every if row.records.get(snr)}
    if not others or not {first.name, *others} <= set(known):
        return ""
    answers = verdicts.judged(verdicts.measured(known), [(first.name, other) for other in others])
    says = {other: answers[first.name, other].says for other in others}
    few = [other for other in others if says[other] == FEW_SEEDS]
    alike = [other for other in others if says[other] not in ("holds", FEW_SEEDS)]
    if len(few) == len(others):
        return " (too few seeds to tell it from the others)"
    below = len(others) - len(few) - len(alike)
    parts = [
        "significantly below all others"
        if below == len(others)
        else f"significantly below {below or 'none'} of {counted(len(others), 'other')}",
        f"not significantly below {those(alike)}" if alike and below else "",
        f"too few seeds of {those(few)}" if few else "",
    ]
    return f" ({'; '.join(filter(None, parts))})"


def those(rows: Sequence[str]) -> str:
    """Rows by name, if they are few, else how many."""
    return listed([named(row) for row in rows]) if len(rows) <= NAMED else f"{len(rows)}"


def called(row: Row) -> str:
    """A row's name within a sentence."""
    return row.name[0].lower() + row.name[1:] if row.name in ROWS else named(row.name)


def times_limit(row: Row, snr: float) -> str:
    """1.66 × limit; 0.46 × linear limit where nothing has a Bayes limit."""
    times = row.times(snr)
    return "" if times is None else f"{multiple(times)} × {CALLED[row.limit]}"


def no_better_than_the_mean(ranked: Sequence[Row], levels: Sequence[float]) -> str:
    """Methods whose MSE is not clearly below that of one image for all."""
    mean = next((row for row in ranked if row.name == "mean image"), None)
    parts = []
    for snr in levels if mean else ():
        level = mean.mse(snr) if mean else None
        worse = [row for row in ranked if row.judged and level and (row.mse(snr) or 0) >= (1 - NEAR_MEAN) * level]
        if worse:
            few = f" ({', '.join(called(row) for row in worse)})" if len(worse) <= FEW else ""
            parts.append(f"{counted(len(worse), 'method')}{few} at SNR {snr:g}")
    start = (
        f"An MSE above or within {100 * NEAR_MEAN:.0f} % of that of the mean image, shown in place of every particle"
    )
    return f"{start}: {'; '.join(parts)}." if parts else ""
