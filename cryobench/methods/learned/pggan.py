"""Settings of PGGAN (supplemental note 6), a WGAN whose generator grows; equation and training are in modules/pggan.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from cryobench.checks import above_zero, at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.learned.growth import PARTS, Part, schedule
from cryobench.methods.learned.trained import Trained

if TYPE_CHECKING:
    from cryobench.methods.learned.modules.pggan import PgganModule
    from cryobench.methods.learned.nets.pggan import Generator


@dataclass
class Pggan(Trained):
    """A progressively grown WGAN with gradient penalty + λℓ1, from an encoder of the whole noisy image.

    lam: λ ≥ 0, the weight of ℓ1, 0 for none; phase_images: training images in each fade-in and in each stable phase;
    batch_size: images in a step, half of it from 128 px on; lr: of both Adams; penalty_weight: of the gradient penalty;
    norm_last: pixel norm before the layer to pixels, as in every other layer of the generator.
    """

    lam: float = 100.0
    phase_images: int = 200_000
    penalty_weight: float = 10.0
    norm_last: bool = field(default=True, metadata={"later": True})
    batch_size: int = field(default=16, kw_only=True)
    lr: float = field(default=1e-4, kw_only=True)
    # Given by what it is, not by a setting.
    net: str = field(default="pggan", init=False)
    epochs: int = field(default=PARTS, init=False)

    nets: ClassVar[tuple[str, ...]] = ("pggan",)
    ctf_inputs: ClassVar[tuple[str, ...]] = ("none", "flip")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts: list[Part] = []
        refuse("method", above_zero(self, "phase_images"), at_least(self, 0, "lam", "penalty_weight"))

    def build_generator(self, image_size: int) -> Generator:
        from cryobench.methods.learned.nets import pggan

        return pggan.build(pggan.Generator, self.width, image_size, self.setting.seed, norm_last=self.norm_last)

    def module(self, image_size: int) -> PgganModule:
        from cryobench.methods.learned.modules.pggan import PgganModule
        from cryobench.methods.learned.nets.build import parameters

        self.parts = schedule(image_size, self.phase_images, self.batch_size)
        self.epochs = len(self.parts)
        module = PgganModule(self, image_size, self.parts)
        self.report["critic_parameters"] = parameters(module.critic)
        return module

    def chosen_epochs(self, curve: list[dict]) -> list[int]:
        """Of the parts at full size, none fading in; none as long as there are none."""
        grown = [point for point in curve if point["size"] == self.parts[-1].size and not point["fading"]]
        return super().chosen_epochs(grown) if grown else []

    def fit(self, train: NoisyImages) -> None:
        """As any net, on one device. Raises InputError for several."""
        if self.setting.devices != 1:  # its critic, and its curve, look at how much the images of a batch differ
            raise InputError(f"trainer.devices: expected 1 for method=pggan, got {self.setting.devices}")
        super().fit(train)
        self.report["images_seen"] = self.report["curve"][-1]["images"]
