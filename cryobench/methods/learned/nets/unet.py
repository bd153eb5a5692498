"""A U-Net of pre-activation residual blocks with group norm, deep enough to see the whole particle.

It works at half the image's resolution (pixels are folded 2×2 into channels and unfolded at the end, which loses nothing
and is four times cheaper) and goes down three more halvings, of widths d, 2d, 4d, 4d: at 64 px the lowest level has 4×4
positions. Group norm has no running statistics, so training and testing compute the same.

Ronneberger, Fischer & Brox 2015 (the U); He et al. 2016 (pre-activation); Wu & He 2018 (group norm).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cryobench.errors import InputError
from cryobench.methods.learned.nets.build import channels_last

GROUPS = 8


def check_size(image_size: int) -> None:
    """One folding and three halvings must leave at least 2×2 positions."""
    if image_size % 16 or image_size < 32:
        raise InputError(f"net unet: expected an image size that is a multiple of 16 and at least 32, got {image_size}")


def norm(width: int) -> nn.GroupNorm:
    """Group norm with as many groups as the width allows, at most GROUPS."""
    return nn.GroupNorm(min(GROUPS, width), width)


class Block(nn.Module):
    """Two 3×3 convolutions, each after group norm and ReLU, added to the input."""

    def __init__(self, width: int):
        super().__init__()
        self.norms = nn.ModuleList(norm(width) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = x
        for normalise, convolve in zip(self.norms, self.convs, strict=True):
            inner = convolve(F.relu(normalise(inner)))
        return x + inner


class UNet(nn.Module):
    """(b, inputs, L, L) → (b, 1, L, L): channel `base` of the input, if any, plus what was learnt, which begins at zero."""

    def __init__(self, width: int, image_size: int, inputs: int = 1, base: int | None = None):
        super().__init__()
        check_size(image_size)
        if width % min(GROUPS, width):
            raise InputError(f"method.width: expected a multiple of {GROUPS} for net unet, got {width}")
        self.base = base
        widths = [width, 2 * width, 4 * width, 4 * width]
        steps = list(zip(widths, widths[1:], strict=False))
        self.first = nn.Conv2d(4 * inputs, width, 3, padding=1)
        self.encoder = nn.ModuleList(nn.Sequential(Block(w), Block(w)) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in steps)
        self.decoder = nn.ModuleList(nn.Sequential(Block(w), Block(w)) for w in widths[:-1])
        self.last = nn.Sequential(norm(width), nn.ReLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(F.pixel_unshuffle(image, 2))
        skips = []
        for stage, down in zip(self.encoder, self.down, strict=False):
            skips.append(stage(x))
            x = down(skips[-1])
        x = self.encoder[-1](x)
        for stage, up, skip in zip(reversed(self.decoder), reversed(self.up), reversed(skips), strict=True):
            x = stage(up(x) + skip)
        learnt = F.pixel_shuffle(self.last(x), 2)
        return learnt if self.base is None else learnt + image[:, self.base : self.base + 1]


def build(width: int, image_size: int, *, inputs: int, base: int | None, seed: int) -> UNet:
    """A U-Net with He's initialisation (2015) drawn from `seed`, its last convolution 0; channels-last."""
    with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws from the global state; ours follows
        net = UNet(width, image_size, inputs, base)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
        net.last.get_parameter("2.weight").zero_()
    return channels_last(net)
