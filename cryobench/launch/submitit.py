"""A sweep through SLURM: what submitit leaves open.

Whoever starts the sweep waits until the queue says that every job is over, whether or not it left a result, and also where
the cluster keeps no accounts (submitit asks `sacct`, which then answers nothing, and waits for ever). A job that is told
that its time is up writes a checkpoint first and asks to be queued again after that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import submitit
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from submitit.core.utils import UncompletedJobError
from submitit.slurm import slurm
from submitit.slurm.slurm import SlurmExecutor, SlurmInfoWatcher, SlurmJob

from cryobench.errors import Stopped, one_line

OVER = set("BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT".split())
GONE = "gone from the queue"
EVERY = 30  # seconds at most between two looks at the queue


class Queue(SlurmInfoWatcher):
    """The state of each job by `squeue`, which also knows the jobs of the last minutes, and forgets those before.

    A job that goes back into the queue is FAILED for a moment on its way there, so only two looks in a row make it over.
    --all: of hidden partitions, too.
    """

    def __init__(self, delay_s: int) -> None:
        super().__init__(delay_s)
        self._over: set[str] = set()  # by the last look

    def _make_command(self) -> list[str]:
        return ["squeue", "--me", "--all", "--array", "--noheader", "--states=all", "--format=%i|%T"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        text = string if isinstance(string, str) else string.decode()
        listed = dict(line.strip().split("|", 1) for line in text.splitlines() if "|" in line)
        states = {name: listed.get(name, GONE) for name in self._registered}
        before, self._over = self._over, {name for name, state in states.items() if state in OVER | {GONE}}
        fresh = self._over - before
        return {name: {"State": "COMPLETING" if name in fresh else state} for name, state in states.items()}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        return self.get_state(job_id, mode) in OVER | {GONE}


class Patient(SlurmJob):
    """A job whose end, however it came, says nothing against the others: the runs' records tell what is done."""

    watcher = Queue(delay_s=EVERY)

    def results(self) -> list[JobReturn]:
        self.wait()
        if self.paths.result_pickle.exists():
            try:
                (result,) = super().results()
                if result.status == JobStatus.COMPLETED:
                    return [result]
                how = one_line(result._return_value)
            except UncompletedJobError:
                how = "error"
        else:
            how = self.state
        if how != "COMPLETED":  # else the result is still on its way here
            print(f"a job of the cluster ended early: {self.job_id} ({how}); log: {self.paths.stdout}", flush=True)
        return [JobReturn(status=JobStatus.COMPLETED)]


@contextlib.contextmanager
def submitting(wanted: Callable[[Sequence[str]], bool]):
    """What Hydra hands to SLURM in the body is waited for so; of the sweep's jobs, lists of overrides, those wanted."""

    def launch(self, job_overrides, initial_job_idx):
        jobs = [overrides for overrides in job_overrides if wanted(filter_overrides(overrides))]
        return whole(self, jobs, initial_job_idx) if jobs else []

    whole = SlurmLauncher.launch
    SlurmLauncher.launch = launch
    module: Any = slurm
    module.SlurmJob = SlurmExecutor.job_class = Patient  # of an array, and of a single job
    try:
        yield
    finally:
        SlurmLauncher.launch = whole
        module.SlurmJob = SlurmExecutor.job_class = SlurmJob


@contextlib.contextmanager
def back_into_the_queue():
    """In a job: when its time is nearly up (USR2) it ends as by SIGTERM, then goes back into the queue; never returns Stopped.

    submitit's own handler would ask at once, and SLURM's SIGTERM would meet the process at whatever it happens to do.
    SIGTERM alone comes to a job that was cancelled, or that is to make room for another: only one that SLURM has not given
    up asks to come back. Either leaves without a result, and the queue knows what becomes of it.
    """
    number = submitit.JobEnvironment._usr_sig()
    requeue: Any = signal.getsignal(number)
    warned: list[bool] = []

    def handler(*_) -> None:
        if not warned:
            warned.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(number, handler)
    try:
        yield
    except Stopped:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # SLURM's answer to the request
        if warned:
            requeue(number, None)  # leaves by SystemExit
        words = ["scontrol", "requeue", "incomplete", submitit.JobEnvironment().job_id]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(words, capture_output=True, timeout=60)
        raise SystemExit(143) from None
    finally:
        signal.signal(number, requeue)
