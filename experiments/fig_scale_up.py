"""MSE against images seen and against width, toward the paper's scale, with the fitted trends (sweep scale_up)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from cryobench.experiments import scale_up
from matplotlib.legend_handler import HandlerTuple

from cryobench import figure
from cryobench.printed import named, plain
from cryobench.runs.store import Store
from cryobench.tables import frame

OF_ALL = "the paper's scale"  # the one sign that all methods share
PANELS = (
    ("pairs", "images", "more training pairs", "images seen"),
    ("epochs", "images", "more epochs", "images seen"),
    ("width", "width", "wider nets", "width"),
)


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_scale_up.png and .svg: a line of panels for each method, every run a mark, trends to the paper's scale."""
    points = scale_up.points(frame.frame(store.all()))
    return figure.save(
        sheet(points), store.results, "fig_scale_up", figure.images_of(one for p in points for one in p.records)
    )


@figure.styled
def sheet(points: list[scale_up.Point]):
    """Methods down, ways up across, all on one scale."""
    canvas = figure.new(9.0, 6.4)
    axes = canvas.subplots(len(scale_up.METHODS), len(PANELS), sharex="col", sharey=True)
    sure = scale_up.corrected(scale_up.trends(points))
    for number, method in enumerate(scale_up.METHODS):
        for axis, (kind, by, title, label) in zip(axes[number], PANELS, strict=True):
            series, paper = scale_up.series(points, method)[kind], scale_up.PAPER[by]
            slope = draw(axis, series, by, method, sure.get((method, kind)))
            axis.axvline(paper, color=figure.FAINT, linewidth=1, label=OF_ALL)
            axis.set(xscale="log", yscale="log", title=f"{named(method)}, {title}\n{slope}")
            if number == len(axes) - 1:
                axis.set_xlabel(label)
    for axis, (kind, by, *_) in zip(axes[-1], PANELS, strict=True):
        measured = (getattr(p, by) for method in scale_up.METHODS for p in scale_up.series(points, method)[kind])
        figure.ticks(axis.xaxis, {*measured, scale_up.PAPER[by]}, thousands if by == "images" else "{:g}".format)
    figure.log_ticks(axes[0, 0].yaxis)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"MSE, SNR {scale_up.SNR:g}")
    handles = [
        {name: handle for axis in line for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
        for line in axes
    ]
    names = list(dict.fromkeys(name for line in handles for name in line))
    signs: list[Any] = [
        tuple(line[name] for line in handles[: 1 if name == OF_ALL else None] if name in line) for name in names
    ]
    together = {tuple: HandlerTuple(ndivide=None, pad=0.6)}
    title = f"p of the test that the power is 0, corrected for the {len(sure)} trends (Holm)" if sure else ""
    canvas.legend(signs, names, loc="outside lower center", ncols=4, handler_map=together, title=title)
    return canvas


def draw(axis, series: list[scale_up.Point], by: str, method: str, p: float | None = None) -> str:
    """One method's runs, hollow, as they lie on each other; its trend; the 95 % prediction interval for one further run, if any.

    Returns the trend in words; p: of a power of 0, corrected for the number of trends.
    """
    if not series:
        return "not run"
    colour, mark, _ = figure.LOOKS[method]
    runs = [(getattr(p, by), mse) for p in series for mse in p.mse]
    axis.plot(*zip(*runs, strict=True), mark, color=colour, markerfacecolor="none", label="one run")
    if (fit := scale_up.trend(series, by)) is None:
        return "no trend from one point"
    reach = np.geomspace(min(x for x, _ in runs), scale_up.PAPER[by], 50)
    middle, interval = zip(*(fit.at(x) for x in reach), strict=True)
    axis.plot(reach, middle, figure.LINES[1], color=colour, linewidth=1, label="trend")
    if fit.scatter is not None:
        low, high = np.transpose(interval)
        band = "95 % prediction interval for one further run"
        axis.fill_between(reach, low, high, color=colour, alpha=figure.BAND, linewidth=0, label=band)
    sure = "" if p is None else f"\np = {plain(p)}"
    return f"MSE ∝ {by} to the power of {fit.b:.2f}".replace("-", "−") + sure


def thousands(value: float) -> str:
    """22800 → 23k."""
    return f"{value / 1000:,.0f}k"
