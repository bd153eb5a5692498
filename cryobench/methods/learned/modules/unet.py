"""How the U-Net is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from cryobench.methods.learned.modules.denoising import DenoisingModule

if TYPE_CHECKING:
    from cryobench.methods.learned.unet import UNet


class UNetModule(DenoisingModule):
    """ℓ2 by AdamW, the learning rate rising for a twentieth of all steps and then falling to zero as a cosine."""

    one_step = True

    def __init__(self, settings: UNet, image_size: int):
        super().__init__(settings.build_generator(image_size))
        self.lr, self.weight_decay = settings.lr, settings.weight_decay

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.generator.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.lr,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.05,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def training_step(self, batch, _):
        inputs, clean = batch
        loss = (self.generator(inputs) - clean).square().mean()
        (optimizer,) = self.steps()
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
        schedule: Any = self.lr_schedulers()
        schedule.step()
        self.note(loss=loss, train_mse=loss)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients longer than 1 are cut to 1; with 16-mixed it is only here that they are no longer scaled."""
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
