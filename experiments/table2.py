"""Table 2 (supplemental note 4): classical methods and convolution-only nets, between the controls and the Bayes limit."""

from __future__ import annotations

from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import frame, layout, printed, table, text

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
TITLE = "Deep convolution results: MSE and PSNR of different models under Gaussian noise"
CONTROLS = (
    "Controls: *noisy*, the noisy image as it is; *mean image*, that of all clean training images; *oracle*, the clean image "
    "itself."
)
NAMES = {"l2-Autoencoder": r"$\ell_2$-Autoencoder", "GAN + l1": r"GAN + $\ell_1$", "WGANgp + l1": r"WGANgp + $\ell_1$"}


def write(store: Store) -> list[Path]:
    """Write table2.md, .csv (with SSIM) and .tex from the records, with what the paper doesn't have, one's own methods too."""
    runs = frame.frame(store.all())
    rows = frame.sweep_rows("methods") | frame.outside(runs) | frame.own(runs)
    cells, notes = table.cells(runs, rows, 2, (0.1, 0.05), ("mse", "psnr", "ssim", "nmse"))
    notes.insert(0, CONTROLS)
    shown = [cell for cell in cells if cell.metric != "ssim"]
    tex = layout.to_tex(shown, TITLE, "Method/SNR", "tab:methods")
    for row, name in NAMES.items():
        tex = tex.replace(row, name)
    return text.write(
        store,
        "table2",
        {
            "md": layout.to_markdown(shown, f"Table 2. {TITLE}", "Method", notes),
            "csv": layout.to_csv(cells),
            "tex": tex,
        },
    )


def as_printed(store: Store) -> list[Path]:
    """Write table2_as_printed.md and .tex: the paper's rows and columns, our numbers."""
    names = {row: row.replace("l1", r"$\ell_1$").replace("l2", r"$\ell_2$") for row in frame.sweep_rows("methods")}
    return printed.write(store, 2, "methods", TITLE, "Method/SNR", names)
