"""Why the published classical numbers are so weak: clipping, the mis-set σ, or both (sweep gap)."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from cryobench.printed import multiple
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, table, text
from cryobench.tables.limits import LIMITS, limit

INTRODUCTION = """# What may explain the published classical numbers

The released code cuts noisy images to [0, 1] and gives BM3D σ = 25/255; the paper's text says neither. So each method runs
with the true σ and with 25/255, on unclipped and on clipped images; *1 atom* is a K-SVD that makes each patch of one of 1,100
elements, which needs no σ. *Share of the way* is how much of that from the method's own number to the published one a setting
goes, on a logarithmic scale: log(MSE/own) / log(published/own), where *own* is with the true σ on unclipped images or, where that
was not run, Table 2's, with σ from each image's corners. 100 % is the published number; more is beyond it. Where the scale is not
the paper's, shares are rough."""


def write(store: Store) -> list[Path]:
    """Write published_gap.md from the records of `+sweep=gap`."""
    runs = frame.frame(store.all())
    runs = runs[runs["done"].astype(bool)]
    limits = {name: limit(runs, name) for name in LIMITS}
    parts = [INTRODUCTION, frame.measured_on(runs)]
    for snr in (0.1, 0.05):
        known = {name: at for name, at in limits.items() if at(snr) or name == "bayes"}
        times = [layout.TIMES[name][0] for name in known]
        lines = [["method", "σ", "images", "MSE", *times, "published", "share of the way", "seeds"]]
        for method in ("BM3D", "KSVD", "Non-local means", "CWF"):
            lines += method_lines(runs, method, snr, list(known.values()))
        parts += [f"## SNR {snr:g}", text.pipes(lines)]
    return text.write(store, "published_gap", {"md": text.page(*parts)})


def method_lines(runs: pd.DataFrame, method: str, snr: float, limits: list) -> list[list[str]]:
    """One line for each setting of a method: σ × clipping."""
    published, _ = table.published(2)[method, snr, "mse"]
    rows = {row: wanted for row, wanted in frame.sweep_rows("gap").items() if row.startswith(method)}
    by_setting = {
        (row, clip): mses(runs, {**wanted, "noise.clip": clip}, snr)
        for row, wanted in rows.items()
        for clip in (False, True)
    }
    lines = []
    own = by_setting[f"{method}, true σ", False] or mses(runs, frame.sweep_rows("methods")[method], snr)
    honest = mean(own.values())
    for (row, clip), errors in by_setting.items():
        setting = row.removeprefix(f"{method}, ")
        images = "clipped" if clip else "unclipped"
        if not errors:
            lines.append([method, setting, images, "not run", *["–"] * (len(limits) + 2), "0"])
            continue
        ours = mean(errors.values())
        times = [mean([mse / at(snr, seed) for seed, mse in errors.items() if at(snr)]) for at in limits]
        lines.append(
            [
                method,
                setting,
                images,
                text.short(ours),
                *map(multiple, times),
                text.short(published),
                share(ours, honest, published),
                str(len(errors)),
            ]
        )
    return lines


def mses(runs: pd.DataFrame, wanted: dict, snr: float) -> dict[int, float]:
    """Seed → MSE of the runs with these settings and the shipped ones elsewhere."""
    matching = frame.usual(runs, {**wanted, "noise.snr": snr})
    return dict(zip(matching["seed"], matching["mse"], strict=True))


def mean(values) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None


def share(ours: float | None, honest: float | None, published: float) -> str:
    """How much of the way from the honest MSE to the published one a setting goes, on a logarithmic scale, in percent."""
    if ours is None or honest is None:
        return "–"
    return f"{100 * math.log(ours / honest) / math.log(published / honest):.0f} %"
