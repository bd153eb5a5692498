"""Table 2 (supplemental note 4): classical methods and convolution-only nets, between the controls and the Bayes limit."""

from __future__ import annotations

from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import layout, table

TITLE = "Deep convolution results: MSE and PSNR of different models under Gaussian noise"


def write(store: Store) -> list[Path]:
    """Write table2.md, .csv (with SSIM, and with what the paper doesn't have) and .tex from the records."""
    records = store.all()
    found, notes = table.cells(records, table.sweep_rows("methods"), 2, (0.1, 0.05), ("mse", "psnr", "ssim"))
    shown = [cell for cell in found if cell.metric != "ssim"]
    return table.write(store, "table2", {
        "md": layout.to_markdown(shown, f"Table 2. {TITLE}", "Method", notes),
        "csv": layout.to_csv(found),
        "tex": latex(shown),
    })  # fmt: skip


def latex(found: list[table.Cell]) -> str:
    text = layout.to_tex(found, TITLE, "Method/SNR", "tab:methods")
    for row, name in (
        ("l2-Autoencoder", r"$\ell_2$-Autoencoder"),
        ("GAN + l1", r"GAN + $\ell_1$"),
        ("WGANgp + l1", r"WGANgp + $\ell_1$"),
    ):
        text = text.replace(row, name)
    return text
