"""The convolution-only pair of supplemental note 4: 5.51 M and 2.76 M parameters at width d = 64.

Generator: stride-2 convolutions d-2d-4d-8d and a mirrored decoder, no skips, tanh. Discriminator: the same widths with
LeakyReLU 0.01 and an unpadded 4×4 convolution: a 5×5 map of scores at 128 px. Below 64 px the fourth stage would leave
fewer than the 4×4 pixels which that convolution needs, so there are three.
"""

from __future__ import annotations

import torch
from torch import nn

from cryobench.errors import InputError


def stages(image_size: int) -> int:
    """How often the encoder halves an image: four times from 64 px on, three below."""
    return 4 if image_size >= 64 else 3


def check_size(image_size: int) -> None:
    """Raise InputError for an image size that the stages do not divide, or below 32 px."""
    multiple = 2 ** stages(image_size)
    if image_size % multiple or image_size < 32:
        raise InputError(
            f"net conv: expected an image size of at least 32 that is a multiple of 8 (of 16 from 64 px), got {image_size}"
        )


def widths(width: int, image_size: int, inputs: int = 1) -> list[int]:
    """[inputs, d, 2d, 4d, 8d]: the channels after each stage down, the image's own first."""
    return [inputs, *(width * 2**k for k in range(stages(image_size)))]


class Generator(nn.Module):
    """(b, inputs, L, L), noisy first → (b, 1, L, L) in (-1, 1)."""

    def __init__(self, width: int, image_size: int, inputs: int = 1):
        super().__init__()
        ladder = widths(width, image_size, inputs)
        layers: list[nn.Module] = []
        for before, after in zip(ladder, ladder[1:], strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        for before, after in zip(ladder[:0:-1], ladder[-2:0:-1], strict=False):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(ladder[1], 1, 4, 2, 1))

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layers(noisy))


class Discriminator(nn.Module):
    """(b, 1, L, L) image → (b, 1, m, m) raw scores; m = 5 at 128 px, 1 at 64 px and 32 px."""

    def __init__(self, width: int, image_size: int):
        super().__init__()
        ladder = widths(width, image_size)
        layers: list[nn.Module] = []
        for before, after in zip(ladder, ladder[1:], strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(ladder[-1], 1, 4))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image)
