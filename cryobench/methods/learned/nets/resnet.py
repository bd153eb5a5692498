"""The paper's ResNet pair: 4.20 M (generator) and 2.80 M (discriminator) parameters at width d = 64.

Generator: three stages down (4×4 convolutions, stride 2, widths d, 2d, 4d), three residual units each; two stages up
with the encoder's output added before the ReLU; a last transposed convolution, batch norm, tanh.
Discriminator: the same stem with 2, 2 and 3 units, then an unpadded 4×4 convolution: a map of scores, 13×13 at 128 px.

Sums and ReLUs that nothing else reads are made in place: the same numbers in fewer passes over memory.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cryobench.errors import InputError


def check_size(image_size: int) -> None:
    """Three halvings must leave at least the 4×4 pixels that the discriminator's last convolution sees."""
    if image_size % 8 or image_size < 32:
        raise InputError(
            f"net resnet: expected an image size that is a multiple of 8 and at least 32, got {image_size}"
        )


class Unit(nn.Module):
    """One 3×3 convolution and batch norm, added to the input; the ReLU is the caller's (skips leave before it)."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)).add_(x)


class Stage(nn.Module):
    """A strided (or transposed) 4×4 convolution with batch norm, then residual units; returns the pre-ReLU sum."""

    def __init__(self, resample: nn.Module, width: int, units: int):
        super().__init__()
        self.resample, self.norm = resample, nn.BatchNorm2d(width)
        self.units = nn.ModuleList(Unit(width) for _ in range(units))

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        x = self.norm(self.resample(x))
        if skip is not None:
            x = x.add_(skip)
        for unit in self.units:
            x = unit(F.relu_(x))
        return x


def down(inputs: int, width: int, units: int) -> Stage:
    """A stage that halves the image, (b, inputs, h, w) → (b, width, h/2, w/2)."""
    return Stage(nn.Conv2d(inputs, width, 4, stride=2, padding=1), width, units)


def up(inputs: int, width: int, units: int) -> Stage:
    """A stage that doubles the image, (b, inputs, h, w) → (b, width, 2h, 2w)."""
    return Stage(nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1), width, units)


class Generator(nn.Module):
    """(b, inputs, L, L), noisy first → (b, 1, L, L) in (-1, 1)."""

    def __init__(self, width: int, image_size: int, inputs: int = 1):
        super().__init__()
        d = width
        self.encoder = nn.ModuleList([down(inputs, d, 3), down(d, 2 * d, 3), down(2 * d, 4 * d, 3)])
        self.decoder = nn.ModuleList([up(4 * d, 2 * d, 3), up(2 * d, d, 3)])
        self.last = nn.ConvTranspose2d(d, 1, 4, stride=2, padding=1)
        self.last_norm = nn.BatchNorm2d(1)

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        first = self.encoder[0](noisy)
        second = self.encoder[1](F.relu(first))
        x = self.encoder[2](F.relu(second))
        x = self.decoder[0](F.relu_(x), skip=second)
        x = self.decoder[1](F.relu_(x), skip=first)
        return torch.tanh(self.last_norm(self.last(F.relu_(x))))


class Discriminator(nn.Module):
    """(b, 1, L, L) image → (b, 1, L/8 - 3, L/8 - 3) raw scores, one for each overlapping patch."""

    def __init__(self, width: int, image_size: int):
        super().__init__()
        d = width
        self.stem = nn.ModuleList([down(1, d, 2), down(d, 2 * d, 2), down(2 * d, 4 * d, 3)])
        self.last = nn.Conv2d(4 * d, 1, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for stage in self.stem:
            image = F.relu_(stage(image))
        return self.last(image)
