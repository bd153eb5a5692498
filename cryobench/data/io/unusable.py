"""Images that nothing can be made of, looked for before any work is done, and all named at once."""

from __future__ import annotations

import numpy as np

from cryobench.data.io.stack import Stack
from cryobench.data.io.star import Star
from cryobench.errors import InputError
from cryobench.noise.background import outside_circle

PIXELS_AT_ONCE = 2**22  # 64 images of 256 px


def images_at_once(size: int) -> int:
    """How many images of this size in pixels are held in memory together."""
    return max(1, PIXELS_AT_ONCE // size**2)


def faulty(images: np.ndarray) -> np.ndarray:
    """Which images (n, L, L) hold NaN or infinity, or one value all around the particle: (n,) bool."""
    outside = images[:, outside_circle(images.shape[-1])]
    return ~np.isfinite(images).all(axis=(1, 2)) | (outside.min(axis=1) == outside.max(axis=1))


def unusable(source: Stack | Star, rows: np.ndarray, advance=lambda done: None) -> np.ndarray:
    """Which of these images are faulty, (n,) bool; reads each once, and counts them by `advance(number)`."""
    bad, step = np.zeros(len(rows), bool), images_at_once(source.size)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        bad[block] = faulty(source.raw(rows[block]))
        advance(len(rows[block]))
    return bad


def refuse(source: Stack | Star, rows: np.ndarray, advice: str) -> None:
    """Raise InputError that names these rows as unusable, if there are any."""
    if len(rows):
        raise InputError(
            f"{source.path}: expected noise around the particle and finite pixels, got one value, NaN or "
            f"infinity in {source.named(rows)}; {advice}"
        )
