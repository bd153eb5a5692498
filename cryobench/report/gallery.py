"""The images of the page: a few test images, each as every method left it, as PNGs within the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from cryobench.runs.store import Store
from cryobench.tables import table

SWEEPS = ("methods", "alpha_beta")
IMAGES = 4
ORDER = ("oracle", "noisy")
NAMES = {"oracle": "clean"}


def panels(store: Store, records: list[dict]) -> dict[str, list[dict]]:
    """SNR → methods, clean and noisy first: {"name", "images": data URIs, "mse": one for each}."""
    done = [record for record in records if record["status"] == "done"]
    found: dict[str, list[dict]] = {}
    for snr in (0.1, 0.05):
        here = []
        for sweep in SWEEPS:
            chosen, _ = table.chosen(done, table.sweep_rows(sweep))
            for row, runs in chosen.items():
                runs = [r for r in runs if r["config"]["noise"]["snr"] == snr and kept(store, r).is_file()]
                if runs:
                    name = NAMES.get(row, row if sweep == "methods" else f"{row}-GAN + l1, ResNet")
                    here.append((row, panel(store, min(runs, key=lambda r: r["seed"]), name)))
        here.sort(key=lambda pair: ORDER.index(pair[0]) if pair[0] in ORDER else len(ORDER))
        if len(here) > 1:
            found[f"{snr:g}"] = [shown for _, shown in here]
    return found


def kept(store: Store, record: dict) -> Path:
    return store.folder(record["run_id"]) / "gallery.npz"


def panel(store: Store, record: dict, name: str) -> dict:
    with np.load(kept(store, record), allow_pickle=False) as arrays:
        images = arrays["denoised"][:IMAGES].astype(np.float32)
    return {
        "name": name, "run": record["run_id"], "mse": record["per_image"]["mse"][: len(images)],
        "images": [png(image, wide=record["config"]["method"]["name"] == "noisy") for image in images],
    }  # fmt: skip


def png(image: np.ndarray, wide: bool = False) -> str:
    """(L, L) → a grey PNG as a data URI, [0, 1] from black to white; `wide`: its own central 98 %, for a noisy image."""
    from PIL import Image

    low, high = np.percentile(image, [1, 99]) if wide else (0.0, 1.0)
    grey = np.clip(np.round(255 * (image - low) / (high - low)), 0, 255)
    out = io.BytesIO()
    Image.fromarray(np.nan_to_num(grey).astype(np.uint8)).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
