"""The verbs for particle stacks and trained methods: denoise, export, reconstruct, trust."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.errors import InputError

Stack = typer.Argument(help="A stack (.mrcs, .mrc), or a .star file of RELION or cryoSPARC.")
Overrides = typer.Argument(None, help="A method by name: method=cwf, method=bm3d method.sigma=1.5, trainer=gpu.")
Run = typer.Option(None, "--run", help="Id of a finished run in --results.")
Runs = typer.Option(..., "--run", help="Id of a finished run on a simulated data set; again for another.")
ModelFile = typer.Option(None, "--model", help="A file written by `cryobench export`.")
Results = typer.Option("results/rnap_ecoli-desk", "--results", help="The results folder that --run is in.")
Force = typer.Option(False, "--force", help="Write over files that exist.")
Images = typer.Option(None, "--images", help="Which images, as 1-200,951-1000.", show_default="all")
Contrast = typer.Option(
    "white", "--contrast", help="white: molecules brighter than the ice, as RELION has them; or dark."
)
PixelSize = typer.Option(None, "--pixel-size", help="Å per pixel.", show_default="what the files say")


def denoise(
    stack: str = Stack,
    overrides: list[str] = Overrides,
    out: str = typer.Option(
        ..., "--out", "-o", help="The denoised stack; with a .star file, one beside it points here."
    ),
    run: str = Run,
    model: str = ModelFile,
    results: str = Results,
    images: str = Images,
    contrast: str = Contrast,
    pixel_size: float = PixelSize,
    skip_bad: bool = typer.Option(False, "--skip-bad", help="Leave out images that are blank or hold NaN."),
    force: bool = Force,
) -> None:
    """Denoise a particle stack: order, size, scale and header are kept.

    By a run (--run), an exported file (--model), or a method that needs no training, fitted on the stack (method=cwf).
    """
    from cryobench.denoise import denoise_stack

    path, listed = Path(out), Path(stack).suffix.lower() == ".star"
    if path.suffix.lower() not in ((".mrcs",) if listed else (".mrcs", ".mrc")):
        endings = ".mrcs (RELION takes 1@x.mrc for a volume)" if listed else ".mrcs or .mrc"
        raise InputError(f"-o: expected a file that ends in {endings}, got {out}")
    source, rows = opened(stack, images, pixel_size)
    chosen = choose_model(run, model, results, overrides)
    for file in denoise_stack(chosen, source, rows, path, contrast=checked(contrast), force=force, skip_bad=skip_bad, say=say,
                              progress=sys.stderr.isatty()):  # fmt: skip
        print(f"written: {file}")


def export(
    run: str = typer.Argument(help="Id of a finished run of a learned method."),
    out: str = typer.Option(..., "--out", "-o", help="The file: model.safetensors, or model.onnx with --onnx."),
    onnx: bool = typer.Option(False, "--onnx", help="The net alone as ONNX (needs the packages onnx and onnxscript)."),
    results: str = Results,
    force: bool = Force,
) -> None:
    """Write a trained method into one file: weights, config, and what its images look like."""
    from cryobench import model

    path, suffix = Path(out), ".onnx" if onnx else ".safetensors"
    if path.suffix != suffix:
        raise InputError(f"-o: expected a file that ends in {suffix}, got {out}")
    write = model.export_onnx if onnx else model.export
    print(f"written: {write(model.from_run(run, results, []), path, force)}")


def choose_model(run: str | None, file: str | None, results: str, overrides: list[str] | None):
    """The model that --run, --model or method=… names: exactly one of them."""
    from cryobench import model

    overrides = list(overrides or [])
    by_name = any(word.startswith("method=") for word in overrides)
    if (run is not None) + (file is not None) + by_name != 1:
        raise InputError("expected one of --run RUN_ID, --model FILE, method=NAME (as method=cwf)")
    if run is not None:
        return model.from_run(run, results, overrides, progress=sys.stderr.isatty())
    if file is not None:
        return model.from_file(file, overrides)
    return model.from_overrides(overrides, progress=sys.stderr.isatty())


def opened(stack: str, images: str | None, pixel_size: float | None):
    """A stack or .star file and the chosen rows of it; of a .star file only the stacks of those are looked at."""
    import numpy as np

    from cryobench.data.star import Star, open_images
    from cryobench.denoise import chosen_rows

    if pixel_size is not None and not 0 < pixel_size < float("inf"):
        raise InputError(f"--pixel-size: expected a number of Å above 0, got {pixel_size}")
    source = open_images(stack, pixel_size)
    rows = chosen_rows(images, len(source))
    if isinstance(source, Star):
        source, rows = source.take(rows), np.arange(len(rows))
    return source, rows


def checked(contrast: str) -> str:
    if contrast not in ("white", "dark"):
        raise InputError(f"--contrast: expected white or dark, got {contrast}")
    return contrast


def say(text: str) -> None:
    print(text, file=sys.stderr)


def reconstruct(
    run: list[str] = Runs,
    out: str = typer.Option(..., "--out", "-o", help="A folder for the maps (.mrc), the FSC curves and their figure."),
    n_test: int = typer.Option(
        2500, "--images", help="Test images to simulate, of which those of the conformation are used."
    ),
    conformation: int = typer.Option(1, "--conformation", help="Which conformation, from 1."),
    results: str = Results,
) -> None:
    """Back-project noisy, denoised and clean test images with known angles, and compare with the true volume."""
    from cryobench import model
    from cryobench import reconstruct as maker

    progress = sys.stderr.isatty()
    models = [model.from_run(name, results, [], progress) for name in run]
    result = maker.reconstruct(models, n_test=n_test, conformation=conformation, progress=progress)
    files, lines = maker.write(result, Path(out), models)
    print(f"{result.views} images of conformation {conformation}, {result.pixel_size:g} Å/px; resolution in Å where the FSC "
          "with the true volume falls below 0.143 and 0.5:")  # fmt: skip
    for line in lines:
        print(f"  {line['name']:<28} {line['resolution_0.143'] or '-':>8} {line['resolution_0.5'] or '-':>8}")
    print(maker.verdict(lines))
    for file in files:
        print(f"written: {file}")


def trust(
    stack: str = typer.Argument(
        None, help="A stack or .star file; without one, the test images of the run's data set."
    ),
    overrides: list[str] = Overrides,
    out: str = typer.Option(..., "--out", "-o", help="The figure, a .png file."),
    run: str = Run,
    model: str = ModelFile,
    results: str = Results,
    images: str = Images,
    contrast: str = Contrast,
    pixel_size: float = PixelSize,
    n: int = typer.Option(200, "--number", help="How many images at most."),
    force: bool = Force,
) -> None:
    """Is a feature real? Pure noise, half the dose twice, and a conformation never seen, through a method."""
    from cryobench import trust as questions
    from cryobench.denoise import prepare
    from cryobench.model import new_file

    path = Path(out)
    if path.suffix != ".png":
        raise InputError(f"-o: expected a file that ends in .png, got {out}")
    if stack is not None and "=" in stack:
        stack, overrides = None, [stack, *(overrides or [])]
    new_file(path, force)
    source, rows = (None, None) if stack is None else opened(stack, images, pixel_size)
    chosen = choose_model(run, model, results, overrides)
    if source is None:
        taken, pixel_size = questions.test_images(chosen, n, sys.stderr.isatty())
    else:
        prepared = prepare(chosen, source, rows, checked(contrast), say)
        taken = questions.stack_images(prepared, n)
        pixel_size = source.pixel_size and source.pixel_size * source.size / prepared.size
    unseen = (
        questions.unseen_conformation(chosen, n, sys.stderr.isatty())
        if questions.knows_conformations(chosen, source)
        else None
    )
    answers = questions.ask(chosen, taken, pixel_size, unseen)
    questions.draw(chosen.name, answers).savefig(path)
    print(questions.paragraph(chosen.name, answers))
    print(f"written: {path}")
