"""The main text's robustness experiment: MSE against the share of contaminated training pairs (sweep contamination)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cryobench import figure
from cryobench.printed import multiple, named, percent, short
from cryobench.runs.store import Store
from cryobench.tables import frame, table, text
from cryobench.tables.limits import limit as limit_of
from cryobench.tables.table import Cell

TYPES = {
    "A": "noise in place of the clean reference",
    "B": "noise in place of the noisy input",
    "C": "noise in place of either, independently",
}
HEADS = {"A": "of references (A)", "B": "of inputs (B)", "C": "of either (C)"}
UNITS = {"image": "image by image", "batch": "batch by batch"}
IN_FIGURE = {
    "image": "single training pairs, not whole batches, are contaminated",
    "batch": "whole training batches are contaminated",
}
SHARES = (0.0, 0.1, 0.2, 0.3)
SNRS = (0.1, 0.05)
COLUMNS = ("row", "unit", "type", "share", "snr", "metric", "mean", "spread", "n_seeds", "times_clean")
SHOWN = ("mse", "psnr", "ssim", "nmse")
UNEQUAL = "*"  # behind a factor, in the figure
COLUMNS_DRAWN = (3, 2)  # panels a line of the figure, as many as leave the fewest places empty
Grid = dict[tuple[str, str, float, str], Cell]  # (row, type, share, metric) → cell, of one unit at one SNR


def write(store: Store) -> list[Path]:
    """Write tables/contamination.{md,csv,tex}, and figures/contamination_*.{png,svg} for each unit and SNR with records."""
    runs = frame.frame(store.all())
    limit = limit_of(runs, "bayes")
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
        drawn = {run for cell in grid.values() for run in cell.run_ids}
        images = figure.images_of(runs.loc[runs["run_id"].isin(drawn), "record"])
        files += figure.save(draw(grid, snr, unit, limit(snr)), store.results, name, images)
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


def run(grid: Grid, kind: str, share: float) -> bool:
    """Whether any row has a run with this type and share."""
    return any(cell.values for (_, one, part, _), cell in grid.items() if (one, part) == (kind, share))


def in_place(grids: dict[tuple[str, float], Grid]) -> str:
    """What the noise stands in place of, in the types that were run; in all of them before any was."""
    words = {"A": "the clean reference (type A)", "B": "the noisy input (B)", "C": "either, independently (C)"}
    known = [kind for kind in TYPES if any(run(grid, kind, share) for grid in grids.values() for share in SHARES[1:])]
    return " or of ".join(words[kind] for kind in known or TYPES)


def to_markdown(grids: dict[tuple[str, float], Grid], notes: list[str]) -> str:
    """For each unit and SNR the MSE, and the same as a multiple of the MSE on clean pairs."""
    parts = [
        "# Contaminated training pairs",
        f"A share of the training pairs has U[0, 1] noise in place of {in_place(grids)}; test images have not. ResNet nets. MSE: "
        "mean(standard deviation over seeds); seeds: how many stand behind each column. ¹: one seed, here or with clean pairs."
        + (" Batch by batch: whole batches are contaminated." if any(unit == "batch" for unit, _ in grids) else ""),
    ]
    for (unit, snr), grid in grids.items():
        kinds = [kind for kind in TYPES if any(c.values for (_, k, s, _), c in grid.items() if k == kind and s)]
        columns = [("A", 0.0), *((kind, share) for kind in kinds for share in SHARES[1:] if run(grid, kind, share))]
        head = [
            "method",
            *(f"{percent(share)} {HEADS[kind]}" if share else "clean" for kind, share in columns),
        ]
        errors, times = [[*head, "seeds"]], [head]
        for row in frame.sweep_rows("contamination"):
            row_cells = [grid[row, kind, share, "mse"] for kind, share in columns]
            numbers = [len(cell.values) for cell in row_cells]
            seeds = map(str, numbers if len(set(numbers)) > 1 else numbers[:1])
            errors.append([named(row), *(text.formatted("mse", c.mean, c.spread) for c in row_cells), ", ".join(seeds)])
            once = ["", *("¹" if n and 1 in (n, numbers[0]) else "" for n in numbers[1:])]
            ratios = [multiple(times_clean(grid, row, *column)) for column in columns]
            times.append([named(row), *(ratio + sign for ratio, sign in zip(ratios, once, strict=True))])
        scales = {cell.scale for cell in grid.values() if cell.scale}
        parts += [
            f"## SNR {snr:g}, contaminated {UNITS[unit]} (scale {', '.join(sorted(scales))})",
            text.pipes(errors),
            "The same as a multiple of what the method has with clean pairs:",
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
    """A panel for each method that was run on contaminated pairs, the one that suffers most first; every seed a tick."""
    kinds = [kind for kind in TYPES if any(cell.values for (_, k, s, _), cell in grid.items() if k == kind and s)]
    run = dict.fromkeys(row for (row, _, s, metric), cell in grid.items() if s and metric == "mse" and cell.values)
    rows = sorted(run, key=lambda row: -max(suffering(grid, row, kinds).values(), default=0.0))
    columns = min(len(rows), min(COLUMNS_DRAWN, key=lambda width: -len(rows) % width))
    lines = -(-len(rows) // columns)
    factors = {row: said(grid, row, kinds) for row in rows}
    sheet = figure.new(9.0, 2.7 * lines + 1.6)
    below = f"; Bayes limit, far below: {short(limit, 2)}" if limit else ""
    heading = f"MSE of ResNets on test pairs, which are not contaminated, SNR {snr:g}{below}\n{IN_FIGURE[unit]}"
    unequal = f"\n{UNEQUAL}: of means over unequal numbers of seeds" if "".join(factors.values()).count(UNEQUAL) else ""
    sheet.suptitle(f"{heading}\n{in_seeds(grid, rows, kinds)}{unequal}")
    axes = sheet.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    shares: set[float] = set()
    for axis, row in zip(axes.flat, rows, strict=False):
        for number, kind in enumerate(kinds):
            by_share = {share: cell.values for share in SHARES if (cell := grid[row, kind, share, "mse"]).values}
            if not any(by_share):  # of clean pairs alone: this type was not run
                continue
            shares |= set(by_share)
            x = figure.aside(by_share, number, len(kinds), by=0.012)
            label = f"{kind}: {TYPES[kind]}"
            look = figure.COLOURS[number], figure.MARKS[number]
            figure.over_seeds(axis, x, list(by_share.values()), *look, label, figure.LINES[number])
        axis.set(yscale="log", title=f"{named(row)}\n{factors[row]}")
    for axis in axes[:, 0]:
        axis.set_ylabel("MSE")
    figure.log_ticks(axes[0, 0].yaxis)
    figure.ticks(axes[0, 0].xaxis, shares, lambda share: f"{100 * share:g} %")
    for axis in axes.flat:
        axis.xaxis.set_tick_params(labelbottom=True)
    for axis in axes[-1]:
        axis.set_xlabel("share of contaminated training pairs")
    title = "contaminated training pairs have"
    each = (pair for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True))
    handles = {label: handle for handle, label in each}  # a panel may lack a type that was not run there
    labels = sorted(handles)
    shown = [handles[label] for label in labels], labels
    sheet.legend(*shown, loc="outside lower center", ncols=min(len(kinds), 2), title=title)
    return sheet


def in_seeds(grid: Grid, rows: list[str], kinds: list[str]) -> str:
    """What a mark and a tick are, of what is drawn."""
    cells = (grid[row, kind, share, "mse"] for row in rows for kind in kinds for share in SHARES)
    return figure.marked(len(cell.values) for cell in cells if cell.values)


def largest(grid: Grid, row: str, kind: str) -> float | None:
    """The largest share that was run, of a method that was run on clean pairs, too."""
    known = [share for share in SHARES[1:] if times_clean(grid, row, kind, share) is not None]
    return known[-1] if known else None


def suffering(grid: Grid, row: str, kinds: list[str]) -> dict[str, float]:
    """Type → how many times the MSE on clean pairs a method has at the largest share that was run."""
    known = {kind: share for kind in kinds if (share := largest(grid, row, kind)) is not None}
    times = {kind: times_clean(grid, row, kind, share) for kind, share in known.items()}
    return {kind: one for kind, one in times.items() if one is not None}


def said(grid: Grid, row: str, kinds: list[str]) -> str:
    """What stands under a panel's title: "at 30 %: MSE × 3.91 (A), × 3.01* (B)"; *: of unequal numbers of seeds."""

    def mark(kind: str) -> str:
        seeds = {len(grid[row, kind, one, "mse"].values) for one in (0.0, largest(grid, row, kind) or 0.0)}
        return UNEQUAL if len(seeds) > 1 else ""

    share = max(s for (r, kind, s, metric), cell in grid.items() if r == row and kind in kinds and cell.values)
    times = ", ".join(f"× {value:.2f}{mark(kind)} ({kind})" for kind, value in suffering(grid, row, kinds).items())
    return f"at {100 * share:g} %: MSE {times}" if times else "not run on clean pairs"
