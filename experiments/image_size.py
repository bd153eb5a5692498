"""The error against the image size: as MSE, and as the share of the clean images' variance that is lost (NMSE).

Each image is brought to [0, 1] by its own brightest pixel, and finer pixels hold brighter ones. So clean images vary less the
finer they are, and an MSE shrinks with them; the NMSE does not know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryobench.evaluation.statistics import mean_and_spread
from cryobench.printed import named, short
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, table, text
from cryobench.tables.text import formatted, pipes

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
SWEEP, SNR = "image_size", 0.1
METRICS = {"mse": "MSE", "nmse": "NMSE"}
PUBLISHED = {
    "l1-Autoencoder": (3, "10000"),
    "(.5,.5)-GAN + l1": (1, "(.5,.5)"),
    "CWF": (2, "CWF"),
}  # 128 px; λ = 10000 is nearest to no adversary


@dataclass(frozen=True)
class Point:
    """A method at an image size in px: MSE and NMSE of each seed, and its record."""

    method: str
    size: int
    mse: tuple[float, ...]
    nmse: tuple[float, ...]
    records: tuple[Record, ...] = ()


def write(store: Store) -> list[Path]:
    """Write image_size.md and .csv from the records of `+sweep=image_size`."""
    measured = points(frame.frame(store.all()))
    return text.write(store, "image_size", {"md": to_markdown(measured), "csv": to_csv(measured)})


def points(runs: pd.DataFrame) -> list[Point]:
    """The rows that have records, of scale=desk128 but for the size."""
    out = []
    for row, wanted in frame.sweep_rows(SWEEP).items():
        method, _, size = row.removesuffix(" px").rpartition(", ")
        matching = frame.usual(runs, {**wanted, "noise.snr": SNR, "scale.name": "desk128"})
        matching = matching.reindex(columns=[*METRICS, "record"]).dropna()
        if len(matching):
            out.append(Point(method, int(size), *map(tuple, (matching["mse"], matching["nmse"], matching["record"]))))
    return out


def published(method: str) -> float | None:
    """The paper's MSE of a method at 128 px, if it prints one."""
    if method not in PUBLISHED:
        return None
    number, row = PUBLISHED[method]
    return table.published(number)[row, SNR, "mse"][0]


def to_markdown(points: list[Point]) -> str:
    """The page: a table for each of the two errors, sizes in columns."""
    sizes = sorted({point.size for point in points})
    methods = list(dict.fromkeys(point.method for point in points))
    caption = (
        f"scale=desk128 at other image sizes, the box the same, SNR {SNR:g}: mean(standard deviation over seeds). An "
        "MSE is in squared units of an image's own range; NMSE is the share of the clean images' variance that is lost. "
        "At every size the nets see as many images as at 128 px, three epochs of 4,000 pairs. The paper's number beside "
        "the ℓ1-autoencoder is that of λ = 10000 in its Table 3, CWF's that of its Table 2."
    )
    parts = ["# The image size", caption]
    for metric, heading in METRICS.items():
        head = [
            "method",
            *(f"{size} px" for size in sizes),
            "seeds",
            *(["the paper, 128 px"] if metric == "mse" else []),
        ]
        lines = [head]
        for method in methods:
            of_method = {point.size: getattr(point, metric) for point in points if point.method == method}
            counts = sorted({len(values) for values in of_method.values()})
            line = [named(method), *(over_seeds(metric, of_method.get(size)) for size in sizes)]
            line.append("–".join(map(str, sorted({counts[0], counts[-1]}))))
            if metric == "mse":
                paper = published(method)
                line.append("–" if paper is None else short(paper))
            lines.append(line)
        parts += [f"## {heading}", pipes(lines)]
    return text.page(*parts)


def over_seeds(metric: str, values: tuple[float, ...] | None) -> str:
    """Over seeds: an MSE as tables have it, an NMSE in percent."""
    if not values:
        return "–"
    mean, spread = mean_and_spread(values)
    if metric == "nmse":
        return f"{100 * mean:.1f} %({'–' if spread is None else f'{100 * spread:.1f}'})"
    return formatted("mse", mean, spread)


def to_csv(points: list[Point]) -> str:
    """A line for each point."""
    return text.sheet(
        ("row", "size", "mse", "nmse", "n_seeds"),
        ([p.method, p.size, float(np.mean(p.mse)), float(np.mean(p.nmse)), len(p.mse)] for p in points),
    )
