"""What a sweep's runs are doing, seen from their records and locks: the same however and by whom they were started."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cryobench.config.identity import task_name
from cryobench.config.sweep import Job
from cryobench.runs.store import Store

EVERY = 0.5  # seconds between two looks


def results_of(job: Job) -> str:
    """The results folder that a job writes to."""
    return job.config["paths"]["results"]


def label(job: Job) -> str:
    """A run as people know it: its row or method, noise level and seed, and its id."""
    config = job.config
    if task_name(config) != "denoising":
        return f"{job.row or task_name(config)} seed {config['seed']} [{job.run_id}]"
    return f"{job.row or config['method']['name']} {noise_label(config)} seed {config['seed']} [{job.run_id}]"


def noise_label(config: dict) -> str:
    """ "SNR 0.1", with what is contaminated, or the noise's name where it has no SNR."""
    noise = config["noise"]
    contamination = f", {noise['type']} {noise['share']:g}" if noise["name"] == "contaminated" else ""
    return f"SNR {noise['snr']:g}{contamination}" if "snr" in noise else f"noise {noise['name']}"


@dataclass
class Sweep:
    """The runs of a sweep and the folders that their records go to."""

    jobs: list[Job]
    stores: dict[str, Store] = field(init=False)

    def __post_init__(self) -> None:
        self.stores = {results_of(job): Store(results_of(job)) for job in self.jobs}

    def store(self, job: Job) -> Store:
        """The store of a job's results folder."""
        return self.stores[results_of(job)]

    def finished(self, job: Job) -> bool:
        """Whether a job's run is done."""
        return self.store(job).finished(job.run_id)

    def wait_for_others(self) -> None:
        """Until no process has a run of this sweep."""
        for job in self.jobs:
            if not self.finished(job) and self.store(job).held(job.run_id):
                with self.store(job).claim(job.run_id, wait=True):
                    pass

    def abandoned(self) -> list[Job]:
        """Runs whose process died with them; their locks are removed."""
        return [job for job in self.jobs if self.store(job).tidy([job.run_id])]


class SweepProgress:
    """Done, running, failed and the time left: a bar on a terminal, else a line for each run that ends."""

    def __init__(self, sweep: Sweep, since: str):
        self.sweep, self.since = sweep, since
        self.open = [job for job in sweep.jobs if not sweep.finished(job)]
        self.before = len(sweep.jobs) - len(self.open)
        self.failed = 0
        self.fresh = 0
        self.start = time.monotonic()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.bar = Progress(
            TextColumn("sweep"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            disable=not sys.stdout.isatty(),
        )
        self.task = self.bar.add_task("", total=len(sweep.jobs), completed=self.before, state="")

    def __enter__(self) -> SweepProgress:
        self.bar.start()
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.ended.set()
        self.thread.join()
        self.look()
        self.bar.stop()

    def watch(self) -> None:
        """Look every few seconds until the sweep is over; in a thread of its own."""
        while not self.ended.wait(EVERY):
            self.look()

    def look(self) -> None:
        """Take note of the runs that ended since the last look."""
        still: list[Job] = []
        for job in self.open:
            record = self.sweep.store(job).read(job.run_id)
            if record and (record.done or record.started >= self.since):
                self.fresh += 1
                self.failed += not record.done
                if self.bar.disable:
                    print(f"{label(job)}: {record.status} ({self.state(still)})", flush=True)
                else:
                    self.bar.console.print(f"{label(job)}: {record.status}", highlight=False, markup=False)
            else:
                still.append(job)
        self.open = still
        self.bar.update(self.task, completed=self.before + self.fresh, state=self.state(still))

    def state(self, still: list[Job]) -> str:
        """In words: done, running, failed and the time left; `still` are the jobs not yet over."""
        total = len(self.sweep.jobs)
        left = total - self.before - self.fresh
        running = sum(self.sweep.store(job).held(job.run_id) for job in self.open)
        text = f"{self.before + self.fresh - self.failed} of {total} done, {running} running, {self.failed} failed"
        if self.fresh and left:
            text += f", about {duration((time.monotonic() - self.start) / self.fresh * left)} left"
        return text


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 3.5 h, 4.2 days.

    >>> duration(40), duration(720), duration(12_600), duration(362_880)
    ('40 s', '12 min', '3.5 h', '4.2 days')
    """
    for size, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            value = seconds / {"days": 86_400, "h": 3_600, "min": 60}[unit]
            return f"{value:.1f} {unit}" if unit != "min" else f"{value:.0f} min"
    return f"{seconds:.0f} s"
