"""A training step on a GPU as one CUDA graph: its kernels are recorded once, and from then on started together.

A step of a small net is some hundreds of kernels, each of which a GPU computes in less time than a processor takes to start it.
What a graph asks of a step is in torch's notes on CUDA ("whole-network capture"): the same tensors in the same places each time,
no number read off the device, no random number drawn by the processor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch

from cryobench.methods.base import Setting
from cryobench.methods.device import compute_device

Work = Callable[..., dict[str, torch.Tensor]]

WARM = 3  # ordinary steps of a kind before it is recorded: in these cuDNN makes its choices, and Adam its state


def asked_for(where: Setting) -> bool:
    """Whether steps are to be recorded: on one GPU, and not in 16-mixed, whose scaler reads each step's gradients."""
    on_gpu = compute_device(where.accelerator).type == "cuda"
    return where.cuda_graphs and on_gpu and where.devices == 1 and where.precision != "16-mixed"


class Graphs:
    """The steps of one training, a graph for each kind of step and each shape of its tensors."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # a graph can't be recorded on the stream that all else uses
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
    """One kind of step; recording it computes nothing."""

    def __init__(self, work: Work, tensors: tuple[torch.Tensor, ...], kind: dict, stream: torch.cuda.Stream):
        self.tensors = [tensor.clone() for tensor in tensors]
        self.graph = torch.cuda.CUDAGraph()
        # thread_local: a DataLoader's thread that pins memory may go on meanwhile.
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
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
