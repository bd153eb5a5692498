"""The eight symmetries of the pixel grid that leave the particle's centre where it is.

Quarter turns and mirrors about pixel L//2, the centre of the projections, with the image continued periodically (a
grid of even size has one row and one column more on one side, which stay). They move no pixel off the grid, so noise
remains white and nothing is interpolated; and a uniformly oriented particle is as likely turned as not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

COUNT = 8
Array = TypeVar("Array", "np.ndarray", "torch.Tensor")

if TYPE_CHECKING:
    import torch


def turned(images: Array, which: int) -> Array:
    """Symmetry `which` (0 … 7; 0 leaves all as it is) of images (..., L, L)."""
    if which & 4:
        images = images.swapaxes(-2, -1)
    return _mirrored(images, which)


def turned_back(images: Array, which: int) -> Array:
    """The inverse of `turned`."""
    images = _mirrored(images, which)
    return images.swapaxes(-2, -1) if which & 4 else images


def _mirrored(images: Array, which: int) -> Array:
    size = images.shape[-1]
    opposite = (2 * (size // 2) - np.arange(size)) % size
    if which & 1:
        images = images[..., opposite, :]
    if which & 2:
        images = images[..., :, opposite]
    return images
