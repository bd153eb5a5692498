"""What the corners of an image tell of its noise: particles are centred and leave them empty."""

from __future__ import annotations

import numpy as np


def border_sigma(noisy: np.ndarray) -> np.ndarray:
    """σ of each image (n, h, w) → (n,) float64, from the pixels outside the circle inscribed in the image.

    Particles are centred and leave the corners empty, so what varies there is noise. Clipping breaks this on purpose.
    """
    return np.asarray(noisy, dtype=np.float64)[:, outside_circle(noisy.shape[-1])].std(axis=-1)


def border_level(images: np.ndarray) -> np.ndarray:
    """Mean of each image (n, L, L) outside the circle, (n, 1, 1) of their dtype, to be taken off."""
    return images[:, outside_circle(images.shape[-1])].mean(axis=1)[:, None, None]


def outside_circle(size: int) -> np.ndarray:
    """(L, L) bool: the pixels outside the circle inscribed in an image of L = `size` px, where no particle is.

    >>> outside_circle(4).astype(int)
    array([[1, 0, 0, 1],
           [0, 0, 0, 0],
           [0, 0, 0, 0],
           [1, 0, 0, 1]])
    """
    y, x = np.ogrid[:size, :size]
    return np.hypot((y - (size - 1) / 2) / (size / 2), (x - (size - 1) / 2) / (size / 2)) > 1
