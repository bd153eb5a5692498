"""Whether functions are given tensors of several devices, on a machine that has one."""

from __future__ import annotations

from copy import copy

import torch

from cryobench.methods.posterior.by_order import ByOrder
from cryobench.methods.posterior.orbits import Orbits


class OneDevice(torch.overrides.TorchFunctionMode):
    """Notes functions that were given tensors of several devices. CUDA refuses even scalars of the CPU in some of them."""

    def __init__(self):
        super().__init__()
        self.mixed: list[str] = []

    def __torch_function__(self, function, types, arguments=(), named=None):
        given = []
        for value in (*arguments, *(named or {}).values()):
            several = value if isinstance(value, (list, tuple)) else [value]
            given += [one for one in several if isinstance(one, torch.Tensor)]
        if len({value.device.type for value in given}) > 1:
            self.mixed.append(function.__name__)
        return function(*arguments, **(named or {}))


def moved(orbits: Orbits, device: str = "meta") -> Orbits:
    """As they would be on another device than a CPU; torch's "meta" computes nothing and is on every machine."""
    there, basis = copy(orbits), orbits.basis.to(device)
    there.basis, there.coefficients, there.norms = basis, orbits.coefficients.to(device), orbits.norms.to(device)
    there.real, there.imaginary = (
        ByOrder(part.matrix.to(device), basis.blocks, filled=True) for part in (orbits.real, orbits.imaginary)
    )
    return there
