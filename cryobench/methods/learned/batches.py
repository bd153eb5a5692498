"""Training images as batches: in what order, and as tensors, made when asked for or once and kept on a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from cryobench.data.images import NoisyImages
from cryobench.methods.learned.trained import same_pairs


class Batches(Dataset):
    """Training pairs for a DataLoader: asks for whole batches, so the noise of a batch is made in one call.

    Item s is image s mod n in epoch s div n; `pairs(images, index, epoch)` says what the net is shown of it, and is to make
    of that: two arrays (b, L, L) or (b, channels, L, L).
    """

    def __init__(self, images: NoisyImages, pairs=same_pairs):
        self.images, self.pairs = images, pairs

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.__getitems__([index])

    def __getitems__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        epochs, positions = np.divmod(index, len(self.images))
        shown, wanted = self.pairs(self.images, positions, int(epochs[0]))
        return as_batch(shown), as_batch(wanted)


class Kept(Dataset):
    """The same for pairs that are equal in every epoch: all of them made once, on `device`, and picked there.

    batch: how many are made at a time.
    """

    def __init__(self, images: NoisyImages, pairs: Callable, device: torch.device, batch: int):
        batches = Batches(images, pairs)
        for start in range(0, len(images), batch):
            made = batches.__getitems__(list(range(start, min(start + batch, len(images)))))
            if not start:
                self.shown, self.wanted = (
                    part.new_empty((len(images), *part.shape[1:]), device=device) for part in made
                )
            self.shown[start : start + batch], self.wanted[start : start + batch] = made

    def __len__(self) -> int:
        return len(self.shown)

    def __getitem__(self, index: int):
        return self.__getitems__([index])

    def __getitems__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        first = index[0] % len(self)
        chosen = slice(first, first + len(index))
        if chosen.stop <= len(self) and all(b - a == 1 for a, b in itertools.pairwise(index)):
            return self.shown[chosen], self.wanted[chosen]  # positions copied to a GPU would wait for it
        positions = torch.as_tensor(index, device=self.shown.device) % len(self)
        return self.shown[positions], self.wanted[positions]


def room_for(images: NoisyImages, device: torch.device) -> bool:
    """Whether the pairs of these images take less than a quarter of what is free on a GPU; for four runs side by side."""
    return 2 * 4 * len(images) * images.image_size**2 < torch.cuda.mem_get_info(device)[0] / 4


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
    """(b, L, L) or (b, channels, L, L) numpy → (b, channels, L, L) channels-last tensor."""
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    return (tensor[:, None] if tensor.ndim == 3 else tensor).contiguous(memory_format=torch.channels_last)
