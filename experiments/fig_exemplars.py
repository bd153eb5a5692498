"""MSE against the number of training images (sweep exemplars), beside the Bayes limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.text import short

METHODS = ("exemplar", "l2-Autoencoder", "rebuilt", "CWF")
STYLES = {name: (figure.COLOURS[k], "osD^"[k]) for k, name in enumerate(METHODS)}
NAMES = {"l2-Autoencoder": "ℓ2-autoencoder", "rebuilt": "rebuilt volumes"}
SNRS = (0.1, 0.05)


def write(store: Store) -> list[Path]:
    """Write fig_exemplars.png and .svg, two panels, one for each noise level."""
    runs = frame.frame(store.all())
    canvas = figure.new(9.0, 4.0)
    axes = canvas.subplots(1, len(SNRS), sharey=True)
    for axis, snr in zip(axes, SNRS, strict=True):
        panel(axis, curves(runs, snr), frame.limit(runs, "bayes")(snr))
        axis.set_title(f"SNR {snr:g}", fontsize=10)
    axes[0].set_ylabel("mean squared error (clean images span [0, 1])", fontsize=9)
    axes[0].legend(fontsize=8)
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
    """One noise level: a line for each method, bars for the spread over seeds, the limit dashed."""
    for method, points in by_method.items():
        color, marker = STYLES[method]
        counts, means = [n for n, _ in points], [float(np.mean(values)) for _, values in points]
        spreads = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for _, values in points]
        axis.errorbar(
            counts,
            means,
            spreads,
            color=color,
            marker=marker,
            markersize=5,
            linewidth=1.4,
            capsize=2,
            label=NAMES.get(method, method),
        )
    if limit:
        axis.axhline(limit, color="black", linestyle="--", linewidth=1.2, label="Bayes limit")
    axis.set(xscale="log", yscale="log")
    axis.set_xlabel("clean training images (noisy ones for CWF)", fontsize=9)
    counts = sorted({n for points in by_method.values() for n, _ in points})
    axis.set_xticks(counts, [f"{n:,}" for n in counts])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value).replace(".00", "")))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(True, which="major", alpha=0.25)
