"""What a sweep will cost, before it starts: time and disk from the speeds that `bench` measured on this machine, or time from
finished runs like them.

    run = fit_s + images · fit_s_once_per_image
          + epochs · (images · fit_s_per_image + validation images · denoise_s_per_image)
          + test images · denoise_s_per_image + START

A method without epochs has one; for PGGAN images are those of a growth phase, and a phase has parts for epochs. Images are
simulated once for each data set that is not in the cache. Runs go side by side as `launch` would have them.

That is of runs that denoise. Another task simulates nothing that is kept and has no method: what its runs cost is known from
finished ones with its own settings, and from nothing else.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryobench.config.compose import build, cache_folder
from cryobench.config.identity import task_name
from cryobench.config.sweep import Job
from cryobench.cost.speed import cost_key, grows, images_seen, learned
from cryobench.data.cache import content_hash, is_whole
from cryobench.errors import InputError
from cryobench.methods.learned.growth import schedule
from cryobench.methods.learned.trained import validation_part
from cryobench.runs.record import Record
from cryobench.runs.store import Store

START = 2.0  # seconds of a run around fit and denoise: metrics, pictures, record
RECORD_BYTES = 150_000  # a record, its pictures and gallery
RECORD_BYTES_PER_IMAGE = 150


@dataclass(frozen=True)
class Cost:
    """What the runs that are not done will take.

    runs: seconds of each whose cost is known; by_records: those of them of which finished runs like them told it, and no
    measured speed; unmeasured: those of which nothing is known.
    """

    seconds: float
    simulation_s: float
    disk: int
    cache: int
    runs: dict[str, float]
    by_records: list[str]
    unmeasured: list[str]

    @property
    def longest_s(self) -> float:
        """Of the runs whose cost is known."""
        return max(self.runs.values(), default=0.0)


def state(job: Job) -> str:
    """done, failed or pending."""
    record = Store(job.config["paths"]["results"]).read(job.run_id)
    return record.status if record else "pending"


def read_bench(path: Path) -> dict:
    """What bench wrote. Raises InputError for a file that it did not write."""
    if not path.exists():
        return {"methods": [], "simulation_s": {}}
    try:
        bench = json.loads(path.read_text(encoding="utf-8"))
        return {**bench, "methods": list(bench["methods"]), "simulation_s": dict(bench["simulation_s"])}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: expected what `cryobench bench` wrote, got something else; remove it") from None


def denoises(config: dict) -> bool:
    """Whether a run has images and a method, which is what bench measures."""
    return task_name(config) == "denoising"


def speed_of(config: dict, bench: dict, cores: int = 1) -> dict | None:
    """The measured speed of this run's method, size and device; None where there is none, as of a run that doesn't denoise."""
    if not denoises(config):
        return None
    key = cost_key(config)
    entries = [entry for entry in bench["methods"] if entry["key"] == key and "error" not in entry]
    return min(entries, key=lambda entry: abs(entry["cores"] - cores), default=None)


def run_seconds(config: dict, speed: dict) -> float:
    """Fit and denoise of one run."""
    n, method = config["data"]["n_train"], config["method"]
    size, epochs, validations = n, 1, 0
    if grows(config):
        size = method["phase_images"]
        validations = len(schedule(config["data"]["image_size"], size, method["batch_size"]))
    elif learned(config):
        epochs = validations = method["epochs"]
    fit = (
        speed["fit_s"]
        + n * speed.get("fit_s_once_per_image", 0.0)
        + images_seen(config, size, epochs) * speed["fit_s_per_image"]
        + validations * validation_part(n) * speed["denoise_s_per_image"]
    )
    return fit + config["data"]["n_test"] * speed["denoise_s_per_image"] + START


def taken(records: Sequence[Record]) -> dict[str, float]:
    """What runs took, by what decides their cost (`work_of`): the median seconds of the finished ones among these."""
    seconds: dict[str, list[float]] = {}
    for one in records:
        if one.done and one.wall_s and "trainer" in one.config:
            seconds.setdefault(work_of(one.config), []).append(one.wall_s)
    return {work: statistics.median(each) for work, each in seconds.items()}


def work_of(config: dict) -> str:
    """What decides the cost of a run on one machine."""
    if not denoises(config):
        settings = {key: value for key, value in config["task"].items() if key != "_target_"}
        return json.dumps([settings, config["trainer"]["accelerator"]], sort_keys=True)
    sizes = (config["data"].get("n_train"), config["data"].get("n_test"))
    steps = tuple(config["method"].get(name) for name in ("epochs", "phase_images"))
    return json.dumps([cost_key(config), sizes, steps], sort_keys=True)


def cost(jobs: Sequence[Job], bench: dict, together: int, cores: int, took: dict[str, float]) -> Cost:
    """Of the runs given, `together` at a time on `cores` cores each; took: as `taken` has it, for runs unknown to bench."""
    runs: dict[str, float] = {}
    by_records, disk = [], 0
    for job in jobs:
        speed = speed_of(job.config, bench, cores)
        if speed is not None:
            runs[job.run_id] = run_seconds(job.config, speed)
        elif (like := took.get(work_of(job.config))) is not None:
            runs[job.run_id] = like
            by_records.append(job.run_id)
        else:
            continue
        disk += speed["weights_bytes"] if speed else 0
        disk += RECORD_BYTES + (RECORD_BYTES_PER_IMAGE * job.config["data"]["n_test"] if denoises(job.config) else 0)
    checkpoints = sorted((s["checkpoint_bytes"] for job in jobs if (s := speed_of(job.config, bench))), reverse=True)
    simulation, cache = simulations([job for job in jobs if denoises(job.config)], bench)
    seconds = max(*runs.values(), sum(runs.values()) / together) if runs else 0.0
    unmeasured = [job.run_id for job in jobs if job.run_id not in runs]
    return Cost(
        seconds + simulation, simulation, disk + sum(checkpoints[:together]), cache, runs, by_records, unmeasured
    )


def simulations(jobs: Sequence[Job], bench: dict) -> tuple[float, int]:
    """Seconds and bytes of the data sets that are not in the cache yet."""
    seconds, size, seen = 0.0, 0, set()
    for job in jobs:
        try:
            dataset = build(job.config, "data")
            name = content_hash(dataset.key())
        except (InputError, OSError):  # structures that are not here yet, or files that are wrong
            name, dataset = json.dumps(job.config["data"], sort_keys=True), None
        if name in seen or (dataset and is_whole(cache_folder(job.config) / "pairs" / name)):
            continue
        seen.add(name)
        pixels, n = job.config["data"]["image_size"], job.config["data"]["n_train"] + job.config["data"]["n_test"]
        size += 4 * n * pixels**2
        seconds += n * bench["simulation_s"].get(str(pixels), 0.0)
    return seconds, size
