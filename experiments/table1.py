"""Table 1 (supplemental note 3): the ResNet (α,β)-GAN + 10 ℓ1 for eight pairs at both noise levels."""

from __future__ import annotations

import re
from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import frame, layout, table, text

TITLE = "ResNet-GAN: MSE, PSNR and SSIM of different (α,β) under Gaussian noise"


def write(store: Store) -> list[Path]:
    """Write table1.md, .csv and .tex from the records; returns the files."""
    runs, rows = frame.frame(store.all()), frame.sweep_rows("alpha_beta")
    found, notes = table.cells(runs, rows, 1, (0.1, 0.05), ("mse", "psnr", "ssim", "nmse"))
    return text.write(store, "table1", {
        "md": layout.to_markdown(found, f"Table 1. {TITLE}", "(α,β)", notes),
        "csv": layout.to_csv(found),
        "tex": layout.to_tex(found, TITLE.replace("(α,β)", r"$(\alpha,\beta)$"), "Parameter/SNR", "tab:alpha-beta",
                             {row: "$\\alpha={},\\beta={}$".format(*numbers(row)) for row in rows}),
    })  # fmt: skip


def numbers(row: str) -> list[str]:
    """'(.5,-.5)' → ['0.5', '-0.5'], as the paper prints them."""
    return [f"{float(text):g}" for text in re.findall(r"[-.\d]+", row)]
