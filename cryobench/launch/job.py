"""One run of a sweep, as whatever launcher calls it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from importlib.util import find_spec

from hydra.utils import get_class

from cryobench.config.hydra import current_job
from cryobench.config.sweep import Job
from cryobench.errors import Stopped
from cryobench.launch.progress import label
from cryobench.launch.workers import share_the_machine
from cryobench.runs.run import run
from cryobench.signals import die_with_parent, stopping

SINCE = "CRYOBENCH_SWEEP_SINCE"  # tells the jobs of a sweep when it began
STOPPED: list[bool] = []  # this worker got SIGTERM; the jobs that it is still given are left for the next call


def run_job(config) -> str:
    """What Hydra calls for each run of a sweep; never raises for a run that failed, so the others go on."""
    launcher, overrides = current_job()
    if launcher == "joblib":
        signal.signal(signal.SIGTERM, lambda *_: STOPPED.append(True))  # between two runs
    one = run_of(overrides)
    if missing_package(one):
        return "left out"
    if not on_a_cluster(launcher):
        one_thread(one.config)
    with contextlib.ExitStack() as stack:
        if launcher != "basic":  # a process of its own, which main() did not set up
            stack.enter_context(stopping())
        if launcher == "joblib":
            die_with_parent()
            share_the_machine(one.config["trainer"])
            if STOPPED:
                return "stopped"
        if on_a_cluster(launcher):
            from cryobench.launch.submitit import back_into_the_queue

            stack.enter_context(back_into_the_queue())
        try:
            return run(one.config, in_sweep=True, since=os.environ.get(SINCE), command=one.command).status
        except Stopped:
            if launcher != "joblib":
                raise
            STOPPED.append(True)
            return "stopped"
        except Exception as error:  # no record could be written; the others go on
            print(f"cryobench: {label(one)}: {type(error).__name__}: {error}", file=sys.stderr)
            return "failed"


def run_of(overrides: list[str]) -> Job:
    """The run that one job of a sweep stands for."""
    from cryobench.config.sweep import from_hydra, plan

    (one,) = plan(from_hydra(overrides), single=True).jobs
    return one


def missing_package(job: Job) -> str | None:
    """What the method of a sweep's row needs that isn't installed, and how to install it; None if nothing."""
    needs = getattr(get_class(job.config["method"]["_target_"]), "needs", {}) if job.row else {}
    missing = [f"it needs {name}; {command}" for name, command in needs.items() if find_spec(name) is None]
    return missing[0] if missing else None


def one_thread(config: dict) -> dict:
    """On a CPU one thread unless the user wants more, so that numbers don't depend on how many runs go side by side."""
    if config["trainer"]["accelerator"] == "cpu":
        config["trainer"]["threads"] = config["trainer"]["threads"] or 1
    return config


def on_a_cluster(launcher: str | None) -> bool:
    """Whether the jobs of a sweep go to SLURM."""
    return launcher in ("slurm", "submitit_slurm")  # ours, and the one that comes with submitit's plug-in
