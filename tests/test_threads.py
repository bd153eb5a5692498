"""Parts of some work in several threads are what they are one after the other."""

import threading

import pytest
import torch

from cryobench.data.threads import in_threads


def test_parts_come_back_in_their_order_and_each_has_one_thread_of_torch(three_threads):
    together, seen = threading.Barrier(3, timeout=60), []

    def square(x: int) -> int:
        together.wait()  # breaks unless three parts are at work
        seen.append((torch.get_num_threads(), threading.get_ident()))
        return x * x

    assert list(in_threads(square, range(6))) == [x * x for x in range(6)]
    assert {threads for threads, _ in seen} == {1} and len({thread for _, thread in seen}) == 3


def test_torch_has_as_many_threads_as_before(three_threads):
    later = []
    list(in_threads(abs, range(4)))
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == 3 and later == [3]


def test_one_part_too_has_one_thread_of_torch(three_threads):
    """Else its Fourier transforms would be rounded in another way."""
    assert list(in_threads(lambda _: torch.get_num_threads(), [0])) == [1]
    assert list(in_threads(abs, [])) == []


def test_with_one_thread_parts_are_worked_on_where_they_are_asked_for():
    here = threading.get_ident()
    assert list(in_threads(lambda _: threading.get_ident(), range(5))) == [here] * 5


def test_an_error_ends_the_work(three_threads):
    done, failed = [], threading.Event()

    def broken(x: int) -> None:
        if x == 0:
            failed.set()
            raise ValueError("the first")
        failed.wait(60)
        done.append(x)

    with pytest.raises(ValueError, match="the first"):
        list(in_threads(broken, range(10_000)))
    assert len(done) < 9_999
    assert torch.get_num_threads() == 3
