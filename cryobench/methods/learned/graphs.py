"""A training step on a GPU as one CUDA graph: its kernels are recorded once, and from then on started together.

A step of a small net is some hundreds of kernels, each of which a GPU computes in less time than a processor takes to start it.
What a graph asks of a step is in torch's notes on CUDA ("whole-network capture"): the same tensors in the same places each time,
no number read off the device, no random number drawn by the processor.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from cryobench.methods.base import Setting
from cryobench.methods.device import compute_device

if TYPE_CHECKING:
    from cryobench.methods.learned.modules.denoising import DenoisingModule

Work = Callable[..., dict[str, torch.Tensor]]

WARM = 3  # ordinary steps of a kind before it is recorded: in these cuDNN makes its choices, and Adam its state


def asked_for(where: Setting) -> bool:
    """Whether steps are to be recorded: on one GPU, with Lightning's plain strategy for one, and not in 16-mixed, whose scaler
    reads each step's gradients."""
    alone = compute_device(where.accelerator).type == "cuda" and where.devices == 1 and where.strategy == "auto"
    return where.cuda_graphs and alone and where.precision != "16-mixed"


@contextlib.contextmanager
def recorded(module: DenoisingModule, where: Setting) -> Iterator[None]:
    """Within it the steps of a module are recorded, if they can be and are to be; after it the GPU's memory is free again."""
    if not (module.recordable and asked_for(where)):
        yield
        return
    module.graphs = Graphs()
    try:
        yield
    finally:
        module.graphs = None  # Lightning keeps the module itself for a while
        torch.cuda.empty_cache()


@functools.cache
def recording_stream() -> torch.cuda.Stream:
    """A graph can't be recorded on the stream that all else uses; one for the process, since libraries keep memory for each."""
    return torch.cuda.Stream()


class Graphs:
    """The steps of one training, a graph for each kind of step and each shape of its tensors."""

    def __init__(self) -> None:
        self.stream = recording_stream()
        self.seen: Counter = Counter()
        self.recorded: dict[tuple, Recorded] = {}

    def __call__(self, work: Work, tensors: tuple[torch.Tensor, ...], kind: dict) -> dict[str, torch.Tensor]:
        """What `work(*tensors, **kind)` returns; from a graph it is valid until the next step of its kind."""
        key = (*kind.items(), *(tensor.shape for tensor in tensors))
        self.seen[key] += 1
        if self.seen[key] <= WARM:
            return self.apart(work, tensors, kind)
        if key not in self.recorded:
            self.recorded[key] = Recorded(work, tensors, kind, self.stream)
        return self.recorded[key](tensors)

    def apart(self, work: Work, tensors: tuple[torch.Tensor, ...], kind: dict) -> dict[str, torch.Tensor]:
        """An ordinary step on the stream on which graphs are recorded, so that nothing it keeps belongs to another one."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            results = work(*tensors, **kind)
        torch.cuda.current_stream().wait_stream(self.stream)
        return results


class Recorded:
    """One kind of step; recording it computes nothing. Its images and what it makes of them keep their memory."""

    def __init__(self, work: Work, tensors: tuple[torch.Tensor, ...], kind: dict, stream: torch.cuda.Stream):
        self.tensors = [tensor.clone() for tensor in tensors]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            self.results = work(*self.tensors, **kind)

    def __call__(self, tensors: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        for place, tensor in zip(self.tensors, tensors, strict=True):
            place.copy_(tensor)
        self.graph.replay()
        return self.results


def suit(optimizer: torch.optim.Optimizer, recorded: bool) -> None:
    """Let an Adam be part of a graph or not, whichever wrote the checkpoint that it goes on from.

    In a graph its count of steps is a number on the GPU, else one of the processor's.
    """
    for group in optimizer.param_groups:
        group["capturable"] = recorded
        for weight in group["params"]:
            if "step" in (state := optimizer.state.get(weight, {})):
                state["step"] = state["step"].to(weight.device if recorded else "cpu")
