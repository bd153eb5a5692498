"""The frequencies of square images, an eighth of which stand for all where sums are the same at eight of them.

They are so of products of two functions of one order of a steerable basis: for F = f(r)·exp(imθ), a quarter turn multiplies the
transforms of both by one number, and a mirror takes both to their conjugates, times one number. (Frequencies beyond Nyquist
are those on the other side, so this holds on the edge, too.)
"""

from __future__ import annotations

from functools import lru_cache

import torch


def stands_for(size: int) -> torch.Tensor:
    """How many of the plane's frequencies each of those of rfft2 is for, of images of `size` px: (L·(L/2+1),) of 1 and 2."""
    times = torch.full((size, size // 2 + 1), 2.0)
    times[:, 0] = 1
    if size % 2 == 0:
        times[:, -1] = 1
    return times.flatten()


class Frequencies:
    """Those of rfft2 of images of L = `size` px, on a device: kept (P,), positions among L·(L/2+1) with 0 ≤ down ≤ right; belongs
    (L·(L/2+1),), for each which of these it is like."""

    def __init__(self, size: int, device: torch.device):
        across = size // 2 + 1
        down = torch.fft.fftfreq(size, 1 / size).abs().round().long()[:, None]
        right = torch.arange(across)
        like = torch.minimum(down, right) * across + torch.maximum(down, right)
        kept, belongs = torch.unique(like.flatten(), return_inverse=True)
        self.kept, self.belongs, self.stands_for = kept.to(device), belongs.to(device), stands_for(size).to(device)

    def sums(self, plane: torch.Tensor) -> torch.Tensor:
        """Over all frequencies of the plane that are like each of those kept, of (L, L/2+1): (P,)."""
        return plane.new_zeros(len(self.kept)).index_add_(0, self.belongs, plane.flatten() * self.stands_for)


@lru_cache(maxsize=16)
def frequencies(size: int, device: torch.device) -> Frequencies:
    """Those of images of `size` px."""
    return Frequencies(size, device)
