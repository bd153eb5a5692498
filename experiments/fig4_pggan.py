"""Figure 4 (supplemental note 6): images denoised by PGGAN with and without ℓ1, above the clean ones; and the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from cryobench.experiments.table_pggan import ROWS, SNR

from cryobench import figure
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame

NAMES = {"PGGAN + l1": "WGANgp + ℓ1", "PGGAN": "WGANgp"}  # the paper's


def write(store: Store) -> list[Path]:
    """Write fig4_pggan and fig4_pggan_training, .png and .svg, of what has records; the lowest seed shows its images."""
    runs, rows = frame.frame(store.all()), frame.sweep_rows("pggan")
    chosen, _ = frame.chosen(runs[runs["snr"] == SNR], {row: rows[row] for row in ROWS})
    trained = {row: list(group["record"]) for row, group in frame.by_row(chosen).items()}
    if not trained:
        return []
    files = figure.save(training(trained), store.results, "fig4_pggan_training")
    lines = []
    for row, letter in zip(ROWS, ("a", "c"), strict=True):
        if (shown := images(store, trained.get(row, []))) is not None:
            lines.append((f"({letter}) {NAMES[row]}", shown))
    reference = clean(runs, next(iter(trained.values())))  # the same images for both
    if lines and (shown := images(store, reference)) is not None:
        lines.append(("(b, d) reference", shown))
    size = next(iter(trained.values()))[0].data.get("pixel_size")
    return [*files, *(figure.save(strips(lines, size), store.results, "fig4_pggan") if lines else [])]


def clean(runs: pd.DataFrame, records: list[Record]) -> list[Record]:
    """The oracle's records on the data of these records, at whatever noise: they keep the clean images."""
    oracles = runs.loc[runs["done"].astype(bool) & (runs["method"] == "oracle"), "record"]
    return [one for one in oracles if records and one.config["data"] == records[0].config["data"]]


def images(store: Store, records: list[Record]) -> np.ndarray | None:
    """The denoised test images (n, L, L) of the first record that kept them."""
    return next((kept for record in records if (kept := store.gallery(record.run_id)) is not None), None)


@figure.styled
def strips(lines: list[tuple[str, np.ndarray]], pixel_size: float | None):
    """One line of images for each (name, images), in the contrast [0, 1]."""
    columns = max(len(line) for _, line in lines)
    sheet = figure.new(1.3 * columns + 1.0, 1.35 * len(lines))
    panels = sheet.subplots(len(lines), columns, squeeze=False)
    for axes, (name, line) in zip(panels, lines, strict=True):
        for axis, image in zip(axes, line, strict=False):
            figure.show(axis, image)
        for axis in axes[len(line) :]:
            axis.set_axis_off()
        axes[0].set_ylabel(name)
    if pixel_size:
        figure.scale_bar(panels[0, 0], lines[0][1].shape[-1], pixel_size)
    figure.grey_bar(sheet, panels)
    return sheet


@figure.styled
def training(trained: dict[str, list[Record]]):
    """Validation MSE at full size, and variety, against the images seen, every seed a line; stages shaded."""
    sheet = figure.new(7.5, 4.6)
    upper, lower = sheet.subplots(2, 1, sharex=True)
    for colour, (row, records) in zip(figure.COLOURS, trained.items(), strict=False):
        for number, record in enumerate(records):
            curve = record.method["curve"]
            seen = [point["images"] for point in curve]
            label = f"{NAMES[row]} ({len(records)} seed{'s' if len(records) > 1 else ''})" if number == 0 else None
            for axis, name in ((upper, "val_mse"), (lower, "variety")):
                axis.plot(seen, [point[name] for point in curve], color=colour, linewidth=1.2, label=label)
    stages = next(iter(trained.values()))[0].method["curve"]
    for size in dict.fromkeys(point["size"] for point in stages):
        fading = [point["images"] for point in stages if point["size"] == size and point["fading"]]
        first = stages[0]["images"]
        for axis in (upper, lower):
            if fading:
                axis.axvspan(fading[0] - first, fading[-1], color=figure.GRID, zorder=0, linewidth=0)
        middle = np.mean([point["images"] for point in stages if point["size"] == size]) - first / 2
        upper.text(middle, 1.02, f"{size} px", ha="center", transform=upper.get_xaxis_transform())
    lower.axhline(1, color=figure.FAINT, linewidth=0.8, linestyle=":")
    upper.set(yscale="log", ylabel="validation MSE,\nenlarged to full size")
    lower.set(
        ylabel="variety: variance between\nimages, denoised / clean",
        xlabel="training images seen (grey: a size fades in)",
    )
    figure.log_ticks(upper.yaxis)
    lower.xaxis.set_major_formatter("{x:,.0f}")
    upper.legend(loc="upper right")
    return sheet
