"""A run in a process of its own, for one whose process was killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from cryobench.config.sweep import Job
from cryobench.errors import Killed, Stopped
from cryobench.launch.job import one_thread
from cryobench.launch.progress import results_of
from cryobench.runs.run import failure, run
from cryobench.runs.store import Store
from cryobench.signals import die_with_parent, stopping


def run_by_itself(job: Job, since: str) -> None:
    """A run whose process died, alone in a new one; if that dies too, the run has failed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            pool.submit(in_a_process, one_thread(job.config), since, job.command).result()
        except Stopped:
            for pid in pool._processes:
                with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                    os.kill(pid, signal.SIGTERM)
            raise
        except BrokenProcessPool:
            store = Store(results_of(job))
            with store.claim(job.run_id) as claimed:
                if claimed and not store.finished(job.run_id):
                    error = Killed("its process was killed, twice; the system does so when memory runs out")
                    store.fail(job.run_id, failure(job.config, error, job.command), f"{error}\n", keep_checkpoints=True)


def in_a_process(config: dict, since: str, command: str) -> None:
    """One run of a sweep in a process of its own, which ends with the one that started it."""
    die_with_parent()
    with stopping():
        run(config, in_sweep=True, since=since, command=command)
