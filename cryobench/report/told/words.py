"""How a table's finding is told: who tells of which csv, and the words that several use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Lines = Sequence[dict]
FEW = 3  # claims or methods that are named


@dataclass(frozen=True)
class Teller:
    """What makes a sentence of a csv, the columns that it reads, and which csv; "" for the table's own."""

    tell: Callable[[Lines], str]
    columns: tuple[str, ...]
    csv: str = ""


TELLERS: dict[str, Teller] = {}  # by table


def tells(*tables: str, columns: str, csv: str = "") -> Callable:
    """Register what tells of these tables."""

    def register(tell: Callable[[Lines], str]) -> Callable[[Lines], str]:
        TELLERS.update(dict.fromkeys(tables, Teller(tell, tuple(columns.split()), csv)))
        return tell

    return register


def number(line: dict, column: str) -> float | None:
    """The number there; None where there is none."""
    return float(line[column]) if line[column] else None


def known(lines: Iterable[dict], column: str) -> list[tuple[dict, float]]:
    """The lines that have a number there, each with it."""
    return [(line, value) for line in lines if (value := number(line, column)) is not None]


def span(values: Iterable[float], words: Callable[..., str]) -> str:
    """From the least to the largest; once where both are printed alike."""
    each = sorted(values)
    return " to ".join(dict.fromkeys([words(each[0]), words(each[-1])]))


def moved(ratios: Sequence[float]) -> str:
    """How far numbers move, by their ratios: falls by 5 % to 7 %, rises by 3 %, or changes by −5 % to +7 %.

    >>> moved([0.95, 0.93]), moved([1.03]), moved([0.95, 1.07])
    ('falls by 5 % to 7 %', 'rises by 3 %', 'changes by −5 % to +7 %')
    """
    changes = [round(100 * (ratio - 1)) for ratio in ratios]
    if not any(changes):
        return "changes by less than 1 %"
    if min(changes) < 0 < max(changes):
        return f"changes by {span(changes, lambda change: f'{change:+d} %'.replace('-', '−'))}"
    return f"{'falls' if min(changes) < 0 else 'rises'} by {span(map(abs, changes), lambda change: f'{change} %')}"


def ranked(names: Iterable[str], word: str = "in", few: int = FEW) -> str:
    """Names with how often each is there, the most frequent first: a in 3, b in 1, others in 2."""
    counts = Counter(names).most_common()
    few += len(counts) == few + 1  # a single other one is named
    rest = sum(count for _, count in counts[few:])
    return ", ".join(
        [f"{name} {word} {count}" for name, count in counts[:few]] + ([f"others {word} {rest}"] if rest else [])
    )


def by_one_seed(lines: Iterable[dict]) -> str:
    """In brackets, that there is one seed: behind all of these lines, or behind some."""
    single = [line["n_seeds"] == "1" for line in lines]
    return " (one seed)" if all(single) else " (some by one seed)" if any(single) else ""
