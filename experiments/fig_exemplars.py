"""MSE against the number of training images (sweep exemplars), beside the Bayes limit and the linear one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from cryobench import figure
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.limits import limit as limit_of

METHODS = ("exemplar", "l2-Autoencoder", "rebuilt", "CWF", "ab initio", "refined")
SNRS = (0.1, 0.05)
WITHOUT_CLEAN = ("CWF", "ab initio", "refined")  # clean images, from which the others learn
APART = 1.08  # between two marks at one number of images that would overlap, as a factor of it
NEAR = 0.05  # of the height that is drawn: marks nearer to each other than that would overlap
FAR = 4  # times: a limit so far below the lowest MSE has a panel of its own
ALONE = 8  # points: the mark of a method with one number of images, which no line leads the eye to
HOLLOW = 6  # points: an open mark, which hides the full one below it


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_exemplars.png and .svg, a column for each noise level; a limit far below in a panel of its own."""
    runs = frame.frame(store.all())
    drawn = [curves(runs, snr) for snr in SNRS]
    limits, linear = ([limit_of(runs, name)(snr) for snr in SNRS] for name in ("bayes", "linear"))
    nothing = [unfound(runs, snr) for snr in SNRS]
    apart, span = far(drawn, limits), spread(drawn)
    canvas = figure.new(9.0, 6.2 if apart else 5.0)
    axes = canvas.subplots(
        1 + apart, len(SNRS), sharex="col", sharey="row", squeeze=False, height_ratios=(4, 1)[: 1 + apart]
    )
    for column, snr, by_method, open_at, limit, filtered in zip(
        axes.T, SNRS, drawn, nothing, limits, linear, strict=True
    ):
        panel(column[0], by_method, span, open_at)
        for axis, name, value, what in (
            (column[0], "Linear limit", filtered, ", the best linear filter"),
            (column[-1], "Bayes limit", limit, ""),
        ):
            colour, _, line = figure.LOOKS[name]
            if value:
                axis.axhline(value, color=colour, linestyle=line, label=f"{name}{what}")
        column[0].set_title(f"SNR {snr:g}")
        column[-1].set_xlabel("training images")
    axes[0, 0].set_ylabel("MSE (images in [0, 1])")
    if apart:
        known = [limit for limit in limits if limit]
        axes[1, 0].set(yscale="log", ylabel="MSE of the\nBayes limit", ylim=(min(known) / 1.6, 1.6 * max(known)))
        for upper, lower in axes.T:
            figure.broken(upper, lower)
    for axis in axes[:, 0]:
        figure.log_ticks(axis.yaxis)
    entries = [entry for axis in axes.flat for entry in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {name: one for one, name in [*entries, *entries[::-1]]}  # in this order, each as it is first drawn
    title = in_words(drawn, any(nothing)) + (
        "\nthe vertical axis is broken: the Bayes limit, far below, has a scale of its own" if apart else ""
    )
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=4, title=title)
    shown = [record for snr in SNRS for *_, matching in points(runs, snr) for record in matching["record"]]
    return figure.save(canvas, store.results, "fig_exemplars", figure.images_of(shown))


def in_words(drawn: list[dict[str, list[tuple[int, list[float]]]]], hollow: bool = False) -> str:
    """Of the methods that are there, what they learn from; and what a mark stands for; hollow: some marks are."""
    methods = [name for name in METHODS if any(name in by_method for by_method in drawn)]
    learn = {
        "without clean images": [name for name in methods if name in WITHOUT_CLEAN],
        "from clean images": [name for name in methods if name not in WITHOUT_CLEAN],
    }
    said = [f"{how}: {', '.join(map(named, names))}" for how, names in learn.items() if names]
    lines = [[len(some) for _, some in points] for by_method in drawn for points in by_method.values()]
    marks = figure.marked(number for line in lines for number in line)
    if gaps(drawn):
        marks += "; no mark: not run"
    if any(len(set(line)) > 1 for line in lines):
        marks += "\neach seed has noise of its own, on the same particles; limits: means over seeds"
    told = [name for name in ("refined", "rebuilt") if name in methods]
    poses = (
        [f"told the poses of {'their' if len(told) > 1 else 'its'} training images: {' and '.join(told)}"]
        if told
        else []
    )
    aside = ["marks that would overlap are shifted sideways"] if len(methods) > 1 else []
    aside += ["open mark: the method itself says that it found no structure"] if hollow else []
    return "\n".join([marks, *aside, f"learning {'; '.join(said)}", *poses] if said else [marks])


def gaps(drawn: list[dict[str, list[tuple[int, list[float]]]]]) -> bool:
    """Whether a method was not run on a number of images that another one has a mark at."""
    counts = [[{count for count, _ in points} for points in by_method.values()] for by_method in drawn]
    return any(one != set.union(*each) for each in counts for one in each)


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
        if method in METHODS and len(matching):
            yield method, int(count), matching


def unfound(runs: pd.DataFrame, snr: float) -> dict[str, set[int]]:
    """Method → the numbers of images of which it says itself, of a seed at least, that it found no structure in them."""
    by_method: dict[str, set[int]] = {}
    for method, count, matching in points(runs, snr):
        if any(record.method.get("found") is False for record in matching["record"]):
            by_method.setdefault(method, set()).add(count)
    return by_method


def far(drawn: list[dict[str, list[tuple[int, list[float]]]]], limits: list[float | None]) -> bool:
    """Whether a limit lies so far below every method that, on their scale, they could hardly be told from each other."""
    lowest = [min((min(some) for points in each.values() for _, some in points), default=0.0) for each in drawn]
    return any(limit and least > FAR * limit for least, limit in zip(lowest, limits, strict=True))


def spread(drawn: list[dict[str, list[tuple[int, list[float]]]]]) -> float:
    """How many times the lowest mean of all methods the highest one is."""
    means = [np.mean(some) for by_method in drawn for points in by_method.values() for _, some in points]
    return float(max(means) / min(means)) if means else 1.0


def places(by_method: dict, span: float) -> dict[str, list[float]]:
    """Method → where its marks stand: at their number of images, moved where one would lie on another's.

    span: of the values on the axis, the highest over the lowest."""
    x = {method: [float(count) for count, _ in points] for method, points in by_method.items()}
    for count in {count for points in by_method.values() for count, _ in points}:
        here = sorted(
            (float(np.mean(some)), method) for method, points in by_method.items() for n, some in points if n == count
        )
        groups = [[here[0]]]
        for one in here[1:]:
            near = one[0] <= groups[-1][-1][0] * span**NEAR
            groups = [*groups[:-1], [*groups[-1], one]] if near else [*groups, [one]]
        for group in groups:
            for number, method in enumerate(sorted((method for _, method in group), key=METHODS.index)):
                (x[method][x[method].index(count)],) = figure.aside([count], number, len(group), by=APART)
    return x


def panel(axis, by_method: dict, span: float, open_at: Mapping[str, set[int]] = MappingProxyType({})) -> None:
    """One noise level: a line for each method, the first of METHODS on top, every seed a tick; span: as in `places`; open_at:
    as `unfound` has it."""
    x = places(by_method, span)
    for method in sorted(by_method, key=METHODS.index):
        colour, mark, line = figure.LOOKS[method]
        points = by_method[method]
        values = [some for _, some in points]
        look: dict[str, Any] = {"zorder": 3 + 2 * (len(METHODS) - METHODS.index(method))}
        if len(points) == 1:
            look |= {"markersize": ALONE, "line": "", "zorder": look["zorder"] + 1}
        figure.over_seeds(axis, x[method], values, colour, mark, named(method), **{"line": line, **look})
        hollow = [
            (place, np.mean(some))
            for place, (n, some) in zip(x[method], points, strict=True)
            if n in open_at.get(method, ())
        ]
        if hollow:
            axis.plot(
                *zip(*hollow, strict=True),
                mark,
                color=colour,
                markerfacecolor=figure.PAPER,
                markersize=HOLLOW,
                zorder=look["zorder"] + 1,
            )
    axis.set(xscale="log", yscale="log")
    figure.ticks(axis.xaxis, (n for points in by_method.values() for n, _ in points), "{:,}".format)
