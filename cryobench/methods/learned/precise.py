"""Batch norm's statistics estimated anew, over training images and with the weights as they are ("precise batch norm").

Running statistics are an average over past steps, of weights that have moved since; where these move fast, at a learning
rate of 1e-2, the two no longer fit, and the error at test time jumps. Y. Wu, J. Johnson, "Rethinking 'batch' in
BatchNorm" (2021), section 3, estimate them from training batches once the weights stand still. Weights are trained as ever.
"""

from __future__ import annotations

import torch
from pytorch_lightning.callbacks import Callback
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

IMAGES = 1000  # of the training set, which Wu and Johnson find to be enough


class PreciseBatchNorm(Callback):
    """Before each validation, and so before a checkpoint is chosen and kept, the generator's statistics are set anew.

    batches: a DataLoader of pairs (noisy, clean), the same in each epoch.
    """

    def __init__(self, batches: DataLoader):
        self.batches = batches

    def on_validation_start(self, trainer, module) -> None:
        self.estimate(module.generator, module.device)

    def estimate(self, net: torch.nn.Module, device: torch.device) -> None:
        """Replace the running statistics of every batch norm in `net` by those over `batches`, each counted alike."""
        update_bn(self.batches, net, device=device)
