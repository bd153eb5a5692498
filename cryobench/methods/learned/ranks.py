"""Several devices for one run: a process for each, its rank, and what the ranks need of each other.

Rank r of n trains on the images r, r + n, r + 2n, … of every batch. Losses are means over images, so the mean of the
ranks' gradients (which Lightning's DDP takes) is that of the whole batch; batch norm, whose statistics are the whole
batch's too, takes them from all ranks here. So one run is the same on one device or several, but for rounding.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from mmap import mmap
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn

from cryobench.errors import InputError, Killed, Stopped
from cryobench.signals import die_with_parent


def world() -> int:
    """How many ranks this run has; 1 for an ordinary one."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """This process's number among the ranks; 0 for an ordinary run."""
    return distributed.get_rank() if world() > 1 else 0


def shard(items):
    """This rank's part of a batch, or of anything that can be sliced: every `world()`-th."""
    return items[rank() :: world()]


def mean(value: torch.Tensor) -> torch.Tensor:
    """The mean over ranks of a tensor that each of them has; can be differentiated any number of times."""
    return Sum.apply(value) / world() if world() > 1 else value


class Sum(torch.autograd.Function):
    """The sum over ranks. Each rank's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, value: torch.Tensor) -> torch.Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, slope: torch.Tensor) -> torch.Tensor:
        return Sum.apply(slope)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm over the images of all ranks, (b, c, h, w) on each.

    torch's SyncBatchNorm knows GPUs only, and no second derivative, which a gradient penalty needs.
    """

    @property
    def statistics(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Batches so far, running means, running variances: buffers that a norm without statistics would not have."""
        return self.get_buffer("num_batches_tracked"), self.get_buffer("running_mean"), self.get_buffer("running_var")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float() if x.dtype.itemsize == 2 else x
        center = mean(values.mean(dim=(0, 2, 3)))
        values = values - center[:, None, None]
        variance = mean(values.square().mean(dim=(0, 2, 3)))
        with torch.no_grad():
            n = world() * x.numel() // x.shape[1]
            batches, running_mean, running_var = self.statistics
            batches += 1
            # Without a momentum, as while statistics are estimated anew, all batches count alike.
            rate = 1 / float(batches) if self.momentum is None else self.momentum
            running_mean.lerp_(center, rate)
            running_var.lerp_(variance * n / (n - 1), rate)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (values * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share_batch_norm(module: nn.Module) -> None:
    """Put `BatchNorm` in the place of each batch norm in `module`, with its weights and under its names."""
    for parent in list(module.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                shared = BatchNorm(layer.num_features, layer.eps, layer.momentum)
                shared.load_state_dict(layer.state_dict())
                setattr(parent, name, shared)


def by_name(array: np.memmap) -> str | tuple:
    """How a memory map goes to another process: a whole .npy file as its name, anything else as what it holds."""
    if isinstance(array.base, mmap) and str(array.filename).endswith(".npy"):
        return np.load, (str(array.filename), "r")
    return np.asarray(array).__reduce__()


class InRank(Exception):
    """The traceback of an error, as text from the rank where it happened."""


def on_each_device(n: int, accelerator: str, work: Callable, *arguments) -> None:
    """Call work(*arguments, stop) in n new processes, one for each device, and wait until all are through.

    stop() is true in each of them once this process was told to end (Stopped, from SIGTERM): they then leave a checkpoint
    and raise Stopped. An error in one of them ends the others and is raised here; should this process die, they do too.
    """
    gpus = torch.cuda.device_count() if accelerator in ("gpu", "cuda", "auto") else 0
    if accelerator in ("gpu", "cuda") and gpus < n:
        raise InputError(f"trainer.devices: expected at most {gpus}, the GPUs that there are, got {n}")
    threads = max(1, torch.get_num_threads() // (1 if gpus else n))
    context = multiprocessing.get_context("spawn")  # a fork has neither CUDA nor OpenMP
    ForkingPickler.register(np.memmap, by_name)
    stop = context.Event()
    ranks, pipes = [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(n):
                receiver, sender = context.Pipe(duplex=False)
                given = (number, n, "nccl" if gpus else "gloo", threads, Path(folder) / "meeting", stop, sender)
                ranks.append(context.Process(target=_rank, args=(given, work, arguments)))
                pipes.append(receiver)
                ranks[-1].start()
                sender.close()
            while alive := [process for process in ranks if process.is_alive()]:
                wait([process.sentinel for process in alive])
                if any(process.exitcode for process in ranks):
                    break
            _raise_first(ranks, pipes)
        except Stopped:
            stop.set()
            for process in ranks:
                process.join(60)
            raise
        finally:
            for process in ranks:
                process.kill()
                process.join()


def _rank(given: tuple, work: Callable, arguments: tuple) -> None:
    """A rank's process: meets the others, does the work, and sends the time and the kind of its error, if there is one."""
    number, n, backend, threads, meeting, stop, pipe = given
    die_with_parent(signal.SIGKILL)
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        # they come to the whole group; the first process sees to it
        signal.signal(one, signal.SIG_IGN)
    os.environ["LOCAL_RANK"] = str(number)  # tells Lightning that the processes are there
    torch.set_num_threads(threads)
    if backend == "nccl":
        torch.cuda.set_device(number)
    try:
        distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=number, world_size=n)
        work(*arguments, stop.is_set)
        distributed.destroy_process_group()
    except BaseException as error:
        pipe.send((time.monotonic(), error, traceback.format_exc()))
        os._exit(1)  # the others may be waiting for this one


def _raise_first(ranks: list, pipes: list) -> None:
    """Raise the error that came first of the ranks that failed; one that lost another rank fails after it."""
    if not any(process.exitcode for process in ranks):
        return
    for process in ranks:
        process.join(1)
    sent = [(process, _received(pipe)) for process, pipe in zip(ranks, pipes, strict=True)]
    if any(process.exitcode and message is None for process, message in sent):
        raise Killed("the process of a rank was killed; the system does so when memory runs out")
    _, error, text = min((message for _, message in sent if message), key=lambda message: message[0])
    raise error from InRank("\n" + text)


def _received(pipe) -> tuple | None:
    try:
        return pipe.recv() if pipe.poll() else None
    except EOFError:
        return None
