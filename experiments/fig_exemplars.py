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
APART = 1.05  # between two methods at one number of images, as a factor of it
ALONE = 8  # points: the mark of a method with one number of images, which no line leads the eye to


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_exemplars.png and .svg, two panels, one for each noise level."""
    runs = frame.frame(store.all())
    canvas = figure.new(8.0, 4.2)
    axes = canvas.subplots(1, len(SNRS), sharey=True)
    drawn = [curves(runs, snr) for snr in SNRS]
    for axis, snr, by_method in zip(axes, SNRS, drawn, strict=True):
        panel(axis, by_method, limit_of(runs, "bayes")(snr))
        axis.set_title(f"SNR {snr:g}")
    figure.log_ticks(axes[0].yaxis)
    axes[0].set_ylabel("MSE (images in [0, 1])")
    entries = [entry for axis in axes for entry in zip(*axis.get_legend_handles_labels(), strict=True)]
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


def panel(axis, by_method: dict, limit: float | None) -> None:
    """One noise level: a line for each method, the first of METHODS on top and left, every seed a tick, the limit dashed."""
    for number, method in enumerate(sorted(by_method, key=METHODS.index)):
        colour, mark = STYLES[method]
        points = by_method[method]
        counts, values = zip(*points, strict=True)
        x = figure.aside(counts, number, len(by_method), by=APART)
        look: dict[str, Any] = {"zorder": 3 + 2 * (len(METHODS) - METHODS.index(method))}
        if len(points) == 1:
            look |= {"markersize": ALONE, "linestyle": "", "zorder": look["zorder"] + 1}
        figure.over_seeds(axis, x, values, colour, mark, named(method), **look)
    if limit:
        axis.axhline(limit, color=figure.INK, linestyle="--", label="Bayes limit")
    axis.set(xscale="log", yscale="log", xlabel="training images")
    figure.ticks(axis.xaxis, (n for points in by_method.values() for n, _ in points), "{:,}".format)
