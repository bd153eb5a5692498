"""The main text's robustness experiment: MSE against the share of contaminated training pairs (sweep contamination)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame, table, text
from cryobench.tables.table import Cell

TYPES = {"A": "clean references", "B": "noisy inputs", "C": "both, independently"}
UNITS = {"image": "image by image", "batch": "batch by batch"}
SHARES = (0.0, 0.1, 0.2, 0.3)
SNRS = (0.1, 0.05)
COLUMNS = ("row", "unit", "type", "share", "snr", "metric", "mean", "spread", "n_seeds", "times_clean")
SHOWN = ("mse", "psnr", "ssim", "nmse")
# Colour, marker and line of each method; autoencoders dashed.
LOOKS = {
    row: (colour, marker, "--" if row.endswith("Autoencoder") else "-")
    for row, colour, marker in zip(
        ("(0,0)-GAN + l1", "WGANgp + l1", "(.5,.5)-GAN + l1", "l1-Autoencoder", "(1,1)-GAN + l1", "l2-Autoencoder"),
        figure.COLOURS,
        "oP^Dvs",
        strict=True,
    )
}
Grid = dict[tuple[str, str, float, str], Cell]  # (row, type, share, metric) → cell, of one unit at one SNR


def write(store: Store) -> list[Path]:
    """Write tables/contamination.{md,csv,tex}, and figures/contamination_*.{png,svg} for each unit and SNR with records."""
    runs = frame.frame(store.all())
    limit = frame.limit(runs, "bayes")
    grids, notes = {}, []
    for snr in SNRS:
        for unit in UNITS:
            grid, row_notes = cells(runs, unit, snr)
            if any(cell.values and share for (_, _, share, _), cell in grid.items()):
                grids[unit, snr] = grid
                notes += [note for note in row_notes if note not in notes]
    tables = {"md": to_markdown(grids, notes), "csv": to_csv(grids), "tex": to_tex(grids)}
    files = text.write(store, "contamination", tables)
    for (unit, snr), grid in grids.items():
        name = f"contamination_snr{snr:g}{'' if unit == 'image' else '_batches'}"
        files += figure.save(draw(grid, snr, unit, limit(snr)), store.results, name)
    return files


def cells(runs: pd.DataFrame, unit: str, snr: float) -> tuple[Grid, list[str]]:
    """Every cell of one unit at one SNR; a share of 0 is the run with plain Gaussian noise, the same in every type."""
    places, wanted = {}, {}
    for row, settings in frame.sweep_rows("contamination").items():
        for kind in TYPES:
            for share in SHARES:
                noise = {"noise.name": "contaminated", "noise.type": kind, "noise.share": share, "noise.unit": unit}
                name = f"{row}, {kind} {share:g}"
                places[name], wanted[name] = (row, kind, share), settings | (noise if share else {})
    computed, notes = table.cells(runs, wanted, None, (snr,), SHOWN)
    return {(*places[cell.row], cell.metric): cell for cell in computed}, notes


def times_clean(grid: Grid, row: str, kind: str, share: float) -> float | None:
    """The MSE as a multiple of that of the same method trained on clean pairs."""
    contaminated, clean = (grid[row, kind, s, "mse"].mean for s in (share, 0.0))
    return None if contaminated is None or clean is None else contaminated / clean


def to_markdown(grids: dict[tuple[str, float], Grid], notes: list[str]) -> str:
    """For each unit and SNR the MSE, and the same as a multiple of the MSE on clean pairs."""
    parts = [
        "# Contaminated training pairs",
        "A share of the training pairs has U[0, 1] noise in place of the clean reference (type A), of the noisy input (B), "
        "or of either, independently (C); test images have not. ResNet nets. MSE: mean(spread over seeds); below it, the "
        "same as a multiple of what the method reaches on clean pairs (share 0).",
    ]
    for (unit, snr), grid in grids.items():
        kinds = [kind for kind in TYPES if any(c.values for (_, k, s, _), c in grid.items() if k == kind and s)]
        columns = [("A", 0.0), *((kind, share) for kind in kinds for share in SHARES[1:])]
        head = ["", *("clean" if not share else f"{kind} {share:g}" for kind, share in columns)]
        errors, times = [[*head, "seeds"]], [head]
        for row in frame.sweep_rows("contamination"):
            row_cells = [grid[row, kind, share, "mse"] for kind, share in columns]
            seeds = sorted({len(cell.values) for cell in row_cells if cell.values}) or [0]
            errors.append(
                [row, *(text.formatted("mse", c.mean, c.spread) for c in row_cells), "–".join(map(str, seeds))]
            )
            times.append([row, *(text.decimal(times_clean(grid, row, *column)) for column in columns)])
        scales = {cell.scale for cell in grid.values() if cell.scale}
        parts += [
            f"## SNR {snr:g}, contaminated {UNITS[unit]} (scale {', '.join(sorted(scales))})",
            text.pipes(errors),
            text.pipes(times),
        ]
    return text.page(*parts, *(notes if grids else ["No runs yet."]))


def to_csv(grids: dict[tuple[str, float], Grid]) -> str:
    """COLUMNS for each cell; times_clean of an MSE alone."""
    lines = []
    for (unit, snr), grid in grids.items():
        for (row, kind, share, metric), cell in grid.items():
            times = times_clean(grid, row, kind, share) if metric == "mse" else None
            lines.append(
                [
                    row,
                    unit,
                    kind,
                    str(share),
                    str(snr),
                    metric,
                    cell.mean,
                    cell.spread,
                    len(cell.values),
                    text.significant(times, 4),
                ]
            )
    return text.sheet(COLUMNS, lines)


def to_tex(grids: dict[tuple[str, float], Grid]) -> str:
    """One booktabs table for each unit and SNR: methods down, types and shares across."""
    columns = [("A", 0.0), *((kind, share) for kind in TYPES for share in SHARES[1:])]
    head = [
        ["", "clean", *(rf"\multicolumn{{{len(SHARES) - 1}}}{{c}}{{type {kind}}}" for kind in TYPES)],
        ["share", *(f"{share:g}" for _, share in columns)],
    ]
    tables = []
    for (unit, snr), grid in grids.items():
        body = [
            [
                row,
                *(
                    text.formatted("mse", (cell := grid[row, kind, share, "mse"]).mean, cell.spread)
                    for kind, share in columns
                ),
            ]
            for row in frame.sweep_rows("contamination")
        ]
        caption = f"MSE with contaminated training pairs ({UNITS[unit]}), SNR {snr:g}"
        tables.append(text.booktabs(caption, f"tab:contamination-{unit}-{snr:g}", 1 + len(columns), head, [body]))
    return "\n".join(tables)


@figure.styled
def draw(grid: Grid, snr: float, unit: str, limit: float | None) -> Figure:
    """One panel for each type that has records: MSE on a log axis against the share, every seed a dot."""
    kinds = [kind for kind in TYPES if any(cell.values for (_, k, s, _), cell in grid.items() if k == kind and s)]
    drawn = figure.new(3.2 * len(kinds) + 2.2, 4.0)
    axes = drawn.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axis, kind in zip(axes, kinds, strict=True):
        shares: set[float] = set()
        for number, (row, (colour, mark, line)) in enumerate(LOOKS.items()):
            by_share = {share: cell.values for share in SHARES if (cell := grid[row, kind, share, "mse"]).values}
            shares |= set(by_share)
            if by_share:
                name = row.replace("l1", "ℓ1").replace("l2", "ℓ2")
                x = figure.aside(by_share, number, len(LOOKS), by=0.004)
                figure.over_seeds(axis, x, list(by_share.values()), colour, mark, name, line)
        if limit:
            axis.axhline(limit, color=figure.INK, linestyle=":", label="Bayes limit, clean")
        axis.set(title=f"{kind}: {TYPES[kind]}", xlabel="contaminated share of training pairs", yscale="log")
        figure.ticks(axis.xaxis, shares)
    figure.log_ticks(axes[0].yaxis)
    axes[0].set_ylabel("MSE on clean test pairs")
    lines, names = axes[0].get_legend_handles_labels()
    drawn.legend(lines, names, loc="outside right upper", title=f"SNR {snr:g}, {UNITS[unit]};\ndots: single seeds")
    return drawn
