"""What a person sees of a training: one progress bar."""

from __future__ import annotations

from pytorch_lightning.callbacks import Callback

from cryobench.methods.learned.lightning import steps_done
from cryobench.printed import short


class EpochProgress(Callback):
    """One bar over all training steps with the time left, and the validation MSE beside it."""

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_start(self, trainer, module) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[mse]}"),
        )
        total = self.epochs * trainer.num_training_batches
        done = steps_done(trainer)
        self.task = self.bar.add_task("training", total=total, completed=done, mse="")
        self.bar.start()

    def on_train_batch_end(self, trainer, module, *_) -> None:
        self.bar.advance(self.task)

    def on_validation_end(self, trainer, module) -> None:
        mse = trainer.callback_metrics.get("val_mse")
        if mse is not None and hasattr(self, "bar"):
            self.bar.update(self.task, mse=f"validation MSE {short(float(mse))}")

    def on_train_end(self, trainer, module) -> None:
        self.bar.stop()

    def on_exception(self, trainer, module, exception) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()
