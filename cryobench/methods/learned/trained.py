"""What all learned denoisers share: Lightning, the choice of a checkpoint, weights in and out."""

from __future__ import annotations

import contextlib
import copy
import math
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError, NotFinite, Stopped
from cryobench.methods.base import Denoiser, check_images
from cryobench.methods.learned import lightning, nets, ranks
from cryobench.methods.learned.batches import Batches, InOrder, as_batch, same_pairs, validation_part
from cryobench.methods.learned.checkpoints import Checkpoints
from cryobench.methods.learned.lightning import quiet_lightning, steps_done
from cryobench.methods.learned.precise import IMAGES, PreciseBatchNorm
from cryobench.methods.learned.shown import EpochProgress
from cryobench.methods.learned.watch import Watching

PARTS = 10  # points of an epoch in a record's curve
BATCH_AT_TEST = 50  # fixed, so that batch norm in training mode sees the same batches on every machine


class DenoisingModule(pl.LightningModule):
    """A generator that is scored by its MSE on the validation part; subclasses say how it is trained."""

    def __init__(self, generator: torch.nn.Module):
        super().__init__()
        self.generator = generator
        self.automatic_optimization = False
        self.curve: list[dict] = []
        self.latest: dict[str, float] = {}
        self._losses: dict[str, list[float]] = {}

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        return self.generator(noisy)

    def note(self, **values: torch.Tensor) -> None:
        """Keep this step's losses for the epoch's means; a loss that is not finite ends the run."""
        together = ranks.mean(torch.stack([value.detach().float() for value in values.values()]))
        for name, number in zip(values, together.tolist(), strict=True):
            if not math.isfinite(number):
                raise NotFinite(
                    f"{name} became {number} at step {steps_done(self.trainer)} (epoch {self.current_epoch + 1}); "
                    "a smaller method.lr is the usual remedy"
                )
            self.latest[name] = number
            self._losses.setdefault(name, []).append(number)

    def validation_step(self, batch, _):
        noisy, clean = batch
        error = ((self.generator(noisy) - clean) ** 2).mean(dim=(1, 2, 3))
        self.log("val_mse", error.mean(), batch_size=len(clean), on_epoch=True, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """One point of the training curve: the means of this epoch's losses and the validation MSE after it.

        "parts": the same means over each tenth of the epoch's steps, for curves against the iteration.
        """
        point = {name: float(np.mean(values)) for name, values in self._losses.items()}
        point |= {"epoch": self.current_epoch + 1, "val_mse": float(self.trainer.callback_metrics["val_mse"])}
        if not math.isfinite(point["val_mse"]):
            raise NotFinite(f"the validation MSE became {point['val_mse']} in epoch {self.current_epoch + 1}; "
                            "a smaller method.lr is the usual remedy")  # fmt: skip
        point["parts"] = {
            name: [float(f"{part.mean():.5g}") for part in np.array_split(values, min(PARTS, len(values)))]
            for name, values in self._losses.items()
        }
        self.curve.append(point)
        self._losses = {}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint |= {"curve": self.curve, "losses": self._losses}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.curve, self._losses = checkpoint["curve"], checkpoint["losses"]


@dataclass
class Trained(Denoiser):
    """A net trained on pairs of clean and noisy images.

    net: "resnet", "conv" or "deep" (256 px); width: channels d of the first stage; epochs, batch_size, lr: of the
        generator's Adam;
    checkpoint: "validation" (the epoch with the lowest MSE on the validation part), "last", or "five_best" (the five
        epochs with the lowest MSE on the training images, each scored, as the paper's brackets most likely were made);
    batch_norm: "eval" (running statistics at test time), "train" (each test batch's own, as the released code), or
        "precise" (statistics estimated anew over training images before each validation, see precise.py).
    """

    net: str = field(default="resnet", kw_only=True)
    width: int = field(default=64, kw_only=True)
    epochs: int = field(default=20, kw_only=True)
    batch_size: int = field(default=20, kw_only=True)
    lr: float = field(default=1e-2, kw_only=True)
    checkpoint: str = field(default="validation", kw_only=True)
    batch_norm: str = field(default="eval", kw_only=True)

    def __post_init__(self) -> None:
        self.generator: torch.nn.Module | None = None
        self.also: list[dict] = []  # the generator's weights after the other epochs chosen
        for name in ("width", "epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise InputError(f"method.{name}: expected a number above 0, got {getattr(self, name)}")
        choose("checkpoint", self.checkpoint, "validation", "last", "five_best")
        choose("batch_norm", self.batch_norm, "eval", "train", "precise")
        choose("net", self.net, *self.nets)

    knows = frozenset({"clean"})
    nets: ClassVar[tuple[str, ...]] = nets.NETS
    lightning: ClassVar[dict] = {}  # more of Lightning's own options
    prepares: ClassVar[bool] = False  # a fit does more with an image than train on it
    one_step: ClassVar[bool] = False  # a batch has one backward pass, which reaches every parameter

    @abstractmethod
    def module(self, image_size: int) -> DenoisingModule:
        """The Lightning module to be trained, its weights drawn from the run's seed."""

    def build_generator(self, image_size: int) -> torch.nn.Module:
        return nets.build(self.net, "generator", width=self.width, image_size=image_size, seed=self.setting.seed)

    def fit(self, train: NoisyImages) -> None:
        """Train on pairs (n, L, L); a fit that was ended goes on from the checkpoints in `setting.workdir`.

        Raises InputError for too few images or a batch size that the devices can't share, NotFinite for a loss that is
        not finite, Stopped where the process is told to end.
        """
        with self.own_folder():
            self.fit_in_folder(train)

    @contextlib.contextmanager
    def own_folder(self) -> Iterator[None]:
        """Where the setting names no folder, a temporary one in its place for this fit, which no other fit can find."""
        given = self.setting
        if given.workdir is not None:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="cryobench-") as folder:
            self.setting = replace(given, workdir=Path(folder))
            try:
                yield
            finally:
                self.setting = given

    def fit_in_folder(self, train: NoisyImages) -> None:
        held = validation_part(len(train))
        if len(train) - held < self.batch_size:
            raise InputError(
                f"data.n_train: expected at least batch_size + validation = {self.batch_size + held} images, "
                f"got {len(train)}; give more, or a smaller method.batch_size"
            )
        devices = self.setting.devices
        if self.batch_size % devices or held < devices:
            raise InputError(
                f"method.batch_size: expected a multiple of trainer.devices={devices}, among which a batch is divided, "
                f"got {self.batch_size}"
            )
        if devices == 1:
            self.learn(train)
        else:
            ranks.on_each_device(devices, self.setting.accelerator, self.learn, train)
        self.take(train)

    def take(self, train: NoisyImages) -> None:
        """What `learn` left, from its checkpoints: the weights of the epochs chosen, and the report."""
        keeper, held = self.keeper(), validation_part(len(train))
        self.also = []
        state = keeper.state()
        module = self.module(train.image_size)
        curve = state["curve"]
        epoch, *others = self.chosen_epochs(curve)
        for other in others:
            module.load_state_dict(keeper.weights(other))
            self.also.append(copy.deepcopy(module.generator.state_dict()))
        module.load_state_dict(keeper.weights(epoch))
        self.generator = module.generator
        if self.checkpoint == "five_best":
            self.report["epochs_kept"] = [epoch, *others]
        self.report.update(
            curve=curve, chosen_epoch=epoch, val_mse=curve[epoch - 1]["val_mse"], validation_images=held,
            parameters=nets.parameters(self.generator),
            images_seen=len(curve) * ((len(train) - held) // self.batch_size) * self.batch_size,
            training_s=round(state["cryobench"]["seconds"], 3), resumed=state["cryobench"]["resumed"],
        )  # fmt: skip
        if watch := self.setting.watch:
            points = state["callbacks"][Watching.__qualname__]["points"]
            self.report["watch"] = {"images": len(watch.clean), **points}

    def keeper(self, stop: Callable[[], bool] | None = None) -> Checkpoints:
        return Checkpoints(
            self.setting.workdir / "checkpoints", self.chosen_epochs, self.setting.checkpoint_minutes, stop
        )

    def learn(self, train: NoisyImages, stop: Callable[[], bool] | None = None) -> None:
        """Train, as the only process or as one rank of several; what was learned is in the checkpoints then."""
        first = len(train) - validation_part(len(train))
        positions = np.arange(len(train))
        images = train.subset(ranks.mine(positions[: first - first % ranks.world()]))
        validation = train.subset(ranks.mine(positions[first:]))
        module = self.module(train.image_size)
        if ranks.world() > 1:
            ranks.share_batch_norm(module)
        keeper = self.keeper(stop)
        with quiet_lightning():
            last = keeper.resume()
            training = self.training_loader(images, module, keeper.batches_done, keeper.epochs_done)
            lightning.fit(self.trainer(keeper, images), module, training, self.loader(validation), last)
        if keeper.told:  # in the last steps
            raise Stopped("SIGTERM")

    def chosen_epochs(self, curve: list[dict]) -> list[int]:
        """The epochs, counted from 1, whose weights are wanted if training ends with this curve; the best first."""
        if self.checkpoint == "last":
            return [curve[-1]["epoch"]]
        if self.checkpoint == "five_best":
            return [point["epoch"] for point in sorted(curve, key=lambda point: point["train_mse"])[:5]]
        return [min(curve, key=lambda point: point["val_mse"])["epoch"]]

    def training_loader(self, images: NoisyImages, module: DenoisingModule, done: int, epoch: int) -> DataLoader:
        """Whole batches of the epoch that the module is at, number `epoch`, the first time those after the `done` ones."""
        return self.loader(images, drop_last=True, done=done, epoch=epoch)

    def loader(
        self, images: NoisyImages, drop_last: bool = False, done: int = 0, epoch: int | None = None
    ) -> DataLoader:
        order = InOrder(len(images), self.batch_size // ranks.world(), drop_last=drop_last, done=done, epoch=epoch)
        pairs = self.held_pairs if epoch is None else self.pairs
        return DataLoader(Batches(images, pairs), batch_sampler=order, collate_fn=lambda batch: batch)

    def pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the net is shown, and is to make of it, at these positions in this epoch (counted from 0).

        A pure function of its arguments and the run's seed, so that a training that was ended goes on as it would have.
        """
        return same_pairs(images, index, epoch)

    def held_pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for the images that choose the checkpoint."""
        return same_pairs(images, index, epoch)

    def trainer(self, keeper: Checkpoints, images: NoisyImages) -> pl.Trainer:
        where = self.setting
        callbacks: list[Callback] = [keeper]
        precise = None
        if self.batch_norm == "precise":
            precise = PreciseBatchNorm(self.loader(images.subset(slice(IMAGES // ranks.world())), drop_last=True))
            callbacks.append(precise)
        if where.progress and ranks.rank() == 0:
            callbacks.append(self.progress_bar())
        if where.watch:
            shown = self.inputs(where.watch.noisy.astype(np.float32, copy=False))
            callbacks.append(Watching(where.watch, shown, self.answer, precise))
        return pl.Trainer(
            max_epochs=self.epochs, accelerator=where.accelerator, devices=where.devices,
            strategy=lightning.among_ranks(self.one_step) if ranks.world() > 1 else where.strategy, use_distributed_sampler=False,
            precision=where.precision, callbacks=callbacks, logger=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=where.workdir,
            plugins=lightning.plugins(), **self.lightning,
        )  # fmt: skip

    def progress_bar(self) -> Callback:
        return EpochProgress(self.epochs)

    def variants(self) -> Iterator[Trained]:
        """With checkpoint=five_best, one denoiser for each epoch chosen, lowest training MSE first; else itself alone."""
        yield self
        for weights in self.also:
            other = copy.copy(self)
            other.generator = copy.deepcopy(self.generator)
            other.generator.load_state_dict(weights)
            yield other

    @torch.no_grad()
    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        check_images(noisy)
        device = "cuda" if self.setting.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available() else "cpu"
        net = self.generator.to(device).train(self.batch_norm == "train")
        before = {name: value.clone() for name, value in net.state_dict().items()}
        out = np.empty_like(noisy, dtype=np.float32)
        for start in range(0, len(noisy), BATCH_AT_TEST):
            chunk = slice(start, start + BATCH_AT_TEST)
            predicted = self.answer(net, self.inputs(noisy[chunk].astype(np.float32, copy=False)).to(device))
            out[chunk] = predicted[:, 0].float().cpu().numpy()
        net.load_state_dict(before)  # batch norm in training mode moves its running statistics
        net.eval()
        return out

    def inputs(self, noisy: np.ndarray) -> torch.Tensor:
        """What a net is shown of noisy images at test time, (b, L, L) float32 → (b, channels, L, L)."""
        return as_batch(noisy)

    def answer(self, net: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """What a net makes of `inputs`, on their device: (b, channels, L, L) → denoised (b, 1, L, L)."""
        return net(inputs)

    def weights(self) -> dict:
        return {name: value.contiguous() for name, value in self.generator.state_dict().items()}

    def load_weights(self, weights: dict, image_size: int) -> None:
        """Take the generator's weights from `weights()` of an equal method. Raises InputError if they don't fit."""
        self.generator = self.build_generator(image_size)
        try:
            self.generator.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                f"weights: expected those of net {self.net}, width {self.width}; {error}".split("\n")[0]
            ) from None
        self.generator.eval()


def choose(name: str, value: str, *choices: str) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"method.{name}: expected one of {', '.join(choices)}, got {value}")
