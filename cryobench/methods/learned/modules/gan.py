"""How autoencoder and GAN are trained jointly: a scoring rule plus λℓ1.

    min over G, max over D of  E S(D(x),1) + E S(D(G(y)),0) + λ E‖x − G(y)‖₁

ℓ1 is the mean over pixels; scores are averaged over the discriminator's map as described, or summed as the released
code does (which makes λ weigh 1/169 as much at 128 px). One discriminator step for every two generator steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryobench.methods.learned import ranks
from cryobench.methods.learned.losses import discriminator_loss, generator_loss
from cryobench.methods.learned.modules.denoising import DenoisingModule
from cryobench.methods.learned.nets.build import build

if TYPE_CHECKING:
    from cryobench.methods.learned.gan import Adversarial, WassersteinGan

ADAM = (0.5, 0.999)


def map_mean(scores: torch.Tensor) -> torch.Tensor:
    """The mean over the score map and the batch, as the paper describes it: (b, 1, h, w) → ()."""
    return scores.mean()


def map_sum(scores: torch.Tensor) -> torch.Tensor:
    """Summed over the score map, averaged over the batch: the released code's habit."""
    return scores.sum(dim=(1, 2, 3)).mean()


def gradient_penalty(critic, real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """E (‖∇D(x̂)‖₂ − 1)², x̂ between real and fake, with this share (b, 1, 1, 1) of real (Gulrajani et al. 2017, equation 3).

    In single precision, whatever a training's: half precision overflows in gradients that are not scaled, and then squared.
    """
    share = share.to(real)
    between = (share * real + (1 - share) * fake.to(real)).requires_grad_(True)
    with torch.autocast(real.device.type, enabled=False):
        (slope,) = torch.autograd.grad(critic(between).mean(dim=(1, 2, 3)).sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def shares_of_step(images: torch.Tensor, seed: int, epoch: int, index: int) -> torch.Tensor:
    """Where the penalty looks in one training step, uniform in [0, 1), the same after a resumed run: (b, 1, 1, 1) for b images.

    Drawn by the processor, the same numbers for any device.
    """
    random = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 1_000_003 + index)
    drawn = ranks.shard(torch.rand(len(images) * ranks.world(), 1, 1, 1, generator=random))
    if images.is_cuda:
        drawn = drawn.pin_memory()  # from other memory the copy would wait for the GPU
    return drawn.to(images, non_blocking=True)


class GanModule(DenoisingModule):
    """Manual optimisation: each batch passes the generator once, for its own step and for the discriminator's."""

    recordable = True

    def __init__(self, settings: Adversarial, image_size: int):
        super().__init__(settings.build_generator(image_size))
        self.settings, self.rule, self.seed = settings, settings.rule(), settings.setting.seed
        self.discriminator = build(
            settings.net,
            "discriminator",
            width=settings.width,
            image_size=image_size,
            seed=self.seed + 10_000,
            norm=settings.discriminator_norm,
        )
        self.reduce = {"mean": map_mean, "sum": map_sum}[settings.score_map]

    def configure_optimizers(self):
        return (
            self.adam(self.generator, self.settings.lr, ADAM),
            self.adam(self.discriminator, self.settings.lr_discriminator, ADAM),
        )

    def score(self, image: torch.Tensor) -> torch.Tensor:
        """A map of scores (b, 1, h, w): probabilities for a rule that wants them, else as they come."""
        raw = self.discriminator(image)
        return torch.sigmoid(raw) if self.rule.squash else raw

    def training_step(self, batch, index):
        """A step of the generator, and before it one of the discriminator in every other batch."""
        both = index % 2 == 0
        drawn = self.drawn(batch[1], index) if both else ()
        self.note(**self.take_step(self.learn, (*batch, *drawn), both=both))

    def drawn(self, clean: torch.Tensor, index: int) -> tuple[torch.Tensor, ...]:
        """The random numbers of the discriminator's step `index` of the epoch, for `penalty`."""
        return ()

    def learn(
        self, noisy: torch.Tensor, clean: torch.Tensor, *drawn: torch.Tensor, both: bool
    ) -> dict[str, torch.Tensor]:
        """A step of the generator; with `both`, one of the discriminator before it. Returns their losses."""
        generator_step, discriminator_step = self.steps()
        denoised, losses = self.generator(noisy), {}
        if both:
            losses["discriminator"] = self.learn_discriminator(discriminator_step, clean, denoised.detach(), *drawn)

        # The discriminator only passes the gradient on; it keeps none of its own.
        self.discriminator.requires_grad_(False)
        l1 = (denoised - clean).abs().mean()
        adversarial = generator_loss(self.rule, self.score(denoised), reduce=self.reduce)
        generator_step.zero_grad(set_to_none=True)
        self.manual_backward(adversarial + self.settings.lam * l1)
        generator_step.step()
        self.discriminator.requires_grad_(True)
        train_mse = (denoised.detach() - clean).square().mean()
        return losses | {"l1": l1.detach(), "adversarial": adversarial.detach(), "train_mse": train_mse}

    def learn_discriminator(
        self, step, clean: torch.Tensor, denoised: torch.Tensor, *drawn: torch.Tensor
    ) -> torch.Tensor:
        """One step of the discriminator's Adam on the rule's loss and the penalty."""
        loss = discriminator_loss(self.rule, self.score(clean), self.score(denoised), reduce=self.reduce)
        step.zero_grad(set_to_none=True)
        self.manual_backward(loss + self.penalty(clean, denoised, *drawn))
        step.step()
        self.after_discriminator_step()
        return loss.detach()

    def penalty(self, clean: torch.Tensor, denoised: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor | float:
        """Added to the discriminator's loss."""
        return 0.0

    def after_discriminator_step(self) -> None:
        """Done to the discriminator's weights after each of its steps."""


class WassersteinModule(GanModule):
    """The critic is kept Lipschitz by a gradient penalty, or by clipped weights."""

    settings: WassersteinGan

    def drawn(self, clean: torch.Tensor, index: int) -> tuple[torch.Tensor, ...]:
        if self.settings.lipschitz == "clip":
            return ()
        return (shares_of_step(clean, self.seed, self.current_epoch, index),)

    def penalty(self, clean: torch.Tensor, denoised: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor | float:
        if self.settings.lipschitz == "clip":
            return 0.0
        (share,) = drawn
        return self.settings.penalty_weight * gradient_penalty(self.discriminator, clean, denoised, share)

    @torch.no_grad()
    def after_discriminator_step(self) -> None:
        if self.settings.lipschitz == "clip":
            for weight in self.discriminator.parameters():
                weight.clamp_(-0.01, 0.01)
