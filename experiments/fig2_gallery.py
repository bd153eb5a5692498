"""Figure 2a (supplemental note 4): every method on the same test image, with its MSE."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import layout, table

# The paper's order, then what it doesn't show.
ORDER = ("oracle", "noisy", "BM3D", "l2-Autoencoder", "KSVD", "(0,0)-GAN + l1", "WGANgp + l1", "(1,-1)-GAN + l1",
         "(.5,-.5)-GAN + l1", "Non-local means", "CWF", "Topaz", "exemplar", "rebuilt",
         "Bayes limit")  # fmt: skip
NAMES = {"oracle": "clean", "(0,0)-GAN + l1": "JSGAN + l1", "KSVD": "K-SVD"}


def write(store: Store) -> list[Path]:
    """Write fig2_gallery_snr*.png and .svg for each noise level that has records; the lowest seed stands for a method."""
    records = [record for record in store.all() if record["status"] == "done"]
    rows = table.sweep_rows("methods")
    files = []
    for snr in (0.1, 0.05):
        panels = []
        for row in ORDER:
            found = [r for r in records if r["config"]["noise"]["snr"] == snr and table.deviations(r, rows[row]) == {}]
            panels += panel(store, found, NAMES.get(row, row))
        if panels:
            files += figure.save(figure.gallery(panels), store.results, f"fig2_gallery_snr{snr:g}")
    return files


def panel(store: Store, records: list[dict], name: str, image: int = 0) -> list[tuple[str, np.ndarray]]:
    """(title, image) of the record with the lowest seed that kept its images, and its MSE in the title; or nothing."""
    kept = [r for r in records if (store.folder(r["run_id"]) / "gallery.npz").exists()]
    if not kept:
        return []
    record = min(kept, key=lambda r: r["seed"])
    with np.load(store.folder(record["run_id"]) / "gallery.npz", allow_pickle=False) as file:
        denoised = file["denoised"][image].astype(np.float32)
    title = name.replace("l1", "ℓ1").replace("l2", "ℓ2")
    return [(title if name == "clean" else f"{title}\nMSE {layout.short(record['per_image']['mse'][image])}", denoised)]
