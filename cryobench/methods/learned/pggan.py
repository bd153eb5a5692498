"""PGGAN (supplemental note 6): a WGAN with gradient penalty, with or without λℓ1, whose generator grows from 4×4 up.

    min over G, max over D with slopes near 1 of  E D(xᵣ) − E D(G(y)) + λ E‖xᵣ − G(y)‖₁

xᵣ is the clean image averaged to the size r that G has grown to. 4×4 is trained for one phase; each doubling has a phase
in which the new block fades in, images and all, and a stable one. One critic step for each generator step. Phases are cut
into equal parts (Lightning's epochs), after each of which there is a point of the training curve. All that a step does
follows from its part and its number in it, so that a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.learned.batches import Batches
from cryobench.methods.learned.gan import gradient_penalty, random_of_step
from cryobench.methods.learned.nets import parameters, pggan
from cryobench.methods.learned.scores import Wasserstein, discriminator_loss, generator_loss
from cryobench.methods.learned.shown import EpochProgress
from cryobench.methods.learned.trained import DenoisingModule, Trained

ADAM = (0.0, 0.99)
PARTS = 5  # of each phase
HALVED_FROM = 128  # pixels across from which on batches have half the size


@dataclass(frozen=True)
class Part:
    """One part of a phase. size: pixels across; fading: whether the newest block fades in; number: 0 to PARTS - 1;
    batch: images in a step; steps; shown: images seen by the generator before it."""

    size: int
    fading: bool
    number: int
    batch: int
    steps: int
    shown: int

    def fade(self, step: int) -> float:
        """The newest block's share at a step of this part; `steps` stands for its end."""
        return (self.number + step / self.steps) / PARTS if self.fading else 1.0

    @property
    def name(self) -> str:
        return f"{self.size} × {self.size} px, {'fading in' if self.fading else 'stable'}"


def schedule(image_size: int, phase_images: int, batch_size: int) -> list[Part]:
    """4×4 stable, 8×8 fading in, 8×8 stable, …, full size stable: the parts of all phases in their order."""
    phases = [(size, fading) for size in pggan.sizes(image_size) for fading in (True, False)][1:]
    parts: list[Part] = []
    for size, fading in phases:
        batch = batch_size if size < HALVED_FROM else max(batch_size // 2, 1)
        steps = max(round(phase_images / (PARTS * batch)), 1)
        for number in range(PARTS):
            shown = parts[-1].shown + parts[-1].steps * parts[-1].batch if parts else 0
            parts.append(Part(size, fading, number, batch, steps, shown))
    return parts


class PgganModule(DenoisingModule):
    def __init__(self, generator, critic, parts: list[Part], settings: Pggan, seed: int):
        super().__init__(generator)
        self.critic, self.parts, self.settings, self.seed = critic, parts, settings, seed
        self.rule = Wasserstein()

    @property
    def part(self) -> Part:
        return self.parts[min(self.current_epoch, len(self.parts) - 1)]  # Lightning asks once more after the last

    def configure_optimizers(self):
        lr = self.settings.lr
        return (
            torch.optim.Adam(self.generator.parameters(), lr=lr, betas=ADAM),
            torch.optim.Adam(self.critic.parameters(), lr=lr, betas=ADAM),
        )

    def training_step(self, batch, index):
        noisy, clean = batch
        generator_step, critic_step = self.optimizers()
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
        loss = discriminator_loss(self.rule, self.critic(real, fade), self.critic(denoised, fade))
        random = random_of_step(self.seed, self.current_epoch, index)
        penalty = gradient_penalty(lambda image: self.critic(image, fade), real, denoised, random)
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
        self.log_dict(values, batch_size=len(clean), on_epoch=True, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """A point of the curve. variety: the variance between images over that of clean ones, near 0 once G collapses."""
        super().on_train_epoch_end()
        del self.curve[-1]["parts"]  # it is one
        part, seen = self.part, self.trainer.callback_metrics
        self.curve[-1] |= {
            "size": part.size, "fading": part.fading, "images": part.shown + part.steps * part.batch,
            "variety": float(seen["variance"] / seen["clean_variance"].clamp_min(1e-12)),
        }  # fmt: skip


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


@dataclass
class Pggan(Trained):
    """A progressively grown WGAN with gradient penalty + λℓ1, from an encoder of the whole noisy image.

    lam: λ ≥ 0, the weight of ℓ1, 0 for none; phase_images: training images in each fade-in and in each stable phase;
    batch_size: images in a step, half of it from 128 px on; lr: of both Adams; penalty_weight: of the gradient penalty.
    """

    lam: float = 100.0
    phase_images: int = 200_000
    penalty_weight: float = 10.0
    batch_size: int = field(default=16, kw_only=True)
    lr: float = field(default=1e-4, kw_only=True)
    # Given by what it is, not by a setting.
    net: str = field(default="pggan", init=False)
    epochs: int = field(default=PARTS, init=False)

    nets: ClassVar[tuple[str, ...]] = ("pggan",)
    lightning: ClassVar[dict] = {"reload_dataloaders_every_n_epochs": 1}  # parts differ in their number of steps

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts: list[Part] = []
        if not self.phase_images > 0:
            raise InputError(f"method.phase_images: expected a number above 0, got {self.phase_images}")
        for name in ("lam", "penalty_weight"):
            if not getattr(self, name) >= 0:
                raise InputError(f"method.{name}: expected a number of at least 0, got {getattr(self, name)}")

    def build_generator(self, image_size: int) -> pggan.Generator:
        return pggan.build(pggan.Generator, self.width, image_size, self.setting.seed)

    def module(self, image_size: int) -> PgganModule:
        generator = self.build_generator(image_size)
        critic = pggan.build(pggan.Discriminator, self.width, image_size, self.setting.seed + 10_000)
        parts = schedule(image_size, self.phase_images, self.batch_size)
        self.parts, self.epochs = parts, len(parts)
        self.report["critic_parameters"] = parameters(critic)
        return PgganModule(generator, critic, parts, self, self.setting.seed)

    def chosen_epochs(self, curve: list[dict]) -> list[int]:
        """Of the parts at full size, none fading in; none as long as there are none."""
        grown = [point for point in curve if point["size"] == self.parts[-1].size and not point["fading"]]
        return super().chosen_epochs(grown) if grown else []

    def training_loader(self, images: NoisyImages, module: PgganModule, done: int, epoch: int) -> DataLoader:
        sampler = PartSampler(len(images), module, done)
        return DataLoader(Batches(images), batch_sampler=sampler, collate_fn=lambda batch: batch)

    def progress_bar(self) -> GrowthProgress:
        return GrowthProgress(self.parts)

    def fit(self, train: NoisyImages) -> None:
        if self.setting.devices != 1:  # its critic, and its curve, look at how much the images of a batch differ
            raise InputError(f"trainer.devices: expected 1 for method=pggan, got {self.setting.devices}")
        super().fit(train)
        self.report["images_seen"] = self.report["curve"][-1]["images"]
