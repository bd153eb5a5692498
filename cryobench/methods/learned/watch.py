"""A look at the test images while a net trains, for curves against the iteration; what is seen reaches the record only."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from pytorch_lightning.callbacks import Callback

from cryobench.methods.base import Watch
from cryobench.methods.learned.lightning import steps_done
from cryobench.methods.learned.precise import PreciseBatchNorm


class Watching(Callback):
    """Every `watch.every` steps, and at the end of each epoch, one point of each curve in `points`.

    shown (n, channels, L, L): what a net sees of the watched images; answer(net, shown) → (n, 1, L, L): what the denoiser
    makes of it.

    "step": from 1; "train_mse": mean over the training batches since the last point, as they were when they were trained
    on; "test_mse": of the watched images with batch norm's running statistics, or with those that `precise` estimates anew;
    "test_mse_batch": with their own. The net that looks is a copy, so training goes on as if there were no watch, and the
    points go with the checkpoints.
    """

    def __init__(self, watch: Watch, shown: torch.Tensor, answer: Callable, precise: PreciseBatchNorm | None = None):
        self.watch, self.shown, self.answer, self.precise = watch, shown, answer, precise
        self.points: dict[str, list] = {"step": [], "train_mse": [], "test_mse": [], "test_mse_batch": []}
        self.since: list[torch.Tensor] = []

    def state_dict(self) -> dict:
        return {"points": self.points, "since": [float(value) for value in self.since]}

    def load_state_dict(self, state: dict) -> None:
        self.points, self.since = state["points"], [torch.tensor(value) for value in state["since"]]

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.since.append(module.latest["train_mse"])
        step = steps_done(trainer)  # epochs may differ in length
        if step % self.watch.every and batch_idx + 1 < trainer.num_training_batches:
            return
        values = {"step": step, "train_mse": np.mean([float(value) for value in self.since]), **self.look(module)}
        for name, value in values.items():
            self.points[name].append(value if name == "step" else float(f"{value:.5g}"))
        self.since = []

    @torch.no_grad()
    def look(self, module) -> dict[str, float]:
        """The MSE of the watched images, with running statistics of batch norm and with their own."""
        net = deepcopy(module.generator)
        if self.precise:
            self.precise.estimate(net, module.device)
        pair = (self.shown, torch.from_numpy(self.watch.clean)[:, None])
        shown, clean = (images.to(module.device, module.dtype) for images in pair)
        return {
            name: float((self.answer(net.train(own_statistics), shown) - clean).square().mean())
            for name, own_statistics in (("test_mse", False), ("test_mse_batch", True))
        }
