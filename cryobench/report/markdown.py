"""A table's markdown → HTML for the page: numbers in columns, sentences under their row; long tables fold."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

from cryobench.report.links import LeadTo, linked

PROSE = 50  # letters: a column with a longer cell holds sentences
NUMBER = re.compile(  # what could be broken at a sign, a bracket or a space
    r"\d[\d.]*e[-−+]?\d+(?:\([^)\s]*\))?|[-−+]?\d[\d.]*\([\d.]+(?:e-?\d+)?\)"  # 3.74e-3(1.2e-4), 25.30(0.05)
    r"|\([-−+]?\d[\d.]* % to [-−+]?\d[\d.]* %\)"  # (+68.9 % to +149.7 %)
    r"|\d{4}-\d\d-\d\d|SNR \d[\d.]*|[a-z]+\d+ \d\.\d+|(?:[-−+]|± ?)?\d[\d.]* (?:%|Å|dB|px|GB)"  # a day, desk128 0.05, 3 %
    r"|\d[\d.]* ×(?: (?:linear )?limit| \d[\d.]*(?: GB)?)?|MSE ∝|\d+(?:-\d+){2,}"  # 1.2 ×, 2 × 5.2 GB, a net's 100-20-1
    r"|\([-−\d.]+,[-−\d.]+\)-GAN|\w+\^[-−+]?\d[\d.]*|ℓ[12]-Autoencoder|Non-local means"
    r"|(?:[†‡] )?(?:\|[^|\s]+\||\b[^\W\d_]) [=<>≤≥] [-−]?\d[\d.]*"  # λ = 10, k = 2, † |α−β| ≥ 1
)
UNIT = re.compile(r"(?<=\d) (?=(?:%|Å|dB|px)(?!\w))|(?<=SNR) (?=\d)")  # the space between a number and its unit
EMPTY = ("", "–")  # cells without anything
WIDE = 12  # letters: a longer heading may take several lines, of at least
LEAST = 8  # letters
BROAD = 17  # letters: a longer cell takes two columns of a card
NUMERIC = re.compile(r"[*_`(\[]*[-−+±<>≤≥≈~†‡]?\s*\.?\d")  # how the text of a cell with a number begins
LONG = 20  # rows: a longer table opens when it is asked for


def rendered(text: str, title: str, lead_to: LeadTo = lambda path: "") -> str:
    """HTML of markdown with tables, each named by the title and its number; raw HTML in it is shown as text.

    lead_to: where a file that the text names is found (`links`).
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    parsed = reader.parse(UNIT.sub("\u00a0", text))
    tokens, out, start, number = [with_whole_numbers(token, lead_to) for token in parsed], [], 0, 0
    for token in tokens:
        if token.type.startswith("heading"):  # below the section's own, which is an h2
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            out.append(reader.renderer.render(tokens[start:place], reader.options, {}))
            start = place
        elif token.type == "table_close":
            number += 1
            out.append(table(reader, tokens[start : place + 1], f"{title}, part {number}"))
            start = place + 1
    return "".join([*out, reader.renderer.render(tokens[start:], reader.options, {})])


def unbroken(text: str) -> str:
    """Escaped text → HTML whose numbers stay on one line, with their units: 3.74e-3 would be broken after its sign, 37 % before
    it. text has no tags, whose attributes may have numbers, too."""
    return NUMBER.sub(lambda match: f'<span class="n">{match[0]}</span>', text)


def with_whole_numbers(token: Token, lead_to: LeadTo) -> Token:
    """A token whose texts are `unbroken` and `linked`; code, and where a link leads to, stay as they are."""
    if token.type != "inline":
        return token
    children = [
        Token("html_inline", "", 0, content=linked(unbroken(escapeHtml(child.content)), lead_to))
        if child.type == "text"
        else child
        for child in token.children or []
    ]
    return token.copy(children=children)


def table(reader: MarkdownIt, tokens: Sequence[Token], name: str) -> str:
    """One table, called `name` where it is read out.

    The first column names the row. Where it takes the first several to tell rows apart, as a claim and its two sides, each block
    of rows that begin alike has a heading, and the other names stand in one cell: on a phone only the first column stays. What a
    column of sentences says stands under its row, folded in a long table. Numbers stand at the right of their column, other texts
    at the left. Cells know their heading: where the columns don't fit a screen, the page makes a card of each row (page.js), for
    which the roles say what a table's elements no longer do.
    """
    lines: list[list[Token]] = []
    for token in tokens:
        if token.type == "tr_open":
            lines.append([])
        elif token.type == "inline":
            lines[-1].append(token)
    head, *body = lines
    prose = [i for i in range(1, len(head)) if any(len(line[i].content) > PROSE for line in body)]
    named_by = naming([[cell.content for cell in line] for line in body])
    if any(i in prose for i in range(named_by)):
        named_by = 1
    first, *also = range(min(1, named_by - 1), named_by)  # the columns of a row's name
    plain = [first, *(i for i in range(named_by, len(head)) if i not in prose)]

    def shown(token: Token) -> str:
        return reader.renderer.render([token], reader.options, {})

    sentence = "<p><b>{}:</b> {}</p>" if len(body) <= LONG else "<details><summary>{}</summary><p>{}</p></details>"
    verdict = next((i for i in plain if head[i].content == "verdict"), None)  # stands before its reason, too

    def why(line: list[Token], i: int) -> str:
        before = f"{shown(line[verdict])}: " if verdict is not None else ""
        return before + (shown(head[i]) or "more")

    filled = {i: [line[i].content for line in body if line[i].content not in EMPTY] for i in plain[1:]}
    texts = [i for i, cells in filled.items() if cells and not any(map(NUMERIC.match, cells))]

    def heading(i: int) -> str:
        letters = len(head[i].content)
        long = f' style="min-width: {max(LEAST, letters // 3)}ch"' if letters > WIDE else ""
        long = classes("long" if long else "", "text" if i in texts else "") + long
        names = [shown(head[j]) for j in (i, *(also if i == first else ()))]
        return f'<th scope="col" role="columnheader"{long}>{", ".join(names) or "row"}</th>'

    def row(line: list[Token]) -> str:
        more = ", ".join(f"{shown(head[i])}: {shown(line[i])}" for i in also)
        name = f'<th scope="row" role="rowheader">{shown(line[first])}{f"<small>{more}</small>" if more else ""}</th>'
        cells = "".join(cell(i, line[i]) for i in plain[1:])
        cells = f'<tr role="row">{name}{cells}</tr>\n'
        sentences = "".join(sentence.format(why(line, i), shown(line[i])) for i in prose if line[i].content)
        below = f'<td role="cell" colspan="{len(plain)}"><div>{sentences}</div></td>' if sentences else ""
        below = f'<tr role="row" class="more">{below}</tr>\n' if sentences else ""
        return cells + below

    def cell(i: int, token: Token) -> str:
        # A card leaves out what is not there, and gives a long text two columns.
        kind = "none" if token.content in EMPTY else "broad" if len(token.content) > BROAD else ""
        kind = classes(kind, "text" if i in texts else "")
        return f'<td role="cell"{kind} data-of="{html.escape(head[i].content)}"><span>{shown(token)}</span></td>'

    def block(lines: list[list[Token]]) -> str:
        title = ": ".join(filter(None, (shown(head[0]), shown(lines[0][0]))))
        above = f'<th scope="rowgroup" role="rowheader" colspan="{len(plain)}"><div>{title}</div></th>'
        above = f'<tr role="row" class="group">{above}</tr>\n' if first else ""
        return f'<tbody role="rowgroup">\n{above}{"".join(map(row, lines))}</tbody>'

    blocks = [list(lines) for _, lines in groupby(body, lambda line: line[0].content)] if first else [body]
    headings = "".join(map(heading, plain))
    top = f'<thead role="rowgroup"><tr role="row">{headings}</tr></thead>'
    # A card's columns are as wide as the longest cell that takes one, and as the longest word of a heading.
    longest = [cell for cells in filled.values() for cell in cells if len(cell) <= BROAD]
    longest += [word for i in plain[1:] for word in re.split(r"[\s-]", head[i].content)]
    column = f'style="--column: {max(map(len, longest), default=LEAST)}ch"'
    whole = f'<table class="sortable foldable" role="table" {column}>{top}{"".join(map(block, blocks))}</table>'
    called = f'tabindex="0" role="region" aria-label="{html.escape(name)} (scrolls)"'
    region = f'<div class="wide" {called}>{whole}</div>'
    if len(body) <= LONG:
        return region
    return f"<details><summary>All {len(body)} rows</summary>{region}</details>"


def classes(*names: str) -> str:
    """The attribute of those that are not empty; nothing for none."""
    named = " ".join(filter(None, names))
    return f' class="{named}"' if named else ""


def naming(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first columns tell each row from all others, where they are words and blocks of rows begin alike; else 1.

    >>> naming([["a", "x", "3"], ["a", "y", "3"]]), naming([["1", "x"], ["1", "y"]]), naming([["a", "x"], ["b", "y"], ["a", "z"]])
    (2, 1, 1)
    """
    enough = (n for n in range(1, len(rows[0]) if rows else 1) if len({tuple(row[:n]) for row in rows}) == len(rows))
    found = next(enough, 1)
    blocks = len(list(groupby(row[0] for row in rows)))
    numbers = any(re.fullmatch(r"[-−+]?\d[\d.,]*", cell) for row in rows for cell in row[:found])
    return 1 if numbers or 2 * blocks > len(rows) else found
