"""Work for ranks that fail, in a file of its own: each rank imports it, and Lightning takes seconds."""

import os
import signal

import torch

from cryobench.methods.learned import ranks


def fail(how, stop) -> None:
    """Rank 1 ends in some way while rank 0 waits for it."""
    if ranks.rank() == 1 and how == "error":
        raise MemoryError("no more of it")
    if ranks.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.mean(torch.ones(1))
