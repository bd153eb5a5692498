"""Figure 2b (supplemental note 7): the same test image denoised by the (.5,.5)-GAN + λℓ1, clean first, by rising λ."""

from __future__ import annotations

from pathlib import Path

from cryobench.experiments.fig2_gallery import foot, panel
from cryobench.experiments.table3 import LIMIT, SNR

from cryobench import figure
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
TITLE = f"one test image at SNR {SNR:g}, and its MSE by the (.5,.5)-GAN + λ ℓ1"


def write(store: Store) -> list[Path]:
    """Write fig2_lambda.png and .svg: the paper's nine panels in its order, then the limit λ → ∞."""
    rows = frame.sweep_rows("lambda")
    runs = frame.frame(store.all())
    found = frame.chosen(runs[runs["snr"] == SNR], rows).runs
    chosen = frame.by_row(found)
    names = {
        "oracle": "clean",
        **{row: f"λ = {row}" for row in rows if row not in ("oracle", LIMIT)},
        LIMIT: f"{named(LIMIT)}, λ → ∞",
    }
    panels = [one for row, name in names.items() for one in panel(store, chosen.get(row, runs[:0]), name)]
    if not panels:
        return []
    size = next((record.data.get("pixel_size") for record in found["record"]), None)
    return figure.save(
        figure.gallery(panels, size, TITLE, foot(store, chosen, "Table 3")),
        store.results,
        "fig2_lambda",
        figure.images_of(found["record"]),
    )
