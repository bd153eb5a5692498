"""What every learned denoiser is while it trains: a generator, its losses, its training curve."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch.utils.data import Sampler

from cryobench.errors import NotFinite
from cryobench.methods.learned import ranks
from cryobench.methods.learned.batches import InOrder
from cryobench.methods.learned.graphs import Graphs, Work, suit
from cryobench.methods.learned.lightning import steps_done
from cryobench.methods.learned.shown import EpochProgress

PARTS = 10  # points of an epoch in a record's curve


def read_at_once(device: torch.device) -> bool:
    """Whether reading a number off a device costs nothing; to read from a GPU is to wait for it, which is done once an epoch and
    for a checkpoint."""
    return device.type == "cpu"


class DenoisingModule(pl.LightningModule):
    """A generator that is scored by its MSE on the validation part; subclasses say how it is trained.

    one_step: a batch has one backward pass, which reaches every parameter; recordable: its steps go through `take_step`,
    and may be recorded on a GPU (graphs.py); then numbers like a learning rate stay what they were, and neither Lightning's hooks
    nor a branch that is not in `kind` are looked at again; trainer_options: more of Lightning's own.
    """

    one_step: ClassVar[bool] = False
    recordable: ClassVar[bool] = False
    trainer_options: ClassVar[dict] = {}

    def __init__(self, generator: torch.nn.Module):
        super().__init__()
        self.generator = generator
        self.automatic_optimization = False
        self.graphs: Graphs | None = None  # put there before training where steps are to be recorded
        self.curve: list[dict] = []
        self.latest: dict[str, torch.Tensor] = {}
        self._unread: list[tuple[int, tuple[str, ...], torch.Tensor]] = []  # step, names, values
        self._losses: dict[str, list[float]] = {}

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        return self.generator(noisy)

    def order(self, images: int, batch_size: int, done: int, epoch: int) -> Sampler:
        """The whole batches of each epoch: epoch `epoch` comes first, without its `done` first batches."""
        return InOrder(images, batch_size, drop_last=True, done=done, epoch=epoch)

    def progress_bar(self, epochs: int) -> Callback:
        """What a person sees of a training of so many epochs."""
        return EpochProgress(epochs)

    def adam(self, net: torch.nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
        """An Adam of a net's weights, whose steps can be recorded where steps are."""
        return torch.optim.Adam(net.parameters(), lr=lr, betas=betas, capturable=self.graphs is not None)

    def on_train_start(self) -> None:
        for step in self.steps():
            suit(step.optimizer, self.graphs is not None)

    def take_step(self, work: Work, tensors: tuple[torch.Tensor, ...], **kind: bool) -> dict[str, torch.Tensor]:
        """The losses that `work(*tensors, **kind)` returns: all that a step does on its device, and nothing that waits for it."""
        return self.graphs(work, tensors, kind) if self.graphs else work(*tensors, **kind)

    def note(self, **values: torch.Tensor) -> None:
        """Keep this step's losses for the epoch's means; a loss that is not finite ends the run, on a GPU with its epoch."""
        together = ranks.mean(torch.stack([value.detach().float() for value in values.values()]))
        self.latest |= dict(zip(values, together, strict=True))
        self._unread.append((steps_done(self.trainer), tuple(values), together))
        if read_at_once(together.device):
            self.read()

    def read(self) -> None:
        """The losses noted since the last time, from the device that has them. Raises NotFinite for one that is not."""
        unread, self._unread = self._unread, []
        numbers = iter(torch.cat([values for _, _, values in unread]).tolist() if unread else [])
        for step, names, _ in unread:
            of_step = dict(zip(names, numbers, strict=False))
            for name, number in of_step.items():
                if not math.isfinite(number):
                    raise NotFinite(
                        f"{name} became {number} at step {step} (epoch {self.current_epoch + 1}); "
                        "a smaller method.lr is the usual remedy"
                    )
                self._losses.setdefault(name, []).append(number)
            self.write(of_step, step)

    def write(self, numbers: dict[str, float], step: int) -> None:
        """Into the run's loggers, if it has any."""
        for logger in self.loggers:
            logger.log_metrics(numbers, step=step)

    def steps(self) -> list[LightningOptimizer]:
        """The optimizers, in the order of `configure_optimizers`."""
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def validation_step(self, batch, _):
        noisy, clean = batch
        error = ((self.generator(noisy) - clean) ** 2).mean(dim=(1, 2, 3))
        self.log("val_mse", error.mean(), batch_size=len(clean), on_epoch=True, sync_dist=True, logger=False)

    def on_train_epoch_end(self) -> None:
        """One point of the training curve: the means of this epoch's losses and the validation MSE after it.

        "parts": the same means over each tenth of the epoch's steps, for curves against the iteration.
        """
        self.read()
        point: dict[str, Any] = {name: float(np.mean(values)) for name, values in self._losses.items()}
        point |= {"epoch": self.current_epoch + 1, "val_mse": float(self.trainer.callback_metrics["val_mse"])}
        if not math.isfinite(point["val_mse"]):
            raise NotFinite(
                f"the validation MSE became {point['val_mse']} in epoch {self.current_epoch + 1}; "
                "a smaller method.lr is the usual remedy"
            )
        point["parts"] = {
            name: [float(f"{part.mean():.5g}") for part in np.array_split(values, min(PARTS, len(values)))]
            for name, values in self._losses.items()
        }
        self.curve.append(point)
        self.write({"val_mse": point["val_mse"], "epoch": point["epoch"]}, steps_done(self.trainer))
        self._losses = {}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        self.read()
        checkpoint |= {"curve": self.curve, "losses": self._losses}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.curve, self._losses = checkpoint["curve"], checkpoint["losses"]
