"""What was imaged: the molecule in words, the images, and the nets that learnt from them."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from cryobench.runs.record import Record
from cryobench.tables import frame
from cryobench.tables.molecules import molecule

NOT_THE_PAPERS = {"phantom", "rnap_ecoli", "rnap_mtb"}
NETS = ("gan", "autoencoder", "wgan_gp")  # whose width and epochs are the scale's


def lines(runs: pd.DataFrame) -> list[str]:
    """A sentence for each data set and scale of the finished runs; what the most of its runs have, where they differ."""
    done = runs[runs["done"].astype(bool)]
    said = [
        f"{'Images' if not number else 'And'}: {molecule(data, scale)}; {images(list(some['record']))}."
        for number, ((data, scale), some) in enumerate(done.groupby(["data", "scale"], sort=True))
    ]
    if said and set(done["data"]) <= NOT_THE_PAPERS:
        paper = frame.shipped("scale/paper") or {}
        said.append(
            "The paper's are of another molecule, the RNA polymerase of T. aquaticus (data=rnap): "
            f"{paper['image_size']} × {paper['image_size']} px, {paper['n_train']:,} to train on; nets of width "
            f"{paper['width']}, trained for {paper['epochs']} epochs (scale=paper)."
        )
    return said


def images(records: list[Record]) -> str:
    """128 × 128 px of 1.6 Å, 4,000 to train on and 500 to test; nets of width 16, 3 epochs."""
    data = [(one.config["data"], one.data.get("pixel_size")) for one in records]
    size, pixel, train, test = most((of["image_size"], pixel, of["n_train"], of["n_test"]) for of, pixel in data)
    words = (
        f"{size} × {size} px"
        + (f" of {pixel:.3g} Å" if pixel else "")
        + f", {train:,} to train on and {test:,} to test"
    )
    nets = [one.config["method"] for one in records if one.name("method") in NETS]
    if nets:
        width, epochs = most((net.get("width"), net.get("epochs")) for net in nets)
        words += f"; nets of width {width}, trained for {epochs} epochs"
    return words


def most(values) -> tuple:
    """What is there most often."""
    return Counter(values).most_common(1)[0][0]
