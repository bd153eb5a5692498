"""The verb report: one page of everything that was run and found."""

from __future__ import annotations

import importlib

from cryobench.cli.options import Results

OF_THE_PAPER = ("table1", "table2", "table3", "table_pggan")  # what the claims are about


def report(results: str = Results) -> None:
    """Make RESULTS/report.html, one page of everything that was run and found.

    Where a table of the paper is there and the verdicts on the paper's claims are not, these are made first.
    """
    from cryobench.report import write
    from cryobench.runs.store import Store, results_folder

    store = Store(results_folder(results))
    tables = {file.stem for file in (store.results / "tables").glob("*.md")}
    if tables & set(OF_THE_PAPER) and "claims" not in tables:
        for file in importlib.import_module("cryobench.experiments.claims").write(store):
            print(f"written: {file}")
    print(f"written: {write(store)}")
