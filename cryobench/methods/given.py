"""Images that were denoised outside, by a tool that knows nothing of cryobench: a name for its records (verb score)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from cryobench.errors import InputError
from cryobench.methods.base import SIDE_INFORMATION, Denoiser

GIVEN = "given"  # what the method is called in records
# A title stands in tables, on pages and in LaTeX: letters, digits and what needs no escape in any of them.
TITLE = re.compile(r"(?! )[^\W_](?:[^\W_]|[ .,:+()/-]){0,59}(?<! )")


@dataclass
class Given(Denoiser):
    """title: what the tool is called, in tables too; used: the side information that it is said to have used."""

    title: str
    used: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not TITLE.fullmatch(self.title):
            raise InputError(f"--name: expected up to 60 letters, digits, spaces and .,:+()/- , got {self.title!r}")
        if unknown := sorted(set(self.used) - set(SIDE_INFORMATION)):
            raise InputError(f"--used: expected some of {', '.join(SIDE_INFORMATION)}, got {', '.join(unknown)}")

    @property
    def side_information(self) -> frozenset[str]:
        """What was said with the images."""
        return frozenset(self.used)

    def require(self) -> NoReturn:
        """Raise InputError: there is nothing to run."""
        raise InputError(
            f"{self.title}: its images were denoised outside, and there is nothing here to run; see score --help"
        )

    def denoise(self, noisy: np.ndarray, **hints: Any) -> NoReturn:
        """Raises InputError, as `require` does."""
        self.require()
