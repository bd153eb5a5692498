"""The same work on many parts, on several cores of a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_threads(function: Callable[[Part], Result], parts: Iterable[Part], most: int | None = None) -> Iterator[Result]:
    """`map`, with as many parts at a time as torch may use threads here, each in one: what comes of a part is the same to the
    last bit however many there are. most: parts at a time that memory has room for, or None for any number; where that is 1, the
    one has all of torch's threads.

    Torch gives its threads a share of one operation after the other, and they wait for each other at the end of each; loops
    compiled by numba know nothing of them. Here each has a part of its own until that is done. The function must let go of
    Python's lock most of the time, as torch, NumPy and `slices.interpolate` do; what parts share must be made before.
    """
    import torch

    parts, threads = list(parts), torch.get_num_threads()
    side_by_side = min(threads, most or threads)
    if side_by_side < 2:
        yield from map(function, parts)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(side_by_side, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(function, parts)
    finally:
        try:
            pool.shutdown(cancel_futures=True)  # parts that wait would be worked on, whatever ended this
        finally:  # the number is each thread's own, but what was set last is that of threads which are started later
            torch.set_num_threads(threads)
