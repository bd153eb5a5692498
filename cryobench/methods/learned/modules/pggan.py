"""How PGGAN is trained (supplemental note 6): a WGAN with gradient penalty whose generator grows, with or without λℓ1.

    min over G, max over D with slopes near 1 of  E D(xᵣ) − E D(G(y)) + λ E‖xᵣ − G(y)‖₁

xᵣ is the clean image averaged to the size r that G has grown to (growth.py has the phases). In a phase of fading in, the
new block does so, images and all. One critic step for each generator step. All that a step does follows from its part and
its number in it, so that a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.utils.data import Sampler

from cryobench.methods.learned.growth import Part
from cryobench.methods.learned.lightning import steps_done
from cryobench.methods.learned.losses import discriminator_loss, generator_loss
from cryobench.methods.learned.modules.denoising import DenoisingModule
from cryobench.methods.learned.modules.gan import gradient_penalty, shares_of_step
from cryobench.methods.learned.nets import pggan
from cryobench.methods.learned.scores import Wasserstein
from cryobench.methods.learned.shown import EpochProgress

if TYPE_CHECKING:
    from cryobench.methods.learned.pggan import Pggan

ADAM = (0.0, 0.99)


class PgganModule(DenoisingModule):
    """The epochs that Lightning counts are the parts of the growth phases."""

    trainer_options: ClassVar[dict] = {"reload_dataloaders_every_n_epochs": 1}  # parts differ in their number of steps

    def __init__(self, settings: Pggan, image_size: int, parts: list[Part]):
        super().__init__(settings.build_generator(image_size))
        self.settings, self.parts, self.seed = settings, parts, settings.setting.seed
        self.critic = pggan.build(pggan.Discriminator, settings.width, image_size, self.seed + 10_000)
        self.rule = Wasserstein()

    def order(self, images: int, batch_size: int, done: int, epoch: int) -> PartSampler:
        return PartSampler(images, self, done)

    def progress_bar(self, epochs: int) -> GrowthProgress:
        return GrowthProgress(self.parts)

    @property
    def part(self) -> Part:
        """The part of the schedule that is being trained."""
        return self.parts[min(self.current_epoch, len(self.parts) - 1)]  # Lightning asks once more after the last

    def configure_optimizers(self):
        lr = self.settings.lr
        return (
            torch.optim.Adam(self.generator.parameters(), lr=lr, betas=ADAM),
            torch.optim.Adam(self.critic.parameters(), lr=lr, betas=ADAM),
        )

    def training_step(self, batch, index):
        """A step of the critic, then one of the generator, at the size and the fade of the part."""
        noisy, clean = batch
        generator_step, critic_step = self.steps()
        size, fade = self.part.size, self.part.fade(index)
        real, denoised = pggan.target(clean, size, fade), self.generator(noisy, size, fade)
        self.learn_critic(critic_step, real, denoised.detach(), fade, index)

        # The critic only passes the gradient on; it keeps none of its own.
        self.critic.requires_grad_(False)
        l1 = (denoised - real).abs().mean()
        adversarial = generator_loss(self.rule, self.critic(denoised, fade))
        generator_step.zero_grad(set_to_none=True)
        self.manual_backward(adversarial + self.settings.lam * l1)
        generator_step.step()
        self.critic.requires_grad_(True)
        self.note(l1=l1, train_mse=(denoised.detach() - real).square().mean())

    def learn_critic(self, step, real: torch.Tensor, denoised: torch.Tensor, fade: float, index: int) -> None:
        """One step of the critic's Adam: Wasserstein loss and gradient penalty."""
        loss = discriminator_loss(self.rule, self.critic(real, fade), self.critic(denoised, fade))
        share = shares_of_step(real, self.seed, self.current_epoch, index)
        penalty = gradient_penalty(lambda image: self.critic(image, fade), real, denoised, share)
        step.zero_grad(set_to_none=True)
        self.manual_backward(loss + self.settings.penalty_weight * penalty)
        step.step()
        self.note(critic_gap=-loss, penalty=penalty)

    def validation_step(self, batch, _):
        """The MSE at full size, a smaller image enlarged, and how much the images of a batch differ, ours and the clean."""
        noisy, clean = batch
        part = self.part
        denoised = self.generator(noisy, part.size, part.fade(part.steps))
        denoised = pggan.enlarge(denoised, clean.shape[-1] // part.size)
        values = {
            "val_mse": (denoised - clean).square().mean(),
            "variance": denoised.var(dim=0, unbiased=False).mean(),
            "clean_variance": clean.var(dim=0, unbiased=False).mean(),
        }
        self.log_dict(values, batch_size=len(clean), on_epoch=True, sync_dist=True, logger=False)

    def on_train_epoch_end(self) -> None:
        """A point of the curve. variety: the variance between images over that of clean ones, near 0 once G collapses."""
        super().on_train_epoch_end()
        del self.curve[-1]["parts"]  # it is one
        part, seen = self.part, self.trainer.callback_metrics
        variety = float(seen["variance"] / seen["clean_variance"].clamp_min(1e-12))
        images = part.shown + part.steps * part.batch
        self.curve[-1] |= {"size": part.size, "fading": part.fading, "images": images, "variety": variety}
        self.write({"size": part.size, "variety": variety}, steps_done(self.trainer))


class PartSampler(Sampler):
    """The batches of the part that is being trained, the first time those after the `done` ones; round and round."""

    def __init__(self, images: int, module: PgganModule, done: int):
        self.images, self.module, self.done = images, module, done

    def __len__(self) -> int:
        return self.module.part.steps

    def __iter__(self) -> Iterator[list[int]]:
        part, first, self.done = self.module.part, self.done, 0
        for step in range(first, part.steps):
            start = part.shown + step * part.batch
            yield list(np.arange(start, start + part.batch) % self.images)


class GrowthProgress(EpochProgress):
    """The bar, over the steps of all parts, with the growth phase beside it."""

    def __init__(self, parts: list[Part]):
        super().__init__(len(parts))
        self.parts = parts

    def on_train_start(self, trainer, module) -> None:
        super().on_train_start(trainer, module)
        self.bar.update(self.task, total=sum(part.steps for part in self.parts))

    def on_train_epoch_start(self, trainer, module) -> None:
        self.bar.update(self.task, description=module.part.name)
