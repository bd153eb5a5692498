"""A sweep through Hydra's launchers; then what came of it."""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec

from cryobench.config.compose import build
from cryobench.config.hydra import launch
from cryobench.config.identity import task_name
from cryobench.config.sweep import Job, Plan, for_hydra
from cryobench.errors import InputError, MissingPackage, Stopped, one_line
from cryobench.launch.ended import tables_and_files
from cryobench.launch.job import SINCE, missing_package, on_a_cluster, one_thread, run_job, run_of
from cryobench.launch.loky import shut_workers, stop_workers
from cryobench.launch.process import run_by_itself
from cryobench.launch.progress import Sweep, SweepProgress, label, results_of
from cryobench.launch.workers import side_by_side
from cryobench.runs.own_code import own_code, told
from cryobench.runs.run import now, run
from cryobench.signals import going_on, stopping


def run_sweep(planned: Plan, overrides: list[str], summary: bool = True) -> int:
    """All runs of a sweep that are not done yet, then its tables and figures. Returns the exit status.

    summary: whether a sweep without any ends with a small table of its runs.
    """
    left_out = {job.row: reason for job in planned.jobs if (reason := missing_package(job))}
    jobs = [job for job in planned.jobs if job.row not in left_out]
    for row, reason in left_out.items():
        if not jobs:
            raise InputError(f"{row}: {reason}")
        print(f"{row} is left out: {reason}")
    sweep = Sweep(jobs)
    for path, store in sweep.stores.items():  # before Hydra, which would show a traceback
        store.probe()
        store.tidy([job.run_id for job in jobs if results_of(job) == path])
    done = sum(map(sweep.finished, jobs))
    together = min(side_by_side(jobs[0].config["trainer"]), max(1, len(jobs) - done))
    print(f"{len(jobs)} runs, {done} done before", flush=True)
    for path, store in sweep.stores.items():
        own = [job for job in jobs if results_of(job) == path and own_code(job.config) and sweep.finished(job)]
        if words := told([(job.config, record) for job in own if (record := store.read(job.run_id))], store.runs):
            print(words)
    if done < len(jobs):
        check_data([job for job in jobs if not sweep.finished(job)])
        with going_on():
            start_all(sweep, overrides, together)

    failed = [job for job in jobs if not sweep.finished(job)]
    for job in failed:
        store = sweep.store(job)
        if record := store.read(job.run_id):
            why = f"failed: {record.error}; log: {store.folder(job.run_id) / 'log.txt'}"
        else:
            why = "was not finished; the same command goes on with it"
        print(f"cryobench: {label(job)} {why}", file=sys.stderr)
    if planned.writes or summary:
        tables_and_files(sweep, planned.writes)
    return 1 if failed else 0


def check_data(jobs: list[Job]) -> None:
    """Raise InputError, once for all runs, if the files of a data set are not as they should be."""
    different = {
        json.dumps(job.config["data"], sort_keys=True): job for job in jobs if task_name(job.config) == "denoising"
    }
    for job in different.values():
        build(job.config, "data").check()


def start_all(sweep: Sweep, overrides: list[str], together: int) -> None:
    """Hand the runs to Hydra's launcher, until each is done or failed; raises Stopped after SIGTERM."""
    since = now()
    with SweepProgress(sweep, since):
        if on_a_cluster(chosen := launcher_of(overrides)):
            hand_to_cluster(sweep, overrides, since)
            sweep.wait_for_others()
            return
        if not chosen and together > 1:
            chosen = "joblib"
            overrides = [*overrides, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={together}"]
        with tempfile.TemporaryDirectory() as scratch:  # Hydra's own notes
            overrides = [*overrides, f"hydra.sweep.dir={scratch}"]
            if chosen == "joblib":
                hand_to_workers(sweep, overrides, since)
            else:
                hand_to_hydra(overrides, since)
        for job in sweep.jobs:  # those that another process had when their turn came
            if not sweep.finished(job) and sweep.store(job).read(job.run_id) is None:
                run(one_thread(job.config), in_sweep=True, wait=True, command=job.command)


def hand_to_workers(sweep: Sweep, overrides: list[str], since: str) -> None:
    """Runs side by side in processes of joblib; those whose process was killed once more, alone."""
    stopped: list[bool] = []

    def on_stop() -> bool:
        stopped.append(True)
        return stop_workers()

    while not stopped:
        try:
            with stopping(on_stop):
                hand_to_hydra(overrides, since)
            break
        except BrokenProcessPool:  # a worker was killed, and the others with it
            if not (abandoned := sweep.abandoned()):
                break
            for job in [] if stopped else abandoned:
                run_by_itself(job, since)
    if stopped:
        raise Stopped("SIGTERM")


def launcher_of(overrides: list[str]) -> str | None:
    """Hydra's launcher, if one is named."""
    named = [word.split("=", 1)[1] for word in overrides if word.lstrip("+").startswith("hydra/launcher=")]
    return named[-1] if named else None


def hand_to_cluster(sweep: Sweep, overrides: list[str], since: str) -> None:
    """Submit to SLURM what is not done, and wait until all is over. Raises InputError if it does not take the jobs."""
    if find_spec("submitit") is None:
        raise MissingPackage(
            "hydra/launcher=slurm: expected the package hydra-submitit-launcher; pip install 'cryobench[slurm]'"
        )
    from cryobench.launch import submitit

    left = {job.run_id for job in sweep.jobs if not sweep.finished(job)}
    with submitit.submitting(lambda words: run_of(list(words)).run_id in left):
        try:
            hand_to_hydra(overrides, since)
        except Exception as error:
            raise InputError(
                f"hydra/launcher=slurm: expected SLURM to take the jobs, got '{one_line(error)}'; "
                "hydra.launcher.KEY=VALUE says what to ask for, as partition, account, timeout_min"
            ) from None


def hand_to_hydra(overrides: list[str], since: str) -> None:
    """Let Hydra's launcher (hydra/launcher=…) start the jobs; each finds out for itself whether it is done."""
    try:
        launch(run_job, for_hydra(overrides), {SINCE: since})
    finally:
        shut_workers()
