"""Supplemental note 6: PGGAN with and without ℓ1 at SNR 0.05, how sharp its images are, and how steadily it trains.

Sharpness is read at two places: where the Fourier ring correlation with the clean image falls to ½ (detail that is
right), and the power that denoised images have over that of clean ones, beyond half the Nyquist frequency (detail that
is there, right or not).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from cryobench.runs.store import Store
from cryobench.tables import layout, table

TITLE = "PGGAN under Gaussian noise, SNR 0.05"
SNR = 0.05
ROWS = ("PGGAN + l1", "PGGAN")
SHARPNESS = {"frc_resolution": "FRC ½ (Å)", "power_resolution": "power ½ (Å)", "high_power": "power beyond ½ Nyquist"}


def write(store: Store) -> list[Path]:
    """Write table_pggan.md, .csv (with sharpness and the training's steadiness as further metrics) and .tex."""
    records = store.all()
    rows = {row: wanted for row, wanted in table.sweep_rows("pggan").items() if row != "oracle"}
    found, notes = table.cells(records, rows, "pggan", (SNR,), ("mse", "psnr", "ssim"))
    chosen = {row: at_snr(list_) for row, list_ in table.chosen(records, rows)[0].items()}
    sharp = {row: spreads([sharpness(r) for r in chosen.get(row, [])]) for row in rows}
    steady = {row: spreads([steadiness(r) for r in chosen.get(row, [])]) for row in ROWS}
    tables = ["## Sharpness", pipes("Method", sharp, SHARPNESS), "## Training without ℓ1", pipes("Method", steady, STEADY),
              *(READING if any(steady.values()) else [])]  # fmt: skip
    return table.write(store, "table_pggan", {
        "md": layout.to_markdown(found, TITLE, "Method", [*tables, *notes]),
        "csv": layout.to_csv(found) + more_csv({row: {**sharp[row], **steady.get(row, {})} for row in rows}),
        "tex": layout.to_tex(found, TITLE, "Method", "tab:pggan").replace("l1", r"$\ell_1$"),
    })  # fmt: skip


def at_snr(records: list[dict]) -> list[dict]:
    return [record for record in records if record["config"]["noise"]["snr"] == SNR]


def sharpness(record: dict) -> dict[str, float | None]:
    """What SHARPNESS names; the power is the geometric mean of the rings' ratios. Empty for a record without it."""
    found = record.get("analysis", {}).get("sharpness")
    if not found:
        return {}
    outer = [value for value in found["power_ratio"][len(found["power_ratio"]) // 2 :] if value]
    return {"frc_resolution": found["resolution"], "power_resolution": found["power_resolution"],
            "high_power": float(np.exp(np.mean(np.log(outer)))) if outer else None}  # fmt: skip


STEADY = {
    "val_mse_last": "validation MSE at the end",
    "val_mse_std": "its standard deviation, full size",
    "val_mse_worst": "its highest",
    "variety_last": "variety at the end",
}
READING = [
    "Validation MSE at full size, over the parts of the last, stable phase. Variety is the variance between denoised "
    "images over that between clean ones: 0 where the generator has collapsed to one image, 1 where they differ as they "
    "should."
]


def steadiness(record: dict) -> dict[str, float]:
    """What STEADY names, from the training curve's points at full size once it has faded in."""
    curve = record["method"]["curve"]
    last = [point for point in curve if point["size"] == curve[-1]["size"] and not point["fading"]]
    mse = [point["val_mse"] for point in last]
    return {"val_mse_last": mse[-1], "val_mse_std": float(np.std(mse)), "val_mse_worst": max(mse),
            "variety_last": last[-1]["variety"]}  # fmt: skip


def spreads(runs: list[dict]) -> dict[str, tuple[float, float | None, int]]:
    """name → (mean, standard deviation over seeds, number of seeds) of what the runs have."""
    out = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if run.get(name) is not None]
        if values:
            out[name] = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values)
    return out


def pipes(corner: str, rows: dict[str, dict], columns: dict[str, str]) -> str:
    lines = [[corner, *columns.values()]]
    for row, values in rows.items():
        cells = []
        for name in columns:
            mean, spread, _ = values.get(name, (None, None, 0))
            kind = "mse" if name.startswith("val_mse") else "number"
            cells.append(layout.formatted(kind, mean, spread))
        lines.append([row, *cells])
    return layout.pipes(lines)


def more_csv(rows: dict[str, dict]) -> str:
    """Lines below the usual columns; the paper has none of these numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row, values in rows.items():
        for name, (mean, spread, n) in values.items():
            shown = [f"{mean:.6g}", None if spread is None else f"{spread:.6g}"]
            writer.writerow([row, f"{SNR:g}", name, *shown, n, None, None, "not published"])
    return out.getvalue()
