"""The verb denoise: a particle stack through a method."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.cli.failed import telling
from cryobench.cli.options import (
    Contrast,
    Force,
    Images,
    Method,
    ModelFile,
    PixelSize,
    Run,
    RunResults,
    SkipBad,
    choose_model,
    contrast_of,
    name_of,
    opened,
    say,
    stack_first,
)
from cryobench.errors import InputError


def denoise(
    stack: str = typer.Argument(help="A stack (.mrcs, .mrc), a .star file of RELION, or a .cs file of cryoSPARC."),
    overrides: list[str] = Method,
    out: str = typer.Option(
        ..., "--out", "-o", help="The denoised stack; with a .star or .cs file, one beside it points here."
    ),
    run: str = Run,
    model: str = ModelFile,
    results: str = RunResults,
    images: str = Images,
    contrast: str = Contrast,
    pixel_size: float = PixelSize,
    skip_bad: bool = SkipBad,
    ctf: str = typer.Option(
        None,
        "--ctf",
        help="corrected: the method is told of the star file's CTFs, and takes them away; applied: it is told, "
        "and leaves them in; none: it is not told.",
        show_default="corrected, where the method can be told",
    ),
    picture: str = typer.Option(
        None, "--picture", help="A .png of at most 8 of the images, evenly spaced: noisy above, denoised below."
    ),
    force: bool = Force,
) -> None:
    """Denoise a particle stack: order, size, scale and header are kept.

    By a run (--run), an exported file (--model), or a method that needs no training, fitted on the stack (method=cwf).

    \b
    Look at some images beside the noisy ones:
      python -m cryobench denoise particles.star method=cwf -o denoised.mrcs --picture look.png
    """
    from cryobench.data.io.images import LISTS
    from cryobench.particles.denoise import denoise_stack

    stack_first("denoise", [stack, *(overrides or [])])
    path, listed = Path(out), Path(stack).suffix.lower() in LISTS
    if path.suffix.lower() not in ((".mrcs",) if listed else (".mrcs", ".mrc")):
        endings = ".mrcs (RELION takes 1@x.mrc for a volume)" if listed else ".mrcs or .mrc"
        raise InputError(f"-o: expected a file that ends in {endings}, got {out}")
    if picture and Path(picture).suffix != ".png":
        raise InputError(f"--picture: expected a file that ends in .png, got {picture}")
    source, rows = opened(stack, images, pixel_size)
    with telling(name_of(run, model, overrides), path):
        chosen = choose_model(run, model, results, overrides)
        written = denoise_stack(
            chosen,
            source,
            rows,
            path,
            contrast=contrast_of(contrast, source),
            force=force,
            skip_bad=skip_bad,
            ctf=ctf,
            picture=Path(picture) if picture else None,
            say=say,
            progress=sys.stderr.isatty(),
        )
    for file in written:
        print(f"written: {file}")
