"""Supplemental note 6: PGGAN with and without ℓ1 at SNR 0.05, how sharp its images are, and how steadily it trains.

Sharpness is read at two places: where the Fourier ring correlation with the clean image falls to ½ (detail that is
right), and the power that denoised images have over that of clean ones, beyond half the Nyquist frequency (detail that
is there, right or not).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cryobench.evaluation.statistics import mean_and_spread
from cryobench.printed import named
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, table, text

TITLE = "PGGAN under Gaussian noise, SNR 0.05"
SNR = 0.05
ROWS = ("PGGAN + l1", "PGGAN")
SHARPNESS = {"frc_resolution": "FRC ½ (Å)", "power_resolution": "power ½ (Å)", "high_power": "power beyond ½ Nyquist"}


def write(store: Store) -> list[Path]:
    """Write table_pggan.md, .csv (with sharpness and the training's steadiness as further metrics) and .tex."""
    runs = frame.frame(store.all())
    rows = {row: wanted for row, wanted in frame.sweep_rows("pggan").items() if row != "oracle"}
    cells, notes = table.cells(runs, rows, "pggan", (SNR,), ("mse", "psnr", "ssim", "nmse"))
    chosen = frame.chosen(runs, rows).runs
    chosen = frame.by_row(chosen[chosen["snr"] == SNR])
    records = {row: list(chosen[row]["record"]) if row in chosen else [] for row in rows}
    sharp = {row: spreads(map(sharpness, records[row])) for row in rows}
    steady = {row: spreads(map(steadiness, records[row])) for row in ROWS}
    tables = [
        "## Sharpness",
        *(SHARP if any(sharp.values()) else []),
        pipes("Method", sharp, SHARPNESS),
        "## Training with and without ℓ1",
        *(READING if any(steady.values()) else []),
        pipes("Method", steady, STEADY),
    ]
    more = more_lines({row: {**sharp[row], **steady.get(row, {})} for row in rows})
    return text.write(
        store,
        "table_pggan",
        {
            "md": layout.to_markdown(cells, TITLE, "Method", [*tables, *notes]),
            "csv": layout.to_csv(cells, more),
            "tex": layout.to_tex(cells, TITLE, "Method", "tab:pggan").replace("l1", r"$\ell_1$"),
        },
    )


def sharpness(record: Record) -> dict[str, float | None]:
    """What SHARPNESS names; the power is the geometric mean of the rings' ratios. Empty for a record without it."""
    measured = record.analysis.get("sharpness")
    if not measured:
        return {}
    outer = [value for value in measured["power_ratio"][len(measured["power_ratio"]) // 2 :] if value]
    return {
        "frc_resolution": measured["resolution"],
        "power_resolution": measured["power_resolution"],
        "high_power": float(np.exp(np.mean(np.log(outer)))) if outer else None,
    }


SHARP = [
    "FRC ½: where the Fourier ring correlation of denoised with clean images falls to ½; finer detail is mostly not right. Power "
    "½: where the power of denoised images falls to half of that of clean ones; finer detail is mostly not there. Power beyond ½ "
    "Nyquist: that of denoised images over that of clean ones at the finer half of the frequencies; above 1 detail is invented."
]
STEADY = {
    "val_mse_last": "validation MSE at the end",
    "val_mse_std": "its standard deviation, full size",
    "val_mse_worst": "its highest",
    "variety_last": "variety at the end",
}
READING = [
    "Validation MSE at full size, over the parts of the last, stable phase. Variety is the variance between denoised "
    "images over that between clean ones: 0 where the generator has collapsed to one image, 1 where they differ as they "
    "should. The tables above are of the net with the lowest of these MSEs, not of the last one."
]


def steadiness(record: Record) -> dict[str, float]:
    """What STEADY names, from the training curve's points at full size once it has faded in."""
    curve = record.method["curve"]
    last = [point for point in curve if point["size"] == curve[-1]["size"] and not point["fading"]]
    mse = [point["val_mse"] for point in last]
    return {
        "val_mse_last": mse[-1],
        "val_mse_std": float(np.std(mse)),
        "val_mse_worst": max(mse),
        "variety_last": last[-1]["variety"],
    }


def spreads(runs: Iterable[dict]) -> dict[str, tuple[float, float | None, int]]:
    """name → (mean, standard deviation over seeds, number of seeds) of what the runs have."""
    out, runs = {}, list(runs)
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if run.get(name) is not None]
        if values:
            out[name] = *mean_and_spread(values), len(values)
    return out


def pipes(corner: str, rows: dict[str, dict], columns: dict[str, str]) -> str:
    """A markdown table of mean(standard deviation): rows of name → (mean, spread, seeds), and what each column is headed."""
    lines = [[corner, *columns.values()]]
    for row, values in rows.items():
        cells = []
        for name in columns:
            mean, spread, _ = values.get(name, (None, None, 0))
            kind = "mse" if name.startswith("val_mse") else "number"
            cells.append(text.formatted(kind, mean, spread))
        lines.append([named(row), *cells])
    return text.pipes(lines)


def more_lines(rows: dict[str, dict]) -> list[list]:
    """Lines below the usual columns; the paper has none of these numbers."""
    return [
        [row, f"{SNR:g}", name, mean, spread, n, None, None, "not published"]
        for row, values in rows.items()
        for name, (mean, spread, n) in values.items()
    ]
