"""The verb reconstruct: what denoising does to a reconstruction."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.cli.failed import telling
from cryobench.cli.options import RunResults

Runs = typer.Option(..., "--run", help="Id of a finished run on a simulated data set; again for another.")


def reconstruct(
    run: list[str] = Runs,
    out: str = typer.Option(..., "--out", "-o", help="A folder for the maps (.mrc), the FSC curves and their figure."),
    n_test: int = typer.Option(
        2500, "--images", help="Test images to simulate, of which those of the conformation are used."
    ),
    conformation: int = typer.Option(1, "--conformation", help="Which conformation, from 1."),
    results: str = RunResults,
) -> None:
    """Back-project noisy, denoised and clean test images with known angles, and compare with the true volume.

    \b
      python -m cryobench reconstruct --run gan-5afb16153176 -o maps
    """
    from cryobench.particles import model
    from cryobench.particles import reconstruct as maker

    progress = sys.stderr.isatty()
    with telling(", ".join(run), Path(out)):
        models = [model.from_run(name, results, [], progress) for name in run]
        result = maker.reconstruct(models, n_test=n_test, conformation=conformation, progress=progress)
    files, lines = maker.write(result, Path(out))
    print(
        f"{result.views} images of conformation {conformation}, {result.pixel_size:g} Å/px; resolution in Å where the FSC "
        "with the true volume falls below 0.143 and 0.5:"
    )
    for line in lines:
        print(f"  {line['name']:<28} {line['resolution_0.143'] or '-':>8} {line['resolution_0.5'] or '-':>8}")
    print(maker.verdict(lines))
    for file in files:
        print(f"written: {file}")
