"""The verb bench: how fast everything is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from cryobench.cli.options import Overrides


def bench(overrides: list[str] = Overrides) -> None:
    """Measure how fast everything is here, in a minute or two: simulation, each method and net, the metrics.

    By default all of +sweep=methods and every net at desk scale; name a sweep or a method for its own. Writes
    RESULTS/bench.json, which `plan` reads.
    """

    from rich.console import Console
    from rich.table import Table

    from cryobench.config import sweep
    from cryobench.cost import bench as benchmark

    words = list(overrides or [])
    jobs = [job for asked in benchmark.asked_for(words) for job in sweep.plan(asked).jobs]
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
    for net, one in measured["lightning"].items():
        speeds = one["images_per_s"]
        print(
            f"training a GAN of {net} nets ({one['image_size']} px, d = {one['width']}, one thread): "
            f"Lightning {speeds['lightning']} images/s, bare loop {speeds['bare']}, ratio {one['ratio']}"
        )
    print(f"written: {benchmark.keep(measured, Path(jobs[0].config['paths']['results']))}")
