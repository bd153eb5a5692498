"""What guessing gets."""

from __future__ import annotations

import numpy as np
from scipy import special


def guessing(images: int) -> tuple[float, float]:
    """How many of so many images are right by guessing, mean and standard deviation: not a half, as the better of the two
    labellings counts.

    >>> [round(value, 1) for value in guessing(60)]
    [33.1, 2.4]
    """
    right = np.arange(images + 1)
    counted, chance = np.maximum(right, images - right), special.comb(images, right) / 2.0**images
    mean = float(counted @ chance)
    return mean, float(np.sqrt((counted - mean) ** 2 @ chance))
