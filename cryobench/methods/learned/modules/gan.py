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


def gradient_penalty(critic, real: torch.Tensor, fake: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """E (‖∇D(x̂)‖₂ − 1)², x̂ drawn uniformly between real and fake (Gulrajani et al. 2017, equation 3).

    In single precision, whatever a training's: half precision overflows in gradients that are not scaled, and then squared.
    """
    share = ranks.shard(torch.rand(len(real) * ranks.world(), 1, 1, 1, generator=generator)).to(real)
    between = (share * real + (1 - share) * fake.to(real)).requires_grad_(True)
    with torch.autocast(real.device.type, enabled=False):
        (slope,) = torch.autograd.grad(critic(between).mean(dim=(1, 2, 3)).sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def random_of_step(seed: int, epoch: int, index: int) -> torch.Generator:
    """The random numbers of one training step, the same after a resumed run."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 1_000_003 + index)


class GanModule(DenoisingModule):
    """Manual optimisation: each batch passes the generator once, for its own step and for the discriminator's."""

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
            torch.optim.Adam(self.generator.parameters(), lr=self.settings.lr, betas=ADAM),
            torch.optim.Adam(self.discriminator.parameters(), lr=self.settings.lr_discriminator, betas=ADAM),
        )

    def score(self, image: torch.Tensor) -> torch.Tensor:
        """A map of scores (b, 1, h, w): probabilities for a rule that wants them, else as they come."""
        raw = self.discriminator(image)
        return torch.sigmoid(raw) if self.rule.squash else raw

    def training_step(self, batch, index):
        """A step of the generator, and before it one of the discriminator in every other batch."""
        noisy, clean = batch
        generator_step, discriminator_step = self.steps()
        denoised = self.generator(noisy)
        if index % 2 == 0:
            self.learn_discriminator(discriminator_step, clean, denoised.detach(), index)

        # The discriminator only passes the gradient on; it keeps none of its own.
        self.discriminator.requires_grad_(False)
        l1 = (denoised - clean).abs().mean()
        adversarial = generator_loss(self.rule, self.score(denoised), reduce=self.reduce)
        generator_step.zero_grad(set_to_none=True)
        self.manual_backward(adversarial + self.settings.lam * l1)
        generator_step.step()
        self.discriminator.requires_grad_(True)
        self.note(l1=l1, adversarial=adversarial, train_mse=(denoised.detach() - clean).square().mean())

    def learn_discriminator(self, step, clean: torch.Tensor, denoised: torch.Tensor, index: int) -> None:
        """One step of the discriminator's Adam on the rule's loss and the penalty."""
        loss = discriminator_loss(self.rule, self.score(clean), self.score(denoised), reduce=self.reduce)
        step.zero_grad(set_to_none=True)
        self.manual_backward(loss + self.penalty(clean, denoised, index))
        step.step()
        self.after_discriminator_step()
        self.note(discriminator=loss)

    def penalty(self, clean: torch.Tensor, denoised: torch.Tensor, index: int) -> torch.Tensor | float:
        """Added to the discriminator's loss in step `index` of the epoch."""
        return 0.0

    def after_discriminator_step(self) -> None:
        """Done to the discriminator's weights after each of its steps."""


class WassersteinModule(GanModule):
    """The critic is kept Lipschitz by a gradient penalty, or by clipped weights."""

    settings: WassersteinGan

    def penalty(self, clean: torch.Tensor, denoised: torch.Tensor, index: int) -> torch.Tensor | float:
        if self.settings.lipschitz == "clip":
            return 0.0
        random = random_of_step(self.seed, self.current_epoch, index)
        return self.settings.penalty_weight * gradient_penalty(self.discriminator, clean, denoised, random)

    @torch.no_grad()
    def after_discriminator_step(self) -> None:
        if self.settings.lipschitz == "clip":
            for weight in self.discriminator.parameters():
                weight.clamp_(-0.01, 0.01)
