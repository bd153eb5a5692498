"""What each method of a results folder is, in the sentence that its yaml begins with, and how tables call it."""

from __future__ import annotations

from importlib import resources

import pandas as pd

from cryobench.printed import named
from cryobench.report.summary import Row


def in_words(runs: pd.DataFrame, ranked: list[Row]) -> list[dict]:
    """[{"name" as typed, "rows" (how the page's first table calls it, "" where it has several rows), "is"}].

    Of the methods that have a yaml here.
    """
    method_of = dict(zip(runs["run_id"], runs["method"], strict=True))
    names: dict[str, list[str]] = {}
    for row in ranked:
        runs_of = next(iter(row.cells.values())).run_ids
        names.setdefault(method_of[runs_of[0]], []).append(row.name)
    known = {method: sentence(method) for method in names}
    return [
        {"name": method, "rows": named(rows[0]) if len(rows) == 1 and rows[0] != method else "", "is": known[method]}
        for method, rows in names.items()
        if known[method]
    ]


def sentence(method: str) -> str:
    """The first line of conf/method/NAME.yaml, which says what the method is; "" for a method from elsewhere, or a yaml
    that begins with no comment."""
    file = resources.files("cryobench.conf.method") / f"{method}.yaml"
    if not file.is_file():
        return ""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").partition(" Needs ")[0].strip() if first.startswith("#") else ""
