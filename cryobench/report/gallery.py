"""The images of the page: a few test images, each as every method left it, as PNGs within the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd

from cryobench import printed
from cryobench.figure.images import bar_length
from cryobench.report import summary
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame

SWEEPS = ("methods", "alpha_beta")
IMAGES = 4
ORDER = ("oracle", "noisy")
NAMES = {"oracle": "clean"}


def panels(store: Store, runs: pd.DataFrame) -> dict[str, list[dict]]:
    """SNR → methods, clean and noisy first, then by MSE, the limit last: what `panel_of` says of each."""
    shown: dict[str, list[dict]] = {}
    rows = {
        sweep: frame.chosen(runs, frame.sweep_rows(sweep) | more).runs
        for sweep, more in zip(SWEEPS, (frame.outside(runs) | frame.own(runs), {}), strict=True)
    }
    for snr in summary.snrs(runs):
        named = []
        for sweep, chosen in rows.items():
            for row, some in frame.by_row(chosen[chosen["snr"] == snr]).items():
                name = NAMES.get(row, printed.named(row if sweep == "methods" else f"{row}-GAN + l1, ResNet"))
                # The lowest seed that kept its images.
                panel = next((one for record in some["record"] if (one := panel_of(store, record, name))), None)
                named += [(place(row), some["mse"].mean(), name, panel)] if panel else []
        if len(named) > 1:
            shown[f"{snr:g}"] = [panel for *_, panel in sorted(named, key=lambda one: one[:3])]
    return shown


def place(row: str) -> int:
    """Clean and noisy come first, the limit last, all others between them by their MSE."""
    return ORDER.index(row) if row in ORDER else len(ORDER) + (row == "Bayes limit")


def panel_of(store: Store, record: Record, name: str) -> dict | None:
    """One method's panel: {"name", "run", "mse" of each image, "bar" for its scale or None, "images" as data URIs}.

    None for a run that kept no images.
    """
    images = store.gallery(record.run_id)
    if images is None:
        return None
    size, pixel_size = images.shape[-1], record.data.get("pixel_size")
    length = bar_length(size, pixel_size) if pixel_size else 0
    return {
        "name": name,
        "run": record.run_id,
        "mse": [*record.per_image.get("mse", []), *[None] * IMAGES][: len(images[:IMAGES])],
        "bar": {"percent": 100 * length / (size * pixel_size), "text": f"{length:g} Å"} if pixel_size else None,
        "images": [png(image, wide=record.name("method") == "noisy") for image in images[:IMAGES]],
    }


def png(image: np.ndarray, wide: bool = False) -> str:
    """(L, L) → a grey PNG as a data URI, [0, 1] from black to white; `wide`: its own central 98 %, for a noisy image."""
    from PIL import Image

    low, high = np.percentile(image, [1, 99]) if wide else (0.0, 1.0)
    grey = np.clip(np.round(255 * (image - low) / (high - low)), 0, 255)
    out = io.BytesIO()
    Image.fromarray(np.nan_to_num(grey).astype(np.uint8)).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
