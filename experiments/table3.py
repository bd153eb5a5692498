"""Table 3 (supplemental note 7): the weight λ of ℓ1 in the (.5,.5)-GAN at SNR 0.1, and the limit λ → ∞."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryobench.runs.store import Store
from cryobench.tables import frame, layout, printed, table, text

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
TITLE = "MSE, PSNR and SSIM of different λ in (.5,.5)-GAN + λℓ1, SNR 0.1"
SNR = 0.1
LIMIT = "l1-Autoencoder"


def write(store: Store) -> list[Path]:
    """Write table3.md, .csv and .tex from the records; the ℓ1-autoencoder stands below the λs as their limit."""
    runs = frame.frame(store.all())
    rows = {row: wanted for row, wanted in frame.sweep_rows("lambda").items() if row != "oracle"}
    cells, notes = table.cells(runs, rows, 3, (SNR,), ("mse", "psnr", "ssim", "nmse"))
    notes = [*reading(frame.chosen(runs, rows).runs), *notes]
    in_paper = [cell for cell in cells if cell.row != LIMIT]
    return text.write(
        store,
        "table3",
        {
            "md": layout.to_markdown(cells, f"Table 3. {TITLE}", "λ", notes),
            "csv": layout.to_csv(cells),
            "tex": layout.to_tex(
                in_paper,
                TITLE.replace("λℓ1", r"$\lambda\ell_1$").replace("λ", r"$\lambda$"),
                r"$\lambda$",
                "tab:lambda",
            ),
        },
    )


def as_printed(store: Store) -> list[Path]:
    """Write table3_as_printed.md and .tex: the paper's rows and columns, our numbers."""
    return printed.write(store, 3, "lambda", TITLE, "λ")


def reading(runs: pd.DataFrame) -> list[str]:
    """What the table says of the paper's two claims: where the MSE is lowest, and whether it tends to the limit.

    λs are compared with the limit on the seeds that both have.
    """
    at_snr = runs[runs["snr"] == SNR]
    mse = {row: dict(zip(one["seed"], one["mse"], strict=True)) for row, one in frame.by_row(at_snr).items()}
    limit = mse.pop(LIMIT, {})
    if not mse:
        return []
    lines = [f"Lowest MSE at λ = {min(mse, key=lambda row: np.mean(list(mse[row].values())))}; in the paper at λ = 10."]
    away = []
    for row, values in mse.items():
        if shared := sorted(values.keys() & limit.keys()):
            ratio = np.mean([values[s] for s in shared]) / np.mean([limit[s] for s in shared])
            away.append(f"{row}: {100 * (ratio - 1):+.1f} %")
    if away:
        lines.append(f"MSE against that of the ℓ1-autoencoder (λ → ∞: same net, seeds and budget): {', '.join(away)}.")
    return lines
