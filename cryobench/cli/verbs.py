"""The verbs: what can be asked of records, stacks and models without starting a run."""

from __future__ import annotations

import importlib
import re
import sys
from importlib import resources

import typer

from cryobench.cli import cost as cost_verbs
from cryobench.cli import particles as particle_verbs
from cryobench.errors import InputError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
# typer brings a click of its own from some version on; its errors are reached through typer's.
UsageError = typer.BadParameter.__bases__[0]
Results = typer.Option(None, "--results", help="The results folder.", show_default="results/rnap_ecoli-desk")


def run_verb(arguments: list[str]) -> int:
    """Run `cryobench VERB …`; typer's own complaints become one line and exit status 2."""
    try:
        return app(arguments, prog_name="cryobench", standalone_mode=False) or 0
    except typer.Abort:
        raise KeyboardInterrupt from None
    except UsageError as error:
        verbs = ", ".join(sorted(c.name or c.callback.__name__ for c in app.registered_commands))
        hint = f"; verbs: {verbs}" if "No such command" in error.format_message() else "; see --help"
        raise InputError(f"{error.format_message().rstrip('.')}{hint}") from None


def verb_lines() -> str:
    """The verbs and the first line of what they do, for --help."""
    lines = []
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        lines.append(
            f"  python -m cryobench {name}".ljust(43) + (command.callback.__doc__ or "").strip().split("\n")[0]
        )
    return "\n".join(lines)


def experiments(pattern: str) -> list[str]:
    """Modules of cryobench.experiments whose name matches."""
    names = (p.name[:-3] for p in resources.files("cryobench.experiments").iterdir() if p.name.endswith(".py"))
    return sorted(name for name in names if re.fullmatch(pattern, name))


def regenerate(name: str, known: list[str], results: str | None, show: bool) -> None:
    if name not in known:
        raise InputError(f"expected one of {', '.join(known)}, got {name}")
    from cryobench.launch.sweep import results_folder
    from cryobench.runs.record import Store

    module = importlib.import_module(f"cryobench.experiments.{name}")
    for file in module.write(Store(results_folder(results or getattr(module, "RESULTS", None)))):
        if show and file.suffix == ".md":
            print(file.read_text(encoding="utf-8"))
        print(f"written: {file}", file=sys.stderr)


@app.command()
def report(results: str = Results) -> None:
    """Make RESULTS/report.html, one page of everything that was run and found."""
    from cryobench.launch.sweep import results_folder
    from cryobench.report import write
    from cryobench.runs.record import Store

    print(f"written: {write(Store(results_folder(results)))}")


Overrides = typer.Argument(None, help="Overrides, as data=rnap_ecoli scale=desk.")


@app.command()
def table(name: str = typer.Argument(help="1, 2 or 3, or a table's name."), results: str = Results) -> None:
    """Make a table from records and print it."""
    known = experiments("(?!fig|_).*")
    regenerate(f"table{name}" if name.isdigit() else name, known, results, show=True)


@app.command()
def figure(name: str = typer.Argument(help="A figure's name, as fig1_stability."), results: str = Results) -> None:
    """Make a figure from records."""
    regenerate(name, experiments("fig.*"), results, show=False)


@app.command()
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
    from pathlib import Path

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


VERBS = (particle_verbs.denoise, particle_verbs.export, particle_verbs.reconstruct, particle_verbs.trust)
for verb in (*VERBS, cost_verbs.bench, cost_verbs.plan):
    app.command()(verb)
