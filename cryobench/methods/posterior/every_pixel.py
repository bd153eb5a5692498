"""A steerable basis whose functions are kept at every pixel.

What guides a U-Net is seen in it: its last digits are other ones in folded.py, and a training goes another way for that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cryobench.methods.posterior.steerable import SteerableBasis


class EveryPixel(SteerableBasis):
    """values: (2K, L·L) float32, the real and then the imaginary parts of the functions, zeros for m = 0."""

    def __init__(self, orders: torch.Tensor, values: torch.Tensor, blocks: dict[int, slice] | None = None):
        super().__init__(round(values.shape[1] ** 0.5), orders, blocks)
        self.values = values

    def to(self, device: torch.device | str) -> EveryPixel:
        if self.device == torch.device(device):
            return self
        return EveryPixel(self.orders.to(device), self.values.to(device), self.blocks)

    def coefficients(self, images: torch.Tensor | np.ndarray) -> torch.Tensor:
        images = torch.as_tensor(images, dtype=torch.float32, device=self.device)
        parts = images.flatten(1) @ self.values.T
        return torch.complex(parts[:, : len(self)], parts[:, len(self) :])

    def render(self, coefficients: torch.Tensor) -> torch.Tensor:
        parts = torch.cat([coefficients.real, coefficients.imag], dim=1)
        return (parts @ self.values).unflatten(1, (self.size, self.size))

    def of_order(self, m: int) -> torch.Tensor:
        return torch.cat([part[self.blocks[m]] for part in self.values.chunk(2)])

    def combined(self, combinations: Sequence[torch.Tensor], keep: torch.Tensor) -> EveryPixel:
        combine = torch.block_diag(*combinations)[:, keep].T.float()
        real, imaginary = self.values.chunk(2)
        return EveryPixel(self.orders[keep], torch.cat([combine @ real, combine @ imaginary]))
