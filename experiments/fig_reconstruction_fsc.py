"""Does denoising help a reconstruction? The curves that `reconstruct` left in RESULTS/reconstruction, drawn anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cryobench import figure
from cryobench.runs.store import Store


def write(store: Store) -> list[Path]:
    """Write reconstruction_fsc.png and .svg from RESULTS/reconstruction/fsc.json; nothing where there is none."""
    file = store.results / "reconstruction" / "fsc.json"
    if not file.is_file():
        return []
    about = json.loads(file.read_text(encoding="utf-8"))
    curves = {name: np.array(curve) for name, curve in about["fsc"].items()}
    found = [(run, record) for run in about["runs"] if (record := store.read(run))]
    names = {
        run if run in curves else record.config["method"]["name"]: figure.used(
            record.config["method"], record.side_information
        )
        for run, record in found
    }  # as `reconstruct` names them
    snrs = {record.config["noise"].get("snr") for _, record in found}
    snr = snrs.pop() if len(snrs) == 1 else None
    read = {line["name"]: line[f"resolution_{figure.READ_AT}"] for line in about["resolutions"]}
    drawn = figure.fsc(np.array(about["frequency"]), curves, read, about["views"], names, snr)
    return figure.save(drawn, store.results, "reconstruction_fsc", figure.images_of(record for _, record in found))
