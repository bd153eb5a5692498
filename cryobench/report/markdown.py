"""A table's markdown → HTML for the page: numbers in columns, sentences under their row; long tables fold."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

PROSE = 40  # letters: a column with a longer cell holds sentences
NUMBER = re.compile(  # what could be broken at a sign, a bracket or a space
    r"\d[\d.]*e[-−+]?\d+(?:\([^)\s]*\))?|[-−+]?\d[\d.]*\([\d.]+\)"  # 3.74e-3(1.2e-4), 25.30(0.05)
    r"|\d{4}-\d\d-\d\d|\d[\d.]* × (?:linear )?limit|SNR \d[\d.]*|\d[\d.]* (?:%|Å|dB|px)"  # a day, numbers with their units
    r"|\([-−\d.]+,[-−\d.]+\)-GAN|[τλσε] = \d[\d.]*|\w+\^[-−+]?\d[\d.]*|ℓ[12]-Autoencoder|Non-local means"
)
UNIT = re.compile(r"(?<=\d) (?=(?:%|Å|dB|px)(?!\w))|(?<=SNR) (?=\d)")  # the space between a number and its unit
WIDE = 24  # letters: a longer heading may take several lines
LONG = 20  # rows: a longer table opens when it is asked for


def rendered(text: str, title: str) -> str:
    """HTML of markdown with tables, each named by the title and its number; raw HTML in it is shown as text."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    parsed = reader.parse(UNIT.sub("\u00a0", text))
    tokens, out, start, number = list(map(with_whole_numbers, parsed)), [], 0, 0
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


def with_whole_numbers(token: Token) -> Token:
    """A token whose texts are `unbroken`; code, and where a link leads to, stay as they are."""
    if token.type != "inline":
        return token
    children = [
        Token("html_inline", "", 0, content=unbroken(escapeHtml(child.content))) if child.type == "text" else child
        for child in token.children or []
    ]
    return token.copy(children=children)


def table(reader: MarkdownIt, tokens: Sequence[Token], name: str) -> str:
    """One table, called `name` where it is read out.

    The first column names the row; what a column of sentences says stands under its row, folded in a long table.
    """
    lines: list[list[Token]] = []
    for token in tokens:
        if token.type == "tr_open":
            lines.append([])
        elif token.type == "inline":
            lines[-1].append(token)
    head, *body = lines
    prose = [i for i in range(1, len(head)) if any(len(line[i].content) > PROSE for line in body)]
    plain = [i for i in range(len(head)) if i not in prose]

    def shown(token: Token) -> str:
        return reader.renderer.render([token], reader.options, {})

    sentence = "<p><b>{}:</b> {}</p>" if len(body) <= LONG else "<details><summary>{}</summary><p>{}</p></details>"
    verdict = next((i for i in plain if head[i].content == "verdict"), None)  # stands before its reason, too

    def why(line: list[Token], i: int) -> str:
        before = f"{shown(line[verdict])}: " if verdict is not None else ""
        return before + (shown(head[i]) or "more")

    headings = "".join(
        f'<th scope="col"{" class=long" if len(head[i].content) > WIDE else ""}>{shown(head[i]) or "row"}</th>'
        for i in plain
    )
    rows = []
    for line in body:
        first, *rest = (shown(line[i]) for i in plain)
        rows.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{text}</td>" for text in rest) + "</tr>\n")
        sentences = "".join(sentence.format(why(line, i), shown(line[i])) for i in prose if line[i].content)
        if sentences:
            rows.append(f'<tr class="more"><td colspan="{len(plain)}"><div>{sentences}</div></td></tr>\n')
    whole = f'<table class="sortable"><thead><tr>{headings}</tr></thead><tbody>\n{"".join(rows)}</tbody></table>'
    label = f'tabindex="0" role="region" aria-label="{html.escape(name)} (scrolls sideways)"'
    region = f'<div class="wide" {label}>{whole}</div>'
    if len(body) <= LONG:
        return region
    return f"<details><summary>All {len(body)} rows</summary>{region}</details>"
