"""MSE against the number of training images (sweep exemplars), beside the Bayes limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from cryobench import figure
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.limits import limit as limit_of

METHODS = ("exemplar", "l2-Autoencoder", "rebuilt", "CWF", "ab initio", "refined")
STYLES = {name: (figure.COLOURS[k], figure.MARKS[k]) for k, name in enumerate(METHODS)}
SNRS = (0.1, 0.05)
WITHOUT_CLEAN = ("CWF", "ab initio", "refined")  # clean images, from which the others learn
APART = 1.08  # between two methods at one number of images, as a factor of it
FAR = 4  # times: a limit so far below the lowest MSE has a panel of its own
ALONE = 8  # points: the mark of a method with one number of images, which no line leads the eye to


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_exemplars.png and .svg, a column for each noise level; a limit far below in a panel of its own."""
    runs = frame.frame(store.all())
    drawn = [curves(runs, snr) for snr in SNRS]
    limits = [limit_of(runs, "bayes")(snr) for snr in SNRS]
    apart = far(drawn, limits)
    canvas = figure.new(9.0, 5.6 if apart else 4.8)
    axes = canvas.subplots(
        1 + apart, len(SNRS), sharex="col", sharey="row", squeeze=False, height_ratios=(4, 1)[: 1 + apart]
    )
    for column, snr, by_method, limit in zip(axes.T, SNRS, drawn, limits, strict=True):
        panel(column[0], by_method)
        if limit:
            column[-1].axhline(limit, color=figure.INK, linestyle="--", label="Bayes limit")
        column[0].set_title(f"SNR {snr:g}")
        column[-1].set_xlabel("training images")
    axes[0, 0].set_ylabel("MSE (images in [0, 1])")
    if apart:
        known = [limit for limit in limits if limit]
        axes[1, 0].set(yscale="log", ylabel="MSE of\nthe limit", ylim=(min(known) / 1.6, 1.6 * max(known)))
    for axis in axes[:, 0]:
        figure.log_ticks(axis.yaxis)
    entries = [entry for axis in axes.flat for entry in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {name: one for one, name in [*entries, *entries[::-1]]}  # in this order, each as it is first drawn
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=4, title=in_words(drawn))
    shown = [record for snr in SNRS for *_, matching in points(runs, snr) for record in matching["record"]]
    return figure.save(canvas, store.results, "fig_exemplars", figure.images_of(shown))


def in_words(drawn: list[dict[str, list[tuple[int, list[float]]]]]) -> str:
    """Of the methods that are there, what they learn from; and what a mark stands for."""
    methods = [name for name in METHODS if any(name in by_method for by_method in drawn)]
    learn = {
        "without clean images": [name for name in methods if name in WITHOUT_CLEAN],
        "from clean images": [name for name in methods if name not in WITHOUT_CLEAN],
    }
    said = [f"{how}: {', '.join(map(named, names))}" for how, names in learn.items() if names]
    several = any(len(some) > 1 for by_method in drawn for points in by_method.values() for _, some in points)
    marks = "marks: means over seeds, ticks: single seeds" if several else "every mark is one seed"
    told = [name for name in ("refined", "rebuilt") if name in methods]
    poses = [f"told the poses of its training images: {' and '.join(told)}"] if told else []
    aside = ["shifted sideways so as not to overlap"] if len(methods) > 1 else []
    return "\n".join(["; ".join([marks, *aside]), f"learning {'; '.join(said)}", *poses] if said else [marks])


def curves(runs: pd.DataFrame, snr: float) -> dict[str, list[tuple[int, list[float]]]]:
    """Method → (number of training images, the MSE of each seed), ascending."""
    by_method: dict[str, list[tuple[int, list[float]]]] = {}
    for method, count, matching in points(runs, snr):
        by_method.setdefault(method, []).append((count, list(matching["mse"])))
    return {method: sorted(some) for method, some in by_method.items()}


def points(runs: pd.DataFrame, snr: float) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """A method, a number of training images, and its runs there, with the shipped settings else."""
    for row, wanted in frame.sweep_rows("exemplars").items():
        method, _, count = row.rpartition(" ")
        matching = frame.usual(runs, {**wanted, "noise.snr": snr})
        if method in STYLES and len(matching):
            yield method, int(count), matching


def far(drawn: list[dict[str, list[tuple[int, list[float]]]]], limits: list[float | None]) -> bool:
    """Whether a limit lies so far below every method that, on their scale, they could hardly be told from each other."""
    lowest = [min((min(some) for points in each.values() for _, some in points), default=0.0) for each in drawn]
    return any(limit and least > FAR * limit for least, limit in zip(lowest, limits, strict=True))


def panel(axis, by_method: dict) -> None:
    """One noise level: a line for each method, the first of METHODS on top and left, every seed a tick."""
    for number, method in enumerate(sorted(by_method, key=METHODS.index)):
        colour, mark = STYLES[method]
        points = by_method[method]
        counts, values = zip(*points, strict=True)
        x = figure.aside(counts, number, len(by_method), by=APART)
        look: dict[str, Any] = {"zorder": 3 + 2 * (len(METHODS) - METHODS.index(method))}
        if len(points) == 1:
            look |= {"markersize": ALONE, "linestyle": "", "zorder": look["zorder"] + 1}
        figure.over_seeds(axis, x, values, colour, mark, named(method), **look)
    axis.set(xscale="log", yscale="log")
    figure.ticks(axis.xaxis, (n for points in by_method.values() for n, _ in points), "{:,}".format)
