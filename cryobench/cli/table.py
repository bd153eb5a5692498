"""The verbs table and figure: those of the paper, and more, from records."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from importlib import resources

import typer

from cryobench.cli.options import Results
from cryobench.errors import InputError


def table(
    name: str = typer.Argument(help="1, 2 or 3, or a table's name, as pggan."),
    results: str = Results,
    as_printed: bool = typer.Option(
        False, "--as-printed", help="Just the paper's rows and columns, with our numbers (1 to 3)."
    ),
) -> None:
    """Make a table from records and print it.

    \b
      python -m cryobench table 1
    """
    known = typed("(?!fig|_).*", "table_?")
    (module,) = asked(name, known)
    regenerate(name, module, results, "as_printed" if as_printed else "write", show=True)


def figure(
    name: str = typer.Argument(help="1, 2, 3 or 4, or a figure's name, as exemplars."), results: str = Results
) -> None:
    """Make a figure from records.

    \b
      python -m cryobench figure 2
    """
    for module in asked(name, typed("fig.*", r"fig_|fig(?=\d)")):
        regenerate(name, module, results, "write", show=False)


def typed(pattern: str, kind: str) -> dict[str, list[str]]:
    """What can be typed → the modules of cryobench.experiments that it means, of those whose name matches `pattern`.

    Names go without what `kind` matches at their beginning; figures of the paper by their number, of which 2 has two: a and b.
    """
    names = (p.name[:-3] for p in resources.files("cryobench.experiments").iterdir() if p.name.endswith(".py"))
    known: dict[str, list[str]] = {}
    for module in sorted(name for name in names if re.fullmatch(pattern, name)):
        short = re.sub(f"^(?:{kind})", "", module)
        known.setdefault(re.sub(r"(?<=^\d)_.*", "", short), []).append(module)
    return known


def asked(name: str, known: dict[str, list[str]]) -> list[str]:
    """The modules that a name means: one that can be typed, or a module's own. Raises InputError for an unknown one."""
    if any(name in modules for modules in known.values()):
        return [name]
    if name not in known:
        raise InputError(f"expected one of {', '.join(sorted(known))}, got {name}{meant(name, known)}")
    return known[name]


def meant(name: str, known: dict[str, list[str]]) -> str:
    """ "; did you mean …?" where a name is close to one that can be typed, with or without table or fig before it."""
    spelt = {f"{kind}{one}": one for kind in ("", "table", "fig", "figure") for one in known}
    close = difflib.get_close_matches(name, spelt, n=1)
    return f"; did you mean {spelt[close[0]]}?" if close else ""


def regenerate(name: str, module_name: str, results: str | None, maker: str, show: bool) -> None:
    """Write a table or a figure anew from the records, and print what is for reading. Raises InputError where it can't be."""
    from cryobench.runs.store import Store, results_folder

    module = importlib.import_module(f"cryobench.experiments.{module_name}")
    if not hasattr(module, maker):
        raise InputError(f"--{maker.replace('_', '-')}: expected a table that the paper prints, 1, 2 or 3, got {name}")
    store = Store(results_folder(results or getattr(module, "RESULTS", None)))
    for file in getattr(module, maker)(store):
        if show and file.suffix == ".md":
            print(file.read_text(encoding="utf-8"))
        print(f"written: {file}", file=sys.stderr)
