"""Runs side by side in worker processes: one of them is killed, or the whole sweep is told to end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux's /proc to find the workers")

WORDS = ["+sweep=alpha_beta", "row='(1,1)','(0,0)','(.5,.5)'", "noise.snr=0.1", *TINY, "scale.epochs=25",
         "trainer.side_by_side=2"]  # fmt: skip


def sweep(folder: Path, cache: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "cryobench", *WORDS], cwd=folder, text=True, start_new_session=True,
                            env={**os.environ, "CRYOBENCH_CACHE": str(cache)}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)  # fmt: skip


def workers(parent: int) -> list[int]:
    """The processes under a sweep that do its runs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, ppid = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):  # it ended just now
            continue
        if ppid == parent and any("popen_loky" in word for word in words):
            found.append(pid)
    return found


def training(process: subprocess.Popen, folder: Path) -> list[Path]:
    """Checkpoints of two runs that are under way."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        if len(found := [*folder.rglob("last.ckpt")]) == 2:
            return found
        time.sleep(0.05)
    raise AssertionError("no two runs train at once")


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in folder.rglob("record.json")]


def test_runs_of_a_killed_worker_are_tried_alone_and_nothing_is_lost(tmp_path, cache):
    process = sweep(tmp_path, cache)
    training(process, tmp_path)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0 and "Traceback" not in out, out
    assert [record["status"] for record in records(tmp_path)] == 3 * ["done"]
    assert sorted(record["method"]["resumed"] for record in records(tmp_path)) == [0, 1, 1], (
        "loky ends the other one, too"
    )
    assert not [*tmp_path.rglob("*.lock"), *tmp_path.rglob("*.ckpt")]


def test_sigterm_reaches_the_workers_and_the_next_call_goes_on(tmp_path, cache):
    process = sweep(tmp_path, cache)
    training(process, tmp_path)
    at_work = workers(process.pid)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and "stopped by SIGTERM" in out and "Traceback" not in out, out
    assert len(at_work) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in at_work)
    assert not records(tmp_path) and len([*tmp_path.rglob("last.ckpt")]) == 2

    out, _ = (again := sweep(tmp_path, cache)).communicate(timeout=240)
    assert again.returncode == 0, out
    assert [record["status"] for record in records(tmp_path)] == 3 * ["done"]
    assert sorted(record["method"]["resumed"] for record in records(tmp_path)) == [0, 1, 1]
