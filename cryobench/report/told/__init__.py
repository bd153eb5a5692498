"""What each table found, in a sentence for those who do not unfold it; all of it computed from the table's csv.

Where a csv holds a verdict, it is that which is counted; a difference without one is told as numbers, not as a finding that is
significant.
"""

from __future__ import annotations

from pathlib import Path

from cryobench.report import findings
from cryobench.report.told import beyond, paper, robust  # noqa: F401  (each registers what tells of its tables)
from cryobench.report.told.words import TELLERS


def sentence(file: Path) -> str:
    """What the table found whose csv this is; nothing where there is no csv, or one without the columns or with too few lines."""
    teller = TELLERS.get(file.stem)
    lines = findings.lines_of(file.with_stem(teller.csv or file.stem)) if teller else []
    return teller.tell(lines) if teller and lines and set(teller.columns) <= set(lines[0]) else ""
