"""The page's first lines: what was run and found, one finding a line; and where every number comes from."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from cryobench.evaluation.statistics import LEVEL
from cryobench.printed import listed, multiple, named, short
from cryobench.report.methods import IN_SHORT, in_short
from cryobench.report.summary import Row, rows, snrs
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import verdicts
from cryobench.tables.limits import CALLED, LIMITS, NO_METHODS, ROWS
from cryobench.tables.table import A_TRIAL, BECAME, TRIALS

ANSWERS = {
    "holds": "hold",
    "reversed": "are reversed",
    "equivalent": "are equivalent",
    "undecided": "are undecided with the seeds run so far",
    "too few seeds": "have too few seeds",
    "not run": "are not run",
}
FEW = 10  # methods that are named in a line
PAPERS_SIZE = 128  # px
NAMED = 3  # methods that are named within brackets
NEAR_MEAN = 0.02  # of the mean image's MSE
FEW_SEEDS = "too few seeds"


def lines(store: Store, runs: pd.DataFrame) -> list[str]:
    """At most ten: what was run, how near to the limit each kind came, what became of the paper's claims and numbers."""
    ranked, levels = rows(runs), snrs(runs)
    tables = store.results / "tables"
    return [
        text
        for text in (
            ran(runs),
            limit(ranked, levels),
            *nearest(ranked, levels),
            no_better_than_the_mean(ranked, levels),
            claims(tables / "claims.csv"),
            published(
                tables / "published_cells.csv",
                {record.config["data"]["image_size"] for record in runs["record"] if record.done},
            ),
        )
        if text
    ]


def ran(runs: pd.DataFrame) -> str:
    """How many runs of how many methods on which data, and when."""
    done = runs[runs["done"].astype(bool)]
    if done.empty:
        return "No run is finished here yet."
    places = sorted({f"{data} at {scale} scale" for data, scale in zip(done["data"], done["scale"], strict=True)})
    days = sorted(day_of(record) for record in done["record"])
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    seeds, kinds = done["seed"].nunique(), set(done["method"].dropna())
    others = NO_METHODS | set(LIMITS.values())
    what = counted(len(kinds - others), "method") + (", of controls and limits" if kinds & others else "")
    words = (
        f"{counted(len(done), 'run')} of {what} on {' and '.join(places)}, with "
        f"{'one seed' if seeds == 1 else f'up to {seeds} seeds'}, {when}"
    )
    failed = len(runs) - len(done)
    trial = set(done["scale"].dropna()) & set(TRIALS)
    warning = f" At {' and '.join(sorted(trial))} scale {A_TRIAL}." if trial else ""
    return words + (f"; {counted(failed, 'failed run')} named below." if failed else ".") + warning


def counted(n: int, word: str) -> str:
    """1 run, 2 runs."""
    return f"{n} {word}" + ("" if n == 1 else "s")


def day_of(record: Record) -> str:
    """The day on which a run started, as 2026-05-20."""
    return record.started[:10]


def limit(ranked: Sequence[Row], levels: Sequence[float]) -> str:
    """The Bayes limit at each noise level; where nothing has one, the linear limit."""
    bayes = not ranked or ranked[0].limit == "bayes"
    floors = [
        f"{short(mse)} at SNR {snr:g}"
        for row in ranked
        for snr in levels
        if row.name == ROWS[not bayes] and (mse := row.mse(snr))
    ]
    if not floors:
        return ""
    if not bayes:
        return f"The linear limit, the best linear filter, has an MSE of {' and '.join(floors)}."
    below = {
        called(row): at
        for row in ranked
        if row.judged and (at := [f"{snr:g}" for snr in levels if (row.times(snr) or 1.0) < 1])
    }
    who = " and ".join(f"{name} at SNR {' and '.join(at)}" for name, at in below.items())
    chance = f"; {who} {'comes' if len(below) == 1 else 'come'} out at or below it here, by chance" if below else ""
    return (
        f"The Bayes limit, {IN_SHORT['bayes']}, is an MSE of {' and '.join(floors)}: only a method that is told each particle's "
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
        ("Of the paper's nets the lowest MSE", "is that of", is_net),
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


def claims(file: Path) -> str:
    """From claims.csv: how many of the supplement's claims hold, how many are contradicted, and what is undecided."""
    answers = [(line["claim"], line["verdict"]) for line in lines_of(file)]
    if not answers:
        return ""
    by_claim: dict[str, list[str]] = {}
    for claim, says in answers:
        by_claim.setdefault(claim, []).append(says)
    held = sum(set(says) in ({"holds"}, {"equivalent"}) for says in by_claim.values())
    throughout = sum(set(says) == {"reversed"} for says in by_claim.values())
    in_part = sum("reversed" in says for says in by_claim.values()) - throughout
    few = sum(set(says) <= {"too few seeds", "not run"} for says in by_claim.values())
    kinds = (
        (throughout, "is reversed throughout", "are reversed throughout"),
        (in_part, "is reversed in part", "are reversed in part"),
        (
            len(by_claim) - held - throughout - in_part - few,
            "is undecided or holds in part",
            "are undecided or hold in part",
        ),
        (few, "has too few seeds", "have too few seeds"),
    )
    became = ", ".join(
        [
            f"{held or 'none'} hold{'s' * (held < 2)} throughout",
            *(f"{n} {one if n == 1 else more}" for n, one, more in kinds if n),
        ]
    )
    counts = Counter(says for _, says in answers)
    summary = ", ".join(f"{counts[says]} {words}" for says, words in ANSWERS.items() if counts[says])
    return (
        f"Of the supplement's {counted(len(by_claim), 'claim')} {became}. Of the {counted(len(answers), 'comparison')} that test "
        f"them {summary}."
    )


def published(file: Path, sizes: Iterable[int] = ()) -> str:
    """From published_cells.csv: what became of the paper's numbers, and whether in its order; sizes: of images here, in px."""
    cells = lines_of(file)
    here = listed([f"{size:g}" for size in sorted(sizes)])
    other = f"Its images have {PAPERS_SIZE} px, these {here}: what that does to a number was not looked at here."
    told = [became(cells), order(cells), other if cells and here and PAPERS_SIZE not in sizes else ""]
    return " ".join(filter(None, told))


def became(cells: Sequence[dict]) -> str:
    """What became of the paper's numbers, by the lines of published_cells.csv."""
    counts = Counter(line["verdict"] for line in cells)
    known = {verdict: words for verdict, words in BECAME.items() if counts[verdict]}
    if not known:
        return ""
    words = ", ".join(f"{counts[verdict]} {text}" for verdict, text in known.items())
    return f"Of the {sum(counts[verdict] for verdict in known)} numbers that the paper's Tables 1 to 3 print, {words}."


def order(cells: Sequence[dict]) -> str:
    """In how many columns of the paper our rows come significantly in its order, by Kendall's τ."""
    from scipy.stats import kendalltau  # half a second, and only here

    columns: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for line in cells:
        if line["mean"] and line["paper"]:
            place = line["table"], line["metric"], line["snr"]
            columns.setdefault(place, []).append((float(line["mean"]), float(line["paper"])))
    known = [kendalltau(*zip(*pairs, strict=True)) for pairs in columns.values() if len(pairs) > 2]
    if not known:
        return ""
    kept = sum(tau.statistic > 0 and tau.pvalue < LEVEL for tau in known)
    return (
        f"In {kept or 'none'} of {counted(len(known), 'column')} do our rows come significantly in the paper's order."
    )


def lines_of(file: Path) -> list[dict]:
    """The lines of a csv; none where there is no such file."""
    if not file.is_file():
        return []
    with open(file, encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def failed(records: list[Record]) -> list[dict]:
    """Runs that failed: id, method, error."""
    return [
        {"id": record.run_id, "method": record.name("method") or "", "error": record.error}
        for record in records
        if not record.done
    ]


def provenance(records: list[Record]) -> dict[str, dict]:
    """Run id → what a reader asks of a number: seed, config, commit, machine, day, seconds (None for a killed run)."""
    return {record.run_id: provenance_of(record) for record in records}


def provenance_of(record: Record) -> dict:
    """Where a number comes from, for the page: seed, day, seconds, machine, commit and config of its run."""
    made = record.environment
    machine = [made.get("cpu"), f"{made['cores']} cores" if made.get("cores") else None, made.get("gpu")]
    return {
        "seed": record.seed,
        "status": record.status,
        "day": day_of(record),
        "seconds": None if record.wall_s is None else round(record.wall_s),
        "commit": (made.get("commit") or "none")[:12],
        "machine": ", ".join(filter(None, machine)),
        "mse": record.mean("mse"),
        "config": record.config,
    }
