"""What may end a run from outside: SIGTERM, the death of the process that started it, and its time limit."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cryobench.errors import Stopped, TimeLimit

PR_SET_PDEATHSIG = 1
AGAIN = 0.05  # s until a signal that was lost is sent again
GOES_ON = "goes on where this one stopped"


@contextlib.contextmanager
def told_to_end():
    """An error of the body that came of a Stopped, KeyboardInterrupt or TimeLimit is replaced by that.

    A signal may come at any line, and code that it interrupts may raise an error of its own in place of what told it to end:
    a pool that is left before its threads have started does so, and `inspect` where it is asked for an argument list.
    """
    try:
        yield
    except Exception as error:
        for earlier in came_of(error):
            if isinstance(earlier, (Stopped, KeyboardInterrupt, TimeLimit)):
                raise earlier from None
        raise


def came_of(error: BaseException) -> Iterator[BaseException]:
    """The errors that this one came of or came while they were handled, the last first."""
    seen, left = {id(error)}, [error]
    while left:
        error = left.pop()
        for earlier in (error.__context__, error.__cause__):
            if earlier is not None and id(earlier) not in seen:
                seen.add(id(earlier))
                left.append(earlier)
                yield earlier


@contextlib.contextmanager
def stopping(on_stop=None):
    """SIGTERM raises Stopped here instead of killing; `on_stop()` is called first, and True from it spares this process."""

    lost: list[threading.Timer] = []
    raised: list[tuple[Stopped, Any]] = []  # and what handled signals then

    def handler(number, frame):
        lost.clear()
        if not (on_stop and on_stop()):
            # A second one would interrupt what is put in order for the first.
            raised[:] = [(stop := Stopped("SIGTERM"), signal.signal(number, signal.SIG_IGN))]
            raise stop

    def dropped(unraisable):
        """Python drops what is raised while it deletes something: the signal is sent again, when that is over."""
        if not any(unraisable.exc_value is stop for stop, _ in raised):
            return hook(unraisable)
        signal.signal(signal.SIGTERM, raised[0][1])
        lost.append(threading.Timer(AGAIN, os.kill, (os.getpid(), signal.SIGTERM)))
        lost[0].start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, handler), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        with told_to_end():
            yield
            if lost:  # the body ended first
                raise Stopped("SIGTERM")
    finally:
        try:
            for timer in lost:  # none comes later, when nobody would raise Stopped
                timer.cancel()
                timer.join()
        finally:
            sys.unraisablehook = hook
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def going_on(kept: Callable[[], bool] = lambda: True):
    """What is stopped in the body, by SIGTERM or Ctrl-C, is gone on with by the same command, if then something is `kept`."""
    try:
        with told_to_end():
            yield
    except (Stopped, KeyboardInterrupt) as stop:
        if kept():
            stop.add_note(GOES_ON)
        raise


def same_command(stop: BaseException) -> str:
    """What the same command does after it was stopped so."""
    return f"the same command {GOES_ON if GOES_ON in getattr(stop, '__notes__', ()) else 'begins anew'}"


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """This process gets a signal when the one that started it dies, even by SIGKILL (Linux; elsewhere it does not)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


@contextlib.contextmanager
def time_limit(minutes: float | None):
    """Raise TimeLimit in the body when it takes longer (POSIX, main thread; elsewhere there is no limit)."""
    if not minutes or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number, frame):
        raise TimeLimit(
            f"took longer than trainer.time_limit={minutes:g} minutes; what it learned so far is kept, "
            "and the same command goes on from there"
        )

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes, 5)  # again, should somebody swallow the first
    try:
        with told_to_end():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
