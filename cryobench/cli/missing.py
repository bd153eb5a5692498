"""The runs that a comparison lacks: what they cost, said before they are done."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from cryobench.errors import InputError

REFERENCES = ("noisy", "wiener", "bayes")
QUICK = 60.0  # seconds in all, up to which references are run without being asked for


def keys(words: list[str]) -> set[str]:
    """What overrides set."""
    return {word.split("=")[0].lstrip("+") for word in words}


def run_missing(asked: list, planned, words: list[str]) -> int:
    """Do what is asked for and not done, after saying what it costs. Returns the sweep's exit status."""
    from cryobench.cost.estimate import state
    from cryobench.launch.sweep import run_sweep

    missing = [job for job in asked if state(job) != "done"]
    if not missing:
        return 0
    print(f"compare: {in_words(missing, measure=True)}", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        return run_sweep(planned, words, summary=False)


def run_references(words: list[str], asked: list, conditions: dict, stores: dict) -> None:
    """Do the noisy images and the limits for the seeds at hand, where that is quick; else say how."""
    from cryobench.config import sweep
    from cryobench.cost.estimate import state
    from cryobench.launch.sweep import run_sweep
    from cryobench.tables.comparison import key_of

    if keys(words) & {"row", "sweep"}:  # which has its own
        return
    seeds = {job.config["seed"] for job in asked}
    if not asked:
        wanted = {key for _, key in conditions}
        at_hand = {
            one.seed for store in stores.values() for one in store.all() if one.done and key_of(one.config) in wanted
        }
        seeds = set(sorted(at_hand)[:3])
    plain = all(
        job.config["noise"]["name"] == "gaussian" and not job.config["noise"]["clip"] for job in conditions.values()
    )
    around = [
        word for word in words if word.split("=")[0].lstrip("+").split(".")[0] not in ("method", "seed", "analysis")
    ]
    for method in REFERENCES if plain and seeds else REFERENCES[:1] if seeds else ():
        line = [*around, f"method={method}", f"seed={','.join(map(str, sorted(seeds)))}"]
        planned = sweep.plan(line)
        missing = [job for job in planned.jobs if state(job) != "done"]
        if not missing:
            continue
        if why := not_quick(method, missing):
            shown = " ".join(word for word in line if not word.startswith("hydra.searchpath="))
            print(
                f"compare: without {method} for some seeds: it is not asked for, and {why}; python -m cryobench {shown}",
                file=sys.stderr,
            )
            continue
        print(f"compare: {in_words(missing, measure=False)}", file=sys.stderr)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                run_sweep(planned, line, summary=False)
        except InputError as error:  # nobody asked for it, so what is there is compared all the same
            print(f"compare: without {method}: {error}", file=sys.stderr)


def not_quick(method: str, jobs: list) -> str:
    """Why runs that nobody asked for are not done in a minute: images that are not at hand, a cost unknown or high; or ""."""
    from cryobench.cost.foreseen import is_small
    from cryobench.launch.progress import duration

    if not all(is_small(job.config) or simulated(job.config) for job in jobs):
        return "its images are not simulated yet"
    if method == "noisy":
        return ""
    cost = cost_of(jobs, measure=False)
    if cost.unknown:
        return "what it costs here isn't known"
    return f"it takes about {duration(cost.seconds)}" if cost.seconds > QUICK else ""


def cost_of(jobs: list, measure: bool):
    """What is known of the cost of runs that are not done."""
    from cryobench.cost.estimate import read_bench
    from cryobench.cost.foreseen import foreseen
    from cryobench.runs.store import Store

    folder = Path(jobs[0].config["paths"]["results"]).expanduser()
    threads = jobs[0].config["trainer"]["threads"] or 1
    return foreseen(jobs, Store(folder).all(), read_bench(folder / "bench.json"), threads, measure)


def in_words(jobs: list, measure: bool) -> str:
    """In one line: which runs are missing, and what they cost."""
    from cryobench.launch.progress import duration, label
    from cryobench.launch.workers import side_by_side

    cost, together = cost_of(jobs, measure), min(side_by_side(jobs[0].config["trainer"]), len(jobs))
    parts = [f"about {duration(cost.seconds / together)}, {together} side by side"] if cost.seconds else []
    parts += [f"{cost.small} of so few images that each takes seconds"] if cost.small else []
    parts += [f"{cost.unknown} of unknown cost"] if cost.unknown else []
    some = ", ".join(label(job) for job in jobs[:3]) + (", …" if len(jobs) > 3 else "")
    are = "1 run is missing and is" if len(jobs) == 1 else f"{len(jobs)} runs are missing and are"
    return f"{are} done now ({some}): {'; '.join(parts)}"


def simulated(config: dict) -> bool:
    """Whether the images of a config are in the cache already."""
    from cryobench.config.compose import build, cache_folder
    from cryobench.data.cache import content_hash, is_whole

    try:
        return is_whole(cache_folder(config) / "pairs" / content_hash(build(config, "data").key()))
    except (InputError, OSError):  # its files are elsewhere
        return False
