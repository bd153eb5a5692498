"""A table of the paper just as it is printed: its rows, columns and decimals, our numbers in the place of its own."""

from __future__ import annotations

from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import frame, text
from cryobench.tables.layout import HEADINGS
from cryobench.tables.table import Cell, cells, printed

SIGNS = {"α": r"$\alpha$", "β": r"$\beta$", "λ": r"$\lambda$", "ℓ1": r"$\ell_1$"}


def write(
    store: Store, number: int, sweep: str, title: str, corner: str, names: dict[str, str] | None = None
) -> list[Path]:
    """Write RESULTS/tables/tableN_as_printed.md and .tex: what has no run is a dash.

    sweep: the one whose rows are the table's; corner: of the heading; names: row → how LaTeX calls it.
    """
    places = printed(number)
    rows = {row: wanted for row, wanted in frame.sweep_rows(sweep).items() if any(row == place[0] for place in places)}
    columns = list(dict.fromkeys((snr, metric) for _, snr, metric in places))
    snrs, metrics = (list(dict.fromkeys(each)) for each in zip(*columns, strict=True))
    runs = frame.frame(store.all())
    filled, _ = cells(runs, rows, number, snrs, metrics)
    at = {(cell.row, cell.snr, cell.metric): cell for cell in filled}
    order = list(dict.fromkeys(row for row, _, _ in places))
    lines = [[row, *(like(at[row, snr, name], *places[row, snr, name]) for snr, name in columns)] for row in order]
    several = len(snrs) > 1
    heads = [f"{HEADINGS[metric]} {snr:g}" if several else HEADINGS[metric] for snr, metric in columns]
    caption = f"{frame.measured_on(runs[runs['done'].astype(bool)])} Mean(standard deviation over seeds)."
    top = ["", *(rf"\multicolumn{{{len(snrs)}}}{{c}}{{{HEADINGS[metric]}}}" for metric in metrics)]
    below = [corner, *(f"{snr:g}" if several else HEADINGS[metric] for snr, metric in columns)]
    body = [[(names or {}).get(row) or text.escaped(row), *line] for row, *line in lines]
    head = [top, below] if several else [below]
    return text.write(
        store,
        f"table{number}_as_printed",
        {
            "md": text.page(f"# Table {number}. {title}", caption, text.pipes([[corner, *heads], *lines])),
            "tex": text.booktabs(title, f"tab:printed-{number}", 1 + len(columns), head, [body], SIGNS),
        },
    )


def like(cell: Cell, value: str, spread: str) -> str:
    """Our number with as many decimals as the paper's has: 3.5e-2(7.8e-3), 14.535(0.1452)."""
    return "–" if cell.mean is None else f"{as_many(cell.mean, value)}({as_many(cell.spread, spread)})"


def as_many(value: float | None, printed: str) -> str:
    """A number in the form of one that was printed, with as many decimals; a dash for None."""
    if value is None:
        return "–"
    mantissa, exponent, _ = printed.partition("e")
    digits = len(mantissa.partition(".")[2])
    if not exponent:
        return f"{value:.{digits}f}"
    mantissa, power = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(power)}"
