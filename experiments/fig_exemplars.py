"""MSE against the number of training images (sweep exemplars), beside the Bayes limit."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cryobench import figure
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame

METHODS = ("exemplar", "l2-Autoencoder", "rebuilt", "CWF", "ab initio", "refined")
STYLES = {name: (figure.COLOURS[k], figure.MARKS[k]) for k, name in enumerate(METHODS)}
SNRS = (0.1, 0.05)


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_exemplars.png and .svg, two panels, one for each noise level."""
    runs = frame.frame(store.all())
    canvas = figure.new(8.0, 4.2)
    axes = canvas.subplots(1, len(SNRS), sharey=True)
    for axis, snr in zip(axes, SNRS, strict=True):
        panel(axis, curves(runs, snr), frame.limit(runs, "bayes")(snr))
        axis.set_title(f"SNR {snr:g}")
    figure.log_ticks(axes[0].yaxis)
    axes[0].set_ylabel("MSE (images in [0, 1])")
    canvas.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        title="dots: single seeds; CWF, ab initio and refined learn from noisy images alone (refined is told their poses),\n"
        "the others from clean ones",
    )
    return figure.save(canvas, store.results, "fig_exemplars")


def curves(runs: pd.DataFrame, snr: float) -> dict[str, list[tuple[int, list[float]]]]:
    """Method → (number of training images, the MSE of each seed), ascending; of runs with the shipped settings else."""
    by_method: dict[str, list[tuple[int, list[float]]]] = {}
    for row, wanted in frame.sweep_rows("exemplars").items():
        method, _, count = row.rpartition(" ")
        matching = frame.usual(runs, {**wanted, "noise.snr": snr})
        if method in STYLES and len(matching):
            by_method.setdefault(method, []).append((int(count), list(matching["mse"])))
    return {method: sorted(points) for method, points in by_method.items()}


def panel(axis, by_method: dict, limit: float | None) -> None:
    """One noise level: a line for each method, every seed a dot, the limit dashed."""
    for method, points in by_method.items():
        colour, mark = STYLES[method]
        counts, values = zip(*points, strict=True)
        figure.over_seeds(axis, counts, values, colour, mark, named(method))
    if limit:
        axis.axhline(limit, color=figure.INK, linestyle="--", label="Bayes limit")
    axis.set(xscale="log", yscale="log", xlabel="training images")
    figure.ticks(axis.xaxis, (n for points in by_method.values() for n, _ in points), "{:,}".format)
