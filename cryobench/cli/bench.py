"""The verb bench: how fast everything is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from cryobench.cli.options import Overrides


def bench(overrides: list[str] = Overrides) -> None:
    """Measure how fast everything is here, in some minutes: simulation, each method and net, the metrics, ratios to other ways.

    By default all of +sweep=methods and every net at desk scale; name a sweep or a method for its own. Writes
    RESULTS/bench.json, which `plan` reads.
    """

    from rich.console import Console
    from rich.table import Table

    from cryobench.config import sweep
    from cryobench.config.identity import task_name
    from cryobench.cost import bench as benchmark
    from cryobench.cost.turns import Ratio
    from cryobench.errors import InputError

    words = list(overrides or [])
    jobs = [job for asked in benchmark.asked_for(words) for job in sweep.plan(asked).jobs]
    if others := sorted({task_name(job.config) for job in jobs} - {"denoising"}):
        raise InputError(
            f"bench: expected runs that denoise, which is all that it measures, got task={', '.join(others)}; plan goes by "
            "finished runs like them"
        )
    measured = benchmark.everything(jobs, progress=sys.stderr.isatty())
    table = Table(title="images per second")
    for column in ("method", "px", "cores", "training", "denoising"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for line in benchmark.rows(measured):
        table.add_row(*line)
    Console().print(table)
    for size, seconds in measured["simulation_s"].items():
        print(f"simulation at {size} px: {1 / seconds:.4g} images/s")
        print(
            f"metrics at {size} px: " + ", ".join(f"{n} {v:g} images/s" for n, v in measured["metrics"][size].items())
        )
    for ratio in measured["ratios"]:
        print(Ratio(**ratio))
    print(f"written: {benchmark.keep(measured, Path(jobs[0].config['paths']['results']))}")
