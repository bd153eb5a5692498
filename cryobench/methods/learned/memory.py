"""Memory that one training step frees is kept for the next one, in place of going back to the system and coming anew."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

# Of glibc's malloc.h; mallopt(3) explains them.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST = 32 * 2**20  # bytes: the largest threshold that mallopt takes; larger blocks always go back to the system
NEVER = 2**31 - 1


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within it glibc's malloc gives no free memory back, unless in blocks of more than 32 MiB; after it, it does so again.

    Numbers stay the same to the last bit. Without glibc (macOS, Alpine) nothing changes. Why: freed images of a step are pages
    that the kernel would take away, and hand out again filled with zeros, some tens of thousands a second.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(MMAP_THRESHOLD, LARGEST)
    libc.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST)  # as malloc itself sets it once blocks of LARGEST were freed
        libc.malloc_trim(0)
