"""Figure 1 (supplemental note 2): MSE against the iteration, the JS-GAN alone (blue) and the JS-GAN + λℓ1 (vermilion)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments.table_stability import ROWS, SNR, oscillation, watched, watching

from cryobench import figure
from cryobench.printed import named, short
from cryobench.runs.store import Store

PANELS = {
    "train_mse": "(a) training MSE",
    "test_mse": "(b) test MSE",
    "test_mse_batch": "(c) test MSE, batch norm by\nthe test batch's own statistics",
}
OTHERS = "other measures: the table of stability"


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig1_stability.png and .svg: the mean over seeds as a line, the range over seeds as a band."""
    runs, _ = watched(store)
    runs = {row: runs[row] for row in ROWS if runs.get(row)}
    return (
        figure.save(draw(runs), store.results, "fig1_stability", figure.images_of(watching(store).runs["record"]))
        if runs
        else []
    )


@figure.styled
def draw(runs: dict[str, list[dict]]):
    """A panel for each curve; below it, how much each training swings in its second half; one legend for all."""
    several = max(map(len, runs.values())) > 1
    sheet = figure.new(9.0, 4.9)
    axes = sheet.subplots(1, len(PANELS), sharey=True)
    for axis, (curve, title) in zip(axes, PANELS.items(), strict=True):
        swings = []
        for colour, (row, seeds) in zip(figure.COLOURS, runs.items(), strict=False):
            step, mse = seeds[0]["step"], np.array([run[curve] for run in seeds])
            _, std, _ = np.mean([oscillation(step, values) for values in mse], axis=0)
            axis.fill_between(step, mse.min(axis=0), mse.max(axis=0), color=colour, alpha=figure.BAND, linewidth=0)
            axis.plot(
                step,
                mse.mean(axis=0),
                color=colour,
                linewidth=1,
                label=f"{named(row)} (the paper's {row.replace('l1', 'ℓ1')}), {figure.counted([len(seeds)])}",
            )
            swings.append(f"{named(row)}: {short(std, 2)}")
        axis.set(title=title, yscale="log")
        axis.set_xlabel(
            "\n".join(
                [
                    "iteration (generator's batches)",
                    "",
                    "standard deviation of the MSE over the",
                    f"second half, {'mean over seeds' if several else 'one seed'}:",
                    *swings,
                ]
            )
        )
    figure.log_ticks(axes[0].yaxis)
    axes[0].set_ylabel(f"MSE (images in [0, 1]), SNR {SNR:g}")
    sheet.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        title=("lines: mean of the seeds; bands: lowest to highest; " if several else "") + OTHERS,
    )
    return sheet
