"""The verb plan: what a sweep would do and cost."""

from __future__ import annotations

from pathlib import Path

from cryobench.cli.options import Overrides


def plan(overrides: list[str] = Overrides) -> None:
    """What a sweep would do and cost: runs, which are done, time and disk by measured speeds or finished runs; starts nothing."""

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
    results = Path(jobs[0].config["paths"]["results"])
    speeds = estimate.read_bench(results / "bench.json")
    waiting = [job for job in jobs if states[job.run_id] != "done"]
    strange = any(estimate.speed_of(job.config, speeds, threads) is None for job in waiting)
    cost = estimate.cost(
        waiting, speeds, together, threads, estimate.taken(Store(results).all(task=None)) if strange else {}
    )
    for job in jobs:
        record, seconds = records[job.run_id], cost.runs.get(job.run_id)
        if record and record.done:
            time = f": took {duration(record.wall_s)}" if record.wall_s else ""
        else:
            time = f": about {duration(seconds)}" if seconds is not None else ": cost unknown"
            time += ", as runs like it took" if job.run_id in cost.by_records else ""
        print(f"{states[job.run_id]:<8}{label(job)}{time}")
    counts = ", ".join(f"{list(states.values()).count(state)} {state}" for state in ("done", "failed", "pending"))
    print(f"{len(jobs)} runs: {counts}")
    unknown = [job for job in waiting if job.run_id in cost.unmeasured]
    if others := [job for job in unknown if not estimate.denoises(job.config)]:
        print(
            f"{len(others)} runs don't denoise, which is what bench measures: their cost is known once one like each is done"
        )
    if len(others) < len(unknown):
        print(
            f"{len(unknown) - len(others)} runs are of methods and sizes whose speed isn't known here: "
            f"python -m cryobench bench {' '.join(overrides or [])}"
        )
    if waiting and len(cost.unmeasured) < len(waiting):
        known = speeds.get("environment", {}).get("gpu" if trainer["accelerator"] != "cpu" else "cpu")
        device = f" on {known}" if known and not cost.by_records else ""
        per_run = "1 thread" if threads == 1 else f"{threads} threads"
        at_once = "one run at a time" if together == 1 else f"{together} runs side by side"
        print(
            f"about {duration(cost.seconds)}{device}, {at_once}, {per_run} each "
            f"(the longest takes {duration(cost.longest_s)}; simulation {duration(cost.simulation_s)})"
        )
        print(
            f"disk: {cost.disk / 1e9:.2g} GB of results and checkpoints, {cost.cache / 1e9:.2g} GB of simulated images"
        )
