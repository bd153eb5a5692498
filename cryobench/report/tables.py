"""RESULTS/tables → what the page shows of them: the paper's layout with provenance, or markdown as it stands."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pandas as pd

from cryobench.printed import multiple, row_named
from cryobench.report import summary, told
from cryobench.report.links import LeadTo
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, limits
from cryobench.tables.text import formatted

NO_DENOISER = (*limits.ROWS, *summary.CONTROLS)
LIMIT, CONTROL = "limit", "control"  # rows that are no denoisers
GRIDS = ("table1", "table2", "table3")  # whose cells know their runs; the pages of others have more than one table
OPEN = ("table1",)  # the others fold
SHORT = {  # in the contents, where a title is not short up to its colon
    "table1": "Table 1: pairs (α,β)",
    "table2": "Table 2: methods",
    "table3": "Table 3: λ",
}
FIRST = ("table1", "table2", "table3", "claims", "released", "published_gap")


def all_tables(store: Store, runs: pd.DataFrame, lead_to: LeadTo) -> list[dict]:
    """Every table here, the paper's first: {"name", "title", "short", "open", "told", "html" or "head" and "rows"}.

    lead_to: see `links`; short: its name in the contents; told: what a folded table found; "" for an open one.
    """
    files = sorted((store.results / "tables").glob("*.md"), key=lambda file: (rank(file.stem), file.stem))
    return [one(file, runs, lead_to) for file in files]


def rank(name: str) -> int:
    """Where a table stands on the page: those of FIRST in that order, then all others."""
    return FIRST.index(name) if name in FIRST else len(FIRST)


def one(file: Path, runs: pd.DataFrame, lead_to: LeadTo) -> dict:
    """A table for the page, from its .md and .csv: name, title and finding; then a grid with runs behind cells, or HTML."""
    from cryobench.report import markdown

    text = file.read_text(encoding="utf-8")
    heading, _, body = text.partition("\n")
    title = heading.lstrip("# ").strip() or f"{file.stem.replace('_', ' ')} (a table)"
    shown = {
        "name": file.stem,
        "title": title,
        "short": SHORT.get(file.stem, title.partition(":")[0]),
        "open": file.stem in OPEN,
        "told": told.sentence(file.with_suffix(".csv")),
    }
    lines = standard(file.with_suffix(".csv")) if file.stem in GRIDS else []
    if lines:
        rows_are = {"table1": "(α,β)", "table3": "λ"}.get(file.stem, "Method")
        return {**shown, "rows_are": rows_are, **grid(lines, runs_of(file.stem, runs))}
    return {**shown, "html": markdown.rendered(body, title, lead_to)}


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
    return [sweep for sweep in sweeps if name in ((frame.shipped(f"sweep/{sweep}") or {}).get("writes") or [])]


def runs_of(name: str, runs: pd.DataFrame) -> dict[tuple[str, float], list[str]]:
    """(row, SNR) → the runs behind it, through the sweep that writes the table."""
    by_place: dict[tuple[str, float], list[str]] = {}
    for sweep in writers(name):
        chosen = frame.chosen(runs, frame.sweep_rows(sweep)).runs
        for place, group in chosen.groupby(["row", "snr"], sort=False):
            by_place.setdefault(place, []).extend(group["run_id"])
    return by_place


def grid(lines: list[dict], runs: dict[tuple[str, float], list[str]]) -> dict:
    """csv lines → a table with a row a method: {"head": [...], "rows": [{"name", "kind", "cells": [...]}]}."""
    columns = list(dict.fromkeys((line["metric"], line["snr"]) for line in lines if line["metric"] in layout.HEADINGS))
    by_place = {(line["row"], line["metric"], line["snr"]): line for line in lines}
    rows: list[dict] = []
    for row in dict.fromkeys(line["row"] for line in lines if line["row"] != "oracle"):  # the clean image itself
        if not any(line["mean"] or line["paper"] for line in lines if line["row"] == row):
            continue
        cells = [
            cell(
                by_place.get((row, *column)),
                {n: by_place.get((row, f"times_{n}", column[1])) for n in limits.LIMITS},
                runs,
            )
            for column in columns
        ]
        rows.append({"name": row_named(row), "kind": kind(row, cells), "cells": cells})
    for place, (metric, _) in enumerate(columns):
        mark_best([row["cells"][place] for row in rows if row["kind"] not in (LIMIT, CONTROL)], metric)
    units = {"psnr": " (dB)"}
    return {
        "head": [f"{layout.HEADINGS[metric]}{units.get(metric, '')}, SNR {float(snr):g}" for metric, snr in columns],
        "rows": rows,
    }


def kind(row: str, cells: list[dict]) -> str:
    """What stands beside a row's name: that it is no denoiser, or none of the paper's."""
    if row in NO_DENOISER:
        return LIMIT if row in limits.ROWS else CONTROL
    return "" if any(cell.get("paper") for cell in cells) else "not in the paper"


def mark_best(cells: list[dict], metric: str) -> None:
    """Mark the best value of a column, the lowest MSE or NMSE, the highest of other metrics, and what is printed alike."""
    known = [cell for cell in cells if not cell["missing"]]
    if known:
        best = (min if metric in ("mse", "nmse") else max)(known, key=lambda cell: float(cell["sort"]))
        for cell in known:
            cell["best"] = cell["text"].partition("(")[0] == best["text"].partition("(")[0]


def cell(line: dict | None, times: dict[str, dict | None], runs: dict[tuple[str, float], list[str]]) -> dict:
    """What one cell shows: ours, the paper's, the multiples of the limits, the verdict; "sort" is its plain value."""
    if line is None:
        return {"text": "–", "sort": "", "runs": "", "missing": True}
    mean, spread, paper, paper_spread = (
        float(line[key]) if line.get(key) else None for key in ("mean", "spread", "paper", "paper_spread")
    )
    snr, metric = float(line["snr"]), line["metric"]
    once = layout.ONCE if line["n_seeds"] == "1" else ""
    return {
        "text": formatted(metric, mean, spread),
        "sort": "" if mean is None else f"{mean:.8g}",
        "paper": formatted(metric, paper, paper_spread) if paper is not None else "",
        "times": [f"{multiple(float(at['mean']))}{once} × {limits.CALLED[name]}" for name, at in times.items() if at]
        if metric == "mse"
        else [],
        "verdict": line["verdict"],
        "seeds": int(line["n_seeds"] or 0),
        "runs": " ".join(runs.get((line["row"], snr), [])),
        "missing": mean is None,
    }
