"""A matrix whose rows belong to the orders of a steerable basis, and its products within each order.

On a GPU some hundred small products take longer to start than to compute: there the orders are filled up with zeros to the
longest one's length and multiplied all at once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch

ALL = slice(None)
MANY = 0.25  # of the columns: to multiply zeros, too, is then faster than to copy the chosen ones


@functools.lru_cache(maxsize=64)
def layout(
    orders: tuple[int, ...], lengths: tuple[int, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Orders with so many rows each, on a device, and the row of `ByOrder.filled` that each of these becomes, (K,).

    Kept: numbers that go to a GPU wait for it.
    """
    starts = max(lengths) * torch.arange(len(lengths))
    places = [start + torch.arange(length) for start, length in zip(starts, lengths, strict=True)]
    return torch.tensor(orders, device=device), torch.cat(places).to(device)


class ByOrder:
    """matrix (K, n); blocks: order → the slice of its rows, in turn; filled: whether orders are filled up, None for on a GPU.

    With that it takes two to three and a half times the memory.
    """

    def __init__(self, matrix: torch.Tensor, blocks: Mapping[int, slice], *, filled: bool | None = None):
        self.matrix, self.blocks = matrix, list(blocks.values())
        lengths = tuple(block.stop - block.start for block in self.blocks)
        self.orders, self.places = layout(tuple(blocks), lengths, matrix.device)
        self.length = max(lengths)
        self.filled: torch.Tensor | None = None  # (orders, rows of the longest, n)
        if matrix.is_cuda if filled is None else filled:
            self.filled = self.fill(matrix)

    def fill(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (K, c), of the orders that those of the matrix have → (orders, length, c), zeros where an order has fewer."""
        filled = rows.new_zeros((len(self.blocks) * self.length, rows.shape[1]))
        filled[self.places] = rows
        return filled.unflatten(0, (len(self.blocks), self.length))

    def times_left(self, rows: torch.Tensor, chosen: slice = ALL) -> torch.Tensor:
        """Rows (r, K) from the left of the c columns `chosen`: their sums over each order, (orders, r, c)."""
        if self.filled is not None:
            return self.fill(rows.T).mT @ self.filled[:, :, chosen]
        return torch.stack([rows[:, block] @ self.matrix[block, chosen] for block in self.blocks])

    def times_right(self, columns: torch.Tensor, chosen: torch.Tensor | slice = ALL) -> torch.Tensor:
        """Columns (orders, c, d), those of a row's order, from the right of the c columns `chosen` of the matrix: (K, d)."""
        if self.filled is not None:
            return (self.filled[:, :, chosen] @ columns).flatten(0, 1)[self.places]
        if isinstance(chosen, torch.Tensor) and len(chosen) > MANY * self.matrix.shape[1]:
            everywhere = columns.new_zeros((len(columns), self.matrix.shape[1], columns.shape[2]))
            everywhere[:, chosen] = columns
            chosen, columns = ALL, everywhere
        return torch.cat(
            [self.matrix[block][:, chosen] @ part for block, part in zip(self.blocks, columns, strict=True)]
        )
