"""Mine: a net of your own, trained on pairs of noisy images, without any clean one. Everything below is yours to change.

What it is shown, and by which loss it is trained, come from Noise2Noise; checkpoints, resuming, the choice of an epoch, weights
in and out from Trained; docs/adding.md says what these give.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from cryobench.errors import InputError
from cryobench.methods.learned.nets.build import draw_weights
from cryobench.methods.learned.noise2noise import Noise2Noise


class DnCNN(nn.Module):
    """A chain of 3×3 convolutions that says what the noise is (K. Zhang et al. 2017): (b, 1, L, L) → (b, 1, L, L)."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        return noisy - self.layers(noisy)


@dataclass
class Mine(Noise2Noise):
    """A DnCNN. depth: its convolutions; draws are those of Noise2Noise, width, epochs and more those of Trained."""

    nets: ClassVar[tuple[str, ...]] = ("dncnn",)  # what `net` may be
    net: str = field(default="dncnn", init=False)

    depth: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 2:
            raise InputError(f"method.depth: expected at least 2 convolutions, got {self.depth}")

    def build_generator(self, image_size: int) -> nn.Module:
        """The net that denoises, its weights drawn from the seed of the run."""
        with torch.random.fork_rng(devices=[]):  # torch draws weights as it makes a layer; these are drawn anew
            net = DnCNN(self.width, self.depth)
        draw_weights(net, torch.Generator().manual_seed(self.setting.seed))
        return net
