"""Lightning, where it has to be handled from inside: how it stops, what it writes, what it says, how it counts.

`lightning_fabric` is a package of its own that pytorch-lightning brings along; its plugins stand nowhere else.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from cryobench.errors import Stopped
from cryobench.files import flush, replacing
from cryobench.methods.learned import memory


def fit(
    trainer: pl.Trainer, module: pl.LightningModule, training: DataLoader, validation: DataLoader, last: Path | None
) -> None:
    """trainer.fit, going on from the checkpoint `last`; what ends it from outside is raised as everywhere here.

    Lightning raises its own SIGTERMException where SIGTERM came before the first step, and makes SystemExit of Ctrl-C.
    """
    try:
        with memory.kept():
            trainer.fit(module, training, validation, ckpt_path=last, weights_only=True)
    except SIGTERMException:
        raise Stopped("SIGTERM") from None
    except SystemExit:
        raise KeyboardInterrupt from None


def logger(kind: str, folder: Path) -> Logger | bool:
    """Lightning's own "csv" or "tensorboard" logger, into folder/curves/version_N, N counting the tries of a run; else none."""
    if kind == "none":
        return False
    return {"csv": CSVLogger, "tensorboard": TensorBoardLogger}[kind](folder, name="curves")


def plugins() -> list:
    """Checkpoints as whole files, and no SLURM of Lightning's: it would ask for a job's requeueing, which submitit does."""
    return [WholeFiles(), LightningEnvironment()]


def among_ranks(one_step: bool) -> DDPStrategy:
    """Takes the mean of the gradients over ranks; running statistics are equal anyway.

    one_step: a batch has one backward pass, which reaches every parameter.
    """
    return DDPStrategy(find_unused_parameters=not one_step, broadcast_buffers=False)


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoints, written beside their place and moved there."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        save_whole(checkpoint, Path(path))


def save_whole(state, path: Path) -> None:
    """torch.save that leaves the old file or the new one, whatever happens. Raises OSError for a full disk."""
    buffer = io.BytesIO()  # torch's own writer turns a full disk into a RuntimeError
    torch.save(state, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(buffer.getbuffer())
        flush(part)


def steps_done(trainer: pl.Trainer) -> int:
    """Training batches done, over all epochs: `global_step` counts the steps of optimizers, of which a GAN has two."""
    return trainer.fit_loop.total_batch_idx + 1


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
