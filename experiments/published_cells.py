"""Every published cell of Tables 1 to 3: what we got, and why it differs where it does.

Two numbers agree in size if they are within a factor 1.25 (MSE), 1 dB (PSNR, the same factor) or 0.05 (SSIM). A cell that
does not agree is, in this order: explained by a protocol switch, if a run with that switch agrees (for SSIM the data range
counts as one: the supplement doesn't say whether it is 1 or the 2 of the library of its day); put down to scale, if
scale_up shows a trend over pairs and width (its 95 % interval at the paper's scale lies below our MSE) and the paper's
number is within that interval; or unexplained. A trend that may be none explains nothing, however wide its interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from cryobench.experiments import scale_up
from scipy import stats

from cryobench.printed import named, plain
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, table, text
from cryobench.tables.table import Cell

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
SWEEPS = {1: "alpha_beta", 2: "methods", 3: "lambda"}
COLUMNS = ("table", "row", "snr", "metric", "paper", "mean", "spread", "n_seeds", "verdict", "why")
FACTOR, DECIBEL, SIMILARITY = 1.25, 1.0, 0.05
CLOSE = {"mse": 1.1, "psnr": 0.5}  # a factor, dB; counted beside
# Where a row of Table 2 stands in the other sweeps: switches of classical methods, and the released protocol.
SWITCHES = {"clipped": {"noise.clip": True}, "unclipped": {"noise.clip": False}}
# Sweep → single settings of its rows that were tried, too.
TRIED: dict[str, dict[str, list[str]]] = {
    "alpha_beta": {"method.batch_norm": ["precise"]},
    "lambda": {"method.batch_norm": ["precise"]},
    "methods": {"method.critic_norm": ["layer", "none"], "method.batch_norm": ["precise"]},
}


def write(store: Store) -> list[Path]:
    """Write published_cells.md (counts, order, then all cells) and .csv from the records."""
    runs = frame.frame(store.all())
    numbered = [(number, cell) for number in SWEEPS for cell in cells(runs, number) if cell.paper is not None]
    known = explanations(runs) | {"wider": wider_range(runs, [cell for _, cell in numbered])}
    lines = [(number, cell, *reading(cell, known)) for number, cell in numbered]
    return text.write(
        store, "published_cells", {"md": to_markdown(lines, known["scale"] is not None), "csv": to_csv(lines)}
    )


def cells(runs: pd.DataFrame, number: int) -> list[Cell]:
    """The cells of Table 1, 2 or 3 with the shipped settings."""
    snrs = (0.1,) if number == 3 else (0.1, 0.05)
    return table.cells(runs, frame.sweep_rows(SWEEPS[number]), number, snrs, ("mse", "psnr", "ssim"))[0]


def near(metric: str, ours: float, paper: float) -> bool:
    """Whether two numbers agree in size."""
    return away(metric, ours, paper) <= {"mse": math.log(FACTOR), "psnr": DECIBEL, "ssim": SIMILARITY}[metric]


def away(metric: str, ours: float, paper: float) -> float:
    """How far two numbers are apart: the logarithm of their ratio for an MSE, else their difference."""
    return abs(math.log(ours / paper)) if metric == "mse" else abs(ours - paper)


def wider_range(runs: pd.DataFrame, compared: Sequence[Cell]) -> dict[tuple[str, ...], float]:
    """The runs of an SSIM cell → their mean SSIM with a data range of 2, where the records have it."""
    ssim = runs.set_index("run_id")["ssim_range2"].dropna() if "ssim_range2" in runs else {}
    return {
        cell.run_ids: float(np.mean([ssim[name] for name in cell.run_ids]))
        for cell in compared
        if cell.metric == "ssim" and cell.run_ids and all(name in ssim for name in cell.run_ids)
    }


def explanations(runs: pd.DataFrame) -> dict:
    """(row, SNR, metric) → [(switch, value)] of the tables' rows under other settings; "scale": factor and its interval."""
    explained: dict = {}
    variants = [
        (row.partition(", ")[0], f"{row.partition(', ')[2]}, {images}", {**wanted, **clip})
        for row, wanted in frame.sweep_rows("gap").items()
        for images, clip in SWITCHES.items()
    ]
    variants += [
        (row, "protocol=released", {**wanted, "protocol.name": "released", "noise.clip": True})
        for sweep in SWEEPS.values()
        for row, wanted in frame.sweep_rows(sweep).items()
    ]
    variants += [
        (row, f"{key}={value}", {**wanted, key: value})
        for sweep, settings in TRIED.items()
        for key, values in settings.items()
        for value in values
        for row, wanted in frame.sweep_rows(sweep).items()
    ]
    for row, switch, wanted in variants:
        matching = frame.rows(runs, {row: wanted})
        matching = matching[matching["variant"].isin(["", "protocol.ssim_range=2.0"])]
        for snr, some in matching.groupby("snr", sort=False):
            for metric in ("mse", "psnr", "ssim"):
                if (values := some[metric].dropna()).size:
                    explained.setdefault((row, snr, metric), []).append((switch, float(np.mean(list(values)))))
    explained["scale"] = scale(runs)
    return explained


def scale(runs: pd.DataFrame) -> tuple[float, float, float] | None:
    """What the (.5,.5)-GAN's trends make of an MSE on the way to the paper's scale: factor, and its 95 % interval.

    The interval is that of one run more at the paper's number of pairs, and of the slope over width; None where either
    trend has two runs only, which leave no scatter.
    """
    points = scale_up.points(runs)
    ways = scale_up.series(points, "(.5,.5)-GAN + l1")
    more, wider = scale_up.trend(ways["pairs"], "images"), scale_up.trend(ways["width"], "width")
    desk = [p for p in ways["pairs"] if p.row.endswith("4000 pairs")]
    if not (more and wider and desk):
        return None
    if more.scatter is None or wider.scatter is None:
        return None
    reach = math.log(scale_up.PAPER["width"] / desk[0].width)
    factor = more.at(scale_up.PAPER["images"])[0] / float(np.mean(desk[0].mse)) * math.exp(reach * wider.b)
    errors = (more.error(scale_up.PAPER["images"]), more.degrees), (reach * wider.slope_error, wider.degrees)
    room = math.exp(half_width_of_sum(errors))
    return factor, factor / room, factor * room


def half_width_of_sum(errors: Sequence[tuple[float, int]]) -> float:
    """Half the 95 % interval of a sum of independent terms with these (standard error, degrees of freedom).

    Student's t with the degrees of freedom of Welch (1947) and Satterthwaite (1946).
    """
    variance = sum(error**2 for error, _ in errors)
    if not variance:
        return 0.0
    degrees = variance**2 / sum(error**4 / freedom for error, freedom in errors)
    return float(stats.t.ppf(0.975, degrees)) * math.sqrt(variance)


def reading(cell: Cell, known: dict) -> tuple[str, str]:
    """One of `table.BECAME`, and the reason in words."""
    if cell.mean is None or cell.paper is None:
        return "missing", "not run"
    if cell.metric == "ssim":
        return reading_of_ssim(cell, known.get("wider", {}).get(cell.run_ids))
    if near(cell.metric, cell.mean, cell.paper):
        return "agrees", ""
    tried = known.get((cell.row, cell.snr, cell.metric), [])
    for switch, value in tried:
        if near(cell.metric, value, cell.paper):
            return "protocol", f"{switch}: {text.formatted(cell.metric, value, None).split('(')[0]}"
    factors = known["scale"]
    if "clean" in cell.side_information and factors and cell.metric in ("mse", "psnr"):
        expected, low, high = (predicted(cell.metric, cell.mean, factor) for factor in factors)
        low, high = sorted((low, high))
        if low <= cell.paper <= high:
            middle, *ends = (text.formatted(cell.metric, value, None).split("(")[0] for value in (expected, low, high))
            reason = f"the (.5,.5)-GAN's trends carry it to {middle} (95 %: {ends[0]} to {ends[1]})"
            if factors[2] < 1:
                return "scale", reason
            return (
                "unexplained",
                f"the scale may explain it, but no trend over pairs or width is more than scatter: {reason}",
            )
    others = "; ".join(f"{name}: {text.formatted(cell.metric, value, None).split('(')[0]}" for name, value in tried)
    if others:
        return "unexplained", f"not by {others}"
    seeds = ", ".join(text.formatted(cell.metric, value, None).split("(")[0] for value in cell.values)
    return "unexplained", f"no switch was run; its seeds have {seeds}"


def reading_of_ssim(cell: Cell, wider: float | None) -> tuple[str, str]:
    """The same for an SSIM, of which the paper doesn't tell the data range; wider: with a range of 2, None if not recorded."""
    other = (
        "what it is with 2, which the released code takes, was not recorded"
        if wider is None
        else f"with 2 it is {wider:.2f}"
    )
    reason = f"SSIM with a data range of 1; {other}"
    if cell.mean is None or cell.paper is None:
        return "missing", "not run"
    if near("ssim", cell.mean, cell.paper):
        return "agrees", reason
    if wider is not None and near("ssim", wider, cell.paper):
        return "protocol", reason
    return "unexplained", reason


def predicted(metric: str, value: float, factor: float) -> float:
    """An MSE, or the PSNR of one, once the MSE is `factor` times what it is."""
    return value * factor if metric == "mse" else value - 10 * math.log10(factor)


def to_markdown(lines: list, trends: bool) -> str:
    """The page: counts, order, then every cell of the three tables with its reason; trends: whether any were measured."""
    of_scale = (
        "Scale explains one where the trends over pairs and width (tables/scale_up.md) are more than scatter; the trend over "
        "epochs is not part of that criterion."
        if trends
        else "Whether scale explains one was not looked at: the trends over pairs and width (+sweep=scale_up) were not run here."
    )
    counts = Counter(status for *_, status, _ in lines)
    summary = ", ".join(f"{counts[key]} {words}" for key, words in table.BECAME.items() if counts[key])
    parts = [
        "# Every published cell",
        f"{len(lines)} cells: {summary}. Ours are of the described protocol, mean(standard deviation over seeds); to agree in "
        f"size is to be within a factor {FACTOR:g} in MSE, {DECIBEL:g} dB in PSNR or {SIMILARITY:g} in SSIM, before rounding. "
        "A protocol switch (*protocol*) explains a cell that does not agree where a run with that switch does. The switches: "
        "classical methods told of the true σ or not, on clipped or unclipped images; K-SVD with one atom a patch; "
        "protocol=released; method.batch_norm=precise (running statistics estimated anew before each validation); "
        f"method.critic_norm (layer norm in the critic, or none); SSIM's data range of 1 or 2. {of_scale} An MSE and a PSNR of "
        "the same runs may fall on two sides: 1 dB is a factor of 1.26, and the mean of a PSNR one of logarithms. Of the "
        f"cells of MSE and PSNR that were run {closer(lines)} agree within {100 * (CLOSE['mse'] - 1):.0f} % or "
        f"{CLOSE['psnr']:g} dB.",
        "## Order",
        "Whether our rows come in the paper's order: Kendall's τ between our numbers and the paper's over the rows of a column "
        "(1: the same order, −1: the reverse, 0: none), and the probability p of a τ so far from 0 by chance.",
        order(lines),
    ]
    for number in SWEEPS:
        head = ["λ, metric, SNR" if number == 3 else "row, metric, SNR", "paper", "ours", "seeds", "verdict", "note"]
        rows = [line_of(cell, status, why) for n, cell, status, why in lines if n == number]
        parts += [f"## Table {number}", text.pipes([head, *rows])]
    return text.page(*parts)


def closer(lines: list) -> str:
    """How many of the MSE and PSNR cells that were run are within `CLOSE`."""
    run = [cell for _, cell, *_ in lines if cell.mean is not None and cell.metric in CLOSE]
    limit = {"mse": math.log(CLOSE["mse"]), "psnr": CLOSE["psnr"]}
    hits = sum(away(cell.metric, cell.mean, cell.paper) <= limit[cell.metric] for cell in run)
    return f"{hits} of {len(run)}"


def line_of(cell: Cell, status: str, why: str) -> list[str]:
    """A cell's line: the paper's number, ours, seeds, verdict and reason."""
    paper, ours = (
        text.formatted(cell.metric, *pair) for pair in ((cell.paper, cell.paper_spread), (cell.mean, cell.spread))
    )
    seeds = str(len(cell.values))
    place = (
        f"{named(cell.row)}, {layout.HEADINGS[cell.metric]}, {cell.snr:g}"  # tells the lines apart where each is a card
    )
    return [place, paper, ours, seeds, status, why]


def order(lines: list) -> str:
    """Kendall's τ between our order of rows and the paper's, column by column."""
    rows = [["table", "column", "rows", "Kendall's τ", "p"]]
    columns: dict = {}
    for number, cell, *_ in lines:
        if cell.mean is not None:
            columns.setdefault((number, cell.metric, cell.snr), []).append((cell.mean, cell.paper))
    for (number, metric, snr), pairs in columns.items():
        if len(pairs) > 2:
            tau = stats.kendalltau(*zip(*pairs, strict=True))
            column = f"{layout.HEADINGS[metric]} {snr:g}"
            rows.append([str(number), column, str(len(pairs)), f"{tau.statistic:+.2f}", plain(tau.pvalue)])
    return text.pipes(rows, left=2)


def to_csv(lines: list) -> str:
    """COLUMNS for each published cell."""
    return text.sheet(
        COLUMNS,
        (
            [
                number,
                cell.row,
                f"{cell.snr:g}",
                cell.metric,
                str(cell.paper),
                cell.mean,
                cell.spread,
                len(cell.values),
                status,
                why,
            ]
            for number, cell, status, why in lines
        ),
    )
