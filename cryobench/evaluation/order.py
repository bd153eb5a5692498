"""Do denoised images stand in the order of the noisy ones that they were made from?

A denoised image correlates with its own noisy image more than with others: with unrelated noise of p pixels a correlation has
a standard deviation of 1/√p. If none does so, but images fit those at other places far beyond chance, the order is another.
"""

from __future__ import annotations

import numpy as np

from cryobench.errors import InputError, note

MOST = 2000  # images that are looked at
SURE = 4.0  # standard errors by which images fit their own places better than the others


def check_order(noisy: np.ndarray, denoised: np.ndarray, what: str) -> None:
    """Raise InputError, naming `what`, for images (n, L, L) that stand in another order than the noisy ones (n, L, L).

    Says in a note where that can't be known: images that have nothing to do with theirs, as one mean image for all.
    """
    from scipy.optimize import linear_sum_assignment

    fits = unit(denoised[:MOST]) @ unit(noisy[:MOST]).T  # (image, place)
    n = len(fits)
    if n < 3:
        return
    own = np.diag(fits) - (fits.sum(axis=1) - np.diag(fits)) / (n - 1)
    error = own.std(ddof=1) / np.sqrt(n)
    if own.mean() > SURE * error:
        return
    rows, places = linear_sum_assignment(fits, maximize=True)
    gain = float(np.mean(fits[rows, places] - np.diag(fits)))
    # Of n unrelated places the best fits by less than √(2 log n) deviations.
    if gain > (np.sqrt(2 * np.log(n)) + 1) / np.sqrt(noisy[0].size):
        off = np.flatnonzero(places != np.arange(n))
        some = ", ".join(f"{row + 1} of yours fits {places[row] + 1}" for row in off[:3])
        raise InputError(f"{what}: expected the order of the noisy images, got another: {some}, …; keep the order")
    note(f"{what}: its images fit their own noisy images no better than others, so their order could not be checked")


def unit(images: np.ndarray) -> np.ndarray:
    """(n, L, L) → (n, L²) float32 with mean 0 and norm 1; zeros for a flat image."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, norm, out=np.zeros_like(flat), where=norm > 0)
