"""How the denoising autoencoder is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryobench.methods.learned.modules.denoising import DenoisingModule

if TYPE_CHECKING:
    from cryobench.methods.learned.autoencoder import Autoencoder


class AutoencoderModule(DenoisingModule):
    """min over G of E‖x − G(y)‖, by ℓ1 or squared ℓ2."""

    one_step = True
    recordable = True

    def __init__(self, settings: Autoencoder, image_size: int):
        super().__init__(settings.build_generator(image_size))
        self.power, self.lr = {"l1": 1, "l2": 2}[settings.loss], settings.lr

    def configure_optimizers(self):
        return self.adam(self.generator, self.lr, (0.5, 0.999))

    def training_step(self, batch, _):
        self.note(**self.take_step(self.learn, tuple(batch)))

    def learn(self, noisy: torch.Tensor, clean: torch.Tensor) -> dict[str, torch.Tensor]:
        """A step of Adam, and the losses before it."""
        difference = self.generator(noisy) - clean
        loss = difference.abs().pow(self.power).mean()  # E‖x − G(y)‖ per pixel: ℓ1, or ℓ2 squared
        (optimizer,) = self.steps()
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
        return {"loss": loss.detach(), "train_mse": difference.detach().square().mean()}
