"""The verb compare: runs beside all methods that have records of the same images, or methods on a stack of one's own."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import fields
from pathlib import Path

import typer

from cryobench.cli.compare_stack import StackOptions, on_stack
from cryobench.cli.compare_stack import asked as asked_of_stack
from cryobench.cli.options import (
    STACKS,
    Contrast,
    Force,
    Images,
    Overrides,
    PixelSize,
    SkipBad,
    names_stack,
    say,
    stack_first,
)
from cryobench.errors import InputError

KINDS = (".md", ".csv", ".html", ".png")
Models = typer.Option([], "--model", help="With a stack: a file written by `cryobench export`; repeatable.")
OF_STACKS = tuple(field.name for field in fields(StackOptions))
OF_RECORDS = ("results", "tasks", "run")


def compare(
    context: typer.Context,
    overrides: list[str] = Overrides,
    results: str = typer.Option(None, "--results", help="The results folder.", show_default="results/DATA-SCALE"),
    out: str = typer.Option(
        None,
        "--out",
        "-o",
        help="A folder, or a file that ends in .md, .csv, .html or .png; for a stack a .png.",
        show_default="RESULTS/compare; for a stack compare.png where you stand",
    ),
    tasks: bool = typer.Option(
        False,
        "--tasks",
        help="The leaderboard: all methods × all tasks that have records, in all folders beside --results.",
    ),
    run: bool = typer.Option(True, "--run/--no-run", help="Whether runs that are missing are done."),
    model: list[str] = Models,
    images: str = Images,
    contrast: str = Contrast,
    pixel_size: float = PixelSize,
    number: int = typer.Option(200, "--number", help="With a stack: how many images at most."),
    skip_bad: bool = SkipBad,
    force: bool = Force,
) -> None:
    """Runs beside all methods with records of the same data, noise and scale: table, verdicts, picture.

    \b
    A stack of your own (.star, .cs, .mrcs): the same images by each method, what `trust` finds
    of each as soon as it is done, and one sentence that recommends one or none.
      python -m cryobench compare particles.star method=cwf,nlm,bm3d -o compare.png

    compare method=mine seed=0,1,2 does what is missing of these runs, after saying what that costs, and compares them with
    every finished run under the same conditions. Without a method it compares what there is. The noisy images and the two
    limits (method=wiener, method=bayes) are done along where that is known to take less than a minute. Verdicts need three seeds.
    --tasks shows methods × (molecule, SNR, noise model), from the records of all results folders, and runs nothing.
    --results, --run and --tasks are for records; --model and those below it for a stack.
    """
    if overrides and names_stack(overrides[0]):
        names, settings = asked_of_stack(overrides[1:])
        only(context, OF_RECORDS, f"options for a stack with {overrides[0]}")
        options = StackOptions(model, images, contrast, pixel_size, number, skip_bad, force)
        raise typer.Exit(on_stack(overrides[0], names, settings, out, options))
    if any("=" not in word and Path(word).suffix.lower() in STACKS for word in overrides or []):
        stack_first("compare", overrides)
    only(context, OF_STACKS, f"options for records without a stack ({', '.join(STACKS)}) as the first word")
    from cryobench.cli.missing import keys, run_missing, run_references
    from cryobench.config import sweep
    from cryobench.config.compose import search_path
    from cryobench.config.identity import own_folders, task_name
    from cryobench.runs.store import Store
    from cryobench.tables import comparison

    if tasks:
        return leaderboard(list(overrides or []), results, out)
    if out and Path(out).suffix in KINDS and Path(out).is_dir():
        raise InputError(f"--out: expected a file, got {out}, which is a folder")
    words = list(overrides or [])
    words += [search_path(own_folders())] if own_folders() else []  # the processes of a sweep know of overrides alone
    words += [f"paths.results={comparison.typed(results)}"] if results else []
    planned = sweep.plan(words)
    if other := sorted({task_name(job.config) for job in planned.jobs} - {"denoising"}):
        raise InputError(f"compare: expected runs that denoise, got task={', '.join(other)}")
    asked = planned.jobs if keys(words) & {"method", "row", "sweep"} else []
    conditions = {(job.config["paths"]["results"], comparison.key_of(job.config)): job for job in planned.jobs}
    stores = {path: Store(path) for path, _ in conditions}
    failed = 0
    if run:
        failed = run_missing(asked, planned, words) if asked else 0
        run_references(words, asked, conditions, stores)
    comparisons = [
        (comparison.compare(stores[path].all(), job.config, [one.run_id for one in asked]), stores[path])
        for (path, _), job in conditions.items()
    ]
    if not any(one.lines for one, _ in comparisons):
        raise InputError(
            f"compare: expected finished runs of {comparisons[0][0].where} in {next(iter(stores))}, got none; "
            "name a method (method=cwf,nlm seed=0,1,2), or another folder with --results"
        )
    write(comparisons, Path(out) if out else Path(next(iter(stores))).expanduser() / "compare")
    raise typer.Exit(failed)


def only(context: typer.Context, options: tuple[str, ...], expected: str) -> None:
    """Raise InputError, naming all of them, if the command line has options of the other kind of comparison."""
    given = [name for name in options if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    shown = ["no-run" if name == "run" and not context.params["run"] else name.replace("_", "-") for name in given]
    if shown:
        what = "an option" if len(shown) == 1 else "options"
        raise InputError(f"compare: expected {expected}, got {what} of the other kind: --{', --'.join(shown)}")


def leaderboard(words: list[str], results: str | None, out: str | None) -> None:
    """Print methods × tasks; write it where `out` says, a file that ends in .md or .csv or a folder."""
    from cryobench.files import whole
    from cryobench.runs.store import where_runs_are
    from cryobench.tables import leaderboard as board

    if words:
        raise InputError(
            f"compare --tasks: expected no overrides, since all tasks with records are shown, got {words[0]}"
        )
    folder = Path(results).expanduser().resolve().parent if results else Path("results")
    leaders = board.board(board.beside(folder))
    if not leaders.tasks:
        raise InputError(
            f"compare --tasks: expected records of {board.LEAST} methods or more under the same conditions in a "
            f"folder of {folder}, got none; {where_runs_are()}"
        )
    texts = {".md": board.to_markdown(leaders), ".csv": board.to_csv(leaders)}
    print(texts[".md"])
    if out:
        path = Path(out)
        if path.suffix in KINDS and path.suffix not in texts:
            raise InputError(f"--out: expected a folder, or a file that ends in .md or .csv, got {out}")
        files = (
            {path: texts[path.suffix]}
            if path.suffix in texts
            else {path / f"leaderboard{k}": t for k, t in texts.items()}
        )
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            over = file.exists()
            with whole(file) as part:
                part.write_text(text, encoding="utf-8")
            say(f"written{' over' if over else ''}: {file}")


def write(compared: list, out: Path) -> None:
    """Print the page, and write it, its tables and its pictures into a folder, or the one of them that `out` names."""
    from cryobench.files import replacing, writable
    from cryobench.report import comparison as report
    from cryobench.tables import comparison_text

    one_file = out.suffix in KINDS
    comparisons = [one for one, _ in compared]
    if out.suffix == ".png" and len(comparisons) > 1:
        raise InputError(f"--out: expected a folder for the pictures of {len(comparisons)} comparisons, got {out}")
    folder = out.parent if one_file else out
    with contextlib.ExitStack() as stack:
        stack.enter_context(writable(folder))
        folder.mkdir(parents=True, exist_ok=True)
        before = set(folder.iterdir())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory())) if one_file else folder
        names = {one.where: file_name(one) for one in comparisons}
        pictures = {
            one.where: path
            for one, store in compared
            if (path := report.picture(one, store, scratch / names[one.where], at_hand(one.config)))
        }
        linked = {} if one_file else {where: path.name for where, path in pictures.items()}
        texts = {
            "compare.md": comparison_text.to_markdown(comparisons, linked),
            "compare.csv": comparison_text.to_csv(comparisons),
            "verdicts.csv": comparison_text.verdicts_csv(comparisons),
            "compare.html": report.page(comparisons, pictures),
        }
        if out.suffix == ".png":
            if not pictures:
                raise InputError(f"--out: expected runs that kept images for {out}, got none")
            (picture,) = pictures.values()
            files = {out: picture.read_bytes()}
        elif one_file:
            files = {out: texts[f"compare{out.suffix}"].encode()}
        else:
            files = {folder / name: text.encode() for name, text in texts.items()}
        for file, content in files.items():
            with replacing(file) as part:
                part.write_bytes(content)
    print(texts["compare.md"])
    for file in [*files, *(pictures.values() if not one_file else ())]:
        say(f"written{' over' if file in before else ''}: {file}")


def file_name(one) -> str:
    """Of a comparison's picture: of other conditions another."""
    from cryobench.tables.comparison import digest

    plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in one.where.replace(", ", "-").replace(" ", ""))
    return f"{plain if len(plain) <= 80 else f'{plain[:71]}-{digest(one.where)}'}.png"


def at_hand(config: dict):
    """The data set of a config, if its images are in the cache already; else None."""
    from cryobench.cli.missing import simulated
    from cryobench.config.compose import build, cache_folder
    from cryobench.data.pairs import open_pairs

    return open_pairs(build(config, "data"), cache_folder(config)) if simulated(config) else None
