"""The verb data: simulate a data set, and write it for other software."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.cli.options import (
    Overrides,
)
from cryobench.errors import InputError


def data(
    overrides: list[str] = Overrides,
    out: str = typer.Option(
        None, "--out", "-o", help="A new folder for the images: .mrcs, .star and the volumes as .mrc."
    ),
    split: str = typer.Option("test", help="train or test."),
    noisy: bool = typer.Option(False, "--noisy", help="Write the noisy images instead of the clean ones."),
    picture: str = typer.Option(None, "--picture", help="A PNG of all conformations from one direction."),
) -> None:
    """Simulate a data set (once), say what it is, and write it for other software."""

    from cryobench.config.compose import build, cache_folder, compose, resolve
    from cryobench.data.io.relion import write_split
    from cryobench.data.pairs import open_pairs
    from cryobench.figure import conformations

    if split not in ("train", "test"):
        raise InputError(f"--split: expected train or test, got {split}")
    if picture and Path(picture).suffix != ".png":
        raise InputError(f"--picture: expected a file that ends in .png, got {picture}")
    config = resolve(compose(list(overrides or [])))
    noise = build(config, "noise")
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=sys.stderr.isatty())
    size = pairs.volumes.shape[-1]
    print(f"{config['data']['name']}: {len(pairs.volumes)} conformations, {len(pairs.train.clean)} training and "
          f"{len(pairs.test.clean)} test images of {size} x {size} px at {pairs.pixel_size:g} Å/px")  # fmt: skip
    if picture:
        print(f"written: {conformations(pairs.volumes, Path(picture))}")
    if out:
        images = pairs.images(split, noise, config["seed"]) if noisy else None
        print(f"written: {write_split(out, pairs, split, images)}")
