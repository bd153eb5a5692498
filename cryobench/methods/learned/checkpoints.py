"""Checkpoints from which a killed run goes on as if nothing had happened.

    checkpoints/last.ckpt     nets, optimizers, loops, curve, batches done of this epoch
                epoch_3.ckpt  the weights after each epoch that may be chosen in the end

Each file is replaced as a whole. Which epochs may be chosen is read off the curve, so last.ckpt alone is the truth: an
epoch's weights are written before the last.ckpt that knows of it, and superfluous ones go after it.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Checkpoint

from cryobench.errors import Stopped
from cryobench.methods.learned.lightning import save_whole


class Checkpoints(Checkpoint):
    """Writes last.ckpt after each epoch, every so many minutes within one, and when the process is told to end.

    chosen(curve): the epochs, counted from 1, whose weights would be wanted if training ended with this curve;
    stop(): whether the process that started this rank was told to end, where a run has several. The first rank writes.
    """

    def __init__(
        self,
        folder: Path,
        chosen: Callable[[list[dict]], list[int]],
        minutes: float,
        stop: Callable[[], bool] | None = None,
    ):
        self.folder, self.chosen, self.minutes, self.stop = folder, chosen, minutes, stop
        self.last = folder / "last.ckpt"
        self.epochs_done = 0
        self.batches_done = 0  # of the epoch under way
        self.seconds = 0.0  # of training, over all processes that had a part in it
        self.resumed = 0
        self.stop_requested = False  # to end, by SIGTERM during training
        self._clock = self._written = time.monotonic()

    def resume(self) -> Path | None:
        """last.ckpt, if there is one that can be read; tells where in the data to go on."""
        if not self.last.exists():
            return None
        try:
            state = self.state()["cryobench"]
        except (
            Exception
        ) as error:  # whatever a damaged file makes of torch's readers; the run goes on without it, and says so
            warnings.warn(
                f"{self.last.name}: expected a checkpoint, got a file that can't be read ({type(error).__name__}); "
                "training begins again",
                stacklevel=2,
            )
            self.last.unlink(missing_ok=True)
            return None
        self.epochs_done, self.batches_done = state["epochs_done"], state["batches_done"]
        self.seconds = state["seconds"]
        self.resumed = state["resumed"] + 1
        return self.last

    def state(self) -> dict:
        """All that last.ckpt holds."""
        return torch.load(self.last, weights_only=True, map_location="cpu")

    def weights(self, epoch: int) -> dict:
        """The weights after an epoch that may be chosen."""
        return torch.load(self.folder / f"epoch_{epoch}.ckpt", weights_only=True, map_location="cpu")

    def on_train_start(self, trainer, module) -> None:
        if self.stop:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Lightning's handler would let one rank wait for another
        elif threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.note)  # until Lightning puts back what was there before it
        self._clock = self._written = time.monotonic()

    def note(self, *_) -> None:
        """SIGTERM came: end after the step under way."""
        self.stop_requested = True

    def on_save_checkpoint(self, trainer, module, checkpoint) -> None:
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = self._written = now
        checkpoint["cryobench"] = {
            "epochs_done": len(module.curve),
            "batches_done": self.batches_done,
            "seconds": self.seconds,
            "resumed": self.resumed,
        }

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.batches_done = batch_idx + 1
        if self.batches_done == trainer.num_training_batches:
            return  # the epoch's own checkpoint follows, after its validation; who is told to end does so in the next one
        stopping = trainer.strategy.reduce_boolean_decision(
            self.stop() if self.stop else self.stop_requested, all=False
        )
        due = stopping or time.monotonic() - self._written >= 60 * self.minutes
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            trainer.save_checkpoint(self.last)
        if stopping:
            raise Stopped("SIGTERM")

    def on_train_epoch_end(self, trainer, module) -> None:
        self.batches_done = 0
        wanted = {f"epoch_{epoch}.ckpt" for epoch in self.chosen(module.curve)}
        newest = f"epoch_{module.curve[-1]['epoch']}.ckpt"
        if newest in wanted and trainer.is_global_zero:
            save_whole(module.state_dict(), self.folder / newest)
        trainer.save_checkpoint(self.last)
        if trainer.is_global_zero:
            for path in self.folder.glob("epoch_*.ckpt"):
                if path.name not in wanted:
                    path.unlink()
