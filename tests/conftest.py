"""What many tests share: one cache of simulated data, a folder to stand in, the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"

# The smallest run that still trains: 32 px, a handful of images, one epoch.
TINY = ("data.n_train=36", "data.n_test=6", "scale.width=4", "scale.epochs=1", "protocol.batch_size=14")


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """The folder of simulated data, made once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(cache, tmp_path, monkeypatch, capsys):
    """`cli("method=noisy", …)` in an empty folder → (exit status, standard output, standard error)."""
    from cryobench.cli.main import main

    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    monkeypatch.setenv("CRYOBENCH_SIDE_BY_SIDE", "1")  # a worker takes seconds to start
    monkeypatch.delenv("CRYOBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(list(arguments))
        out = capsys.readouterr()
        return status, out.out, out.err

    return call
