"""One run alone, and what came of it."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from cryobench.config.sweep import Job
from cryobench.launch.progress import noise_label
from cryobench.launch.workers import threads_alone
from cryobench.printed import short
from cryobench.runs.own_code import told
from cryobench.runs.record import Record
from cryobench.runs.run import run
from cryobench.runs.store import Store


def run_alone(job: Job) -> int:
    """One run with progress bars, a small table of metrics, and where its record lies, which has the number of threads, too."""
    console = Console()
    job.config["trainer"]["threads"] = threads_alone(job.config["trainer"])
    store = Store(job.config["paths"]["results"])
    outcome = run(job.config, wait=True, progress=console.is_terminal, command=job.command)
    folder = store.folder(outcome.run_id)
    if outcome.status == "failed":
        print(f"cryobench: {outcome.run_id} failed: {outcome.error}; log: {folder / 'log.txt'}", file=sys.stderr)
        return 1
    if not outcome.fresh:
        console.print("This run was done before; its record is shown.")
    if record := store.read(outcome.run_id):
        if not outcome.fresh and (words := told([(job.config, record)], store.runs)):
            console.print(words, soft_wrap=True, highlight=False)
        console.print(metrics_table(record) if record.task == "denoising" else errors_table(record))
    for what, name in (("pictures", "strip.png"), ("record", "record.json")):
        if (folder / name).exists():
            console.print(f"{what}: {folder / name}", soft_wrap=True, highlight=False)
    return 0


def metrics_table(record: Record) -> Table:
    """Noisy, denoised and oracle, each MSE, PSNR and SSIM as mean(spread over images)."""
    data, scale = map(record.name, ("data", "scale"))
    method = record.given or record.name("method")
    table = Table(
        title=f"{method} on {data}, {scale} scale, {noise_label(record.config)}, seed {record.seed}: "
        "mean (spread over images)"
    )
    for column in ("", "MSE", "PSNR (dB)", "SSIM"):
        table.add_column(column, justify="left" if not column else "right")
    for name, metrics in (("noisy", record.noisy_metrics), ("denoised", record.metrics)):
        mse, psnr, ssim = (metrics[metric] for metric in ("mse", "psnr", "ssim"))
        table.add_row(
            name,
            f"{short(mse['mean'])} ({short(mse['std'])})",
            *(f"{m['mean']:.2f} ({m['std']:.2f})" if m["mean"] is not None else "∞" for m in (psnr, ssim)),
        )
    table.add_row("oracle", "0", "∞", "1")
    return table


def errors_table(record: Record) -> Table:
    """Errors of every estimator, one line for each sample of a robust estimation."""
    table = Table(title=f"{record.task}, seed {record.seed}: ‖θ̂−θ‖₂, and ‖Σ̂−Σ‖op where Σ is estimated")
    for column in ("ε", "n", "errors"):
        table.add_column(column, justify="left" if column == "errors" else "right")
    for result in record.results:
        settings = result["settings"]
        errors = (f"{name} {short(value)}" for kind in ("location", "scatter") for name, value in result[kind].items())
        table.add_row(f"{settings['epsilon']:g}", str(settings["n"]), ", ".join(errors))
    return table
