"""The verbs table and figure: those of the paper, and more, from records."""

from __future__ import annotations

import importlib
import re
import sys
from importlib import resources

import typer

from cryobench.cli.options import Results
from cryobench.errors import InputError


def table(
    name: str = typer.Argument(help="1, 2 or 3, or a table's name."),
    results: str = Results,
    as_printed: bool = typer.Option(
        False, "--as-printed", help="Just the paper's rows and columns, with our numbers (1 to 3)."
    ),
) -> None:
    """Make a table from records and print it."""
    known = experiments("(?!fig|_).*")
    regenerate(
        f"table{name}" if name.isdigit() else name, known, results, "as_printed" if as_printed else "write", show=True
    )


def figure(
    name: str = typer.Argument(help="1, 2, 3 or 4, or a figure's name, as fig1_stability."), results: str = Results
) -> None:
    """Make a figure from records."""
    known = experiments("fig.*")
    parts = [one for one in known if name.isdigit() and one.startswith(f"fig{name}_")]  # 2 has two: a and b
    for one in parts or [name]:
        regenerate(one, known, results, "write", show=False)


def experiments(pattern: str) -> list[str]:
    """Modules of cryobench.experiments whose name matches."""
    names = (p.name[:-3] for p in resources.files("cryobench.experiments").iterdir() if p.name.endswith(".py"))
    return sorted(name for name in names if re.fullmatch(pattern, name))


def regenerate(name: str, known: list[str], results: str | None, maker: str, show: bool) -> None:
    """Write a table or a figure anew from the records, and print what is for reading. Raises InputError for an unknown name."""
    if name not in known:
        raise InputError(f"expected one of {', '.join(known)}, got {name}")
    from cryobench.runs.store import Store, results_folder

    module = importlib.import_module(f"cryobench.experiments.{name}")
    if not hasattr(module, maker):
        raise InputError(f"--{maker.replace('_', '-')}: expected a table that the paper prints, 1, 2 or 3, got {name}")
    store = Store(results_folder(results or getattr(module, "RESULTS", None)))
    for file in getattr(module, maker)(store):
        if show and file.suffix == ".md":
            print(file.read_text(encoding="utf-8"))
        print(f"written: {file}", file=sys.stderr)
