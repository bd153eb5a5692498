"""MSE against images seen and against width, toward the paper's scale, with the fitted trends (sweep scale_up)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments import scale_up

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame

PANELS = (
    ("pairs", "images", "images seen (more pairs)"),
    ("epochs", "images", "images seen (more epochs)"),
    ("width", "width", "width d"),
)


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_scale_up.png and .svg: three panels, every run a mark, trends to the paper's scale with their 95 % intervals."""
    points = scale_up.points(frame.frame(store.all()))
    canvas = figure.new(9.0, 4.2)
    axes = canvas.subplots(1, len(PANELS), sharey=True)
    for axis, (kind, by, label) in zip(axes, PANELS, strict=True):
        axis.set(xscale="log", yscale="log", xlabel=label)
        measured: list[float] = []
        for number, method in enumerate(scale_up.METHODS):
            series = scale_up.series(points, method)[kind]
            measured += [getattr(p, by) for p in series]
            draw(axis, series, by, number, method.replace("l1", "ℓ1"))
        paper = scale_up.PAPER[by]
        axis.axvline(paper, color=figure.FAINT, linewidth=1, label="the paper's scale")
        figure.ticks(axis.xaxis, {*measured, paper}, thousands if by == "images" else "{:g}".format)
        axis.tick_params(axis="x", labelrotation=30 if by == "images" else 0)
    figure.log_ticks(axes[0].yaxis)
    axes[0].set_ylabel(f"MSE, SNR {scale_up.SNR:g}")
    handles = {name: handle for axis in axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=3)
    return figure.save(canvas, store.results, "fig_scale_up")


def draw(axis, series: list[scale_up.Point], by: str, number: int, name: str) -> None:
    """One method's runs, its trend, and the 95 % interval of one run more; no interval where two runs leave no scatter."""
    if not series:
        return
    colour, mark = figure.COLOURS[number], figure.MARKS[number]
    runs = [(getattr(p, by), mse) for p in series for mse in p.mse]
    axis.plot(*zip(*runs, strict=True), mark, color=colour, label=name)
    if fit := scale_up.trend(series, by):
        reach = np.geomspace(min(x for x, _ in runs), scale_up.PAPER[by], 50)
        middle, interval = zip(*(fit.at(x) for x in reach), strict=True)
        axis.plot(reach, middle, figure.LINES[1], color=colour, linewidth=1, label=f"{name}, trend")
        if fit.scatter is not None:
            low, high = np.transpose(interval)
            axis.fill_between(
                reach, low, high, color=colour, alpha=0.15, linewidth=0, label=f"{name}, 95 % interval of a further run"
            )


def thousands(value: float) -> str:
    """22800 → 22.8k."""
    return f"{value / 1000:,.3g}k"
