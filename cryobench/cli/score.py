"""The verb score: images that were denoised elsewhere become a record."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.cli.options import Force, Places, stack_first


def score(
    denoised: str = typer.Argument(help="The denoised images: an .mrcs stack in the order of the noisy ones."),
    overrides: list[str] = Places,
    data: str = typer.Option(..., "--data", help="The folder that `cryobench data … --noisy -o FOLDER` wrote."),
    name: str = typer.Option(..., "--name", help="What the tool is called in tables."),
    used: str = typer.Option(
        "", "--used", help="Side information that it used, as clean,sigma.", show_default="noisy images alone"
    ),
    results: str = typer.Option(None, "--results", help="The results folder.", show_default="results/DATA-SCALE"),
    force: bool = Force,
) -> None:
    """Score images that were denoised elsewhere, by whatever tool: a record that tables show beside our own.

    python -m cryobench data data=phantom --noisy -o FOLDER writes noisy test images; denoise FOLDER/test.mrcs, keep the order,
    and give the result. Number, size, order and the data set are checked, by content; its row is marked as given from outside.

    \b
      python -m cryobench score denoised.mrcs --data FOLDER --name "My tool"
    """
    from cryobench.config.command import as_command
    from cryobench.launch.alone import metrics_table
    from cryobench.runs import outside
    from cryobench.runs.store import Store
    from cryobench.tables.comparison import overrides_of

    stack_first("score", [denoised], "the denoised images", "denoised.mrcs")
    words = [word.strip() for word in used.split(",") if word.strip()]
    about = outside.read_about(Path(data))
    folder = Path(results or outside.usual_results(about)).expanduser()
    record, fresh = outside.score(
        Path(denoised), Path(data), name, words, folder, list(overrides or []), force, sys.stderr.isatty()
    )
    from rich.console import Console

    console = Console()
    if not fresh:
        console.print("These images were scored before; their record is shown.")
    console.print(metrics_table(record))
    console.print(f"record: {Store(folder).folder(record.run_id) / 'record.json'}", soft_wrap=True, highlight=False)
    place = () if str(folder) == outside.usual_results(about) else ("--results", str(folder))
    shown = as_command(("compare", *overrides_of(record.config), *place))
    console.print(f"beside other methods: {shown}", soft_wrap=True, highlight=False, markup=False)
