"""Where to compute, and how exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def compute_device(accelerator: str) -> torch.device:
    """The device of Lightning's name of an accelerator: the current GPU for "gpu" or "cuda", and for "auto" if there is one."""
    import torch

    wants_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if wants_gpu else "cpu")


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Convolutions on a GPU in the single precision that they have on a CPU.

    Else cuDNN multiplies with the 10 bits of TF32, and what is called 32-true is not. Products of matrices are exact anyway
    (`torch.backends.cuda.matmul.allow_tf32` is false by default).
    """
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
