"""The denoising autoencoder: a generator trained on pairs by ℓ1 or ℓ2 alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from cryobench.methods.learned.trained import DenoisingModule, Trained, choose


class AutoencoderModule(DenoisingModule):
    def __init__(self, generator, loss: str, lr: float):
        super().__init__(generator)
        self.power, self.lr = {"l1": 1, "l2": 2}[loss], lr

    def configure_optimizers(self):
        return torch.optim.Adam(self.generator.parameters(), lr=self.lr, betas=(0.5, 0.999))

    def training_step(self, batch, _):
        noisy, clean = batch
        difference = self.generator(noisy) - clean
        loss = difference.abs().pow(self.power).mean()  # E‖x − G(y)‖ per pixel: ℓ1, or ℓ2 squared
        optimizer = self.optimizers()
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
        self.note(loss=loss, train_mse=difference.detach().square().mean())


@dataclass
class Autoencoder(Trained):
    """min over G of E‖x − G(y)‖, by ℓ1 or squared ℓ2.

    loss: "l1" or "l2".
    """

    loss: str = "l2"

    one_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("loss", self.loss, "l1", "l2")

    def module(self, image_size: int) -> AutoencoderModule:
        return AutoencoderModule(self.build_generator(image_size), self.loss, self.lr)
