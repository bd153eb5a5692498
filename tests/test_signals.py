"""What tells a process to end comes through, though the code that it interrupts raises an error of its own in its place."""

import inspect
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import TINY

from cryobench.cost.bench import measure_one
from cryobench.errors import Stopped, TimeLimit
from cryobench.runs import run as runs
from cryobench.signals import going_on, same_command, stopping, time_limit, told_to_end

TOLD = [Stopped("SIGTERM"), KeyboardInterrupt(), TimeLimit("an hour")]


def pool_left_early(told):
    """What a pool does that is left before its threads have started."""
    try:
        raise told
    finally:
        threading.Thread(target=print).join()  # RuntimeError


def asked_for_arguments(told):
    """`inspect` hides what was raised while it looked."""

    class Looked:
        @property
        def __signature__(self):
            raise told

        def __call__(self):
            pass

    inspect.getfullargspec(Looked())  # TypeError: unsupported callable


def twice(told):
    try:
        pool_left_early(told)
    except RuntimeError as error:
        raise OSError("not written") from error


def hidden(told):
    try:
        pool_left_early(told)
    except RuntimeError:
        raise OSError("not written") from None


@pytest.mark.parametrize("told", TOLD, ids=lambda told: type(told).__name__)
@pytest.mark.parametrize("code", [pool_left_early, asked_for_arguments, twice, hidden])
def test_what_told_it_to_end_is_raised_in_the_place_of_what_came_of_it(code, told):
    if code is asked_for_arguments and not isinstance(told, Exception):
        with pytest.raises(type(told)):  # `inspect` catches no more than an Exception
            code(told)
        return
    with pytest.raises((RuntimeError, OSError, TypeError)):
        code(told)
    with pytest.raises(type(told)) as caught, told_to_end():
        code(told)
    assert caught.value is told


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError) as caught, told_to_end():
        try:
            raise ValueError("1")
        except ValueError as error:
            raise RuntimeError("2") from error
    assert str(caught.value.__cause__) == "1"
    with pytest.raises(TimeLimit), told_to_end():
        raise TimeLimit("an hour")


def test_sigterm_and_the_time_limit_come_through():
    with pytest.raises(Stopped) as caught, stopping(), going_on():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            raise RuntimeError("cannot join thread before it is started")
    assert "goes on" in same_command(caught.value)
    with pytest.raises(TimeLimit, match=r"trainer\.time_limit"), time_limit(0.01 / 60):
        try:
            time.sleep(30)
        except Exception:
            raise TypeError("unsupported callable") from None


class Told:
    """Told to end while it is deleted."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)


class Slow:
    """Told to end while something else is deleted after it."""

    def __del__(self):
        Told()
        time.sleep(0.2)


def going_on_for_long():
    began = time.monotonic()
    while time.monotonic() < began + 30:
        time.sleep(0.01)


@pytest.mark.parametrize("told", [Told, Slow])
@pytest.mark.parametrize("body", [going_on_for_long, lambda: None], ids=["goes on", "ends"])
def test_sigterm_comes_through_though_python_drops_what_is_raised_while_it_deletes_something(told, body):
    """Slow is told again before its deletion is over, and then once more."""
    hook, ours = sys.unraisablehook, signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped), stopping():
        told()  # deleted at once
        body()
    assert sys.unraisablehook is hook and signal.getsignal(signal.SIGTERM) is ours
    time.sleep(0.1)  # nothing comes later


def test_other_errors_while_something_is_deleted_are_told_as_python_tells_them(capsys, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

    class Broken:
        def __del__(self):
            raise ValueError("not this one")

    with stopping():
        Broken()
    assert "not this one" in capsys.readouterr().err


def test_a_run_that_is_told_to_end_leaves_no_record(cli, tmp_path, monkeypatch):
    def ended(config, folder, progress):
        (folder / "last.ckpt").touch()
        pool_left_early(Stopped("SIGTERM"))

    build = runs.build
    monkeypatch.setattr(
        runs, "build", lambda config, group: SimpleNamespace(run=ended) if group == "task" else build(config, group)
    )
    status, _, err = cli("method=noisy", *TINY, "-m")
    assert status == 143 and "stopped by SIGTERM" in err and "goes on where this one stopped" in err
    assert not [*tmp_path.rglob("record.json")]


def test_a_benchmark_that_is_told_to_end_notes_no_failure():
    class Config(dict):
        def __getitem__(self, key):
            pool_left_early(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        measure_one(SimpleNamespace(config=Config(), row=None), 1)
