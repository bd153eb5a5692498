"""Comparisons as markdown and csv: a table with a line for each row, and in words who is significantly better than whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryobench.evaluation.statistics import MOST_SEEDS, SEEDS, Answer
from cryobench.printed import multiple, short
from cryobench.tables.comparison import MEASURES, Comparison, Line, unnamed
from cryobench.tables.table import refused_by
from cryobench.tables.text import formatted, page, pipes, seconds, sheet, significant

HEAD = [
    "",
    "method",
    "NMSE",
    "MSE",
    "PSNR",
    "SSIM",
    "× linear limit",
    "× Bayes limit",
    "side information",
    "s/image",
    "training s",
    "seeds",
    "significantly better than",
    "equivalent to",
    "undecided",
]
LEFT = 2  # columns
SAID = """\
Mean(standard deviation over seeds). × linear limit, × Bayes limit: the MSE as a multiple of that of `method=wiener` and \
`method=bayes` on the same noisy images, seed by seed. Side information: what was used beyond noisy images. Seconds are \
those of the machine that each run was made on, with whatever else it did. Significantly better: the MSE is lower by the test of \
docs/statistics.md at 5 %, all comparisons of a table corrected together (Holm); equivalent: within 5 %; numbers are those of \
the lines. Fewer than three seeds allow no verdict."""
NUMBERS = tuple(part for name in MEASURES for part in (name, f"{name}_spread"))
LINES = ("where", "place", "method", "given", "seeds", "side_information", *NUMBERS, "runs")
VERDICTS = (
    "where",
    "method",
    "than",
    "mse",
    "effect",
    "low",
    "high",
    "p",
    "p_equivalent",
    "seeds",
    "detectable",
    "seeds_to_decide",
)


def to_markdown(comparisons: Sequence[Comparison], pictures: Mapping[str, str] | None = None) -> str:
    """A page: each comparison's table, verdicts in words, and its picture, of which `pictures` has the file by `where`."""
    parts = ["# Methods compared"]
    for one in comparisons:
        parts += [f"## {one.where}"]
        if not one.lines:
            parts += ["No finished run of these images."]
            continue
        parts += [pipes([HEAD, *(cells(one, place) for place in range(len(one.lines)))], left=LEFT)]
        parts += ["\n".join(f"- {text}" for text in sentences(one)), *notes(one)]
        if pictures and one.where in pictures:
            parts += [f"![the same test images by each method]({pictures[one.where]})"]
    return page(*parts, SAID)


def cells(one: Comparison, place: int) -> list[str]:
    """The texts of one line."""
    line = one.lines[place]
    numbers = [formatted(name, *line.cells.get(name, (None, None))) for name in ("mse", "psnr", "ssim")]
    nmse = line.cells.get("nmse")
    share = f"{nmse[0]:.3g}({'–' if nmse[1] is None else f'{nmse[1]:.1g}'})" if nmse else "–"
    times = [multiple(line.cells.get(f"times_{name}", (None,))[0]) for name in ("linear", "bayes")]
    speed = [
        seconds(line.cells.get(name, (None,))[0], least) for name, least in (("image_s", 1e-5), ("training_s", 0.01))
    ]
    side_information = ", ".join(line.side_information) or "–"
    return [
        str(place + 1),
        named(line),
        share,
        *numbers,
        *times,
        side_information,
        *speed,
        str(len(line.records)),
        *verdict_cells(one, place),
    ]


def named(line: Line) -> str:
    """A row's name, in bold where the comparison is about it."""
    return f"**{line.name}**" if line.asked else line.name


def verdict_cells(one: Comparison, place: int) -> list[str]:
    """Which lines this one is significantly better than, equivalent to and undecided against, as ranges of numbers."""
    against = one.against(place)
    if against and all(word == "too few seeds" for _, word, _ in against):
        return ["too few seeds", "–", "–"]
    return [
        ranges([other + 1 for other, word, _ in against if word == wanted])
        for wanted in ("lower", "equivalent", "undecided")
    ]


def ranges(numbers: Sequence[int]) -> str:
    """3, 4, 5 and 9 → "3–5, 9"; a dash for none."""
    out: list[list[int]] = []
    for number in sorted(numbers):
        if out and number == out[-1][1] + 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in out) or "–"


def sentences(one: Comparison) -> list[str]:
    """Of each row that was asked about: who is significantly better, who worse, and what is not decided, in words."""
    return [f"{named(line)}: {verdicts_in_words(one, place)}." for place, line in enumerate(one.lines) if line.asked]


def verdicts_in_words(one: Comparison, place: int) -> str:
    """Which rows a row is better and worse than, equivalent to and undecided against, by name; and how many seeds are missing."""
    groups: dict[str, list[tuple[int, Answer]]] = {}
    for other, word, answer in one.against(place):
        groups.setdefault(word, []).append((other, answer))
    words = {
        "lower": "significantly better than",
        "higher": "significantly worse than",
        "equivalent": "equivalent to",
        "undecided": "undecided against",
        "not run": "no images in common with",
    }
    parts = [f"{text} {names(one, groups[word])}" for word, text in words.items() if word in groups]
    if few := groups.get("too few seeds"):
        own = len(one.lines[place].records)
        least = min(answer.comparison.seeds for _, answer in few if answer.comparison)
        whose = f"it has {own}" if own < SEEDS else f"as few as {least} are common to both"
        parts.append(f"no verdict against {names(one, few)}: {SEEDS} seeds are needed, and {whose}")
    if undecided := groups.get("undecided"):
        needed = [answer.seeds_to_decide for _, answer in undecided if answer.seeds_to_decide is not None]
        enough = len(needed) == len(undecided)
        text = f"{max(needed)} seeds would decide all" if enough else f"more than {MOST_SEEDS} seeds for some"
        parts.append(f"if the differences are as measured, {text} of what is undecided")
    return "; ".join(parts) or "nothing to compare it with"


def names(one: Comparison, group: Sequence[tuple[int, Answer]]) -> str:
    """Rows by name, or where they are many by number."""
    if len(group) > 4:
        return f"{len(group)} rows ({ranges([other + 1 for other, _ in group])})"
    return ", ".join(one.lines[other].name for other, _ in group)


def notes(one: Comparison) -> list[str]:
    """What a reader has to know: between which rows verdicts are, which lack seeds, which limits lack runs, what was refused."""
    out = ["Verdicts are between the rows in bold and all others."] if any(line.asked for line in one.lines) else []
    few = [place for place, line in enumerate(one.lines, start=1) if len(line.records) < SEEDS]
    if few:
        out.append(f"Too few seeds for a verdict: {ranges(few)}. Three are needed (seed=0,1,2).")
    if usual := unnamed(one.lines):
        settings = "; ".join(f"{method}: {each}" for method, each in sorted(usual.items()))
        out.append(f"Settings that a row does not name are the usual ones ({settings}).")
    limits = {"times_linear": "method=wiener", "times_bayes": "method=bayes"}
    if gone := [method for name, method in limits.items() if not any(name in line.cells for line in one.lines)]:
        out.append(f"No limit of these images is known from {' and '.join(gone)}.")
    return out + refused_by((line.name, record) for line in one.lines for record in line.records.values())


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """One line for each row; `runs` has its records' ids."""
    lines = []
    for one in comparisons:
        for place, line in enumerate(one.lines, start=1):
            values = [value for name in MEASURES for value in line.cells.get(name, (None, None))]
            ids = " ".join(record.run_id for record in line.records.values())
            lines.append(
                [
                    one.where,
                    place,
                    line.name,
                    "yes" if line.first.given else "no",
                    len(line.records),
                    " ".join(line.side_information),
                    *values,
                    ids,
                ]
            )
    return sheet(LINES, lines)


def verdicts_csv(comparisons: Sequence[Comparison]) -> str:
    """One line for each two rows that were compared. mse: lower, higher, equivalent, undecided or too few seeds; effect: the
    difference in MSE relative to `than`, with its 95 % interval over seeds."""
    lines = []
    for one in comparisons:
        for place, line in enumerate(one.lines):
            for other, word, answer in one.against(place):
                if (place, other) not in one.answers:
                    continue
                compared, decided = answer.comparison, answer.p is not None
                effect = significant(compared.effect) if compared else None
                lines.append(
                    [
                        one.where,
                        line.name,
                        one.lines[other].name,
                        word,
                        effect,
                        *(map(significant, compared.interval) if compared and decided else (None, None)),
                        significant(answer.p),
                        significant(answer.p_equivalent),
                        compared.seeds if compared else 0,
                        significant(answer.detectable),
                        answer.seeds_to_decide,
                    ]
                )
    return sheet(VERDICTS, lines)


def in_short(line: Line) -> str:
    """A row's MSE under a picture."""
    return f"MSE {short(line.cells['mse'][0])}" if "mse" in line.cells else ""
