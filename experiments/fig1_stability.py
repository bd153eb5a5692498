"""Figure 1 (supplemental note 2): MSE against the iteration, the JS-GAN alone (blue) and the JS-GAN + λℓ1 (red)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments.table_stability import ROWS, oscillation, watched

from cryobench import figure
from cryobench.printed import short
from cryobench.runs.store import Store

PANELS = {
    "train_mse": "(a) training MSE",
    "test_mse": "(b) test MSE",
    "test_mse_batch": "(c) test MSE, batch norm with\nthe test batch's own statistics",
}


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig1_stability.png and .svg: the mean over seeds as a line, the range over seeds as a band."""
    runs, _ = watched(store)
    runs = {row: runs[row] for row in ROWS if runs.get(row)}
    if not runs:
        return []
    sheet = figure.new(9.0, 3.9)
    axes = sheet.subplots(1, len(PANELS), sharey=True)
    for axis, (curve, title) in zip(axes, PANELS.items(), strict=True):
        for colour, (row, seeds) in zip(figure.COLOURS, runs.items(), strict=False):
            step, mse = seeds[0]["step"], np.array([run[curve] for run in seeds])
            _, std, _ = np.mean([oscillation(step, values) for values in mse], axis=0)
            axis.fill_between(step, mse.min(axis=0), mse.max(axis=0), color=colour, alpha=0.25, linewidth=0)
            label = f"{row.replace('l1', 'ℓ1')}, σ½ = {short(std, 2)}"
            axis.plot(step, mse.mean(axis=0), color=colour, linewidth=1, label=label)
        axis.set(title=title, xlabel="iteration (generator's batches)", yscale="log")
        axis.legend(loc="upper right")
    figure.log_ticks(axes[0].yaxis)
    axes[0].set_ylabel("MSE (images in [0, 1])")
    n = max(map(len, runs.values()))
    sheet.supxlabel(
        f"lines: mean over {n} seed{'s' if n > 1 else ''}; bands: their range; "
        "σ½: standard deviation over the second half",
        fontsize=figure.SMALL,
    )
    return figure.save(sheet, store.results, "fig1_stability")
