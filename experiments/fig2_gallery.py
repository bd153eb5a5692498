"""Figure 2a (supplemental note 4): every method on the same test image, with its MSE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryobench import layout, table
from cryobench.record import Store, writable

# The paper's order, then what it doesn't show.
ORDER = ("oracle", "noisy", "BM3D", "l2-Autoencoder", "KSVD", "(0,0)-GAN + l1", "WGANgp + l1", "(1,-1)-GAN + l1",
         "(.5,-.5)-GAN + l1", "Non-local means", "CWF", "exemplar", "Bayes limit")  # fmt: skip
NAMES = {"oracle": "clean", "(0,0)-GAN + l1": "JSGAN + ℓ1", "l2-Autoencoder": "ℓ2-Autoencoder", "KSVD": "K-SVD"}


def write(store: Store) -> list[Path]:
    """Write fig2_gallery_snr*.png and .svg for each noise level that has records; the lowest seed stands for a method."""
    records = [record for record in store.all() if record["status"] == "done"]
    files = []
    for snr in (0.1, 0.05):
        panels = [panel for row in ORDER if (panel := find(store, records, row, snr)) is not None]
        if panels:
            files += draw(panels, store.results / "figures" / f"fig2_gallery_snr{snr:g}")
    return files


def find(store: Store, records: list[dict], row: str, snr: float, image: int = 0):
    """(name, image, MSE) of a row's first seed on one test image, or None."""
    wanted = table.sweep_rows("methods")[row]
    found = [r for r in records if r["config"]["noise"]["snr"] == snr and table.deviations(r, wanted) == {}]
    found = [r for r in found if (store.folder(r["run_id"]) / "gallery.npz").exists()]
    if not found:
        return None
    record = min(found, key=lambda r: r["seed"])
    with np.load(store.folder(record["run_id"]) / "gallery.npz", allow_pickle=False) as kept:
        return (
            NAMES.get(row, row).replace("l1", "ℓ1"),
            kept["denoised"][image].astype(np.float32),
            record["per_image"]["mse"][image],
        )


def draw(panels, path: Path) -> list[Path]:
    columns = 5
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(2.0 * columns, 2.35 * lines), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, image, mse) in zip(axes, panels, strict=False):
        low, high = np.percentile(image, [1, 99]) if name == "noisy" else (0.0, 1.0)
        axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(name if name == "clean" else f"{name}\nMSE {layout.short(mse)}", fontsize=8)
    files = [path.with_name(f"{path.name}.{suffix}") for suffix in ("png", "svg")]
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            figure.savefig(file)
    return files
