"""The verb trust: is a feature in a denoised image real?"""

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
    names_stack,
    opened,
    say,
    stack_first,
)
from cryobench.errors import InputError
from cryobench.files import new_file


def trust(
    stack: str | None = typer.Argument(
        None, help="A stack, .star or .cs file; without one, the test images of the run's data set."
    ),
    overrides: list[str] = Method,
    out: str = typer.Option(..., "--out", "-o", help="The figure, a .png file."),
    run: str = Run,
    model: str = ModelFile,
    results: str = RunResults,
    images: str = Images,
    contrast: str = Contrast,
    pixel_size: float = PixelSize,
    n: int = typer.Option(200, "--number", help="How many images at most."),
    skip_bad: bool = SkipBad,
    force: bool = Force,
) -> None:
    """Is a feature real? Yes or no, and to which resolution, by the images themselves; then pure noise through a method.

    \b
    The verdict in words, and a picture:
      python -m cryobench trust particles.star method=cwf -o trust.png
    """
    from cryobench import figure
    from cryobench.particles import trust as questions
    from cryobench.particles import verdict
    from cryobench.particles.chosen import refuse_noiseless, usable
    from cryobench.particles.optics import as_recorded
    from cryobench.particles.prepared import prepare

    path, progress = Path(out), sys.stderr.isatty()
    if path.suffix != ".png":
        raise InputError(f"-o: expected a file that ends in .png, got {out}")
    if stack is not None and "=" in stack and not names_stack(stack):
        if any("=" not in word for word in overrides or []):
            stack_first("trust", [stack, *overrides])
        overrides, stack = [stack, *(overrides or [])], None
    new_file(path, force)
    source = None
    if stack is not None:
        source, rows = opened(stack, images, pixel_size)
        rows = usable(source, rows, skip_bad, say, progress, learns=model is None)
        refuse_noiseless(source, rows)
    with telling(name_of(run, model, overrides), path):
        chosen = choose_model(run, model, results, overrides)
        if source is None:
            judged = questions.test_images(chosen, n, progress)
        else:
            ctf = as_recorded(chosen, source, rows, say)
            prepared = prepare(chosen, source, rows, contrast_of(contrast, source), say, ctf)
            judged = questions.stack_images(chosen, prepared, n, say)
        asked = questions.has_conformations(chosen, source)
        unseen = questions.unseen_conformation(chosen, n, progress) if asked else None
        answers = questions.ask(chosen, judged, unseen, progress)
    drawn = verdict.draw(chosen.title, answers)
    of = chosen.config["data"]["name"] if source is None else source.path.name
    noise = [figure.noise_in(chosen.config)] if source is None else []
    figure.note(drawn, ", ".join([figure.images_in([of], [judged.images.shape[-1]], [judged.pixel_size]), *noise]))
    figure.write(drawn, path)
    print(verdict.findings(chosen.title, answers))
    print(f"written: {path}")
