"""The pair for real particles of 256 px: six levels down to 512 channels and six up, of which the paper's code has facts
(widths, and units of 1×1, 4×4 and 1×1 convolutions) but no count of parameters.

Generator: six 4×4 convolutions of stride 2, widths d, 2d, 4d, 8d, 8d, 8d, each followed by a bottleneck unit; mirrored
upwards, the encoder's output added before the ReLU; a last transposed convolution, batch norm, tanh. Discriminator: the
same stem, then an unpadded convolution to one score for each 4×4 pixels left of 256. One unit a level is our reading.
24.5 M and 12.5 M parameters at d = 64.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cryobench.errors import InputError

LEVELS = (1, 2, 4, 8, 8, 8)  # widths in units of d: 512 channels at d = 64
SQUEEZE = 4  # a bottleneck's inner width is a quarter of its outer


def check_size(image_size: int) -> None:
    """Six halvings must leave the 4×4 pixels that the discriminator's last convolution sees."""
    if image_size % 64 or image_size < 256:
        raise InputError(
            f"net deep: expected an image size that is a multiple of 64 and at least 256, got {image_size}"
        )


class Bottleneck(nn.Module):
    """1×1, 4×4 and 1×1 convolutions, each with batch norm, added to the input; the ReLU after it is the caller's."""

    def __init__(self, width: int):
        super().__init__()
        inner = max(1, width // SQUEEZE)
        self.layers = nn.Sequential(
            nn.Conv2d(width, inner, 1),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.ZeroPad2d((1, 2, 1, 2)),
            nn.Conv2d(inner, inner, 4),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, width, 1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class Level(nn.Module):
    """A strided (or transposed) 4×4 convolution with batch norm, then a bottleneck; returns the pre-ReLU sum."""

    def __init__(self, resample: nn.Module, width: int):
        super().__init__()
        self.resample, self.norm, self.unit = resample, nn.BatchNorm2d(width), Bottleneck(width)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        x = self.norm(self.resample(x))
        return self.unit(F.relu(x if skip is None else x + skip))


def stem(width: int, inputs: int = 1) -> nn.ModuleList:
    """Six levels down: (b, inputs, L, L) → (b, 8d, L/64, L/64)."""
    ladder = [inputs, *(width * k for k in LEVELS)]
    return nn.ModuleList(
        Level(nn.Conv2d(before, after, 4, 2, 1), after) for before, after in zip(ladder, ladder[1:], strict=False)
    )


class Generator(nn.Module):
    """(b, inputs, L, L), noisy first → (b, 1, L, L) in (-1, 1)."""

    def __init__(self, width: int, image_size: int, inputs: int = 1):
        super().__init__()
        ladder = [width * k for k in LEVELS]
        self.encoder = stem(width, inputs)
        self.decoder = nn.ModuleList(
            Level(nn.ConvTranspose2d(before, after, 4, 2, 1), after)
            for before, after in zip(ladder[:0:-1], ladder[-2::-1], strict=True)
        )
        self.last = nn.ConvTranspose2d(width, 1, 4, 2, 1)
        self.last_norm = nn.BatchNorm2d(1)

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        x = noisy
        skips: list[torch.Tensor] = []
        for level in self.encoder:
            x = level(x if not skips else F.relu(x))
            skips.append(x)
        for level, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = level(F.relu(x), skip)
        return torch.tanh(self.last_norm(self.last(F.relu(x))))


class Discriminator(nn.Module):
    """(b, 1, L, L) image → (b, 1, L/64 - 3, L/64 - 3) raw scores: one for an image of 256 px."""

    def __init__(self, width: int, image_size: int):
        super().__init__()
        self.stem = stem(width)
        self.last = nn.Conv2d(width * LEVELS[-1], 1, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for level in self.stem:
            image = F.relu(level(image))
        return self.last(image)
