"""RESULTS/tables → what the page shows of them: the paper's layout with provenance, or markdown as it stands."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import layout, table

FIRST = ("table1", "table2", "table3", "claims", "released", "published_gap")


def all_tables(store: Store, records: list[dict]) -> list[dict]:
    """Every table here, the paper's first: {"name", "title", "html" or "head" and "rows"}."""
    files = sorted((store.results / "tables").glob("*.md"), key=lambda file: (rank(file.stem), file.stem))
    return [one(file, records) for file in files]


def rank(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)


def one(file: Path, records: list[dict]) -> dict:
    from markdown_it import MarkdownIt

    text = file.read_text(encoding="utf-8")
    heading, _, body = text.partition("\n")
    shown = {"name": file.stem, "title": heading.lstrip("# ").strip() or file.stem}
    lines = standard(file.with_suffix(".csv"))
    if lines:
        return {**shown, **grid(lines, runs_of(file.stem, records))}
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    return {**shown, "html": html, "runs": " ".join(sources(file.stem, records))}


def standard(file: Path) -> list[dict]:
    """The lines of a csv with a standard table's columns; none for any other file."""
    if not file.is_file():
        return []
    with open(file, encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text)
        lines = list(reader)
    return lines if set(layout.COLUMNS) <= set(reader.fieldnames or ()) else []


def writers(name: str) -> list[str]:
    """The sweeps that write a table."""
    names = [entry.name for entry in resources.files("cryobench.conf.sweep").iterdir() if entry.name.endswith(".yaml")]
    sweeps = sorted(name.removesuffix(".yaml") for name in names)
    return [sweep for sweep in sweeps if name in (table.shipped(f"sweep/{sweep}").get("writes") or [])]


def sources(name: str, records: list[dict]) -> list[str]:
    """The runs that have the settings of a row of the table's sweep; all of the folder where no one sweep writes it."""
    rows = [wanted for sweep in writers(name) for wanted in table.sweep_rows(sweep).values()]
    return [
        record["run_id"]
        for record in records
        if not rows
        or any(all(table.same(table.look_up(record["config"], k), v) for k, v in wanted.items()) for wanted in rows)
    ]


def runs_of(name: str, records: list[dict]) -> dict[tuple[str, float], list[str]]:
    """(row, SNR) → the runs behind it, through the sweep that writes the table."""
    found: dict[tuple[str, float], list[str]] = {}
    for sweep in writers(name):
        chosen, _ = table.chosen(records, table.sweep_rows(sweep))
        for row, runs in chosen.items():
            for run in runs:
                found.setdefault((row, float(run["config"]["noise"]["snr"])), []).append(run["run_id"])
    return found


def grid(lines: list[dict], runs: dict[tuple[str, float], list[str]]) -> dict:
    """csv lines → a table with a row a method: {"head": [...], "rows": [{"name", "cells": [...]}]}."""
    columns = list(dict.fromkeys((line["metric"], line["snr"]) for line in lines if line["metric"] in layout.HEADINGS))
    by_place = {(line["row"], line["metric"], line["snr"]): line for line in lines}
    rows = []
    for row in dict.fromkeys(line["row"] for line in lines):
        cells = [
            cell(by_place.get((row, *column)), by_place.get((row, "times_bayes", column[1])), runs)
            for column in columns
        ]
        rows.append({"name": row, "cells": cells})
    return {"head": [f"{layout.HEADINGS[metric]} {float(snr):g}" for metric, snr in columns], "rows": rows}


def cell(line: dict | None, times: dict | None, runs: dict[tuple[str, float], list[str]]) -> dict:
    """What one cell shows: ours, the paper's, the multiple of the limit, the verdict; "sort" is its plain value."""
    if line is None:
        return {"text": "–", "sort": "", "runs": "", "missing": True}
    mean, spread, paper, paper_spread = (
        float(line[key]) if line.get(key) else None for key in ("mean", "spread", "paper", "paper_spread")
    )
    snr, metric = float(line["snr"]), line["metric"]
    return {
        "text": layout.formatted(metric, mean, spread), "sort": "" if mean is None else f"{mean:.8g}",
        "paper": layout.formatted(metric, paper, paper_spread) if paper is not None else "",
        "times": f"{float(times['mean']):.2f} × limit" if times and metric == "mse" else "",
        "verdict": line["verdict"], "seeds": int(line["n_seeds"] or 0),
        "runs": " ".join(runs.get((line["row"], snr), [])), "missing": mean is None,
    }  # fmt: skip
