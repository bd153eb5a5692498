"""How a structure was found in noisy images: its stages, its FSC, and how far off its poses are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryobench.figure.images import show
from cryobench.figure.style import COLOURS, SMALL, new, styled, write
from cryobench.files import writable


@styled
def structure(
    stages: Sequence[tuple[str, np.ndarray]],
    fsc: dict[str, np.ndarray],
    histogram: list[int],
    edge: float,
    path: Path,
) -> Path:
    """Write a picture: words and views (3, l, l) of each stage's map, each in its own contrast; FSC by name, from shell 0 of
    images whose edge has so many Å; numbers of images in equal steps of an angle up to 180°, if any."""
    lines = max(len(stages), 4)
    picture = new(9.5, 1.3 * lines)
    grid = picture.add_gridspec(lines, 5, width_ratios=[1, 1, 1, 0.15, 4])
    for line, (words, views) in enumerate(stages):
        for column, view in enumerate(views):
            axis = picture.add_subplot(grid[line, column])
            show(axis, view, float(view.min()), float(view.max()))
            if not column:
                axis.set_title(words, fontsize=SMALL, loc="left", pad=2)
    axis = picture.add_subplot(grid[: lines // 2 if histogram else lines, 4])
    for (name, values), colour in zip(fsc.items(), COLOURS, strict=False):
        axis.plot(np.arange(len(values)) / edge, values, color=colour, label=name)
    axis.set(xlabel="frequency (1/Å)", ylabel="FSC", ylim=(-0.1, 1.05))
    axis.legend()
    if histogram:
        axis, width = picture.add_subplot(grid[lines // 2 :, 4]), 180 / len(histogram)
        axis.bar(np.arange(len(histogram)) * width, histogram, width, align="edge", color=COLOURS[0])
        axis.set(xlabel="angle between a pose and the true one (°)", ylabel="images", xlim=(0, 180))
    with writable(path.parent):
        return write(picture, path)
