"""A test, or the fixtures of a module, that leaves something behind for those that come after it is an error."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)
TRACKER = "resource_tracker"  # Python's and loky's: one for each process, from the first need of it to the end
SET_ONCE = ("KMP_", "TF_CPP_", "TORCHINDUCTOR_", "PYTORCH_NVML_", "PYTEST_")  # by libraries, on first use


def state() -> dict:
    """What one test shares with the next. Filters of warnings are missing here: pytest puts them back itself."""
    listing = {
        "processes": processes(),
        "threads": {
            one.ident: one.name
            for one in threading.enumerate()
            if one.is_alive()
            and not one.daemon
            and not one.name.startswith("asyncio_")  # ends with its event loop, a browser's
        },
        "environment": {k: v for k, v in os.environ.items() if not k.startswith(SET_ONCE)},
        "working folder": Path.cwd(),
        "sys.argv": list(sys.argv),
        "sys.path": list(sys.path),
        "root logger": {"level": logging.getLogger().level, "handlers": handlers()},
        "signal handlers": {number.name: signal.getsignal(number) for number in SIGNALS},
    }
    if torch := sys.modules.get("torch"):
        listing["torch"] = {
            "threads": torch.get_num_threads(),
            "type": torch.get_default_dtype(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "gradients": torch.is_grad_enabled(),
        }
    if numpy := sys.modules.get("numpy"):
        listing["numpy's errors"] = numpy.geterr()
    pyplot = sys.modules.get("matplotlib.pyplot")
    listing["open figures"] = pyplot.get_fignums() if pyplot else []
    if hydra := sys.modules.get("hydra.core.global_hydra"):
        listing["Hydra is set up"] = hydra.GlobalHydra.instance().is_initialized()
    return listing


def handlers() -> list[str]:
    """Those of the root logger but pytest's own: one that writes to a test's stream writes to a closed one later on."""
    return [repr(one) for one in logging.getLogger().handlers if not type(one).__module__.startswith("_pytest")]


def processes() -> dict[int, str]:
    """Children that are still at work, and what they were called with; theirs end with them."""
    listing = {}
    for child in psutil.Process().children():
        try:
            words = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and TRACKER not in words:
                listing[child.pid] = words[:200]
        except psutil.NoSuchProcess:
            pass
    return listing


def changes(before: dict, after: dict) -> list[str]:
    """One line for each kind of thing that is not as it was; what was first loaded in between has no before."""
    lines = []
    for kind, now in after.items():
        was = before.get(kind, now)
        if kind in ("processes", "threads"):  # a fixture's may have ended
            now, was = {key: value for key, value in now.items() if key not in was}, {}
        if now != was:
            lines.append(f"{kind}: {differing(was, now)}")
    return lines


def differing(was, now) -> str:
    if not isinstance(now, dict):
        return f"{was} before, {now} after"
    keys = [key for key in was.keys() | now.keys() if was.get(key) != now.get(key)]
    return ", ".join(f"{key} ({was.get(key, 'nothing')} before, {now.get(key, 'nothing')} after)" for key in keys)


def watched(what: str):
    before = state()
    yield
    if changed := changes(before, state()):
        pytest.fail(f"{what} leaves behind: " + "; ".join(changed), pytrace=False)


@pytest.fixture(autouse=True)
def leaves_nothing():
    yield from watched("this test")


@pytest.fixture(autouse=True, scope="module")
def module_leaves_nothing(request):
    yield from watched(f"a fixture of {request.module.__name__}")
