"""A sweep through SLURM: what submitit leaves open.

Whoever starts the sweep waits until the queue says that every job is over, whether or not it left a result, and also where
the cluster keeps no accounts (submitit asks `sacct`, which then answers nothing, and waits for ever). A job that is told
that its time is up writes a checkpoint first and asks to be queued again after that.
"""

from __future__ import annotations

import contextlib
import os
import signal

import submitit
from hydra.core.utils import JobReturn, JobStatus
from submitit.core.utils import UncompletedJobError
from submitit.slurm import slurm
from submitit.slurm.slurm import SlurmExecutor, SlurmInfoWatcher, SlurmJob

from cryobench.errors import Stopped

OVER = set("BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT".split())
GONE = "gone from the queue"
EVERY = 30  # seconds at most between two looks at the queue


class Queue(SlurmInfoWatcher):
    """The state of each job by `squeue`, which also knows the jobs of the last minutes, and forgets those before."""

    def _make_command(self) -> list[str]:
        return ["squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i|%T"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        text = string if isinstance(string, str) else string.decode()
        states = dict(line.strip().split("|", 1) for line in text.splitlines() if "|" in line)
        return {name: {"State": states.get(name, GONE)} for name in self._registered}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        return self.get_state(job_id, mode) in OVER | {GONE}


class Patient(SlurmJob):
    """A job whose end, however it came, says nothing against the others: the runs' records tell what is done."""

    watcher = Queue(delay_s=EVERY)

    def results(self) -> list[JobReturn]:
        self.wait()
        how = self.state
        if self.paths.result_pickle.exists():
            try:
                return super().results()
            except UncompletedJobError:
                how = "error"
        if how != "COMPLETED":  # else the result is still on its way here
            print(f"a job of the cluster ended early: {self.job_id} ({how}); log: {self.paths.stdout}", flush=True)
        return [JobReturn(status=JobStatus.COMPLETED)]


@contextlib.contextmanager
def waiting_for_all():
    """Whatever submitit starts in the body is waited for so."""
    slurm.SlurmJob = SlurmExecutor.job_class = Patient  # of an array, and of a single job
    try:
        yield
    finally:
        slurm.SlurmJob = SlurmExecutor.job_class = SlurmJob


@contextlib.contextmanager
def back_into_the_queue():
    """In a job: when its time is nearly up (USR2) it ends as by SIGTERM, then goes back into the queue; never returns Stopped.

    submitit's own handler would ask at once, and SLURM's SIGTERM would meet the process at whatever it happens to do.
    Told by SIGTERM alone, it leaves without a result, and the queue knows whether it comes back.
    """
    number = submitit.JobEnvironment._usr_sig()
    requeue, told = signal.getsignal(number), []

    def handler(*_) -> None:
        if not told:
            told.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(number, handler)
    try:
        yield
    except Stopped:
        if told:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # SLURM's answer to the request
            requeue(number, None)  # leaves by SystemExit
        raise SystemExit(143) from None
    finally:
        signal.signal(number, requeue)
