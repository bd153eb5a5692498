"""The paper as its text describes it and as its released code does it, side by side with its numbers (sweep released)."""

from __future__ import annotations

from pathlib import Path

from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, table, text
from cryobench.tables.limits import LIMITS
from cryobench.tables.table import Cell

PROTOCOLS = ("described", "released")
METRICS = ("mse", "psnr", "ssim", "nmse")
SNRS = (0.1, 0.05)
COLUMNS = (
    "row",
    "snr",
    "metric",
    "protocol",
    "mean",
    "spread",
    "spread_over_epochs",
    "n_seeds",
    "paper",
    "paper_spread",
)
INTRODUCTION = """# The paper as described, and as its code does it

Each row under both protocols, as far as it was run: as the paper's text says (`protocol=described`) and with the habits of
its released code (`protocol=released`; the switches are in docs/protocol.md). In brackets: *described*, the standard
deviation over seeds; *released*, as the paper's Tables 1 and 3 most likely have it, the mean over seeds of the standard
deviation over the five epochs with the lowest training MSE (all, if fewer; for methods that are not trained, over seeds).
*Nearer* names the protocol whose MSE is nearer to the printed one on a logarithmic scale, and by what factor each misses it;
*seeds* are those described and released. Another scale than the paper's moves both."""


def write(store: Store) -> list[Path]:
    """Write released.md, .csv and .tex from the records of `+sweep=released` (or of any sweep that has such runs)."""
    runs = frame.frame(store.all())
    rows = frame.sweep_rows("released")
    by_place: dict[tuple[str, float, str, str], Cell] = {}
    notes = []
    for protocol in PROTOCOLS:
        wanted = {row: {**settings, "protocol.name": protocol} for row, settings in rows.items()}
        computed, _ = table.cells(runs, wanted, None, SNRS, METRICS)
        by_place |= {(cell.row, cell.snr, cell.metric, protocol): cell for cell in computed}
        settings = frame.chosen(runs, wanted).settings
        notes += [f"{protocol.capitalize()}: {settings}"] if settings else []
    brackets = {record.run_id: record.variants for record in runs["record"] if record.variants}
    parts = [INTRODUCTION, frame.measured_on(runs)]
    for snr in SNRS:
        parts += [f"## SNR {snr:g}", *(text.pipes(part(by_place, brackets, rows, snr)) for part in (errors, others))]
    return text.write(
        store,
        "released",
        {
            "md": text.page(*parts, *notes),
            "csv": to_csv(by_place, brackets),
            "tex": to_tex(by_place, brackets, rows),
        },
    )


def printed(row: str, snr: float, metric: str) -> tuple[float | None, float | None]:
    """What the supplement prints for a row: Table 2, or Table 1 for the (0,0) ResNet; (None, None) where it has none."""
    if row == "(0,0)-GAN + l1, ResNet":
        return table.published(1).get(("(0,0)", snr, metric), (None, None))
    return table.published(2).get((row, snr, metric), (None, None))


def bracket(cell: Cell, brackets: dict[str, dict]) -> float | None:
    """Of a run with several kept epochs the spread over them, averaged over seeds; else the spread over seeds."""
    over = [brackets[run][cell.metric]["spread"] for run in cell.run_ids if cell.metric in brackets.get(run, {})]
    return sum(over) / len(over) if over else cell.spread


def errors(by_place: dict, brackets: dict, rows: dict, snr: float) -> list[list[str]]:
    """One SNR's MSE: a line for each row, the head first."""
    out = [["method", *(f"MSE {p}" for p in PROTOCOLS), "MSE published", "nearer", "seeds"]]
    for row in rows:
        cells = [by_place[row, snr, "mse", protocol] for protocol in PROTOCOLS]
        paper = printed(row, snr, "mse")
        ours = (text.formatted("mse", cell.mean, bracket(cell, brackets)) for cell in cells)
        means = {protocol: cell.mean for protocol, cell in zip(PROTOCOLS, cells, strict=True)}
        seeds = "/".join(str(len(cell.values)) for cell in cells)
        out.append([named(row), *ours, text.formatted("mse", *paper), nearer(means, paper[0]), seeds])
    return out


def others(by_place: dict, brackets: dict, rows: dict, snr: float) -> list[list[str]]:
    """The same rows' PSNR, and their MSE as multiples of the limits."""
    limits = [name for name in LIMITS if snr in layout.limited(list(by_place.values()), name)]
    times = (f"{layout.TIMES[name][0]} {p}" for name in limits for p in PROTOCOLS)
    out = [["method", *(f"PSNR {p}" for p in PROTOCOLS), "PSNR published", *times]]
    for row in rows:
        cells = [by_place[row, snr, "psnr", protocol] for protocol in PROTOCOLS]
        ours = (text.formatted("psnr", cell.mean, bracket(cell, brackets)) for cell in cells)
        multiples = (layout.multiple(by_place[row, snr, "mse", p], name) for name in limits for p in PROTOCOLS)
        out.append([named(row), *ours, text.formatted("psnr", *printed(row, snr, "psnr")), *multiples])
    return out


def nearer(means: dict[str, float | None], paper: float | None) -> str:
    """'released (1.1× against 6.2×)': whose MSE is nearer to the paper's in ratio, and how far each is."""
    first, away = table.nearest(means, paper)
    if not away:
        return "–"
    near, far = away.values()
    return f"{first} ({near:.1f}× against {far:.1f}×)" if first else f"both alike ({near:.1f}×)"


def to_csv(by_place: dict, brackets: dict) -> str:
    """One line a cell and protocol; spread is over seeds, spread_over_epochs over the epochs kept."""
    known = [name for name in LIMITS if any(cell.times(name) for cell in by_place.values()) or name == "bayes"]
    lines = []
    for (row, snr, metric, protocol), cell in by_place.items():
        epochs = bracket(cell, brackets) if any(cell.metric in brackets.get(run, {}) for run in cell.run_ids) else None
        paper = (None if value is None else str(value) for value in printed(row, snr, metric))
        times = (text.significant(cell.times(name)[0], 4) if cell.times(name) else None for name in known)
        lines.append(
            [row, f"{snr:g}", metric, protocol, cell.mean, cell.spread, epochs, len(cell.values), *paper, *times]
        )
    return text.sheet((*COLUMNS, *(f"times_{name}" for name in known)), lines)


def to_tex(by_place: dict, brackets: dict, rows: dict) -> str:
    """MSE at both noise levels: described, released, published."""
    top = ["", *(rf"\multicolumn{{3}}{{c}}{{MSE, SNR {snr:g}}}" for snr in SNRS)]
    body = []
    for row in rows:
        line = [row]
        for snr in SNRS:
            cells = [by_place[row, snr, "mse", protocol] for protocol in PROTOCOLS]
            line += [text.formatted("mse", cell.mean, bracket(cell, brackets)) for cell in cells]
            line.append(text.formatted("mse", *printed(row, snr, "mse")))
        body.append(line)
    return text.booktabs(
        "The paper as described and as its released code does it",
        "tab:released",
        7,
        [top, ["Method", *(name for _ in SNRS for name in (*PROTOCOLS, "published"))]],
        [body],
        {"l1": r"$\ell_1$", "l2": r"$\ell_2$"},
    )
