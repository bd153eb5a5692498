"""The numbers of README.md and results/README.md are those of the committed tables.

Every number of table-like form (a decimal, a power of ten, a bracketed spread, a percentage) has a source in a comment that
follows its paragraph and that no reader sees:

    <!-- numbers
    4.42e-3(5e-6) = table2 | CWF | 0.1 | mse
    11.7 % = claims | pairs-(1,1) | (-.5,-.5) | snr=0.1 | effect
    4.6e-3 = table1 | 0.1 | mse | min mean
    6 % = table3 | 10000 | mse / table3 | l1-Autoencoder | mse - 1
    83 = claims | undecided | count
    22 = ../docs/scaling.md
    12.3 = from `cryobench reconstruct`
    -->

left, the number as it stands in the text, in the text's order; right, a table of results/rnap_ecoli-desk (or FOLDER/table),
cells that pick its line (name=cell where a bare cell would fit several columns, name<=number), and the column: `mean` and, in
brackets, `spread` where none is given; also a page (.md, as from results/), some number of which rounds to it. Where neither
has a number, the right side begins with `from`. A number without a source, a source without a number, and a number that its
source does not round to, fail. A table whose rows and columns are called as a csv's cells needs no more than

    <!-- cells: rnap_ecoli-desk/table_microscope | nmse -->

with further cells that pick its lines between the two.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from cryobench.printed import named

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "results/README.md")
COMMENT = re.compile(r"[ ]*<!-- numbers\n(.*?)\n[ ]*-->\n?", re.S)
CELLS = re.compile(r"((?:^\|.*\n)+)\n<!-- cells: (.+) \| (.+) -->", re.M)
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-−]?\d+)?"
TOKEN = re.compile(rf"(?<![\w.,/])([−+-]?{NUMBER}(?:\({NUMBER}\))?)(?:( %)|(?![\w(]))")
SKIPPED = (
    r"```.*?```", r"`[^`]*`", r"\]\([^)]*\)", r"<[^>]*>",  # code, addresses, tags
    r"\(−?\.?\d\.?\d*,−?\.?\d\.?\d*\)",  # (α,β)
    r"arXiv:[\d.]+", r"Python ≥ [\d.]+", r"RELION [\d.]+", r"^#.*$", r"^\|.*$",  # headings; tables have tests of their own
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    text: str  # the number as it stands in the page
    where: str


def paragraphs(page: str) -> list[tuple[str, list[Source]]]:
    """(text, sources) of each stretch of a page that ends in a comment or at its end."""
    body = (ROOT / page).read_text(encoding="utf-8")
    out, start = [], 0
    for comment in COMMENT.finditer(body):
        lines = [line.strip() for line in comment[1].splitlines()]
        out.append((body[start : comment.start()], [Source(*re.split(r" = ", line, maxsplit=1)) for line in lines]))
        start = comment.end()
    return [*out, (body[start:], [])]


def of_tables(page: str) -> list[Source]:
    """Every number of the tables of a page that are followed by `cells: TABLE | COLUMN`."""
    out = []
    for printed, table, column in CELLS.findall((ROOT / page).read_text(encoding="utf-8")):
        names = {named(cell): cell for line in lines_of(table.partition(" | ")[0]) for cell in line.values()}
        (_, *headings), _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()
        )
        for label, *cells in rows:
            found = [f"{table} | {names[label]} | {heading} | {column}" for heading in headings]
            out += [Source(cell, where) for cell, where in zip(cells, found, strict=True) if cell != "–"]
    return out


def plain(text: str) -> str:
    """A stretch without what only looks like a number, its lines joined."""
    for pattern in SKIPPED:
        text = re.sub(pattern, " ", text, flags=re.S if "```" in pattern else re.M)
    return re.sub(r"\s+", " ", text)


def numbers(text: str) -> list[tuple[str, bool]]:
    """Every number of a plain text, and whether it is of table-like form; an SNR's 0.1 and 0.05 are names, not findings."""
    text = re.sub(rf"({NUMBER}) ± {NUMBER} %", r"\1 %", text)  # the error has the value's source
    tokens = [number + percent for number, percent in TOKEN.findall(text)]
    return [(shown, bool(re.search(r"[.e(]|%$", shown)) and shown not in ("0.1", "0.05")) for shown in tokens]


@cache
def lines_of(table: str) -> list[dict[str, str]]:
    folder, _, name = table.rpartition("/")
    with open(ROOT / "results" / (folder or "rnap_ecoli-desk") / "tables" / f"{name}.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def look_up(where: str) -> tuple[float, float | None]:
    """`table | cells | column` → (value, spread or None)."""
    if where.endswith(" - 1"):
        return look_up(where.removesuffix(" - 1"))[0] - 1, None
    if " / " in where:
        one, other = (look_up(part)[0] for part in where.split(" / "))
        return one / other, None
    table, *keys = [part.strip() for part in where.split("|")]
    lines = lines_of(table)
    how, _, column = keys[-1].rpartition(" ")
    if keys[-1] == "count":
        how, column, keys = "count", "count", keys[:-1]
    elif column in lines[0] and how in ("", "min", "max"):
        keys = keys[:-1]
    else:
        how, column = "", "mean"
    chosen = [line for line in lines if all(fits(line, key) for key in keys)]
    if how == "count":
        return len(chosen), None
    values = [float(line[column]) for line in chosen if line[column]]
    if how:
        return {"min": min, "max": max}[how](values), None
    if len(chosen) != 1:
        raise LookupError(f"{where}: {len(chosen)} lines fit, expected one")
    spread = next((chosen[0][name] for name in ("spread", "sd") if chosen[0].get(name)), None)
    return values[0], float(spread) if spread and column == "mean" else None


def fits(line: dict[str, str], key: str) -> bool:
    if "<=" in key:
        name, _, most = key.partition("<=")
        return bool(line[name]) and float(line[name]) <= float(most)
    name, _, cell = key.rpartition("=")
    if name in line:
        return line[name] == cell
    return key == line["snr"] if key in ("0.1", "0.05") and "snr" in line else key in line.values()


def rounded(value: float, printed: str) -> bool:
    """Whether a number was printed rightly, to as many decimals as it has; its sign counts where one is printed."""
    printed = printed.replace("−", "-").replace(",", "")
    value = value if printed[0] in "+-" else abs(value)
    mantissa, exponent, _ = printed.partition("e")
    places = len(mantissa.partition(".")[2])
    return float(printed) == float(f"{value:.{places}{'e' if exponent else 'f'}}")


def complaint(source: Source) -> str | None:
    """What is wrong with one number; None if nothing is."""
    if source.where.startswith("from "):
        return None
    if source.where.endswith(".md"):
        file = ROOT / "results" / source.where
        return None if stands_in(file, source.text) else f"{source.text} is nowhere in {source.where}"
    try:
        value, spread = look_up(source.where)
    except (LookupError, OSError) as error:
        return f"{source.text}: {error}"
    number, _, bracket = source.text.removesuffix(" %").rstrip(")").partition("(")
    if not rounded(100 * value if source.text.endswith("%") else value, number):
        return f"{source.text}: {source.where} is {value:.6g}"
    if bracket and not (spread is not None and rounded(spread, bracket)):
        return f"{source.text}: the spread of {source.where} is {spread}"
    return None


def stands_in(page: Path, printed: str) -> bool:
    """Whether some number of a page rounds to this one; one with a bracket stands there as it is."""
    text = page.read_text(encoding="utf-8").replace("−", "-").replace("^", " ")
    if "(" in printed:
        return printed.replace("−", "-") in text
    tokens = (re.sub(r"\(.*|,", "", number) for number, _ in TOKEN.findall(text))
    return any(rounded(float(number), printed.removesuffix(" %")) for number in tokens)


def unsourced(text: str, sources: list[Source]) -> list[str]:
    """Numbers of a stretch without a source, and sources without a number, both in order."""
    tokens, wanted, bad = numbers(plain(text)), list(sources), []
    for place, (shown, table_like) in enumerate(tokens):
        left = {other for other, _ in tokens[place:]}
        while wanted and wanted[0].text not in left:
            bad.append(f"{wanted[0].text} = {wanted.pop(0).where} has no number")
        if wanted and wanted[0].text == shown:
            wanted.pop(0)
        elif table_like:
            bad.append(f"{shown} has no source")
    return bad + [f"{source.text} = {source.where} has no number" for source in wanted]


@pytest.mark.parametrize("page", PAGES)
def test_every_number_has_a_source_and_is_what_it_says(page):
    wrong = []
    for text, sources in paragraphs(page):
        wrong += unsourced(text, sources)
        wrong += filter(None, map(complaint, sources))
    wrong += filter(None, map(complaint, of_tables(page)))
    assert not wrong, f"{page}:\n" + "\n".join(wrong)


def test_a_changed_number_a_new_one_and_a_wrong_source_are_each_noticed():
    text = "CWF has 4.42e-3(4.9e-6), 12 % less, at 64 px and SNR 0.1."
    right = [Source("4.42e-3(4.9e-6)", "table2 | CWF | 0.1 | mse"), Source("12 %", "from nowhere")]
    assert unsourced(text, right) == [] and complaint(right[0]) is None
    assert unsourced(text.replace("4.42", "4.43"), right)
    assert unsourced(text + " Then 3.1e-3.", right) == ["3.1e-3 has no source"]
    assert unsourced(text.replace("12 %", "13 %"), right) and unsourced(text, right[:1]) == ["12 % has no source"]
    for changed in ("4.43e-3(4.9e-6)", "4.42e-3(4.8e-6)", "4.42e-2"):
        assert complaint(Source(changed, right[0].where))
    with pytest.raises(LookupError, match="lines fit"):
        look_up("table2 | CWF")


def test_a_tables_cells_are_looked_up_by_their_row_and_column():
    cells = of_tables("results/README.md")
    assert (
        Source("12.9 %", "rnap_ecoli-desk/table_microscope | linear limit | white | nmse") in cells and len(cells) >= 28
    )
    assert complaint(Source("13.0 %", "rnap_ecoli-desk/table_microscope | linear limit | white | nmse"))


def test_forms_of_sources():
    assert look_up("claims | count") == (len(lines_of("claims")), None)
    assert look_up("table1 | 0.1 | mse | min mean")[0] == min(
        float(line["mean"]) for line in lines_of("table1") if line["snr"] == "0.1" and line["metric"] == "mse"
    )
    one, other = look_up("table2 | CWF | 0.1 | mse"), look_up("table2 | BM3D | 0.1 | mse")
    assert look_up("table2 | CWF | 0.1 | mse / table2 | BM3D | 0.1 | mse - 1")[0] == one[0] / other[0] - 1
    assert numbers(plain("(.5,−.5) at 64 px: 4,000 images, λ = 10, p = 0.041")) == [
        ("64", False),
        ("4,000", False),
        ("10", False),
        ("0.041", True),
    ]
