"""Which images of a stack are taken: those asked for, of these the usable ones, or a few of them."""

from __future__ import annotations

import re

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack, numbers
from cryobench.data.io.unusable import described, refuse, unusable
from cryobench.errors import InputError
from cryobench.noise.background import outside_circle

RANGE = re.compile(r"\s*([0-9]{1,15})\s*(?:(-)\s*([0-9]{1,15})?\s*)?")
LOOKED_AT = 64  # images
# How many times the variance around particles theirs may be. Recorded ones have a few times, averages of a thousand some hundred
# times; of simulated maps, clean images and those that cwf denoised it is a thousand and more.
NOISELESS = 1000.0
SMALLEST = 8  # px; of fewer, nothing is left around a particle that tells of the noise
LEAVE_OUT = "leave out what is wrong, by --images"


def chosen_rows(text: str | None, n: int) -> np.ndarray:
    """ "1-200,901-1000" → rows from 0, in that order; "901-" to the last one; None for all n. Raises InputError.

    >>> chosen_rows("1-2,5", 9), chosen_rows("7-", 9)
    (array([0, 1, 4]), array([6, 7, 8]))
    """
    if text is None:
        return np.arange(n)
    rows = []
    for part in text.split(","):
        if not (match := RANGE.fullmatch(part)):
            raise InputError(f"--images: expected numbers and ranges as 1-200,950 or 951- (to the last), got {part!r}")
        first, dash, last = match.groups()
        low = int(first)
        high = int(last) if last else n if dash else low
        if not 1 <= low <= high <= n:
            raise InputError(f"--images: expected images within 1 to {n}, got {part.strip()}")
        rows.append(np.arange(low - 1, high))
    chosen = np.concatenate(rows)
    values, counts = np.unique(chosen, return_counts=True)
    if (twice := values[counts > 1]).size:
        raise InputError(f"--images: expected each image once, got {numbers(twice + 1)} more than once in {text}")
    return chosen


def usable(
    source: Stack | Listing, rows: np.ndarray, skip_bad: bool, say, progress: bool = False, *, learns: bool = False
) -> np.ndarray:
    """These rows, or with `skip_bad` those of them that can be used.

    learns: whether a method is fitted on them, which one image may outweigh. Raises InputError that names all that can't.
    """
    if source.size < SMALLEST:
        raise InputError(
            f"{source.path}: expected images of {SMALLEST} px or more, which a particle and noise around it need, got "
            f"{source.size} px"
        )
    with bar(progress) as shown:
        task = shown.add_task("checking", total=len(rows))
        by_kind = unusable(source, rows, lambda done: shown.advance(task, done), heavy=learns)
    bad = np.any(list(by_kind.values()), axis=0)
    if not skip_bad or bad.all():
        refuse(source, rows, by_kind, f"{LEAVE_OUT} or --skip-bad")
    elif bad.any():
        say(f"left out: {described(source, rows, by_kind)}")
    return rows[~bad]


def refuse_noiseless(source: Stack | Listing, rows: np.ndarray) -> None:
    """Raise InputError where these images have next to no noise around their particles, which a method is judged by."""
    images = source.raw(rows[evenly(len(rows), LOOKED_AT)]).astype(np.float64)
    outside = outside_circle(images.shape[-1])
    times = float(np.median(images[:, ~outside].var(axis=1) / images[:, outside].var(axis=1)))
    if times > NOISELESS:
        raise InputError(
            f"{source.path}: expected noise around the particles, got next to none (the particles have {times:,.0f} times its "
            "variance): a map, or denoised images? Give the images as they were recorded"
        )


def evenly(n: int, most: int) -> np.ndarray:
    """At most so many positions out of n, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).astype(np.int64))


def bar(shown: bool) -> Progress:
    """A progress bar on standard error with the time left, or one that is not shown."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True)
