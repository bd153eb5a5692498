"""A .star file as text: its tables, cell by cell where they are needed, and its rows as they stand, to be written back.

A row is a line, as RELION writes and reads it. Words are parted by spaces or tabs; one that begins with a quote ends at
the same quote before a space (so Dan's/m.mrc is a word, and 'two words' is one), and a word that begins with # begins a
comment (so grid#3/a.mrc is a word). Bytes stay as they are: a name in Latin-1, or a line that ends in CR, is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryobench.errors import InputError

WORD = re.compile(rb"""'(.*?)'(?=\s|$)|"(.*?)"(?=\s|$)|(\S+)""")
GROUP = "rlnOpticsGroup"
BOM = b"\xef\xbb\xbf"


@dataclass
class Table:
    """One block: its name, the names of its columns without the underscore, and its rows: their text, and which lines of
    the file they are (from 0). A block without a loop has one row, made of its values; stray: lines that fit nowhere."""

    name: str
    line: int
    columns: list[str] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    loop: bool = False
    stray: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def cells(self, column: str, rows) -> list[str]:
        """What the rows have in a column of the table."""
        k = self.columns.index(column)
        return [text(split(self.rows[row])[k]) for row in rows]

    def check(self, path: Path) -> None:
        """Raise InputError unless each column has a name of its own, and each row one word for each column."""
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise InputError(f"{path}: expected each column once in data_{self.name}, got {', '.join(twice)} twice")
        if self.stray:
            raise InputError(
                f"{path}: expected columns and rows in data_{self.name}, got something else in "
                f"{named_lines(self.stray)}"
            )
        counts = [len(split(row)) for row in self.rows]
        wrong = [i for i, count in enumerate(counts) if count != len(self.columns)]
        if wrong:
            raise InputError(
                f"{path}: expected {len(self.columns)} values in each row of data_{self.name}, got "
                f"{', '.join(str(counts[i]) for i in wrong[:5])} in "
                f"{named_lines([self.lines[i] for i in wrong])}; correct or remove what is wrong"
            )


def read_tables(content: bytes) -> list[Table]:
    """The blocks of a .star file in their order; nothing is checked yet, so that a block nobody asks for may be odd."""
    tables: list[Table] = []
    for number, line in enumerate(content.removeprefix(BOM).splitlines()):
        words = split(line)
        if not words:
            continue
        alone, first = len(words) == 1, words[0]
        if alone and first.lower().startswith(b"data_"):
            tables.append(Table(text(first[5:]), number))
        elif not tables:
            tables.append(Table("", number, stray=[number]))
        elif alone and first.lower() == b"loop_":
            table = tables[-1]
            if table.columns or table.loop:
                table.stray.append(number)
            table.loop = True
        elif table_has_tag(tables[-1], words):
            table = tables[-1]
            table.columns.append(text(first[1:]))
            if not table.loop:  # a name and its value
                table.rows, table.lines = [b" ".join([*table.rows, raw_words(line)[1]])], [number]
        elif tables[-1].loop and not (alone and first.startswith(b"_")):
            tables[-1].rows.append(line)
            tables[-1].lines.append(number)
        else:
            tables[-1].stray.append(number)
    return tables


def the_one(path: Path, tables: list[Table], name: str) -> Table | None:
    """The table of this name, None without one. Raises InputError for two."""
    matching = [table for table in tables if table.name == name]
    if len(matching) > 1:
        where = named_lines([table.line for table in matching])
        raise InputError(f"{path}: expected one data_{name}, got {len(matching)}, in {where}")
    return matching[0] if matching else None


def groups_once(path: Path, optics: Table | None) -> Table | None:
    """The optics groups, each once: rows that are alike in all columns are one. Raises InputError for two that differ."""
    if optics is None or not optics.columns:
        return None
    optics.check(path)
    if GROUP not in optics.columns:
        raise InputError(f"{path}: expected a column {GROUP} in data_optics, got {', '.join(optics.columns[:30])}")
    cells = list(zip(*(optics.cells(name, range(len(optics))) for name in optics.columns), strict=True))
    first: dict[str, int] = {}
    for row, group in enumerate(optics.cells(GROUP, range(len(optics)))):
        if cells[row] != cells[first.setdefault(group, row)]:
            pairs = zip(optics.columns, cells[first[group]], cells[row], strict=True)
            differ = [name for name, one, two in pairs if one != two]
            raise InputError(
                f"{path}: expected optics group {group} once, got two in "
                f"{named_lines([optics.lines[first[group]], optics.lines[row]])} that differ in "
                f"{', '.join(differ[:5])}"
            )
    kept = sorted(first.values())
    return replace(optics, rows=[optics.rows[i] for i in kept], lines=[optics.lines[i] for i in kept])


def table_has_tag(table: Table, words: list[bytes]) -> bool:
    """Whether a line is a column's name, or a name with its value outside a loop."""
    if not words[0].startswith(b"_"):
        return False
    return len(words) == 1 and not table.rows if table.loop else len(words) == 2


def with_cells(content: bytes, table: Table, column: str, cells: list[str], rows: list[int]) -> bytes:
    """The file with only these rows of a table, in that order, `cells` in one column; all other bytes as they were."""
    k = table.columns.index(column)
    lines = content.splitlines(keepends=True)
    ending = next((line[len(line.rstrip(b"\r\n")) :] for line in lines if line.endswith((b"\r", b"\n"))), b"\n")
    new = []
    for row, cell in zip(rows, cells, strict=True):
        line = lines[table.lines[row]]
        start, end = spans(line)[k]
        line = line[:start] + quoted(cell) + line[end:]
        new.append(line if line.endswith((b"\r", b"\n")) else line + ending)
    if list(rows) == list(range(len(table))):  # lines between rows stay, too
        for row, line in zip(rows, new, strict=True):
            at = table.lines[row]
            lines[at] = line if lines[at].endswith((b"\r", b"\n")) else line.rstrip(b"\r\n")
        return b"".join(lines)
    return b"".join([*lines[: table.lines[0]], *new, *lines[table.lines[-1] + 1 :]])


def split(line: bytes) -> list[bytes]:
    """The words of a line without their quotes, up to a comment."""
    if b"#" not in line and b"'" not in line and b'"' not in line:
        return line.split()
    return [line[start + 1 : end - 1] if quotes else line[start:end] for start, end, quotes in tokens(line)]


def raw_words(line: bytes) -> list[bytes]:
    """The words of a line as they stand."""
    return [line[start:end] for start, end, _ in tokens(line)]


def spans(line: bytes) -> list[tuple[int, int]]:
    """Where the words of a line begin and end, quotes included."""
    return [(start, end) for start, end, _ in tokens(line)]


def tokens(line: bytes) -> list[tuple[int, int, bool]]:
    """Each word's place, and whether it is quoted."""
    words = []
    for match in WORD.finditer(line):
        plain = match[3] is not None
        if plain and match[3].startswith(b"#"):
            break
        words.append((*match.span(), not plain))
    return words


def quoted(cell: str) -> bytes:
    """A value as it is written: in quotes where it would be read otherwise as more words, or as none.

    Raises InputError for one that no quotes would hold, as a line's end.
    """
    raw = cell.encode("utf-8", "surrogateescape")
    if split(raw) == [raw] and not raw.startswith(b"_"):
        return raw
    for mark in (b'"', b"'"):
        if split(mark + raw + mark) == [raw] and raw.splitlines() == [raw]:
            return mark + raw + mark
    raise InputError(
        f"expected a name that can stand in a .star file, in quotes of one kind, got {cell!r}; give another"
    )


def text(word: bytes) -> str:
    """A word as str; bytes that are no UTF-8 survive as Python's surrogates, which name the same file again."""
    return word.decode("utf-8", "surrogateescape")


def named_lines(lines: list[int]) -> str:
    """Line numbers as an editor has them, the first five."""
    shown = ", ".join(str(number + 1) for number in lines[:5])
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"
