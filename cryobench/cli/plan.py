"""The verb plan: what a sweep would do and cost."""

from __future__ import annotations

from pathlib import Path

from cryobench.cli.options import Overrides


def plan(overrides: list[str] = Overrides) -> None:
    """What a sweep would do and cost: its runs, which are done, time and disk from measured speeds; starts nothing."""

    from cryobench.config import sweep
    from cryobench.cost import estimate
    from cryobench.launch.progress import duration, label
    from cryobench.launch.workers import side_by_side
    from cryobench.runs.store import Store

    jobs = sweep.plan(list(overrides or [])).jobs
    records = {job.run_id: Store(job.config["paths"]["results"]).read(job.run_id) for job in jobs}
    states = {name: record.status if record else "pending" for name, record in records.items()}
    trainer = jobs[0].config["trainer"]
    together, threads = side_by_side(trainer), trainer["threads"] or 1
    path = Path(jobs[0].config["paths"]["results"]) / "bench.json"
    speeds = estimate.read_bench(path)
    for job in jobs:
        speed = estimate.speed_of(job.config, speeds, threads)
        record = records[job.run_id]
        if record and record.done:
            time = f": took {duration(record.wall_s)}" if record.wall_s else ""
        else:
            time = f": about {duration(estimate.run_seconds(job.config, speed))}" if speed else ": cost unknown"
        print(f"{states[job.run_id]:<8}{label(job)}{time}")
    waiting = [job for job in jobs if states[job.run_id] != "done"]
    counts = ", ".join(f"{list(states.values()).count(state)} {state}" for state in ("done", "failed", "pending"))
    print(f"{len(jobs)} runs: {counts}")
    cost = estimate.cost(waiting, speeds, together, threads)
    if cost.unmeasured:
        print(
            f"{len(cost.unmeasured)} runs are of methods and sizes whose speed isn't known here: "
            f"python -m cryobench bench {' '.join(overrides or [])}"
        )
    if waiting and len(cost.unmeasured) < len(waiting):
        device = speeds["environment"]["gpu"] if trainer["accelerator"] != "cpu" else speeds["environment"]["cpu"]
        print(
            f"about {duration(cost.seconds)} on {device}, {together} runs side by side, {threads} threads each "
            f"(the longest takes {duration(cost.longest_s)}; simulation {duration(cost.simulation_s)})"
        )
        print(
            f"disk: {cost.disk / 1e9:.2g} GB of results and checkpoints, {cost.cache / 1e9:.2g} GB of simulated images"
        )
