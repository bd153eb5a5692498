"""The first screen: what was run and found, in three sentences; and where every number comes from."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pandas as pd

from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, table

PAPERS = ("alpha_beta", "methods")  # sweeps whose rows are the paper's
ANSWERS = {
    "holds": "hold",
    "reversed": "are reversed",
    "equivalent": "are equivalent",
    "undecided": "are undecided with the seeds run so far",
    "too few seeds": "have too few seeds",
    "not run": "are not run",
}


def sentences(store: Store, runs: pd.DataFrame) -> list[str]:
    """What was run, how near to the limit it came, what became of the supplement's claims."""
    return [text for text in (ran(runs), nearest(runs), claims(store.results / "tables" / "claims.csv")) if text]


def ran(runs: pd.DataFrame) -> str:
    """A sentence: how many runs of how many methods on which data, and when."""
    done = runs[runs["done"].astype(bool)]
    if done.empty:
        return "No run is finished here yet."
    places = sorted({f"{data} at {scale} scale" for data, scale in zip(done["data"], done["scale"], strict=True)})
    days = sorted(day_of(record) for record in done["record"])
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    words = (
        f"{len(done)} runs of {done['method'].nunique()} methods on {' and '.join(places)}, with up to "
        f"{done['seed'].nunique()} seeds, were made {when}"
    )
    failed = len(runs) - len(done)
    return words + (f"; {failed} failed and are named below." if failed else ".")


def day_of(record: Record) -> str:
    """The day on which a run started, as 2026-05-20."""
    return record.started[:10]


def nearest(runs: pd.DataFrame) -> str:
    """The Bayes limit, the method nearest to it, and the best row of the paper's, at each noise level."""
    limit, parts = frame.limit(runs, "bayes"), []
    for snr in (0.1, 0.05):
        floor = limit(snr)
        if floor is None:
            continue
        best: dict[str, tuple[float, str]] = {}
        for number, sweep in enumerate(PAPERS, start=1):
            cells, _ = table.cells(runs, frame.sweep_rows(sweep), number, (snr,), ("mse",))
            for cell in cells:
                times = cell.times()
                if times and cell.row not in ("oracle", "Bayes limit"):
                    kind = "net" if "clean" in cell.side_information else "classical"
                    kind = kind if cell.paper is not None else "other"
                    best[kind] = min(best.get(kind, (float("inf"), "")), (times[0], cell.row))
        sentences = [
            f"{text.format(best[kind][1])} {best[kind][0]:.{digits}f} times"
            for kind, text, digits in (
                ("net", "the best of the paper's nets, {}, stays at", 1),
                ("classical", "the best of its classical rows, {}, at", 1),
                ("other", "{} comes to", 2),
            )
            if kind in best
        ]
        if sentences:
            parts.append(f"at SNR {snr:g} the limit is a mean MSE of {floor:.2e}: {', '.join(sentences)}")
    text = "; ".join(parts)
    return f"No denoiser goes below the Bayes limit on average; {text}." if text else ""


def claims(file: Path) -> str:
    """From claims.csv: how many of the supplement's claims hold, how many are contradicted, and what is undecided."""
    if not file.is_file():
        return ""
    with open(file, encoding="utf-8", newline="") as lines:
        answers = [(line["claim"], line["verdict"]) for line in csv.DictReader(lines)]
    verdicts: dict[str, list[str]] = {}
    for claim, says in answers:
        verdicts.setdefault(claim, []).append(says)
    held = sum(set(says) in ({"holds"}, {"equivalent"}) for says in verdicts.values())
    against = sum("reversed" in says for says in verdicts.values())
    counts = Counter(says for _, says in answers)
    summary = ", ".join(f"{counts[says]} {words}" for says, words in ANSWERS.items() if counts[says])
    return (
        f"Of {len(verdicts)} claims of the supplement, {held} hold in every comparison and {against} are reversed in at least "
        f"one. Of their {len(answers)} comparisons {summary}."
    )


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
