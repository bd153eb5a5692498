"""How much training oscillates (supplemental note 2): the JS-GAN alone beside the JS-GAN + λℓ1, as numbers.

"Oscillates" is made a number: the standard deviation of the test MSE over the second half of the iterations, of each run;
divided by its mean there, since the two runs settle at different heights. A few spikes make a standard deviation, so the
distance between the quartiles stands beside it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame, text

ROWS = ("JSGAN", "JSGAN + l1")
SNR = 0.1
CURVES = {
    "test_mse": "test, running statistics",
    "test_mse_batch": "test, batch's own statistics",
    "train_mse": "training",
}
COLUMNS = tuple("row curve seeds mean std relative quartiles std_ratio relative_ratio quartiles_ratio".split())
RATIOS = {
    "std_ratio": "std",
    "relative_ratio": "std/mean",
    "quartiles_ratio": "interquartile range",
}  # column of the csv → heading


def write(store: Store) -> list[Path]:
    """Write table_stability.md and .csv from the records of `+sweep=stability`."""
    runs, notes = watched(store)
    lines = [line for row in ROWS if runs.get(row) for line in measures(runs, row)]
    head = ["net", "curve", "seeds", "mean", "std", "std/mean", "interquartile range"]
    body = [
        [
            named(line["row"]),
            CURVES[line["curve"]],
            str(line["seeds"]),
            *(text.short(line[name]) for name in ("mean", "std")),
            f"{line['relative']:.3f}",
            text.short(line["quartiles"]),
        ]
        for line in lines
    ]
    parts = [
        "# Does training oscillate? (supplemental note 2)",
        "MSE over the second half of the iterations: its mean and standard deviation there, each the mean over seeds. "
        "SNR 0.1, ResNet; the first 100 test images. (0,0)-GAN: the paper's JSGAN.",
        *answer(lines),
        text.pipes([head, *body]),
        *notes,
    ]
    return text.write(store, "table_stability", {"md": text.page(*parts), "csv": text.sheet(COLUMNS, lines)})


def answer(lines: list[dict]) -> list[str]:
    """The question of the title, by each curve and measure, as a sentence and a table; none where either training was not
    watched."""
    known = [line for line in lines if all(line[name] for name in RATIOS)]
    if not known:
        return []
    alone, joint = map(named, ROWS)
    steadier = sum(line[name] > 1 for line in known for name in RATIOS)
    head = ["curve", *RATIOS.values()]
    body = [[CURVES[line["curve"]], *(f"{line[name]:.2f}" for name in RATIOS)] for line in known]
    return [
        f"How many times as much {alone} oscillates as {joint}; above 1 the joint training is the steadier one. So it is by "
        f"{steadier} of these {len(known) * len(RATIOS)} measures.",
        text.pipes([head, *body]),
        "Each by itself:",
    ]


def watching(store: Store) -> frame.Chosen:
    """The runs of ROWS whose training was watched."""
    runs = frame.frame(store.all())
    seen = runs[(runs["snr"] == SNR) & runs["record"].map(lambda record: bool(record.method.get("watch")))]
    rows = frame.sweep_rows("stability")
    return frame.chosen(seen, {row: rows[row] for row in ROWS})


def watched(store: Store) -> tuple[dict[str, list[dict]], list[str]]:
    """Row → the curves of its runs, one dict of arrays a seed, of equal length; and notes. Runs without a watch have none."""
    chosen = watching(store)
    curves = {
        row: [record.method["watch"] for record in group["record"]] for row, group in frame.by_row(chosen.runs).items()
    }
    return {
        row: [
            {name: np.array(c[name]) for name in ("step", *CURVES)}
            for c in row_curves
            if c["step"] == row_curves[0]["step"]
        ]
        for row, row_curves in curves.items()
    }, chosen.notes


def oscillation(step: np.ndarray, mse: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard deviation and distance between the quartiles of the MSE at the iterations after half of them."""
    late = mse[step > step[-1] / 2]
    return float(late.mean()), float(late.std()), float(np.subtract(*np.quantile(late, [0.75, 0.25])))


def measures(runs: dict[str, list[dict]], row: str) -> list[dict]:
    """One line of the table for each curve of a row; the ratios stand on the first row's lines."""

    def over_seeds(which: str, curve: str) -> tuple[float, float, float, float]:
        each = np.array([oscillation(run["step"], run[curve]) for run in runs[which]])
        mean, std, quartiles = map(float, each.mean(axis=0))
        return mean, std, float((each[:, 1] / each[:, 0]).mean()), quartiles

    lines = []
    for curve in CURVES:
        mean, *spreads = over_seeds(row, curve)
        ratios: tuple[float | None, ...] = (None,) * 3
        if row == ROWS[0] and runs.get(ROWS[1]):
            _, *joint = over_seeds(ROWS[1], curve)
            ratios = tuple(a / b if b > 0 else None for a, b in zip(spreads, joint, strict=True))
        lines.append(dict(zip(COLUMNS, (row, curve, len(runs[row]), mean, *spreads, *ratios), strict=True)))
    return lines
