"""Files that a table's text names: where a link from the page leads, in the checkout that it lies in."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from os.path import relpath
from pathlib import Path

from cryobench.runs.store import Store

FILE = re.compile(r"\b(?:docs|tables)/[\w-]+\.md\b")
LeadTo = Callable[[str], str]


def of(stores: Sequence[Store]) -> LeadTo:
    """What a named file's link leads to: tables/NAME.md, to its place on this page; docs/NAME.md, to that file where the first
    of the results folders lies in a checkout. "" for what is neither: then the name stands alone, as it does in a mail."""
    here = stores[0].results.resolve()
    names = {file.stem for store in stores for file in (store.results / "tables").glob("*.md")}

    def lead_to(path: str) -> str:
        if path.startswith("tables/"):
            return f"#{Path(path).stem}" if Path(path).stem in names else ""
        found = (up / path for up in here.parents if (up / "mkdocs.yml").is_file() and (up / path).is_file())
        return next((Path(relpath(file, here)).as_posix() for file in found), "")

    return lead_to


def linked(text: str, lead_to: LeadTo) -> str:
    """Escaped text → HTML in which each file is a link that leads anywhere."""

    def link(found: re.Match) -> str:
        where = lead_to(found[0])
        return f'<a href="{html.escape(where)}">{found[0]}</a>' if where else found[0]

    return FILE.sub(link, text)
