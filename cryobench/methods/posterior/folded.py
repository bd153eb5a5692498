"""A steerable basis whose functions are kept on an eighth of the disc.

A square grid looks the same after a quarter turn, and mirrored. What a function of order m, F = f(r)·exp(imθ), is at the eight
pixels (r, ±θ + jπ/2) follows from one of them, with C = f cos mθ and S = f sin mθ:

    F = i^{mj} (C ± iS)

So Σ_pixels x F is a sum over the pixels with 0 ≤ θ ≤ π/4 of products of C and S with sums of x over the eight (SUMS), which
depend on m mod 4 alone. That takes a tenth of the memory that all pixels of the square take, and a seventh of the
multiplications. Outside the disc functions of m = 0 have one value each, and all others are zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch

from cryobench.methods.posterior.steerable import SteerableBasis

J, SIDE = np.tile(np.arange(4), 2), np.repeat([1, -1], 4)  # of the eight pixels: j, and the sign of θ
COS, SIN = np.array([1, 0, -1, 0])[J], np.array([0, 1, 0, -1])[J]  # of jπ/2
# What C and S of each kind of order are multiplied by, for the real part of a coefficient and for the imaginary part. Where
# m mod 4 is 3, S and the imaginary part have the other sign.
SUMS = np.stack(
    [
        *(np.ones(8), SIDE),  # m mod 4 is 0: real part from C, imaginary part from S
        *((-1.0) ** J, SIDE * (-1.0) ** J),  # 2: the same
        *(COS, -SIDE * SIN, SIN, SIDE * COS),  # 1: real part from C and S, imaginary part from C and S
    ]
)
AT_ONCE = 128  # images whose sums are in memory together
ROWS = ((slice(0, 1), slice(2, 3), slice(4, 6)), (slice(1, 2), slice(3, 4), slice(6, 8)))  # [part][kind], of SUMS


def kind(m: int) -> int:
    """Of orders: 0 where m mod 4 is 0, 1 where it is 2, 2 where m is odd."""
    return 2 if m % 2 else m % 4 // 2


class Eighth:
    """The P pixels of the disc r < L//2 with 0 ≤ θ ≤ π/4, of images of L = `size` px, on a device.

    x, y: (P,) from the centre; pixels: (8, P), where each and its seven counterparts are among L·L; count: (P,) how many of
    these are one pixel (those on a diagonal or an axis count twice, the centre eight times); outside: the pixels beyond.
    Images are taken apart into sums (n, 8, P + 1), of which the last column is of all pixels outside.
    """

    def __init__(self, size: int, device: torch.device):
        radius = size // 2
        y, x = np.mgrid[:radius, :radius].reshape(2, -1)
        self.y, self.x = (axis[(y <= x) & (np.hypot(y, x) < radius)] for axis in (y, x))
        down, right = SIDE[:, None] * self.y, np.broadcast_to(self.x, (8, len(self.x)))
        down, right = COS[:, None] * down + SIN[:, None] * right, COS[:, None] * right - SIN[:, None] * down
        pixels = (down + radius) * size + right + radius
        times = np.bincount(pixels.ravel(), minlength=size * size)
        self.count, outside = times[pixels[0]], np.flatnonzero(times == 0)
        place = np.full(size * size, len(self.x))  # in (8, P + 1), where an image is put together from
        for which in range(8):
            place[pixels[which]] = which * (len(self.x) + 1) + np.arange(len(self.x))
        self.pixels, self.outside, self.place = (torch.from_numpy(one).to(device) for one in (pixels, outside, place))
        self.sums = torch.from_numpy(SUMS).float().to(device)
        self.share = torch.from_numpy(1 / self.count).float().to(device)

    def apart(self, images: torch.Tensor) -> torch.Tensor:
        """(n, L·L) → (n, 8, P + 1)."""
        inside = self.sums @ (images[:, self.pixels] * self.share)
        outside = inside.new_zeros((len(images), 8, 1))
        outside[:, 0, 0] = images[:, self.outside].sum(dim=1)
        return torch.cat([inside, outside], dim=2)

    def together(self, sums: torch.Tensor) -> torch.Tensor:
        """(n, 8, P + 1) → (n, L·L), the transpose of `apart` but for the pixels that count several times."""
        return (self.sums.T @ sums).flatten(1)[:, self.place]


@lru_cache(maxsize=16)
def eighth(size: int, device: torch.device) -> Eighth:
    """That of images of `size` px."""
    return Eighth(size, device)


class Folded(SteerableBasis):
    """cosines and sines: C and S of the functions whose m mod 4 is 0, and of those where it is 2, (k, P + 1) each; both: C and
    then S, or −S where m mod 4 is 3, of those of odd m, (k, 2(P + 1)). float32, in the order of `orders`; the last of P + 1
    is the value outside the disc."""

    def __init__(
        self,
        size: int,
        orders: torch.Tensor,
        cosines: Sequence[torch.Tensor],
        sines: Sequence[torch.Tensor],
        both: torch.Tensor,
        blocks: dict[int, slice] | None = None,
    ):
        super().__init__(size, orders, blocks)
        self.cosines, self.sines, self.both, self.eighth = cosines, sines, both, eighth(size, self.device)
        self.parts = (*cosines, both), (*sines, both)  # [part][kind], as ROWS
        kinds = torch.where(orders % 2 == 1, 2, orders % 4 // 2)
        self.by_kind = kinds.argsort(stable=True)  # positions of functions, kind by kind
        self.position, self.counts = self.by_kind.argsort(), [len(some) for some in self.parts[0]]
        self.sign = torch.where(orders % 4 == 3, -1.0, 1.0)

    def to(self, device: torch.device | str) -> Folded:
        if self.device == torch.device(device):
            return self
        cosines, sines = ([one.to(device) for one in some] for some in (self.cosines, self.sines))
        return Folded(self.size, self.orders.to(device), cosines, sines, self.both.to(device), self.blocks)

    def coefficients(self, images: torch.Tensor | np.ndarray) -> torch.Tensor:
        images = torch.as_tensor(images, dtype=torch.float32, device=self.device).flatten(1)
        found = torch.empty((len(images), len(self)), dtype=torch.complex64, device=self.device)
        for some, its in zip(images.split(AT_ONCE), found.split(AT_ONCE), strict=True):
            its.copy_(self._of_some(some))
        return found

    def _of_some(self, images: torch.Tensor) -> torch.Tensor:
        sums = self.eighth.apart(images)
        real, imaginary = (
            torch.cat([sums[:, row].flatten(1) @ one.T for row, one in zip(rows, some, strict=True)], dim=1)
            for rows, some in zip(ROWS, self.parts, strict=True)
        )
        return torch.complex(real[:, self.position], imaginary[:, self.position] * self.sign)

    def render(self, coefficients: torch.Tensor) -> torch.Tensor:
        images = self.both.new_empty((len(coefficients), self.size, self.size))
        for some, its in zip(coefficients.split(AT_ONCE), images.split(AT_ONCE), strict=True):
            its.copy_(self._rendered(some))
        return images

    def _rendered(self, coefficients: torch.Tensor) -> torch.Tensor:
        sums = self.both.new_empty((len(coefficients), 8, len(self.eighth.x) + 1))
        of_parts = coefficients.real, coefficients.imag * self.sign
        for rows, some, part in zip(ROWS, self.parts, of_parts, strict=True):
            for row, one, its in zip(rows, some, part[:, self.by_kind].split(self.counts, dim=1), strict=True):
                sums[:, row] = (its @ one).unflatten(1, (-1, sums.shape[2]))
        return self.eighth.together(sums).unflatten(1, (self.size, self.size))

    def of_order(self, m: int) -> torch.Tensor:
        its, n = self._rows(m), self.blocks[m].stop - self.blocks[m].start
        sums = self.both.new_zeros((2, n, 8, len(self.eighth.x) + 1))
        for part in (0, 1):
            sums[part][:, ROWS[part][kind(m)]] = self.parts[part][kind(m)][its].unflatten(1, (-1, sums.shape[3]))
        if m % 4 == 3:
            sums[1] *= -1
        return self.eighth.together(sums.flatten(0, 1))

    def products(self, m: int) -> torch.Tensor:
        its = (self.both,) if m % 2 else (self.cosines[kind(m)], self.sines[kind(m)])
        values = torch.cat([one[self._rows(m)] for one in its], dim=1).double()  # C, and S or −S
        # Each pixel of an eighth stands for eight, or, with those that are one, for fewer.
        stands_for = torch.cat([8 * self.eighth.share, values.new_tensor([len(self.eighth.outside)])]).sqrt()
        values *= stands_for.repeat(2)
        return values @ values.T

    def _rows(self, m: int) -> slice:
        """Where the functions of an order are among those of its kind."""
        start = sum(
            block.stop - block.start for other, block in self.blocks.items() if other < m and kind(other) == kind(m)
        )
        return slice(start, start + self.blocks[m].stop - self.blocks[m].start)

    def combined(self, combinations: Sequence[torch.Tensor], keep: torch.Tensor) -> Folded:
        def of(values: torch.Tensor, which: int) -> torch.Tensor:
            some: Iterable[torch.Tensor] = (
                vectors[:, keep[block]].T.float() @ values[self._rows(m)]
                for (m, block), vectors in zip(self.blocks.items(), combinations, strict=True)
                if kind(m) == which
            )
            return torch.cat([values[:0], *some])

        cosines, sines = ([of(one, k) for k, one in enumerate(some)] for some in (self.cosines, self.sines))
        return Folded(self.size, self.orders[keep], cosines, sines, of(self.both, 2))
