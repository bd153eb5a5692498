"""Figure 2a (supplemental note 4): every method on the same test image, with its MSE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.text import short

# The paper's order, then what it doesn't show.
RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
ORDER = (
    "oracle",
    "noisy",
    "BM3D",
    "l2-Autoencoder",
    "KSVD",
    "(0,0)-GAN + l1",
    "WGANgp + l1",
    "(1,-1)-GAN + l1",
    "(.5,-.5)-GAN + l1",
    "Non-local means",
    "CWF",
    "Topaz",
    "ab initio",
    "exemplar",
    "rebuilt",
    "Bayes limit",
)
NAMES = {"oracle": "clean", "(0,0)-GAN + l1": "JSGAN + l1", "KSVD": "K-SVD"}


def write(store: Store) -> list[Path]:
    """Write fig2_gallery_snr*.png and .svg for each noise level that has records; the lowest seed stands for a method."""
    runs = frame.frame(store.all())
    given = frame.outside(runs)
    rows = frame.sweep_rows("methods") | given
    files = []
    for snr in (0.1, 0.05):
        panels = []
        for row in (*ORDER, *given):
            panels += panel(store, frame.usual(runs, {**rows[row], "noise.snr": snr}), NAMES.get(row, row))
        if panels:
            files += figure.save(figure.gallery(panels), store.results, f"fig2_gallery_snr{snr:g}")
    return files


def panel(store: Store, runs: pd.DataFrame, name: str, image: int = 0) -> list[tuple[str, np.ndarray]]:
    """(title, image) of the run with the lowest seed that kept its images, and its MSE in the title; or nothing."""
    for record in runs.sort_values("seed", kind="stable")["record"]:
        if (images := store.gallery(record.run_id)) is not None:
            title = name.replace("l1", "ℓ1").replace("l2", "ℓ2")
            words = title if name == "clean" else f"{title}\nMSE {short(record.per_image['mse'][image])}"
            return [(words, images[image])]
    return []
