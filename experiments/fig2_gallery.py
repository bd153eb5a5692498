"""Figure 2a (supplemental note 4): every method and the linear limit on the same test image, by MSE, the Bayes limit last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryobench import figure
from cryobench.printed import named, short
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
LEFT_OUT = ("mean image",)  # rows of Table 2 that do not see the image
NAMES = {"oracle": "clean"}
LIMIT = "Bayes limit"
LIMITS = {  # what the limits among the panels are
    "Linear limit": "Linear limit: the best linear filter, from clean images",
    LIMIT: "Bayes limit: the lowest MSE, on average over images and noise, of a method that is not told the pose",
}
NETS = {"conv": "convolutions only", "resnet": "ResNet", "deep": "deep"}
IMAGE = 0  # which test image


def write(store: Store) -> list[Path]:
    """Write fig2_gallery_snr*.png and .svg for each noise level that has records; the lowest seed stands for a method."""
    runs = frame.frame(store.all())
    more = frame.outside(runs) | frame.own(runs)
    rows = {row: wanted for row, wanted in (frame.sweep_rows("methods") | more).items() if row not in LEFT_OUT}
    files = []
    for snr in (0.1, 0.05):
        chosen = frame.by_row(frame.chosen(runs[runs["snr"] == snr], rows).runs)
        shown = {row: some for row, some in chosen.items() if kept(store, some)}
        panels = [one for row in ordered(store, shown) for one in panel(store, shown[row], name(store, row, shown))]
        if panels:
            records = [record for some in shown.values() for record in some["record"]]
            size = next((record.data.get("pixel_size") for record in records), None)
            last = ", the Bayes limit last" if LIMIT in shown else ""
            title = f"one test image at SNR {snr:g}, and its MSE by each method: the highest first{last}"
            limits = [words for row, words in LIMITS.items() if row in shown]
            sheet = figure.gallery(panels, size, title, [*foot(store, shown, "Table 2"), *limits])
            files += figure.save(sheet, store.results, f"fig2_gallery_snr{snr:g}", figure.images_of(records))
    return files


def foot(store: Store, shown: dict[str, pd.DataFrame], table: str) -> list[str]:
    """What the numbers over the panels are not, where to find it, and what the nets among the rows are."""
    first = {row: record for row, runs in shown.items() if (record := kept(store, runs)) is not None}
    seeds = sorted({record.seed for record in first.values()})
    words = [f"MSE of this one image, seed {' or '.join(map(str, seeds))}; means over images and seeds: {table}"]
    by_net: dict[str, list[str]] = {}
    for row, record in first.items():
        if kind := NETS.get(record.config["method"].get("net")):
            by_net.setdefault(kind, []).append(named(row))
    if by_net:
        most, *others = sorted(by_net, key=lambda kind: -len(by_net[kind]))
        words.append(f"nets: {most}" + "".join(f"; {', '.join(by_net[kind])}: {kind}" for kind in others))
    return words


def ordered(store: Store, shown: dict[str, pd.DataFrame]) -> list[str]:
    """Rows from the highest MSE of the image that is shown to the lowest, the clean image first and the limit last."""

    def place(row: str) -> tuple[int, float]:
        return (row != "oracle") + (row == LIMIT), -error(store, shown[row])

    return sorted(shown, key=place)


def name(store: Store, row: str, shown: dict[str, pd.DataFrame]) -> str:
    """How a panel is called; of the limit, that it is the lowest on average, where this one image says otherwise."""
    others = [error(store, some) for other, some in shown.items() if other not in ("oracle", LIMIT)]
    beaten = row == LIMIT and min(others, default=np.inf) < error(store, shown[row])
    return NAMES.get(row, named(row)) + (",\nlowest on average" if beaten else "")


def kept(store: Store, runs: pd.DataFrame) -> Record | None:
    """The run with the lowest seed that kept its images."""
    records = runs.sort_values("seed", kind="stable")["record"]
    return next((record for record in records if record.per_image and store.gallery(record.run_id) is not None), None)


def error(store: Store, runs: pd.DataFrame) -> float:
    """The MSE of the image that is shown."""
    record = kept(store, runs)
    return record.per_image["mse"][IMAGE] if record else np.inf


def panel(store: Store, runs: pd.DataFrame, name: str) -> list[tuple[str, np.ndarray]]:
    """(title, image) of the run with the lowest seed that kept its images, and its MSE in the title; or nothing."""
    if (record := kept(store, runs)) is None:
        return []
    words = name if name == "clean" else f"{name}\nMSE {short(record.per_image['mse'][IMAGE])}"
    images = store.gallery(record.run_id)
    return [] if images is None else [(words, images[IMAGE])]
