"""A sweep that is killed again and again ends with the same numbers as one left alone, and leaves nothing else behind.

Kills come after a random time, and just before a random change to the file system (seen by an audit hook), so that the
building of the cache, checkpoints, locks, records and tables are all hit. CRYOBENCH_KILLS=100 asks for more.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
from conftest import PATIENCE, TINY

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CRYOBENCH_KILLS", "20"))
SWEEP = (
    "+sweep=alpha_beta",
    "row='(1,1)','(1,-1)'",
    "noise.snr=0.1",
    *TINY,
    "scale.epochs=3",
    "trainer.checkpoint_minutes=0",
    "trainer.side_by_side=1",
)
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


@pytest.fixture(scope="module")
def start():
    """`start(folder, **options)` → a process that runs the sweep there; forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    modules = ("launch.sweep", "methods.learned.training", "data.pairs", "data.project", "evaluation.metrics", "figure")
    context.set_forkserver_preload([*(f"cryobench.{name}" for name in modules), "hydra.main"])

    forkserver.ensure_running()

    def started(folder: Path, **options):
        folder.mkdir(exist_ok=True)
        process = context.Process(target=sweep, args=(folder,), kwargs=options)
        process.start()
        return process

    yield started
    forkserver._forkserver._stop()  # it would stay to the end, and there is no public way; made for Python's own tests


def sweep(folder: Path, kill_at: int = 0, cache: Path | None = None, overrides=SWEEP, note_work: bool = False) -> None:
    """In the child: the sweep, killed just before its change number `kill_at` to a file of its own."""
    os.chdir(folder)
    os.environ["CRYOBENCH_CACHE"] = str(cache or folder / "cache")
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    changes = 0

    def hook(event: str, arguments) -> None:
        nonlocal changes
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and str(folder) in str(Path(str(arguments[0])).absolute()):
            changes += 1
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at:
        sys.addaudithook(hook)
    if note_work:
        note_runs(folder)
    from cryobench.cli.main import main

    sys.exit(main(list(overrides)))


def note_runs(folder: Path) -> None:
    from cryobench.runs import denoising

    inner = denoising.work

    def noted(config, workdir, *rest):
        with open(folder / "work.txt", "a") as file:
            file.write(f"{os.getpid()} {workdir.name}\n")
        return inner(config, workdir, *rest)

    denoising.work = noted


def finish(process) -> int:
    process.join(PATIENCE)
    assert process.exitcode is not None, "the sweep hangs"
    return process.exitcode


def remains(folder: Path) -> tuple[set[str], dict, dict]:
    """Names of all files, what records say of results, and the bytes that must be the same."""
    files = {str(p.relative_to(folder)) for p in folder.rglob("*")} - {"log.txt", "work.txt"}
    keys = (
        "run_id",
        "status",
        "config",
        "metrics",
        "per_image",
        "data",
        "realised_snr",
        "side_information",
        "bad_images",
    )
    results = {}
    for path in folder.rglob("record.json"):
        record = json.loads(path.read_text())
        method = {k: v for k, v in record["method"].items() if k not in ("training_s", "resumed")}
        results[path.parent.name] = {key: record[key] for key in keys} | {"method": method}
    tables = [*folder.rglob("table1.*"), *folder.rglob("per_image.csv"), *folder.rglob("model.safetensors")]
    return files, results, {str(path.relative_to(folder)): path.read_bytes() for path in tables}


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture") / "undisturbed"
    assert finish(start(folder)) == 0, (folder / "log.txt").read_text()
    return remains(folder)


def test_torture(start, undisturbed, tmp_path):
    draw, kills, sweeps = random.Random(7), 0, 0
    while kills < KILLS:
        folder = tmp_path / str(sweeps)
        while kills < KILLS:
            by_time = draw.random() < 0.3
            process = start(folder, kill_at=0 if by_time else draw.randint(1, 25))
            if by_time:
                time.sleep(draw.uniform(0.3, 3.0))
                process.kill()
            if finish(process) == 0:
                break  # it got through between two kills
            assert process.exitcode == -signal.SIGKILL, (folder / "log.txt").read_text()
            kills += 1
        assert finish(start(folder)) == 0, (folder / "log.txt").read_text()
        sweeps += 1
        files, results, exact = remains(folder)
        assert results == undisturbed[1]
        assert exact == undisturbed[2]
        assert files == undisturbed[0]
    print(f"{kills} kills in {sweeps} sweeps")


def test_two_sweeps_at_once_share_the_work(start, undisturbed, tmp_path):
    together = [start(tmp_path / "both", note_work=True) for _ in range(2)]
    assert [finish(process) for process in together] == [0, 0], (tmp_path / "both" / "log.txt").read_text()
    done = [line.split() for line in (tmp_path / "both" / "work.txt").read_text().splitlines()]
    assert sorted(name for _, name in done) == sorted(f".{name}" for name in undisturbed[1]), "each run once"
    assert remains(tmp_path / "both") == undisturbed


def test_sigterm_ends_the_step_writes_a_checkpoint_and_says_so(start, tmp_path):
    overrides = ("method=gan", *TINY, "scale.epochs=500", "trainer.checkpoint_minutes=60", "trainer.threads=1")
    process = start(tmp_path / "one", overrides=overrides)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not list(tmp_path.rglob("last.ckpt")):
        time.sleep(0.05)
    process.terminate()
    assert finish(process) == 143
    log = (tmp_path / "one" / "log.txt").read_text()
    assert "stopped by SIGTERM" in log and "Traceback" not in log
    (left,) = (tmp_path / "one" / "results" / "phantom-quick" / "runs").iterdir()
    assert left.name.startswith(".gan-") and (left / "checkpoints" / "last.ckpt").exists(), "no lock, no record"
