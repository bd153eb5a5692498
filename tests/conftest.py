"""What many tests share: one cache of simulated data, a folder to stand in, the command line, and how tests are run."""

from __future__ import annotations

import copy
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# One thread in each process, whoever calls: workers use the cores, and rounding does not depend on how many there are.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as Lightning sets it where there is a GPU

import pytest
from left_behind import leaves_nothing, module_leaves_nothing  # noqa: F401

SHARED = Path(__file__).parents[2] / "shared" / "data"

PATIENCE = 600  # seconds before something counts as hanging; other work may leave little of the machine

# The smallest run that still trains: 32 px, a handful of images, one epoch.
TINY = ("data.n_train=36", "data.n_test=6", "scale.width=4", "scale.epochs=1", "protocol.batch_size=14")


SUMMARY = "summary"  # a property of a test (record_property) that is printed at the end


def pytest_terminal_summary(terminalreporter) -> None:
    """What tests counted, one line each."""
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, []))
    lines = sorted(str(value) for report in reports for name, value in report.user_properties if name == SUMMARY)
    if lines:
        terminalreporter.section("counted")
        terminalreporter.write("\n".join(lines) + "\n")


def pytest_xdist_auto_num_workers(config) -> int:
    """Workers for `-n auto`: one for each core up to eight, each of which needs about 1 GB; none where files are named."""
    if config.args_source is not config.ArgsSource.TESTPATHS:
        return 0
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


ASPIRE = "github.com/ComputationalCryoEM/ASPIRE-Python has it in tests/saved_test_data"
RCSB = "files.rcsb.org/download has it"


def needs(path: Path, how: str):
    """Skip a test where a file is missing that is not the project's to give, saying where it is to be had."""
    return pytest.mark.skipif(not path.exists(), reason=f"missing {path}: {how}")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """For libraries that were loaded before this file."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


@pytest.fixture
def three_threads() -> Iterator[None]:
    """As in a run that has several cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def composed_once():
    """What Hydra made of some words is kept for the tests that come with the same ones: it takes a tenth of a second.

    Yamls of one's own, which a test writes, and the jobs of a sweep go to Hydra each time.
    """
    from hydra.core.global_hydra import GlobalHydra

    from cryobench.config import compose

    ask = compose.composed
    shipped = functools.lru_cache(maxsize=64)(ask)

    def composed(words):
        own = any(word.startswith("hydra.searchpath=") for word in words)
        anew = own or GlobalHydra.instance().is_initialized()
        return ask(words) if anew else copy.deepcopy(shipped(tuple(words)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "composed", composed)
        yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """The folder of simulated data, made once for all tests, whichever process they run in."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def workers_end():
    """joblib keeps its processes for the next call; here they end with the test."""
    from cryobench.launch.loky import shut_workers

    yield
    shut_workers()


@pytest.fixture
def cli(cache, tmp_path, monkeypatch, capsys, workers_end):
    """`cli("method=noisy", …)` in an empty folder → (exit status, standard output, standard error)."""
    from cryobench.cli.main import main

    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    monkeypatch.setenv("CRYOBENCH_SIDE_BY_SIDE", "1")  # a worker takes seconds to start
    monkeypatch.delenv("CRYOBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # main() puts the folder there, for a method of one's own

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(list(arguments))
        out = capsys.readouterr()
        return status, out.out, out.err

    return call
