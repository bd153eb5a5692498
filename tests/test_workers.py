"""Runs side by side in worker processes: one of them is killed, or the whole sweep is told to end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, TINY

from cryobench.errors import Stopped
from cryobench.signals import stopping

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are found in /proc: run the tests on Linux")

SWEEP = [
    "-m",
    "cryobench",
    "+sweep=alpha_beta",
    "row='(1,1)','(0,0)','(.5,.5)'",
    "noise.snr=0.1",
    *TINY,
    "scale.epochs=25",
    "trainer.side_by_side=2",
]


@pytest.fixture
def start(tmp_path, cache):
    """`start(*words)` → a process with these words after `python`, in the test's folder; ended with the test at the latest."""
    processes: list[subprocess.Popen] = []

    def started(*words: str) -> subprocess.Popen:
        processes.append(
            subprocess.Popen(
                [sys.executable, *words],
                cwd=tmp_path,
                text=True,
                start_new_session=True,
                env={**os.environ, "CRYOBENCH_CACHE": str(cache)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return processes[-1]

    yield started
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.communicate()


def workers(parent: int) -> list[int]:
    """The processes under a sweep that do its runs."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, ppid = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):  # it ended just now
            continue
        if ppid == parent and any("popen_loky" in word for word in words):
            pids.append(pid)
    return pids


def training(process: subprocess.Popen, folder: Path) -> list[Path]:
    """Checkpoints of two runs that are under way."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        if len(files := [*folder.rglob("last.ckpt")]) == 2:
            return files
        time.sleep(0.05)
    raise AssertionError("no two runs train at once")


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in folder.rglob("record.json")]


@pytest.mark.slow
def test_runs_of_a_killed_worker_are_tried_alone_and_nothing_is_lost(start, tmp_path):
    process = start(*SWEEP)
    training(process, tmp_path)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "Traceback" not in out, out
    assert [record["status"] for record in records(tmp_path)] == 3 * ["done"]
    assert sorted(record["method"]["resumed"] for record in records(tmp_path)) == [0, 1, 1], (
        "loky ends the other one, too"
    )
    assert not [*tmp_path.rglob("*.lock"), *tmp_path.rglob("*.ckpt")]


@pytest.mark.slow
def test_sigterm_reaches_the_workers_and_the_next_call_goes_on(start, tmp_path):
    process = start(*SWEEP)
    training(process, tmp_path)
    at_work = workers(process.pid)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143 and "stopped by SIGTERM" in out and "Traceback" not in out, out
    assert len(at_work) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in at_work)
    assert not records(tmp_path) and len([*tmp_path.rglob("last.ckpt")]) == 2

    out, _ = (again := start(*SWEEP)).communicate(timeout=PATIENCE)
    assert again.returncode == 0, out
    assert [record["status"] for record in records(tmp_path)] == 3 * ["done"]
    assert sorted(record["method"]["resumed"] for record in records(tmp_path)) == [0, 1, 1]


@pytest.mark.slow
def test_sigterm_while_a_method_uses_processes_of_its_own_is_no_failed_run(start, tmp_path):
    """K-SVD alone at work, its patches among loky's processes, which are not workers of the sweep."""
    process = start(
        "-m",
        "cryobench",
        "+sweep=methods",
        "row=KSVD",
        "noise.snr=0.1,0.05",
        "data.n_train=36",
        "data.n_test=16",
        "scale.image_size=64",
        "hydra/launcher=basic",
        "trainer.workers=2",
    )
    deadline = time.monotonic() + PATIENCE
    while not workers(process.pid):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143 and not records(tmp_path), out


def test_a_second_sigterm_does_not_interrupt_what_the_first_one_began():
    put_in_order = []
    with stopping(), pytest.raises(Stopped):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            put_in_order.append(True)
    assert put_in_order


@pytest.mark.slow
def test_sigterm_ends_a_run_that_is_tried_alone(start, tmp_path):
    """Its own process gets it too, and leaves a checkpoint."""
    code = (
        "from cryobench.launch.job import run_of\nfrom cryobench.launch.process import run_by_itself\n"
        "from cryobench.signals import stopping\n"
        "from cryobench.errors import Stopped\n"
        "if __name__ == '__main__':\n"
        "    try:\n        with stopping():\n            run_by_itself(run_of(__import__('sys').argv[1:]), '2000')\n"
        "    except Stopped:\n        print('stopped')\n"
    )
    (tmp_path / "alone.py").write_text(code)
    words = ["method=gan", *TINY, "scale.epochs=2000", f"paths.results={tmp_path}/out"]
    process = start("alone.py", *words)
    deadline = time.monotonic() + PATIENCE
    while not [*tmp_path.rglob("last.ckpt")]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    assert "stopped\n" in out and "Traceback" not in out and not records(tmp_path)


def test_a_job_of_a_cluster_that_raised_is_named_and_stops_nobody(tmp_path, capsys):
    pytest.importorskip("submitit", reason="submitit is not installed (pip install hydra-submitit-launcher)")
    from hydra.core.utils import JobReturn, JobStatus
    from submitit.core.utils import cloudpickle_dump

    from cryobench.launch.submitit import Patient

    job = Patient(tmp_path, "12_3")
    for outcome in (
        ("success", JobReturn(status=JobStatus.FAILED, _return_value=OSError("scontrol said no"))),
        ("error", "Traceback of the job's own process"),
    ):
        cloudpickle_dump(outcome, job.paths.result_pickle)
        (result,) = job.results()
        assert result.return_value is None
    lines = capsys.readouterr().out.splitlines()
    assert "12_3 (OSError: scontrol said no)" in lines[0] and "12_3 (error); log: " in lines[1]


def test_a_job_is_over_when_two_looks_at_the_queue_say_so():
    pytest.importorskip("submitit", reason="submitit is not installed (pip install hydra-submitit-launcher)")
    from cryobench.launch.submitit import GONE, Queue

    queue, seen = Queue(30), []
    queue._registered = {"1_0", "1_1"}
    for answer in ("1_0|RUNNING\n1_1|PENDING", "1_0|FAILED\n1_1|RUNNING", "1_0|PENDING\n", *2 * ["1_0|CANCELLED\n"]):
        queue._info_dict = queue.read_info(answer)
        seen.append([queue.get_info(name, "cache")["State"] for name in ("1_0", "1_1")])
    assert seen == [
        ["RUNNING", "PENDING"],
        ["COMPLETING", "RUNNING"],
        ["PENDING", "COMPLETING"],
        ["COMPLETING", GONE],
        ["CANCELLED", GONE],
    ]
    assert queue.is_done("1_0", "cache") and queue.is_done("1_1", "cache")
