"""MSE against images seen and against width, toward the paper's scale, with the fitted trends (sweep scale_up)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments import scale_up
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.text import short

PANELS = (
    ("pairs", "images", "images seen (more pairs)"),
    ("epochs", "images", "images seen (more epochs)"),
    ("width", "width", "width d"),
)


def write(store: Store) -> list[Path]:
    """Write fig_scale_up.png and .svg: three panels, points with their trends drawn on to the paper's scale."""
    points = scale_up.points(frame.frame(store.all()))
    canvas = figure.new(11.0, 3.8)
    for axis, (kind, by, label) in zip(canvas.subplots(1, 3, sharey=True), PANELS, strict=True):
        for number, method in enumerate(scale_up.METHODS):
            series = scale_up.series(points, method)[kind]
            if not series:
                continue
            x = [getattr(p, by) for p in series]
            colour = figure.COLOURS[number]
            axis.plot(x, [np.mean(p.mse) for p in series], "os"[number], color=colour, label=method.replace("l1", "ℓ1"))
            if fit := scale_up.trend(series, by):
                reach = np.geomspace(min(x), scale_up.PAPER[by], 50)
                axis.plot(reach, [fit.at(value)[0] for value in reach], "--", color=colour, linewidth=1)
        paper = scale_up.PAPER[by]
        axis.axvline(paper, color="#888888", linewidth=1, label="the paper's")
        axis.set(xscale="log", yscale="log", xlabel=label)
        ticks = sorted(
            {getattr(p, by) for method in scale_up.METHODS for p in scale_up.series(points, method)[kind]} | {paper}
        )
        axis.set_xticks(ticks, [f"{value / 1000:,.3g}k" if by == "images" else f"{value}" for value in ticks])
        for side in (axis.xaxis, axis.yaxis):
            side.set_minor_formatter(NullFormatter())
        axis.yaxis.set_major_locator(LogLocator(subs=range(1, 10)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value).replace(".00", "")))
        axis.grid(True, which="major", alpha=0.25)
    first = canvas.axes[0]
    first.set_ylabel("mean squared error, SNR 0.1")
    if points:
        first.legend(fontsize=8)
    return figure.save(canvas, store.results, "fig_scale_up")
