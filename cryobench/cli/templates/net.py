"""Mine: a net of your own, trained on pairs of clean and noisy images. Everything below is yours to change.

Checkpoints, resuming, the choice of an epoch, weights in and out come from Trained; docs/adding.md says what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from cryobench.errors import InputError
from cryobench.methods.learned.modules.denoising import DenoisingModule
from cryobench.methods.learned.nets.build import draw_weights
from cryobench.methods.learned.trained import Trained


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


class Training(DenoisingModule):
    """How it is trained: a Lightning module of which you write the optimizer and one step."""

    one_step = True  # one backward pass a batch, which reaches every weight

    def __init__(self, settings: Mine, image_size: int):
        super().__init__(settings.build_generator(image_size))
        self.lr = settings.lr

    def configure_optimizers(self):
        return torch.optim.Adam(self.generator.parameters(), lr=self.lr)

    def training_step(self, batch, _):
        noisy, clean = batch  # (b, 1, L, L) each
        loss = (self.generator(noisy) - clean).square().mean()
        optimizer = self.optimizers()
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
        self.note(loss=loss, train_mse=loss)  # for the training curve in the record


@dataclass
class Mine(Trained):
    """A DnCNN, trained by ℓ2. depth: its convolutions; width, epochs, batch_size, lr and more are those of Trained."""

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

    def module(self, image_size: int) -> Training:
        """What is trained."""
        return Training(self, image_size)
