"""The verb data: simulate a data set, and write it for other software."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.cli.options import Overrides
from cryobench.errors import InputError
from cryobench.files import new_file


def data(
    overrides: list[str] = Overrides,
    out: str = typer.Option(
        None, "--out", "-o", help="A new folder for the images: .mrcs, .star and the volumes as .mrc."
    ),
    split: str = typer.Option("test", help="train or test."),
    noisy: bool = typer.Option(False, "--noisy", help="Write the noisy images instead of the clean ones."),
    picture: str = typer.Option(None, "--picture", help="A PNG of all conformations from one direction."),
    force: bool = typer.Option(False, "--force", help="Write over a picture that exists."),
) -> None:
    """Simulate a data set (once), say what it is, and write it for other software.

    With --noisy -o FOLDER test images for a denoiser that knows nothing of cryobench; what it makes of them is scored by the
    verb score.
    """
    from cryobench.config.compose import compose, resolve
    from cryobench.config.sweep import parse
    from cryobench.data.io.relion import write_split
    from cryobench.figure import conformations, images_in
    from cryobench.runs import outside
    from cryobench.runs.denoising import Images

    if split not in ("train", "test"):
        raise InputError(f"--split: expected train or test, got {split}")
    if picture and Path(picture).suffix != ".png":
        raise InputError(f"--picture: expected a file that ends in .png, got {picture}")
    if picture and (Path(picture).exists() or Path(picture).parent.is_dir()):
        new_file(Path(picture), force)
    parse(list(overrides or []))  # refuses two choices for one group, of which the last would win
    config = resolve(compose(list(overrides or [])))
    images = Images.of(config, progress=sys.stderr.isatty())
    pairs = images.pairs
    size = pairs.volumes.shape[-1]
    print(
        f"{config['data']['name']}: {len(pairs.volumes)} conformations, {len(pairs.train.clean)} training and "
        f"{len(pairs.test.clean)} test images of {size} x {size} px at {pairs.pixel_size:g} Å/px"
    )
    if picture:
        words = images_in([config["data"]["name"]], [size], [pairs.pixel_size])
        print(f"written: {conformations(pairs.volumes, Path(picture), pairs.pixel_size, words)}")
    if out:
        written = write_split(
            out,
            pairs,
            split,
            getattr(images, split) if noisy else None,
            lambda digest: outside.texts(config, images, split, noisy, digest),
        )
        folder = written.parent
        print(f"written: {folder} ({', '.join(sorted(file.name for file in folder.iterdir()))})")
