"""The page's first lines: what was run and found, one finding a line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from cryobench.evaluation.statistics import LEVEL
from cryobench.printed import counted, listed
from cryobench.report.lowest import limit, nearest, no_better_than_the_mean
from cryobench.report.provenance import day_of
from cryobench.report.summary import rows, snrs
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.limits import LIMITS, NO_METHODS
from cryobench.tables.table import A_TRIAL, BECAME, TRIALS

ANSWERS = {
    "holds": "hold",
    "reversed": "are reversed",
    "equivalent": "are equivalent",
    "undecided": "are undecided with the seeds run so far",
    "too few seeds": "have too few seeds",
    "not run": "are not run",
}


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
    papers = (frame.shipped("scale/paper") or {})["image_size"]
    here = listed([f"{size:g}" for size in sorted(sizes)])
    other = f"The paper's images have {papers} px, these {here}: what that does to a number was not looked at here."
    told = [became(cells), order(cells), other if cells and here and papers not in sizes else ""]
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
