"""How fast everything is here: simulation, each method of some runs, each metric; and ratios to other ways (ratios.py).

RESULTS/bench.json keeps all of it, and `plan` reads it.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from cryobench.config.compose import build, cache_folder
from cryobench.config.sweep import Job
from cryobench.cost import on_gpu, ratios
from cryobench.cost.speed import SLICES, computes_on_gpu, cost_key, images_needed, measure, simulation, torch_threads
from cryobench.cost.turns import Ratio
from cryobench.errors import one_line
from cryobench.evaluation import metrics
from cryobench.files import replacing, writable
from cryobench.runs.environment import cores, environment
from cryobench.signals import told_to_end

# Every baseline and limit, then every net.
EVERYTHING = (["+sweep=methods"], ["method=autoencoder,gan,wgan_gp,pggan,unet"])
QUICK = 12.0  # seconds in which a method is measured that is also measured with all cores


def asked_for(overrides: list[str]) -> list[list[str]]:
    """Command lines whose runs are to be measured: the one given or, if it chooses neither sweep nor method, all there is."""
    keys = {override.split("=")[0].lstrip("+") for override in overrides}
    if keys & {"sweep", "method", "row"}:
        return [overrides]
    scale = [] if "scale" in keys else ["scale=desk"]
    return [[*choice, *scale, *overrides] for choice in EVERYTHING]


def everything(jobs: Sequence[Job], progress: bool = False) -> dict:
    """What bench.json holds: the speed of each method among the jobs, with one thread and with all cores.

    On a CPU as many methods are measured side by side, one thread each, as there are cores: so do the runs of a sweep. With
    all cores they go one after the other; those of which one thread took longer than QUICK seconds are left out. On a GPU
    they go one after the other, once.
    """
    different = list({json.dumps(cost_key(job.config), sort_keys=True): job for job in jobs}.values())
    measured: dict[str, Any] = {
        "environment": environment(),
        "simulation_s": {},
        "methods": [],
        "metrics": {},
        "ratios": [],
    }
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task("simulating", total=2 * len(different) + 1)
        for job in different:
            size = str(job.config["data"]["image_size"])
            if size not in measured["simulation_s"]:
                pairs = slice_of(job.config)
                measured["simulation_s"][size] = simulation(pairs.volumes, pairs.test.rotations)
                measured["metrics"][size] = metric_speeds(pairs.test.clean)
        bar.update(task, description="methods, one core each")
        for entry in side_by_side(different[::-1]):  # the limit and its like come last in a sweep, and take longest
            measured["methods"].append(entry)
            bar.advance(task)
        for job in different if cores() > 1 else []:
            if computes_on_gpu(job.config):  # its threads are not what computes
                bar.advance(task)
                continue
            bar.update(task, description=f"{job.config['method']['name']}, {cores()} cores")
            (alone,) = (entry for entry in measured["methods"] if entry["key"] == cost_key(job.config))
            if alone.get("took_s", QUICK) < QUICK:
                measured["methods"].append(measure_one(job, cores()))
            bar.advance(task)
        bar.update(task, description="ratios to other ways")
        with torch_threads(1):
            measured["ratios"] = [asdict(ratio) for ratio in ratios_of(different)]
        bar.update(task, completed=2 * len(different) + 1)
    order = [cost_key(job.config) for job in different]
    measured["methods"].sort(key=lambda entry: (order.index(entry["key"]), entry["cores"]))
    return measured


def ratios_of(jobs: Sequence[Job]) -> Iterator[Ratio]:
    """Those of a core; of jobs on a GPU in their place what is gained there by what is done differently."""
    there = [job.config for job in jobs if computes_on_gpu(job.config)]
    if not there:
        yield from (ratio for scale in scales(jobs) for ratio in ratios.all_of([f"scale={scale}"]))
    for config in there:
        yield from on_gpu.gains(config)


def scales(jobs: Sequence[Job]) -> list[str]:
    """The scales at which ratios are taken: of desk scale's width, whatever that of the jobs, at about their image sizes."""
    if all(job.config["scale"]["name"] in ("smoke", "quick") for job in jobs):
        return ["smoke"]
    large = {job.config["data"]["image_size"] >= 128 for job in jobs}
    return [scale for scale, wanted in (("desk", False in large), ("desk128", True in large)) if wanted]


def side_by_side(jobs: Sequence[Job]) -> Iterator[dict]:
    """`measure_one` of each with one thread, as they finish."""
    if cores() == 1 or any(computes_on_gpu(job.config) for job in jobs):
        yield from (measure_one(job, 1) for job in jobs)
        return
    with ProcessPoolExecutor(min(cores(), len(jobs)), mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(measure_one, job, 1): job for job in jobs}
        for done in as_completed(waiting):
            error = done.exception()
            yield done.result() if error is None else failed(waiting[done], 1, error)


def measure_one(job: Job, threads: int) -> dict:
    """An entry of bench.json; a method that can't run here has an "error" for numbers, and leaves the others theirs."""
    start = time.perf_counter()
    try:
        with told_to_end():
            noise, pairs = build(job.config, "noise"), slice_of(job.config)
            train, test = (pairs.images(split, noise, job.config["seed"]) for split in ("train", "test"))
            entry = {"key": cost_key(job.config), "row": job.row} | measure(job.config, train, test, threads)
    except Exception as error:
        entry = failed(job, threads, error)
    return entry | {"took_s": round(time.perf_counter() - start, 1)}


def failed(job: Job, threads: int, error: BaseException) -> dict:
    """The entry of a job whose method could not be measured, with the reason in place of the speed."""
    return {"key": cost_key(job.config), "row": job.row, "cores": threads, "error": one_line(error)}


def slice_of(config: dict):
    """The first images of a config's data set, as many as any method needs here."""
    from cryobench.data.pairs import open_pairs

    n = max(images_needed(config), SLICES[-1])
    return open_pairs(replace(build(config, "data"), n_train=n, n_test=64), cache_folder(config))


def metric_speeds(clean: np.ndarray) -> dict[str, float]:
    """Images per second of each metric."""
    noisy = np.clip(clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape), 0, 1)
    speeds = {}
    for name in metrics.NAMES:
        start = time.process_time()
        getattr(metrics, name)(clean, noisy)
        speeds[name] = round(len(clean) / max(time.process_time() - start, 1e-6), 1)
    return speeds


def keep(measured: dict, results: Path) -> Path:
    """Write RESULTS/bench.json. Raises InputError."""
    path = results / "bench.json"
    with writable(results):
        results.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(measured, indent=1), encoding="utf-8")
    return path


def rows(measured: dict) -> list[tuple[str, ...]]:
    """For people: method, size, cores, images per second of training and of denoising."""
    lines = []
    for entry in measured["methods"]:
        key = entry["key"]
        what = " ".join(
            str(part) for part in (key["method"], key.get("net"), key.get("width") and f"d={key['width']}") if part
        )
        speeds = (
            [entry["error"][:60], ""]
            if "error" in entry
            else [
                f"{1 / entry['fit_s_per_image']:.4g}" if entry["fit_s_per_image"] > 1e-6 else "",
                f"{1 / entry['denoise_s_per_image']:.4g}" if entry["denoise_s_per_image"] > 1e-9 else "",
            ]
        )
        lines.append((what, str(key["image_size"]), str(entry["cores"]), *speeds))
    return lines
