"""Which half of a stack an image is in, known by what the image shows: it is asked for again when images come to be denoised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Halves:
    """Every other image of a stack is in the second half. numbers: of each image, by its content, 0 or 1."""

    numbers: dict[bytes, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, images: np.ndarray, rows: np.ndarray) -> None:
        """Images (n, L, L), and their positions (n,) in the stack."""
        self.numbers |= {content(image): int(row) % 2 for image, row in zip(images, rows, strict=True)}

    def of(self, images: np.ndarray) -> list[int | None]:
        """The half of each image (n, L, L), None for one that is not of the stack."""
        return [self.numbers.get(content(image)) for image in images]

    @property
    def fingerprint(self) -> str:
        """Which images these are."""
        return hashlib.blake2b(b"".join(self.numbers), digest_size=8).hexdigest()


def content(image: np.ndarray) -> bytes:
    """An image's content, in few bytes."""
    return hashlib.blake2b(np.ascontiguousarray(image, np.float32).tobytes(), digest_size=8).digest()
