"""Autoencoder and GAN trained jointly: a scoring rule plus λℓ1.

    min over G, max over D of  E S(D(x),1) + E S(D(G(y)),0) + λ E‖x − G(y)‖₁

ℓ1 is the mean over pixels; scores are averaged over the discriminator's map as described, or summed as the released
code does (which makes λ weigh 1/169 as much at 128 px). One discriminator step for every two generator steps.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from cryobench.errors import InputError
from cryobench.methods.learned import nets, ranks
from cryobench.methods.learned.scores import AlphaBeta, Wasserstein, discriminator_loss, generator_loss
from cryobench.methods.learned.trained import DenoisingModule, Trained, choose

ADAM = (0.5, 0.999)


def map_mean(scores: torch.Tensor) -> torch.Tensor:
    return scores.mean()


def map_sum(scores: torch.Tensor) -> torch.Tensor:
    """Summed over the score map, averaged over the batch: the released code's habit."""
    return scores.sum(dim=(1, 2, 3)).mean()


def gradient_penalty(critic, real: torch.Tensor, fake: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """E (‖∇D(x̂)‖₂ − 1)², x̂ drawn uniformly between real and fake (Gulrajani et al. 2017, equation 3)."""
    share = ranks.mine(torch.rand(len(real) * ranks.world(), 1, 1, 1, generator=generator)).to(real)
    between = (share * real + (1 - share) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).mean(dim=(1, 2, 3)).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def random_of_step(seed: int, epoch: int, index: int) -> torch.Generator:
    """The random numbers of one training step, the same after a resumed run."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 1_000_003 + index)


class GanModule(DenoisingModule):
    """Manual optimisation: each batch passes the generator once, for its own step and for the discriminator's."""

    def __init__(self, generator, discriminator, rule, settings: Adversarial, seed: int):
        super().__init__(generator)
        self.discriminator, self.rule, self.settings, self.seed = discriminator, rule, settings, seed
        self.reduce = {"mean": map_mean, "sum": map_sum}[settings.score_map]

    def configure_optimizers(self):
        return (
            torch.optim.Adam(self.generator.parameters(), lr=self.settings.lr, betas=ADAM),
            torch.optim.Adam(self.discriminator.parameters(), lr=self.settings.lr_discriminator, betas=ADAM),
        )

    def score(self, image: torch.Tensor) -> torch.Tensor:
        raw = self.discriminator(image)
        return torch.sigmoid(raw) if self.rule.squash else raw

    def training_step(self, batch, index):
        noisy, clean = batch
        generator_step, discriminator_step = self.optimizers()
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
        loss = discriminator_loss(self.rule, self.score(clean), self.score(denoised), reduce=self.reduce)
        penalty = self.settings.penalty(self.discriminator, clean, denoised, self.draw(index))
        step.zero_grad(set_to_none=True)
        self.manual_backward(loss + penalty)
        step.step()
        self.settings.after_discriminator_step(self.discriminator)
        self.note(discriminator=loss)

    def draw(self, index: int) -> torch.Generator:
        return random_of_step(self.seed, self.current_epoch, index)


@dataclass
class Adversarial(Trained):
    """What the GANs share.

    lam: λ ≥ 0, the weight of ℓ1; lr_discriminator: of its Adam; score_map: "mean" or "sum" over the score map.
    """

    lam: float = field(default=10.0, kw_only=True)
    lr_discriminator: float = field(default=1e-3, kw_only=True)
    score_map: str = field(default="mean", kw_only=True)

    critic_norm: ClassVar[str] = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lam >= 0:
            raise InputError(f"method.lam: expected a number of at least 0, got {self.lam}")
        if not self.lr_discriminator > 0:
            raise InputError(f"method.lr_discriminator: expected a number above 0, got {self.lr_discriminator}")
        choose("score_map", self.score_map, "mean", "sum")

    @abstractmethod
    def rule(self) -> AlphaBeta | Wasserstein:
        """The scoring rule that generator and discriminator play by."""

    def penalty(self, discriminator, clean, denoised, generator: torch.Generator) -> torch.Tensor | float:
        """Added to the discriminator's loss."""
        return 0.0

    def after_discriminator_step(self, discriminator) -> None:
        """Done to the discriminator's weights after each of its steps."""

    def module(self, image_size: int) -> GanModule:
        discriminator = nets.build(
            self.net, "discriminator", width=self.width, image_size=image_size, seed=self.setting.seed + 10_000,
            norm=self.critic_norm,
        )  # fmt: skip
        return GanModule(self.build_generator(image_size), discriminator, self.rule(), self, self.setting.seed)


@dataclass
class AlphaBetaGan(Adversarial):
    """(α,β)-GAN + λℓ1; (0,0) is the JS-GAN, (1,1) the least-squares one. Slopes at scores clamped to [0.01, 0.99]."""

    alpha: float = 0.5
    beta: float = 0.5

    def rule(self) -> AlphaBeta:
        return AlphaBeta(self.alpha, self.beta)


@dataclass
class WassersteinGan(Adversarial):
    """WGAN + λℓ1, its critic kept Lipschitz.

    lipschitz: "penalty" (gradient penalty, as described) or "clip" (weights clipped to ±0.01 and a penalty that never
        acts, as the released code does); penalty_weight: of the gradient penalty, 10 as in Gulrajani et al. 2017;
    critic_norm: "batch", as the paper's discriminators have it; under it a critic's score of one image depends on the batch,
        so the penalty is not on the slope at each image, for which reason Gulrajani et al. (section 4) advise "layer" or "none".
    """

    lipschitz: str = "penalty"
    penalty_weight: float = 10.0
    critic_norm: str = field(default="batch", metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("lipschitz", self.lipschitz, "penalty", "clip")
        choose("critic_norm", self.critic_norm, *nets.NORMS)

    def rule(self) -> Wasserstein:
        return Wasserstein()

    def penalty(self, discriminator, clean, denoised, generator):
        if self.lipschitz == "clip":
            return 0.0
        return self.penalty_weight * gradient_penalty(discriminator, clean, denoised, generator)

    @torch.no_grad()
    def after_discriminator_step(self, discriminator) -> None:
        if self.lipschitz == "clip":
            for weight in discriminator.parameters():
                weight.clamp_(-0.01, 0.01)
