"""Do denoised images stand in the order of the noisy ones that they were made from, and lie in them as those do?

A denoised image correlates with its own noisy image more than with others: with unrelated noise of p pixels a correlation has
a standard deviation of 1/√p. If none does so, but images fit those at other places far beyond chance, the order is another; so
it is of some of them, where these fit other places better by more than the noise makes of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cryobench.errors import InputError, note

MOST = 2000  # images that are looked at
SURE = 4.0  # standard errors by which images fit their own places better than the others
SURER = 6.0  # those by which images that were turned, mirrored or inverted do, of which fifteen kinds are tried
FEW = 8  # images, of fewer of which a standard error says too little for that
BETTER = 2.5  # deviations of noise by which images that stand elsewhere fit better there, on average

# What they are, and what undoes it.
TURNED: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("", lambda images: images),
    ("mirrored left to right", lambda images: images[:, :, ::-1]),
    ("mirrored top to bottom", lambda images: images[:, ::-1]),
    ("turned by 180°", lambda images: images[:, ::-1, ::-1]),
    ("transposed (rows for columns)", lambda images: images.swapaxes(1, 2)),
    ("transposed along the other diagonal", lambda images: images[:, ::-1, ::-1].swapaxes(1, 2)),
    ("turned by 90°", lambda images: np.rot90(images, axes=(1, 2))),
    ("turned by 90°", lambda images: np.rot90(images, -1, axes=(1, 2))),
]


def check_order(noisy: np.ndarray, denoised: np.ndarray, clean: np.ndarray, what: str) -> None:
    """Raise InputError, naming `what`, for images (n, L, L) that stand in another order than the noisy ones (n, L, L), or are
    turned, mirrored or inverted.

    clean: without the noise. Says in a note where that can't be known: images that have nothing to do with theirs, as one mean
    image for all.
    """
    from scipy.optimize import linear_sum_assignment

    noisy, denoised, clean = noisy[:MOST], denoised[:MOST], clean[:MOST]
    n = len(denoised)
    if n < 3:
        return
    check_turned(noisy, denoised, what)
    one, other = unit(denoised), unit(noisy)
    fits = one @ other.T  # (image, place)
    rows, places = linear_sum_assignment(fits, maximize=True)
    gains = fits[rows, places] - np.diag(fits)
    moved = np.flatnonzero(places != np.arange(n))
    some = ", ".join(f"{row + 1} of yours fits {places[row] + 1}" for row in moved[:3])
    another = (
        f"{what}: expected the order of the noisy images, got another: {some}, … ({len(moved)} of {n}); keep the order"
    )
    if len(moved) and better_there(gains[moved] / noise_of(one, noisy, clean)[moved], n):
        raise InputError(another)
    own = fits_own(one, other)
    if own.mean() > SURE * own.std(ddof=1) / np.sqrt(n):
        return
    # Of n unrelated places the best fits by less than √(2 log n) deviations.
    if gains.mean() > (np.sqrt(2 * np.log(n)) + 1) / np.sqrt(noisy[0].size):
        raise InputError(another)
    note(f"{what}: its images fit their own noisy images no better than others, so their order could not be checked")


def better_there(gains: np.ndarray, n: int) -> bool:
    """Whether the images of n that fit best elsewhere do so beyond chance, by their gains in deviations of noise.

    Of n² unrelated pairs the best fits by less than √(2 log n²) deviations. A mean too low for images that only stand elsewhere
    is that of a method which shows something else than is there.
    """
    mean = gains.mean()
    return bool(mean > BETTER and mean * np.sqrt(len(gains)) > np.sqrt(4 * np.log(n)) + 1)


def noise_of(one: np.ndarray, noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """(n,): the deviation, by the noise alone, of the difference between an image's (n, L²) fits at two places."""
    noise = (noisy - clean).reshape(len(noisy), -1)
    noise = noise - noise.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(noisy - noisy.mean(axis=(1, 2), keepdims=True), axis=(1, 2))
    products = one @ np.divide(noise, scale[:, None], out=np.zeros_like(noise), where=scale[:, None] > 0).T
    np.fill_diagonal(products, np.nan)  # what is left of its own noise
    return np.maximum(np.sqrt(2) * np.nanstd(products, axis=1), 1e-6)


def check_turned(noisy: np.ndarray, denoised: np.ndarray, what: str) -> None:
    """Raise InputError for images that fit their noisy ones far better if they are turned, mirrored or inverted."""
    if len(noisy) < FEW:
        return
    other, usual = unit(noisy), None
    for name, turn in TURNED:
        fits = fits_own(unit(turn(denoised)), other)
        usual = fits if usual is None else usual
        for sign, contrast in ((1, ""), (-1, "of inverted contrast")):
            if clear(sign * fits) and clear(sign * fits - usual):
                got = " and ".join(filter(None, (name, contrast)))
                raise InputError(f"{what}: expected images that lie as the noisy ones do, got them {got}; undo that")


def clear(values: np.ndarray) -> bool:
    """Whether their mean is far above 0."""
    return bool(values.mean() > SURER * values.std(ddof=1) / np.sqrt(len(values)))


def fits_own(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,): the products of images (n, L²) with those at their own places, less the mean of those with the others."""
    own = (one * other).sum(axis=1)
    return own - (one @ other.sum(axis=0) - own) / (len(one) - 1)


def unit(images: np.ndarray) -> np.ndarray:
    """(n, L, L) → (n, L²) float32 with mean 0 and norm 1; zeros for a flat image."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, norm, out=np.zeros_like(flat), where=norm > 0)
