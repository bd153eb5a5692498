"""Pictures of images, without pyplot's global state."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryobench.files import writable

# Okabe and Ito's colours, which the colour-blind tell apart: blue, vermilion, green, orange, purple, sky.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")


def new(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, results: Path, name: str) -> list[Path]:
    """Write RESULTS/figures/NAME.png and .svg; the same figure gives the same files."""
    folder = results / "figures"
    files = [folder / f"{name}.{suffix}" for suffix in ("png", "svg")]
    with writable(folder), matplotlib.rc_context({"svg.hashsalt": name}):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def gallery(panels: list[tuple[str, np.ndarray]], pixel_size: float | None = None) -> Figure:
    """Images (L, L) under their titles, line by line, all in the contrast [0, 1] of clean images.

    pixel_size: in Å; given, the first panel has a scale bar.

    Four, five or six a line, with the fewest places empty. One whose title begins with "noisy" spans its own central 98 %.
    """
    columns = min((5, 4, 6), key=lambda width: -len(panels) % width)
    lines = -(-len(panels) // columns)
    figure = new(2.0 * columns, 2.35 * lines)
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, image) in zip(axes, panels, strict=False):
        low, high = np.percentile(image, [1, 99]) if title.startswith("noisy") else (0.0, 1.0)
        axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(title, fontsize=8)
    if pixel_size and panels:
        scale_bar(axes[0], panels[0][1].shape[1], pixel_size)
    return figure


def scale_bar(axis, size: int, pixel_size: float) -> None:
    """A bar of 10, 20, 50, 100 … Å, at most a third of an image of `size` px, in its lower left corner."""
    decades = (step * 10.0**power for power in range(-1, 5) for step in (1, 2, 5))
    length = max((one for one in decades if one <= size * pixel_size / 3), default=pixel_size)
    start, end, foot = 0.06 * size, 0.06 * size + length / pixel_size, 0.93 * size
    axis.plot([start, end], [foot, foot], color="white", linewidth=2, solid_capstyle="butt")
    axis.text(
        (start + end) / 2, foot - 0.02 * size, f"{length:g} Å", color="white", fontsize=7, ha="center", va="bottom"
    )


def strip(rows: dict[str, np.ndarray], path: Path, notes: dict[str, list[str]] | None = None) -> Path:
    """Write a PNG with one line of images for each entry of `rows`: name → (n, L, L).

    All lines but "noisy" share the contrast [0, 1] of clean images; a noisy one spans its own central 98 %.
    notes: name → one short text under each image.
    """
    right, bottom = max(len(images) for images in rows.values()), len(rows) + 0.2
    figure = Figure(figsize=(1.25 * (right + 0.25), 1.25 * bottom), dpi=110)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1), frame_on=False)  # one for all images: an axis costs more than an image
    for line, (name, images) in enumerate(rows.items()):
        axis.text(-0.05, line + 0.5, name, fontsize=9, rotation=90, ha="right", va="center")
        for column, image in enumerate(images):
            low, high = np.percentile(image, [1, 99]) if name == "noisy" else (0.0, 1.0)
            place = (column, column + 0.95, line + 0.97, line + 0.02)
            axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest", extent=place)
            if notes and name in notes:
                axis.text(column + 0.475, line + 1, notes[name][column], fontsize=7, ha="center", va="top")
    axis.set(xticks=[], yticks=[], xlim=(-0.25, right), ylim=(bottom, 0))
    figure.savefig(path)
    return path


def beside(rows: list[tuple[str, np.ndarray]], path: Path) -> Path:
    """Write a PNG with a line for each (words, images (n, L, L)), its words at the left; contrast as in `strip`."""
    columns = max(len(images) for _, images in rows)
    figure = new(1.2 * columns + 2.0, 1.2 * len(rows))
    grid = figure.add_gridspec(len(rows), columns + 1, width_ratios=[1.6, *[1] * columns])
    for place, (words, images) in enumerate(rows):
        figure.add_subplot(grid[place, 0], frame_on=False, xticks=[], yticks=[]).text(
            1, 0.5, textwrap.fill(words, 26), ha="right", va="center", fontsize=8
        )
        low, high = np.nanpercentile(images, [1, 99]) if words == "noisy" else (0.0, 1.0)
        for column, image in enumerate(images, start=1):
            axis = figure.add_subplot(grid[place, column], frame_on=False, xticks=[], yticks=[])
            axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    with writable(path.parent):
        figure.savefig(path)
    return path


def structure(
    stages: Sequence[tuple[str, np.ndarray]],
    fsc: dict[str, np.ndarray],
    histogram: list[int],
    edge: float,
    path: Path,
) -> Path:
    """Write a PNG of how a structure was found: words and views (3, l, l) of each stage's map, each in its own contrast; FSC by
    name, from shell 0 of images whose edge has so many Å; numbers of images in equal steps of an angle up to 180°, if any."""
    lines = max(len(stages), 4)
    picture = new(9.5, 1.15 * lines)
    grid = picture.add_gridspec(lines, 5, width_ratios=[1, 1, 1, 0.15, 4])
    for line, (words, views) in enumerate(stages):
        for column, view in enumerate(views):
            axis = picture.add_subplot(grid[line, column], frame_on=False, xticks=[], yticks=[])
            axis.imshow(view, cmap="gray", interpolation="nearest")
            if not column:
                axis.set_title(words, fontsize=7, loc="left", pad=2)
    axis = picture.add_subplot(grid[: lines // 2 if histogram else lines, 4])
    for (name, values), colour in zip(fsc.items(), COLOURS, strict=False):
        axis.plot(np.arange(len(values)) / edge, values, color=colour, label=name)
    axis.set(xlabel="frequency (1/Å)", ylabel="FSC", ylim=(-0.1, 1.05))
    axis.legend(fontsize=7)
    if histogram:
        axis, width = picture.add_subplot(grid[lines // 2 :, 4]), 180 / len(histogram)
        axis.bar(np.arange(len(histogram)) * width, histogram, width, align="edge", color=COLOURS[0])
        axis.set(xlabel="angle between a pose and the true one (°)", ylabel="images", xlim=(0, 180))
    with writable(path.parent):
        picture.savefig(path)
    return path


def conformations(volumes: np.ndarray, path: Path) -> Path:
    """Write a PNG of all conformations (k, L, L, L) from where the clamp's motion shows; the last panel is last − first."""
    from cryobench.data.directions import motion_view
    from cryobench.data.project import Projector

    best = motion_view(volumes)[None]
    images = np.concatenate([Projector(volume)(best) for volume in volumes])
    difference = images[-1] - images[0]

    figure = Figure(figsize=(2.0 * (len(images) + 1), 2.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    *axes, right = figure.subplots(1, len(images) + 1)
    for number, (axis, image) in enumerate(zip(axes, images, strict=True), start=1):
        axis.imshow(image, cmap="gray", vmin=images.min(), vmax=images.max())
        place = {1: " (open)", len(images): " (closed)"}.get(number, "")
        axis.set_title(f"conformation {number}{place}", fontsize=8)
    reach = float(np.abs(difference).max())
    right.imshow(difference, cmap="RdBu_r", vmin=-reach, vmax=reach)
    right.set_title("closed − open", fontsize=8)
    for axis in (*axes, right):
        axis.set(xticks=[], yticks=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
