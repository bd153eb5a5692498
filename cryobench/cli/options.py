"""Options that several verbs have, and what they stand for."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.errors import InputError

STACKS = (".star", ".cs", ".mrcs", ".mrc")
Overrides = typer.Argument(None, help="Overrides, as data=rnap_ecoli scale=desk.")
Method = typer.Argument(None, help="A method by name: method=cwf, method=bm3d method.sigma=1.5, trainer=gpu.")
Places = typer.Argument(None, help="Of paths and trainer alone, as paths.cache=DIR.")
Results = typer.Option(
    None,
    "--results",
    help="The results folder.",
    show_default="results/rnap_ecoli-desk128 for the paper's tables, else results/rnap_ecoli-desk",
)
RunResults = typer.Option("results/rnap_ecoli-desk", "--results", help="The results folder that --run is in.")
Run = typer.Option(None, "--run", help="Id of a finished run in --results.")
ModelFile = typer.Option(None, "--model", help="A file written by `cryobench export`.")
Force = typer.Option(False, "--force", help="Write over files that exist.")
Images = typer.Option(
    None, "--images", help="Which images, as 1-200,251,951-; 951- is to the last.", show_default="all"
)
PixelSize = typer.Option(None, "--pixel-size", help="Å per pixel.", show_default="what the files say")
SkipBad = typer.Option(
    False, "--skip-bad", help="Leave out images that are blank, masked, hold NaN or outweigh all others."
)
Contrast = typer.Option(
    None,
    "--contrast",
    help="white: molecules brighter than the ice, as RELION has them; or dark.",
    show_default="what a .cs file says, else white",
)


def names_stack(word: str) -> bool:
    """Whether a word names a stack, by its ending; one with =, as a setting has it, if there is such a file."""
    return Path(word).suffix.lower() in STACKS and ("=" not in word or Path(word).is_file())


def stack_first(verb: str, words: list[str], what: str = "the stack", usual: str = "particles.star") -> None:
    """Raise InputError where the first word is an override and no file, or a file of images stands behind one.

    what, usual: what the verb takes first, and an example of it.
    """
    behind = [word for word in words[1:] if "=" not in word and Path(word).suffix.lower() in STACKS]
    if words and "=" in words[0] and not Path(words[0]).exists():
        raise InputError(f"{verb}: expected {what} first, as {(*behind, usual)[0]} {words[0]}, got {words[0]}")


def choose_model(run: str | None, file: str | None, results: str, overrides: list[str] | None):
    """The model that --run, --model or method=… names: exactly one of them."""
    from cryobench.config.sweep import parse
    from cryobench.particles import model

    overrides = list(overrides or [])
    parse(overrides)  # refuses two choices for one group, of which the last would win
    by_name = any(word.startswith("method=") for word in overrides)
    if (run is not None) + (file is not None) + by_name != 1:
        raise InputError("expected one of --run RUN_ID, --model FILE, method=NAME (as method=cwf)")
    if run is not None:
        return model.from_run(run, results, overrides, progress=sys.stderr.isatty())
    if file is not None:
        return model.from_file(file, overrides)
    return model.from_overrides(overrides, progress=sys.stderr.isatty())


def name_of(run: str | None, file: str | None, overrides: list[str] | None) -> str:
    """What the model of `choose_model` is called in errors: as it was named on the command line."""
    chosen = (word.partition("=")[2] for word in overrides or [] if word.startswith("method="))
    return run or file or next(chosen, "the method")


def opened(stack: str, images: str | None, pixel_size: float | None):
    """A stack, .star or .cs file and the chosen rows of it; of a list only the stacks of those are looked at."""
    import numpy as np

    from cryobench.data.io.images import open_images
    from cryobench.data.io.listing import Listing
    from cryobench.particles.chosen import chosen_rows

    if pixel_size is not None and not 0.01 <= pixel_size <= 1000:
        raise InputError(f"--pixel-size: expected a number of Å from 0.01 to 1000, got {pixel_size}")
    source = open_images(stack, pixel_size)
    rows = chosen_rows(images, len(source))
    if isinstance(source, Listing):
        source, rows = source.take(rows), np.arange(len(rows))
    return source, rows


def contrast_of(contrast: str | None, source) -> str:
    """The value of --contrast, or else what the file says. Raises InputError for one that it can't have."""
    if contrast is None:
        contrast = getattr(source, "contrast", None) or "white"
        if contrast == "dark":
            say(f"{source.path}: molecules are darker than the ice, by its blob/sign")
    if contrast not in ("white", "dark"):
        raise InputError(f"--contrast: expected white or dark, got {contrast}")
    return contrast


def say(text: str) -> None:
    """Print a line for people, on standard error."""
    print(text, file=sys.stderr)
