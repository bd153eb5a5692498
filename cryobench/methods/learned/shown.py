"""What a person sees of a training: one progress bar, and none of Lightning's advice."""

from __future__ import annotations

import contextlib
import logging
import warnings

from pytorch_lightning.callbacks import Callback


class EpochProgress(Callback):
    """One bar over all training steps with the time left, and the validation MSE beside it."""

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_start(self, trainer, module) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"),
                            TimeRemainingColumn(), TextColumn("{task.fields[mse]}"))  # fmt: skip
        total = self.epochs * trainer.num_training_batches
        done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        self.task = self.bar.add_task("training", total=total, completed=done, mse="")
        self.bar.start()

    def on_train_batch_end(self, trainer, module, *_) -> None:
        self.bar.advance(self.task)

    def on_validation_end(self, trainer, module) -> None:
        mse = trainer.callback_metrics.get("val_mse")
        if mse is not None and hasattr(self, "bar"):
            self.bar.update(self.task, mse=f"validation MSE {float(mse):.2e}")

    def on_train_end(self, trainer, module) -> None:
        self.bar.stop()

    def on_exception(self, trainer, module, exception) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()


@contextlib.contextmanager
def quiet_lightning():
    """Lightning's advice is for its own users; ours reads the run's log."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*|.*isinstance.treespec, LeafSpec.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
