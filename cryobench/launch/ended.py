"""What came of a sweep, for the terminal: its table, as a run ends with its metrics."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from cryobench.config.sweep import Job
from cryobench.evaluation.statistics import mean_and_spread
from cryobench.launch.progress import Sweep, noise_label
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables.text import formatted

WIDE = 200  # characters
METRICS = {"mse": "MSE", "psnr": "PSNR (dB)", "ssim": "SSIM", "nmse": "NMSE"}


def tables_and_files(sweep: Sweep, writes: list[str]) -> None:
    """Make what the sweep's yaml names in `writes`, print the tables among it and where all of it is; without any, a small
    table of the runs themselves."""
    for name in writes:
        experiment = importlib.import_module(f"cryobench.experiments.{name}")
        for path in sorted(sweep.stores):
            files = experiment.write(Store(path))
            for file in files:
                if file.suffix == ".md":
                    print(file.read_text(encoding="utf-8"))
            for file in files:
                print(f"written: {file}")
    if not writes and (table := of_runs(sweep)):
        console = Console() if sys.stdout.isatty() else Console(width=WIDE)  # a pipe or a log has no width
        console.print(table)
        for path in sorted(sweep.stores):
            console.print(f"records: {sweep.stores[path].runs}", soft_wrap=True, highlight=False)


def of_runs(sweep: Sweep) -> Table | None:
    """One line for the finished runs that differ in their seed alone: mean (standard deviation); None without any metrics."""
    by_label: dict[tuple[str, str], list[Record]] = {}
    for job, label in zip(sweep.jobs, labels(sweep.jobs), strict=True):
        record = sweep.store(job).read(job.run_id)
        if record and record.done and record.task == "denoising":
            by_label.setdefault((label, noise_label(job.config)), []).append(record)
    if not by_label:
        return None
    table = Table(title="mean (standard deviation over seeds)")
    for column in ("", "noise", "seeds", *METRICS.values()):
        table.add_column(column, justify="left" if column in ("", "noise") else "right", overflow="fold")
    for (label, noise), records in by_label.items():
        table.add_row(label, noise, str(len(records)), *(over_seeds(records, name) for name in METRICS))
    return table


def over_seeds(records: Sequence[Record], metric: str) -> str:
    """A metric's mean and spread over records as the paper prints them; ∞ where a run's mean is infinite."""
    means = [mean for record in records if (mean := record.mean(metric)) is not None]
    if len(means) < len(records):
        return "∞" if metric == "psnr" else "–"
    return formatted("mse" if "mse" in metric else metric, *mean_and_spread(means))


def labels(jobs: Sequence[Job]) -> list[str]:
    """What each run is called: its row, or the settings in which it differs from others, its method where there are none."""
    settings = [dict(word.split("=", 1) for word in job.words if "=" in word) for job in jobs]
    differ = {key for one in settings for key in one if len({other.get(key) for other in settings}) > 1}
    differ -= {"seed", "noise.snr", "row"}
    return [
        " ".join(filter(None, [job.row, *(f"{key}={one[key]}" for key in one if key in differ)]))
        or job.config["method"]["name"]
        for job, one in zip(jobs, settings, strict=True)
    ]
