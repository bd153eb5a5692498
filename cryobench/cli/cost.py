"""The verbs that say what things cost: bench measures, plan foretells."""

from __future__ import annotations

import sys

import typer

Overrides = typer.Argument(None, help="Overrides, as data=rnap_ecoli scale=desk.")


def bench(overrides: list[str] = Overrides) -> None:
    """Measure how fast everything is here, in a minute or two: simulation, each method and net, the metrics.

    By default all of +sweep=methods and every net at desk scale; name a sweep or a method for its own. Writes
    RESULTS/bench.json, which `plan` reads.
    """
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from cryobench.config import sweep
    from cryobench.cost import bench as benchmark

    words = list(overrides or [])
    jobs = [job for asked in benchmark.asked_for(words) for job in sweep.plan(asked).jobs]
    found = benchmark.everything(jobs, progress=sys.stderr.isatty())
    table = Table(title="images per second")
    for column in ("method", "px", "cores", "training", "denoising"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for line in benchmark.rows(found):
        table.add_row(*line)
    Console().print(table)
    for size, seconds in found["simulation_s"].items():
        print(f"simulation at {size} px: {1 / seconds:.4g} images/s")
        print(f"metrics at {size} px: " + ", ".join(f"{n} {v:g} images/s" for n, v in found["metrics"][size].items()))
    for net, one in found["lightning"].items():
        speeds = one["images_per_s"]
        print(f"training a GAN of {net} nets ({one['image_size']} px, d = {one['width']}, one thread): "
              f"Lightning {speeds['lightning']} images/s, bare loop {speeds['bare']}, ratio {one['ratio']}")  # fmt: skip
    print(f"written: {benchmark.keep(found, Path(jobs[0].config['paths']['results']))}")


def plan(overrides: list[str] = Overrides) -> None:
    """What a sweep would do and cost: its runs, which are done, time and disk from measured speeds; starts nothing."""
    from pathlib import Path

    from cryobench.config import sweep
    from cryobench.cost import estimate
    from cryobench.launch.progress import duration, label
    from cryobench.launch.workers import side_by_side

    jobs = sweep.plan(list(overrides or [])).jobs
    states = {job.run_id: estimate.state(job) for job in jobs}
    trainer = jobs[0].config["trainer"]
    together, threads = side_by_side(trainer), int(trainer["threads"] or 1)
    path = Path(jobs[0].config["paths"]["results"]) / "bench.json"
    speeds = estimate.read_bench(path)
    for job in jobs:
        speed = estimate.speed_of(job.config, speeds, threads)
        time = duration(estimate.run_seconds(job.config, speed)) if speed else "not measured"
        print(f"{states[job.run_id]:<8}{label(job)}: {time}")
    waiting = [job for job in jobs if states[job.run_id] != "done"]
    counts = ", ".join(f"{list(states.values()).count(state)} {state}" for state in ("done", "failed", "pending"))
    print(f"{len(jobs)} runs: {counts}")
    cost = estimate.cost(waiting, speeds, together, threads)
    if cost.unmeasured:
        print(f"{len(cost.unmeasured)} runs are of methods and sizes whose speed isn't known here: "
              f"python -m cryobench bench {' '.join(overrides or [])}")  # fmt: skip
    if waiting and len(cost.unmeasured) < len(waiting):
        device = speeds["environment"]["gpu"] if trainer["accelerator"] != "cpu" else speeds["environment"]["cpu"]
        print(f"about {duration(cost.seconds)} on {device}, {together} runs side by side, {threads} threads each "
              f"(the longest takes {duration(cost.longest_s)}; simulation {duration(cost.simulation_s)})")  # fmt: skip
        print(
            f"disk: {cost.disk / 1e9:.2g} GB of results and checkpoints, {cost.cache / 1e9:.2g} GB of simulated images"
        )
