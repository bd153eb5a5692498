"""How the runs of a sweep share one machine: how many at once, how many threads each, which GPU."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from cryobench.runs.environment import cores

_GPU: list[FileLock | None] = []  # held as long as this process lives


def side_by_side(trainer: dict) -> int:
    """How many runs at once: trainer.side_by_side, else one for each GPU, or for each core that is idle now.

    On a CPU several runs with one thread each beat one run with several threads.
    """
    if trainer["side_by_side"]:
        return trainer["side_by_side"]
    if trainer["accelerator"] in ("gpu", "cuda"):
        import torch

        return max(1, torch.cuda.device_count() // trainer["devices"])
    return max(1, idle_cores() // max(trainer["threads"] or 1, trainer["devices"]))


def threads_alone(trainer: dict) -> int | None:
    """Threads of torch of a run that nothing goes beside: trainer.threads, else OMP_NUM_THREADS, else one on each idle core;
    None for torch's choice beside a GPU."""
    if trainer["threads"] or trainer["accelerator"] != "cpu":
        return trainer["threads"]
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else max(1, idle_cores() // trainer["devices"])


def idle_cores() -> int:
    """Cores that nobody else keeps busy (load average of the last minute), at least one: threads that wait for each other on
    busy cores take several times the time of one thread."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    return max(1, round(cores() - load))


def share_the_machine(trainer: dict) -> None:
    """Settle what one worker of several takes: one process for a classical baseline, GPUs of its own for a net."""
    trainer["workers"] = trainer["workers"] or 1
    if trainer["accelerator"] in ("gpu", "cuda") and not _GPU:
        import torch  # counts devices without starting CUDA, which would fix what is visible

        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
        taken: list[str] = []
        while len(taken) < min(trainer["devices"], len(names)):
            lock, name = own_gpu([name for name in names if name not in taken], Path(tempfile.gettempdir()))
            _GPU.append(lock)
            taken.append(name)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)


def own_gpu(names: list[str], folder: Path) -> tuple[FileLock | None, str]:
    """The first GPU that no other process here holds, and the lock on it; the first one of all if none is free.

    The locks are files in `folder`, which all users of the machine share: whoever makes one lets everybody take it, and one
    that may not be opened is taken for held.
    """
    for name in names:
        lock = FileLock(folder / f"cryobench-gpu-{name}.lock", mode=0o666)
        with contextlib.suppress(Timeout, PermissionError):
            lock.acquire(timeout=0)
            return lock, name
    return None, names[0]
