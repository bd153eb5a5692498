"""Figure 1 (supplemental note 2): MSE against the iteration, the JS-GAN alone (blue) and the JS-GAN + λℓ1 (red)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments.table_stability import ROWS, oscillation, watched

from cryobench import figure
from cryobench.runs.store import Store

PANELS = {
    "train_mse": "(a) training MSE",
    "test_mse": "(b) test MSE",
    "test_mse_batch": "(c) test MSE, batch norm with\nthe test batch's own statistics",
}


def write(store: Store) -> list[Path]:
    """Write fig1_stability.png and .svg: the mean over seeds as a line, the range over seeds as a band."""
    runs, _ = watched(store)
    runs = {row: runs[row] for row in ROWS if runs.get(row)}
    if not runs:
        return []
    sheet = figure.new(10.5, 3.4)
    axes = sheet.subplots(1, len(PANELS), sharey=True)
    for axis, (curve, title) in zip(axes, PANELS.items(), strict=True):
        for colour, (row, seeds) in zip(figure.COLOURS, runs.items(), strict=False):
            step, mse = seeds[0]["step"], np.array([run[curve] for run in seeds])
            _, std, _ = np.mean([oscillation(step, values) for values in mse], axis=0)
            axis.fill_between(step, mse.min(axis=0), mse.max(axis=0), color=colour, alpha=0.25, linewidth=0)
            axis.plot(
                step, mse.mean(axis=0), color=colour, linewidth=1, label=f"{row.replace('l1', 'ℓ1')} (σ½ = {std:.1e})"
            )
        axis.set(title=title, xlabel="iteration (batches of generator training)", yscale="log")
        axis.grid(alpha=0.3, which="both", linewidth=0.5)
        axis.legend(fontsize=7)
        axis.title.set_fontsize(9)
    axes[0].set_ylabel("MSE (images in [0, 1])")
    n = max(map(len, runs.values()))
    sheet.supxlabel(
        f"lines: mean over {n} seed{'s' if n > 1 else ''}; bands: their range; "
        "σ½: standard deviation over the second half",
        fontsize=8,
    )
    return figure.save(sheet, store.results, "fig1_stability")
