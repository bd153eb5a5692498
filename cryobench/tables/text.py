"""Lines of a table → markdown, LaTeX and csv, whole files, and numbers as the paper prints them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryobench.files import replacing, writable
from cryobench.methods.base import SIDE_INFORMATION
from cryobench.printed import short
from cryobench.runs.store import Store

SIGNS = {
    "–": "--",
    "σ": r"$\sigma$",
    "ℓ1": r"$\ell_1$",
    "ℓ2": r"$\ell_2$",
}  # what LaTeX wants in their place, in every table
SPECIAL = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "ℓ": r"$\ell$",
}  # what LaTeX takes for something else than a letter
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρτυφχψω",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho tau upsilon phi chi psi omega".split(),
        strict=True,
    )
)
LATIN = "\u017f"  # the last letter that LaTeX knows by itself


def write(store: Store, name: str, texts: dict[str, str]) -> list[Path]:
    """Write RESULTS/tables/NAME.SUFFIX for each suffix, each whole or not at all."""
    folder = store.results / "tables"
    files = [folder / f"{name}.{suffix}" for suffix in texts]
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in zip(files, texts.values(), strict=True):
            with replacing(file) as part:
                part.write_text(text, encoding="utf-8")
    return files


def formatted(metric: str, mean: float | None, spread: float | None) -> str:
    """As the paper prints: 2.99e-3(3.51e-5), 25.30(0.05), 0.82(0.03); a dash for what there is not.

    >>> formatted("mse", 0.00299, 3.51e-5), formatted("psnr", 25.3, 0.05), formatted("ssim", 0.82, None)
    ('2.99e-3(3.51e-5)', '25.30(0.05)', '0.82(–)')
    """
    if mean is None:
        return "–"
    if metric == "mse":
        return f"{short(mean)}({short(spread)})"
    return f"{decimal(mean)}({decimal(spread)})"


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def seconds(value: float | None, least: float) -> str:
    """Seconds in three digits, never as a power of ten: 0 where they are below `least`; a dash for None.

    >>> seconds(409.3, 0.01), seconds(12.345, 0.01), seconds(3.38e-5, 0.01), seconds(0.00123, 1e-5)
    ('409', '12.3', '0', '0.00123')
    """
    if value is None:
        return "–"
    if value < least:
        return "0"
    places = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{places}f}".rstrip("0").rstrip(".") if places else f"{value:.0f}"


def significant(value: float | None, digits: int = 6) -> str | None:
    """A number of a csv."""
    return None if value is None else f"{value:.{digits}g}"


def sheet(columns: Sequence[str], lines: Iterable[Sequence | dict]) -> str:
    """A csv: six significant digits of a float, nothing for None; texts and whole numbers as they are."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        values = [line.get(column) for column in columns] if isinstance(line, dict) else line
        writer.writerow([significant(value) if isinstance(value, float) else value for value in values])
    return out.getvalue()


def meanings(used: Iterable[str]) -> dict[str, str]:
    """Names of side information → what they mean, in the order of SIDE_INFORMATION."""
    words = set(used)
    return {word: meaning for word, meaning in SIDE_INFORMATION.items() if word in words}


def explained(used: Iterable[str]) -> str:
    """What names of side information mean, in a sentence; nothing without any.

    >>> explained(["labels", "clean"])
    'Side information: *clean*, clean training images; *labels*, the conformation of each training image.'
    """
    said = "; ".join(f"*{word}*, {meaning}" for word, meaning in meanings(used).items())
    return f"Side information: {said}." if said else ""


def pipes(rows: list[list[str]], left: int = 1) -> str:
    """Rows of texts → a markdown table, the first `left` columns to the left.

    >>> print(pipes([["method", "MSE"], ["mine | yours", "1.00"]]))
    | method | MSE |
    | :-- | --: |
    | mine \\| yours | 1.00 |
    """
    rule = [":--" if column < left else "--:" for column in range(len(rows[0]))]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in [rows[0], rule, *rows[1:]])
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def page(*parts: str) -> str:
    """Paragraphs, those that are not empty → a markdown file."""
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(name: str) -> str:
    """A name that anybody may have given, as LaTeX prints it; SIGNS are left to `booktabs`.

    >>> print(escaped("my_net 50% a&b"), escaped("λ=1, σ"), escaped("漢 {x}"))
    my\\_net 50\\% a\\&b $\\lambda$=1, σ U+6F22 \\{x\\}
    """

    def letter(found: re.Match) -> str:
        sign = found[0]
        if sign in SIGNS:
            return sign
        if sign in GREEK:
            return rf"$\{GREEK[sign]}$"
        return SPECIAL.get(sign) or (sign if sign <= LATIN else f"U+{ord(sign):04X}")

    return re.sub("|".join([*map(re.escape, SIGNS), "."]), letter, " ".join(name.split()))


def booktabs(
    caption: str,
    label: str,
    columns: int,
    head: list[list[str]],
    parts: list[list[list[str]]],
    signs: dict[str, str] | None = None,
    titles: Sequence[str] | None = None,
) -> str:
    """A LaTeX table: the lines of its head, then each of `parts` below a rule of its own, under its title where it has one.

    signs: what LaTeX wants in the place of these texts, in the lines beside SIGNS. Texts are LaTeX: `escaped` makes it of names.
    """
    body = []
    for part, title in zip(parts, titles or [""] * len(parts), strict=True):
        if part:
            above = rf" \multicolumn{{{columns}}}{{l}}{{{title}}} \\ \midrule" if title else ""
            body += [rf"\midrule{above}", *(" & ".join(line) + r" \\" for line in part)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'c' * (columns - 1)}}}",
        r"\toprule",
        *(" & ".join(line) + r" \\" for line in head),
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    text = "\n".join(lines)
    for sign, tex in {**(signs or {}), **SIGNS}.items():
        text = text.replace(sign, tex)
    return text + "\n"
