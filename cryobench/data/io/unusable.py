"""Images that nothing can be made of, or that would spoil what is made of others: found before any work, all named at once."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from cryobench.errors import InputError
from cryobench.noise.background import outside_circle

PIXELS_AT_ONCE = 2**22  # 64 images of 256 px
NOT_FINITE, FLAT, MASKED, EDGE, HEAVY = (
    "NaN or infinity",
    "one value around the particle",
    "one value in most pixels around the particle (masked?)",
    "one value along an edge",
    "pixels that outweigh all other images",
)
TIMES = 10  # what is so many times the median of all images' outweighs them


class Images(Protocol):
    """A stack or a list of images in stacks, as far as they are looked at here."""

    @property
    def path(self) -> Path:
        """Of the file, for errors."""
        ...

    @property
    def size(self) -> int:
        """L in pixels."""
        ...

    def raw(self, indices: np.ndarray) -> np.ndarray:
        """The images at these positions, (b, L, L) float32, whatever their values."""
        ...

    def named(self, indices: np.ndarray) -> str:
        """Images at these positions, as people count them."""
        ...


def images_at_once(size: int) -> int:
    """How many images of this size in pixels are held in memory together."""
    return max(1, PIXELS_AT_ONCE // size**2)


def faults(images: np.ndarray) -> dict[str, np.ndarray]:
    """What is wrong with each of the images (n, L, L), kind → (n,) bool; the first kind only, where there are several."""
    outside = images[:, outside_circle(images.shape[-1])]
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    middle = np.median(outside, axis=1, keepdims=True)
    by_kind = {
        NOT_FINITE: ~np.isfinite(images).all(axis=(1, 2)),
        FLAT: outside.min(axis=1) == outside.max(axis=1),
        MASKED: (outside == middle).mean(axis=1) > 0.5,
        EDGE: np.any([edge.min(axis=1) == edge.max(axis=1) for edge in edges], axis=0),
    }
    before = np.zeros(len(images), bool)
    for kind, wrong in by_kind.items():
        by_kind[kind] = wrong & ~before
        before |= wrong
    return by_kind


def weight(images: np.ndarray) -> np.ndarray:
    """How far the farthest pixel is from the background, and the mean square of all, in the background's deviation: (n, 2).

    The deviation is the median one, 1.4826 MAD, which a single pixel does not move.
    """
    outside = images[:, outside_circle(images.shape[-1])].astype(np.float64)
    middle = np.median(outside, axis=1)
    deviation = 1.4826 * np.median(np.abs(outside - middle[:, None]), axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = (images - middle[:, None, None]) / deviation[:, None, None]
        return np.stack([np.abs(scaled).max(axis=(1, 2)), np.square(scaled).mean(axis=(1, 2))], axis=1)


def unusable(
    source: Images, rows: np.ndarray, advance=lambda done: None, *, heavy: bool = False
) -> dict[str, np.ndarray]:
    """What is wrong with these images, kind → (n,) bool; reads each once, and counts them by `advance(number)`.

    heavy: whether those count that outweigh the others, so that a method fitted on all of them would be fitted to one.
    """
    by_kind: dict[str, np.ndarray] = {}
    weights, step = np.full((len(rows), 2), np.nan), images_at_once(source.size)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        images = source.raw(rows[block])
        for kind, wrong in faults(images).items():
            by_kind.setdefault(kind, np.zeros(len(rows), bool))[block] = wrong
        if heavy:
            good = ~np.any([wrong[block] for wrong in by_kind.values()], axis=0)
            weights[block][good] = weight(images[good])
        advance(len(rows[block]))
    if heavy and len(rows) > 2 and np.isfinite(weights).all(axis=1).sum() > 2:
        with np.errstate(invalid="ignore"):
            by_kind[HEAVY] = (weights > TIMES * np.nanmedian(weights, axis=0)).any(axis=1)
    return by_kind


def described(source: Images, rows: np.ndarray, by_kind: dict[str, np.ndarray]) -> str:
    """Every kind of fault with the images that have it; "" for none."""
    return ", ".join(f"{kind} in {source.named(rows[wrong])}" for kind, wrong in by_kind.items() if wrong.any())


def refuse(source: Images, rows: np.ndarray, by_kind: dict[str, np.ndarray], advice: str) -> None:
    """Raise InputError that names what is wrong with which of these rows, if anything is."""
    if got := described(source, rows, by_kind):
        raise InputError(f"{source.path}: expected finite pixels and noise around the particle, got {got}; {advice}")
