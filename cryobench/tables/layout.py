"""A table's cells in the paper's rows, columns and number format: markdown, LaTeX and csv."""

from __future__ import annotations

from collections.abc import Sequence

from cryobench import printed
from cryobench.tables.limits import LIMITS
from cryobench.tables.table import Cell
from cryobench.tables.text import booktabs, escaped, explained, formatted, page, pipes, sheet, significant

COLUMNS = ("row", "snr", "metric", "mean", "spread", "n_seeds", "paper", "paper_spread", "verdict")
HEADINGS = {"mse": "MSE", "psnr": "PSNR", "ssim": "SSIM"}  # NMSE stands in the csv alone
TIMES = {"bayes": ("× Bayes", r"$\times$ limit"), "linear": ("× linear", r"$\times$ linear")}
ONCE = "¹"
READING = {
    "bayes": " × Bayes: over the Bayes limit's MSE under the same noise, seed by seed; where it has fewer, over their mean.",
    "linear": " × linear: over that of the best linear filter that turns with the image.",
}


def to_csv(cells: list[Cell], more: Sequence[Sequence] = ()) -> str:
    """One line a cell; where a limit is known, each MSE once more as a multiple of it, metric times_bayes or times_linear.

    more: lines of other metrics, below.
    """
    lines = []
    for cell in cells:
        place, n = (cell.row, f"{cell.snr:g}"), len(cell.values)
        paper = (None if value is None else str(value) for value in (cell.paper, cell.paper_spread))
        lines.append([*place, cell.metric, cell.mean, cell.spread, n, *paper, cell.verdict])
        for name in LIMITS:
            if times := cell.times(name):
                numbers = (significant(value, 6) for value in times)
                lines.append([*place, f"times_{name}", *numbers, n, None, None, "not published"])
    return sheet(COLUMNS, [*lines, *more])


class Grid:
    """Cells by place: `rows`, `columns` (metric, SNR) of those metrics that are shown, and the limits known at which SNR.

    published: rows of the paper; others: those beside them that were run.
    """

    def __init__(self, cells: list[Cell]):
        cells = [cell for cell in cells if cell.metric in HEADINGS]
        self.rows = list(dict.fromkeys(cell.row for cell in cells))
        self.columns = list(dict.fromkeys((cell.metric, cell.snr) for cell in cells))
        self.snrs = list(dict.fromkeys(snr for _, snr in self.columns))
        self.at = {(cell.row, cell.metric, cell.snr): cell for cell in cells}
        self.limits = {name: snrs for name in LIMITS if (snrs := limited(cells, name))}
        self.published = [row for row in self.rows if any(cell.paper is not None for cell in self.line(row))]
        self.others = [row for row in self.rows if row not in self.published and any(c.values for c in self.line(row))]

    def line(self, row: str) -> list[Cell]:
        """The cells of a row, column by column."""
        return [self.at[row, metric, snr] for metric, snr in self.columns]

    def texts(self, row: str, once: str = "") -> list[str]:
        """A row's numbers, then its MSE as a multiple of each limit; once: what stands behind a multiple of one seed."""
        places = [(name, self.at[row, "mse", snr]) for name, snrs in self.limits.items() for snr in snrs]
        times = [multiple(cell, name) + once * (len(cell.values) == 1) for name, cell in places]
        return [*(formatted(cell.metric, cell.mean, cell.spread) for cell in self.line(row)), *times]


def to_markdown(cells: list[Cell], title: str, corner: str, notes: list[str]) -> str:
    """Ours in the paper's layout, then what the paper doesn't have, then the paper's own numbers, then notes.

    Each MSE is shown as a multiple of the limits too, where they are known. The last columns say how many seeds there
    are and what a method uses beyond noisy images.
    """
    grid = Grid(cells)
    several = len(grid.snrs) > 1
    head = [corner, *(f"{HEADINGS[metric]} {snr:g}" if several else HEADINGS[metric] for metric, snr in grid.columns)]
    times = [f"{TIMES[name][0]} {snr:g}" for name, snrs in grid.limits.items() for snr in snrs]

    def ours(names: list[str]) -> str:
        lines = [[*head, *times, "seeds", "side information"]]
        for row in names:
            row_cells = grid.line(row)
            side_information = ", ".join(next((cell.side_information for cell in row_cells if cell.values), ())) or "–"
            seeds = counted([cell for cell in row_cells if cell.metric == "mse"])
            lines.append([printed.named(row), *grid.texts(row, ONCE), seeds, side_information])
        return pipes(lines)

    paper = [head, *([printed.named(row), *map(paper_format, grid.line(row))] for row in grid.published)]
    images = "; ".join(dict.fromkeys(cell.images for cell in cells if cell.images))
    where = f"Images: {images}. " if images else ""
    unit = " PSNR in dB." if any(metric == "psnr" for metric, _ in grid.columns) else ""
    caption = f"{where}Ours: mean(standard deviation over seeds).{unit}" + "".join(
        READING[name] for name in grid.limits
    )
    once = any(len(cell.values) == 1 for cell in cells) and grid.limits
    caption += f" {ONCE}: one seed, over the limit under its own noise." if once else ""
    more = ["Not in this table of the paper:", ours(grid.others)] if grid.others else []
    words = explained(word for cell in cells for word in cell.side_information)
    return page(f"# {title}", caption, ours(grid.published), *more, words, "The paper's:", pipes(paper), *notes)


def limited(cells: list[Cell], name: str = "bayes") -> list[float]:
    """The SNRs at which a limit is known."""
    return list(dict.fromkeys(cell.snr for cell in cells if cell.times(name)))


def counted(cells: list[Cell]) -> str:
    """How many seeds cells have: "3", or "2–3"."""
    return "–".join(map(str, sorted({len(cell.values) for cell in cells})))


def multiple(cell: Cell, name: str = "bayes") -> str:
    """An MSE as a multiple of a limit, "–" where there is none."""
    times = cell.times(name)
    return printed.multiple(times[0] if times else None)


def paper_format(cell: Cell) -> str:
    """The paper's number of a cell, in the paper's format."""
    return formatted(cell.metric, cell.paper, cell.paper_spread)


def to_tex(cells: list[Cell], caption: str, corner: str, label: str, names: dict[str, str] | None = None) -> str:
    """A booktabs table with the paper's rows, columns and number format, and our numbers.

    Below a rule stand the rows that the paper doesn't have; to the right, MSE as a multiple of the limits. names: row → how
    it is called here.
    """
    grid = Grid(cells)
    one = len(grid.snrs) == 1
    blocks = [(HEADINGS[metric], grid.snrs) for metric in dict.fromkeys(metric for metric, _ in grid.columns)]
    blocks += [(TIMES[name][1], snrs) for name, snrs in grid.limits.items()]
    top = ["", *(rf"\multicolumn{{{len(under)}}}{{c}}{{{name}}}" for name, under in blocks)]
    second = [corner, *(name if one else f"{snr:g}" for name, under in blocks for snr in under)]
    parts = [
        [[(names or {}).get(row) or escaped(row), *grid.texts(row)] for row in rows]
        for rows in (grid.published, grid.others)
    ]
    columns = 1 + sum(len(under) for _, under in blocks)
    return booktabs(caption, label, columns, [second] if one else [top, second], parts)
