"""Training images as batches: which of them train and which validate, in what order, and as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from cryobench.data.images import NoisyImages


def validation_part(n: int) -> int:
    """How many of n training images, the last ones, choose the checkpoint: a twentieth, at least 8, at most 500."""
    return min(max(n // 20, 8), 500)


def same_pairs(images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(noisy, clean) of these images, the same in every epoch: the paper's pairs are fixed."""
    return as_batch(images.noisy(index)), as_batch(images.clean(index))


class Batches(Dataset):
    """Training pairs for a DataLoader: asks for whole batches, so the noise of a batch is made in one call.

    Item s is image s mod n in epoch s div n; `pairs(images, index, epoch)` says what the net is shown of it.
    """

    def __init__(self, images: NoisyImages, pairs=same_pairs):
        self.images, self.pairs = images, pairs

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.__getitems__([index])

    def __getitems__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        epochs, index = np.divmod(index, len(self.images))
        return self.pairs(self.images, index, int(epochs[0]))


class InOrder(Sampler):
    """Positions 0 … n−1 in batches; its first epoch, number `epoch`, begins after `done` batches.

    In epoch e they are counted from e·n on, so that whoever is asked for them knows the epoch; with epoch=None (to
    validate) each is epoch 0. No shuffling: the images are independent draws already (and the released code does not shuffle).
    """

    def __init__(self, n: int, batch_size: int, *, drop_last: bool = False, done: int = 0, epoch: int | None = None):
        self.n, self.batch_size, self.done, self.epoch = n, batch_size, done, epoch
        self.batches = n // batch_size if drop_last else -(-n // batch_size)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self):
        first, self.done = self.done, 0
        past = 0
        if self.epoch is not None:
            past, self.epoch = self.epoch * self.n, self.epoch + 1
        for start in range(first * self.batch_size, self.batches * self.batch_size, self.batch_size):
            yield list(range(past + start, past + min(start + self.batch_size, self.n)))


def as_batch(images: np.ndarray) -> torch.Tensor:
    """(b, L, L) numpy → (b, 1, L, L) channels-last tensor."""
    return torch.from_numpy(np.ascontiguousarray(images))[:, None].contiguous(memory_format=torch.channels_last)
