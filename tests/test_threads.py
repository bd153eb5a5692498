"""Parts of some work in several threads are what they are one after the other."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_where_memory_has_room_for_few_there_are_no_more_at_a_time(three_threads):
    at_work, most = [], []

    def watched(x: int) -> None:
        at_work.append(x)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.remove(x)

    list(in_threads(watched, range(12), most=2))
    assert max(most) <= 2
    assert list(in_threads(lambda _: torch.get_num_threads(), range(2), most=1)) == [3, 3]


def test_with_one_thread_parts_are_worked_on_where_they_are_asked_for():
    here = threading.get_ident()
    assert list(in_threads(lambda _: threading.get_ident(), range(5))) == [here] * 5


def test_what_waits_is_left_where_an_error_ends_the_work(three_threads):
    done, failed = [], threading.Event()

    def broken(x: int) -> None:
        if x == 0:
            failed.set()
            raise ValueError("the first")
        failed.wait(60)
        time.sleep(0.05)
        done.append(x)

    with pytest.raises(ValueError, match="the first"):
        list(in_threads(broken, range(100)))
    assert len(done) < 90
    assert torch.get_num_threads() == 3


def test_what_waits_is_left_where_nobody_wants_more(three_threads):
    done = []

    def slow(x: int) -> int:
        time.sleep(0.05)
        done.append(x)
        return x

    results = in_threads(slow, range(100))
    assert next(results) == 0
    results.close()
    assert len(done) < 90
    assert torch.get_num_threads() == 3


def test_what_waits_is_left_where_a_signal_comes_while_parts_are_handed_out(three_threads, monkeypatch):
    done, submit = [], ThreadPoolExecutor.submit

    def interrupted(pool, function, part):
        if part == 99:
            raise KeyboardInterrupt
        return submit(pool, function, part)

    def slow(x: int) -> None:
        time.sleep(0.05)
        done.append(x)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(in_threads(slow, range(100)))
    assert len(done) < 90
