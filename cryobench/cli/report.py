"""The verb report: one page of everything that was run and found."""

from __future__ import annotations

from cryobench.cli.options import Results


def report(results: str = Results) -> None:
    """Make RESULTS/report.html, one page of everything that was run and found."""
    from cryobench.report import write
    from cryobench.runs.store import Store, results_folder

    print(f"written: {write(Store(results_folder(results)))}")
