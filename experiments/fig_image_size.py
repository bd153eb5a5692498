"""MSE and NMSE against the image size, every seed a point (sweep image_size)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments import image_size
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.text import short

RESULTS = image_size.RESULTS
MARKS = "os^Dv"
AXES = {
    "mse": FuncFormatter(lambda value, _: short(value) if value else "0"),
    "nmse": PercentFormatter(xmax=1, decimals=0),
}


def write(store: Store) -> list[Path]:
    """Write fig_image_size.png and .svg: two panels, means joined by lines; the paper's MSE at 128 px as open marks."""
    points = image_size.points(frame.frame(store.all()))
    canvas = figure.new(9.0, 4.2)
    sizes = sorted({point.size for point in points})
    for axis, (metric, heading) in zip(canvas.subplots(1, 2), image_size.METRICS.items(), strict=True):
        for number, method in enumerate(dict.fromkeys(point.method for point in points)):
            of_method = sorted((p for p in points if p.method == method), key=lambda p: p.size)
            colour, mark = figure.COLOURS[number % len(figure.COLOURS)], MARKS[number % len(MARKS)]
            x = [p.size for p in of_method]
            axis.plot(
                x, [np.mean(getattr(p, metric)) for p in of_method], color=colour, label=method.replace("l1", "ℓ1")
            )
            seeds = [(p.size, value) for p in of_method for value in getattr(p, metric)]
            axis.plot(*zip(*seeds, strict=True), mark, color=colour, markersize=4)
            if metric == "mse" and (paper := image_size.published(method)) is not None:
                axis.plot([128], [paper], mark, color=colour, markersize=9, markerfacecolor="none")
        axis.set(xscale="log", xlabel="image size (px)", ylabel=f"{heading}, SNR {image_size.SNR:g}", ylim=(0, None))
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(AXES[metric])
        axis.grid(True, which="major", alpha=0.25)
    if points:
        canvas.axes[1].legend(fontsize=8)
    return figure.save(canvas, store.results, "fig_image_size")
