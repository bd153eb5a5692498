"""The errors that people are meant to read: one line each, never a traceback; `reason` sorts failed records."""

from __future__ import annotations

import contextlib
import operator
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class InputError(ValueError):
    """A mistake in what the user gave: says what was expected, what came, and what to do (exit status 2)."""

    reason = "input"


class Undeclared(InputError):
    """A denoiser asked for side information that it does not declare."""

    reason = "undeclared"


class MissingPackage(InputError):
    """An optional package is not installed; says how to install it."""

    reason = "missing package"


class RunFailed(RuntimeError):
    """A run that could not finish; the sweep goes on (exit status 1)."""

    reason = "error"


class NotFinite(RunFailed):
    """A loss or an image became NaN or infinite."""

    reason = "not finite"


class TimeLimit(RunFailed):
    """A run took longer than trainer.time_limit; its checkpoint stays, and the next try goes on from it."""

    reason = "time limit"


class Killed(RunFailed):
    """The process of a run died without a word, as it does when the system is out of memory."""

    reason = "memory"


class BadImages(InputError):
    """Some images of a batch can't be denoised; `indices` are their positions in it, one or more whole numbers from 0 on, and
    the others can. Raises InputError for anything else, which would have whoever leaves them out ask for ever."""

    def __init__(self, indices, reason: str):
        given = list(indices) if isinstance(indices, Iterable) else [indices]
        wrong = [i for i in given if not is_position(i)]
        if wrong or not given:
            got = ", ".join(map(str, wrong[:5])) if wrong else "none"
            raise InputError(f"BadImages: expected positions of images in their batch, whole numbers from 0, got {got}")
        self.indices = [int(i) for i in given]
        self.reason = reason
        super().__init__(f"image {in_short(self.indices)}: {reason}")

    def within(self, n: int) -> list[int]:
        """The positions. Raises InputError where a batch of n images has no such ones."""
        if beyond := [i for i in self.indices if i >= n]:
            raise InputError(f"BadImages: expected positions in a batch of {n} images, got {beyond[0]} ({self.reason})")
        return self.indices


def in_short(positions: Sequence[int] | np.ndarray) -> str:
    """The first five of them, and whether there are more: 0, 1, 2, 3, 4 …"""
    return ", ".join(map(str, positions[:5])) + (" …" if len(positions) > 5 else "")


def is_position(value) -> bool:
    """Whether something is a whole number from 0 on; a number of a mask is none."""
    try:
        return not isinstance(value, bool) and operator.index(value) >= 0
    except TypeError:
        return False


class Stopped(BaseException):
    """The process was told to end (SIGTERM); nothing is recorded, the same command goes on later (exit status 143)."""


def reason_of(error: BaseException) -> str:
    """Why a run failed, in one or two words: memory, disk, not finite, time limit, missing package, input, error."""
    text = str(error)
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in text:
        return "memory"
    if isinstance(error, OSError) and error.errno in (28, 122):  # ENOSPC, EDQUOT
        return "disk"
    if isinstance(error, ImportError):
        return "missing package"
    if isinstance(error, BadImages):
        return "input"
    return getattr(error, "reason", "error")


class Note(UserWarning):
    """A word about input that is used, but not as it stands: shown in one line, and kept in a run's record."""


def note(text: str) -> None:
    """Warn of something that was understood, but not as it stands."""
    warnings.warn(text, Note, stacklevel=2)


@contextlib.contextmanager
def shown_notes():
    """Notes in one line each, on standard error, once for each text; other warnings as Python shows them."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message, category, filename, lineno, file=None, line=None) -> None:
            if issubclass(category, Note):
                print(f"cryobench: {message}", file=sys.stderr)
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.simplefilter("default", Note)
        warnings.showwarning = show
        yield


def one_line(error) -> str:
    """An error as people should read it: its own words, and its kind where it is not ours."""
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, InputError | RunFailed | Warning) else f"{type(error).__name__}: {text}"
