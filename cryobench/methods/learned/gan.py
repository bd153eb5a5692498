"""Settings of autoencoder and GAN trained jointly, a scoring rule plus λℓ1; equation and training are in modules/gan.py."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryobench.checks import above_zero, at_least, one_of, refuse
from cryobench.methods.learned import nets
from cryobench.methods.learned.scores import AlphaBeta, Wasserstein
from cryobench.methods.learned.trained import Trained

if TYPE_CHECKING:
    from cryobench.methods.learned.modules.gan import GanModule, WassersteinModule


@dataclass
class Adversarial(Trained):
    """What the GANs share.

    lam: λ ≥ 0, the weight of ℓ1; lr_discriminator: of its Adam; score_map: "mean" or "sum" over the score map.
    """

    lam: float = field(default=10.0, kw_only=True)
    lr_discriminator: float = field(default=1e-3, kw_only=True)
    score_map: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = at_least(self, 0, "lam") | above_zero(self, "lr_discriminator")
        refuse("method", numbers, one_of(self, score_map=("mean", "sum")))

    @abstractmethod
    def rule(self) -> AlphaBeta | Wasserstein:
        """The scoring rule that generator and discriminator play by."""

    @property
    def discriminator_norm(self) -> str:
        """What stands where the paper's discriminator has batch norm, a name in NORMS."""
        return "batch"


@dataclass
class AlphaBetaGan(Adversarial):
    """(α,β)-GAN + λℓ1; (0,0) is the JS-GAN, (1,1) the least-squares one. Slopes at scores clamped to [0.01, 0.99]."""

    alpha: float = 0.5
    beta: float = 0.5

    def rule(self) -> AlphaBeta:
        return AlphaBeta(self.alpha, self.beta)

    def module(self, image_size: int) -> GanModule:
        from cryobench.methods.learned.modules.gan import GanModule

        return GanModule(self, image_size)


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
        refuse("method", one_of(self, lipschitz=("penalty", "clip"), critic_norm=nets.NORMS))

    @property
    def discriminator_norm(self) -> str:
        return self.critic_norm

    def rule(self) -> Wasserstein:
        return Wasserstein()

    def module(self, image_size: int) -> WassersteinModule:
        from cryobench.methods.learned.modules.gan import WassersteinModule

        return WassersteinModule(self, image_size)
