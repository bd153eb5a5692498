"""Figure 4 (supplemental note 6): images denoised by PGGAN with and without ℓ1, the clean ones between; and the training.

The paper shows the clean images below either, as its (b) and (d); both nets denoise the same ones, which stand here once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from cryobench.experiments.table_pggan import ROWS, SNR

from cryobench import figure
from cryobench.printed import named
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame

NAMES = {"PGGAN + l1": "WGANgp + ℓ1, grown", "PGGAN": "WGANgp, grown"}  # the paper's


def write(store: Store) -> list[Path]:
    """Write fig4_pggan and fig4_pggan_training, .png and .svg, of what has records; the lowest seed shows its images."""
    runs, rows = frame.frame(store.all()), frame.sweep_rows("pggan")
    chosen = frame.chosen(runs[runs["snr"] == SNR], {row: rows[row] for row in ROWS}).runs
    trained = {row: list(group["record"]) for row, group in frame.by_row(chosen).items()}
    if not trained:
        return []
    images = figure.images_of(chosen["record"])
    files = figure.save(training(trained), store.results, "fig4_pggan_training", images)
    oracle = kept(store, clean(runs, next(iter(trained.values()))))  # the same images for both
    found = [(row, one) for row in ROWS if (one := kept(store, trained.get(row, []))) is not None]
    lines = lettered(found, None if oracle is None else oracle[1])
    size = next(iter(trained.values()))[0].data.get("pixel_size")
    sheet = strips(lines, size, None if oracle is None else oracle[1]) if lines else None
    return files + (figure.save(sheet, store.results, "fig4_pggan", images) if sheet else [])


def lettered(
    found: list[tuple[str, tuple[int, np.ndarray]]], reference: np.ndarray | None
) -> list[tuple[str, np.ndarray]]:
    """(words, images) of each line: what a row's first seed denoised, and below the first of them the clean images, if kept."""
    lines: list[tuple[str, np.ndarray]] = []
    for row, (seed, shown) in found:
        whose = f"({'abc'[len(lines)]}) {named(row)} (the paper's {NAMES[row]}), seed {seed}, denoised"
        if reference is None:
            lines.append((whose, shown))
            continue
        lines.append((whose + likeness(shown, reference), shown))
        if len(lines) == 1:
            lines.append(("(b) the same images, clean", reference))
    return lines


def clean(runs: pd.DataFrame, records: list[Record]) -> list[Record]:
    """The oracle's records on the data of these records, at whatever noise: they keep the clean images."""
    oracles = runs.loc[runs["done"].astype(bool) & (runs["method"] == "oracle"), "record"]
    return [one for one in oracles if records and one.config["data"] == records[0].config["data"]]


def kept(store: Store, records: list[Record]) -> tuple[int, np.ndarray] | None:
    """The seed and the denoised test images (n, L, L) of the first record that kept them."""
    galleries = ((record.seed, store.gallery(record.run_id)) for record in records)
    return next(((seed, images) for seed, images in galleries if images is not None), None)


def likeness(shown: np.ndarray, clean: np.ndarray) -> str:
    """The mean correlation of images (n, L, L) with their own clean ones, in line (b), and with those of the others.

    A net that makes nearly one image for all of them correlates with each alike. Empty where an image is flat, or alone.
    """
    n = len(shown)
    images = np.concatenate([shown, clean]).reshape(2 * n, -1).astype(float)
    if n < 2 or not np.ptp(images, axis=1).all():
        return ""
    between = np.corrcoef(images)[:n, n:]
    own, others = between.diagonal().mean(), between[~np.eye(n, dtype=bool)].mean()
    return (
        f"\nmean correlation of these {n} images: {own:.2f} with the same image in (b), "
        f"{others:.2f} with the other {n - 1} there"
    )


@figure.styled
def strips(lines: list[tuple[str, np.ndarray]], pixel_size: float | None, clean: np.ndarray | None):
    """One line of images under each name, all on one grey scale, from 0 to that of `figure.white` of the clean ones."""
    bright, label = figure.white(clean)
    columns = max(len(line) for _, line in lines)
    titles = sum(len(name.splitlines()) for name, _ in lines)
    sheet = figure.new(1.3 * columns + 0.8, 1.42 * len(lines) + 0.18 * titles)
    panels = sheet.subplots(len(lines), columns, squeeze=False)
    for axes, (name, line) in zip(panels, lines, strict=True):
        for axis, image in zip(axes, line, strict=False):
            figure.show(axis, image, high=bright)
        for axis in axes[len(line) :]:
            axis.set_axis_off()
        # A title as wide as several images would push these apart: the layout sees an empty one as high.
        axes[0].set_title("\n".join(" " for _ in name.splitlines()))
        over = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        axes[0].annotate(name, (0, 1), (0, 6), **over).set_in_layout(False)
    if pixel_size:
        figure.scale_bar(panels[0, 0], lines[0][1].shape[-1], pixel_size)
    figure.grey_bar(sheet, panels, high=bright, label=label)
    return sheet


@figure.styled
def training(trained: dict[str, list[Record]]):
    """Validation MSE at full size, and variety, against the images seen, every seed a line; stages shaded."""
    sheet = figure.new(9.0, 5.6)
    upper, lower = sheet.subplots(2, 1, sharex=True)
    for number, (row, records) in enumerate(trained.items()):
        colour, line = figure.COLOURS[number], figure.LINES[number]
        label = f"{named(row)}: {figure.counted([len(records)])}{', a line each' if len(records) > 1 else ''}"
        for curve in (record.method["curve"] for record in records):
            seen = [point["images"] for point in curve]
            for axis, name in ((upper, "val_mse"), (lower, "variety")):
                axis.plot(seen, [point[name] for point in curve], line, color=colour, linewidth=1.2, label=label)
    stages = next(iter(trained.values()))[0].method["curve"]
    for size in dict.fromkeys(point["size"] for point in stages):
        fading = [point["images"] for point in stages if point["size"] == size and point["fading"]]
        first = stages[0]["images"]
        for axis in (upper, lower):
            if fading:
                begin = fading[0] - first
                axis.axvspan(begin, fading[-1], color=figure.GRID, zorder=0, linewidth=0, label="a size fades in")
        middle = np.mean([point["images"] for point in stages if point["size"] == size]) - first / 2
        upper.text(middle, 1.02, f"{size} px", ha="center", transform=upper.get_xaxis_transform())
    lower.axhline(1, color=figure.FAINT, linestyle=":", label="as varied as clean images")
    upper.set(yscale="log", ylabel="MSE")
    upper.set_title(
        f"Validation MSE, SNR {SNR:g} (small outputs are enlarged to full size first); labels: size of the net's output\n"
        "the net that is kept has the lowest MSE after the last size has faded in",
        pad=18,
    )
    lower.set(ylabel="variance, denoised / clean", xlabel="training images seen", ylim=(0, None))
    lower.set_title("How much denoised images differ from each other: their variance over that of clean ones")
    figure.log_ticks(upper.yaxis)
    lower.xaxis.set_major_formatter("{x:,.0f}")
    entries = {name: one for one, name in zip(*lower.get_legend_handles_labels(), strict=True)}
    sheet.legend(entries.values(), entries, loc="outside lower center", ncols=2)
    return sheet
