"""The verb denoise: a particle stack through a method."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.cli.options import (
    Contrast,
    Force,
    Images,
    Method,
    ModelFile,
    Run,
    RunResults,
    checked,
    choose_model,
    say,
)
from cryobench.errors import InputError


def denoise(
    stack: str = typer.Argument(help="A stack (.mrcs, .mrc), or a .star file of RELION or cryoSPARC."),
    overrides: list[str] = Method,
    out: str = typer.Option(
        ..., "--out", "-o", help="The denoised stack; with a .star file, one beside it points here."
    ),
    run: str = Run,
    model: str = ModelFile,
    results: str = RunResults,
    images: str = Images,
    contrast: str = Contrast,
    force: bool = Force,
) -> None:
    """Denoise a particle stack: order, size, scale and header are kept.

    By a run (--run), an exported file (--model), or a method that needs no training, fitted on the stack (method=cwf).
    """
    from cryobench.data.io.star import open_images
    from cryobench.particles.denoise import chosen_rows, denoise_stack

    path = Path(out)
    if path.suffix.lower() not in (".mrcs", ".mrc"):
        raise InputError(f"-o: expected a file that ends in .mrcs or .mrc, got {out}")
    source = open_images(stack)
    source.pixel_size  # noqa: B018 (pixel sizes that disagree are an error before anything is done)
    rows = chosen_rows(images, len(source))
    chosen = choose_model(run, model, results, overrides)
    for file in denoise_stack(chosen, source, rows, path, contrast=checked(contrast), force=force, say=say,
                              progress=sys.stderr.isatty()):  # fmt: skip
        print(f"written: {file}")
