"""Table 1 (supplemental note 3): the ResNet (α,β)-GAN + 10 ℓ1 for eight pairs at both noise levels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import frame, layout, printed, table, text

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
SWEEP, CORNER = "alpha_beta", "Parameter/SNR"
TITLE = "ResNet-GAN: MSE, PSNR and SSIM of different (α,β) under Gaussian noise"


def write(store: Store) -> list[Path]:
    """Write table1.md, .csv and .tex from the records; returns the files."""
    runs, rows = frame.frame(store.all()), frame.sweep_rows(SWEEP)
    cells, notes = table.cells(runs, rows, 1, (0.1, 0.05), ("mse", "psnr", "ssim", "nmse"))
    return text.write(
        store,
        "table1",
        {
            "md": layout.to_markdown(cells, f"Table 1. {TITLE}", "(α,β)", notes),
            "csv": layout.to_csv(cells),
            "tex": layout.to_tex(
                cells, TITLE.replace("(α,β)", r"$(\alpha,\beta)$"), CORNER, "tab:alpha-beta", names(rows)
            ),
        },
    )


def as_printed(store: Store) -> list[Path]:
    """Write table1_as_printed.md and .tex: the paper's rows and columns, our numbers."""
    return printed.write(store, 1, SWEEP, TITLE, CORNER, names(frame.sweep_rows(SWEEP)))


def names(rows: Iterable[str]) -> dict[str, str]:
    """How LaTeX calls a row."""
    return {row: "$\\alpha={},\\beta={}$".format(*numbers(row)) for row in rows}


def numbers(row: str) -> list[str]:
    """'(.5,-.5)' → ['0.5', '-0.5'], as the paper prints them."""
    return [f"{float(text):g}" for text in re.findall(r"[-.\d]+", row)]
