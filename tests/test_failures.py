"""What a failing run leaves: a reason in its record, the others untouched, one readable line."""

import errno
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import torch
from conftest import TINY
from filelock import FileLock

from cryobench.data.cache import build_once, is_whole
from cryobench.errors import BadImages, InputError, Killed, MissingPackage, NotFinite, RunFailed, TimeLimit, reason_of
from cryobench.launch.workers import own_gpu
from cryobench.methods.base import Denoiser
from cryobench.methods.learned.checkpoints import Checkpoints
from cryobench.runs.denoising import denoise
from cryobench.runs.store import Store
from cryobench.signals import time_limit

MISTAKES = [
    (MemoryError(), "memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), "memory"),
    (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
    (Killed(""), "memory"),
    (OSError(errno.ENOSPC, "No space left on device"), "disk"),
    (OSError(errno.EIO, "Input/output error"), "error"),
    (NotFinite(""), "not finite"),
    (TimeLimit(""), "time limit"),
    (MissingPackage(""), "missing package"),
    (ModuleNotFoundError("No module named 'topaz'"), "missing package"),
    (InputError(""), "input"),
    (RunFailed(""), "error"),
    (ZeroDivisionError(), "error"),
]


@pytest.mark.parametrize(("error", "reason"), MISTAKES, ids=lambda value: str(value)[:20] or "error")
def test_each_failure_has_its_reason(error, reason):
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    "indices", [[], np.flatnonzero([False, False]), np.array([True, False]), [True], [0.5], [-1], 3.0, ["1"], [[1]]]
)
def test_bad_images_are_told_by_whole_numbers_from_0_and_there_is_one(indices):
    """With none, whoever leaves them out and asks again would do so for ever."""
    with pytest.raises(InputError, match="BadImages: expected positions of images") as caught:
        BadImages(indices, "no reason")
    assert not isinstance(caught.value, BadImages) and "\n" not in str(caught.value)


@dataclass
class Refuses(Denoiser):
    indices: tuple = ()

    def denoise(self, noisy, **hints):
        if len(noisy) > 3:
            raise BadImages(self.indices, "not this one")
        return noisy


@pytest.mark.parametrize("indices", [(), (9,), (0, -1)])
def test_a_method_that_refuses_no_image_that_is_there_ends_its_run(indices):
    noisy = np.zeros((5, 8, 8), np.float32)
    test = SimpleNamespace(hints=lambda side_information: {})
    with pytest.raises(InputError, match="BadImages: expected positions"):
        denoise(Refuses(indices), test, noisy, noisy)
    denoised, bad = denoise(Refuses((1,)), test, noisy, noisy)
    assert bad == {"1": "not this one", "2": "not this one"} and np.isnan(denoised[[1, 2]]).all()
    assert np.isfinite(denoised[[0, 3, 4]]).all()


def test_memory_that_cant_be_had_really_says_so():
    with pytest.raises(Exception) as caught:
        torch.empty(2**60)
    assert reason_of(caught.value) == "memory"


def test_a_time_limit_ends_the_body_and_not_what_comes_after():
    with pytest.raises(TimeLimit, match=r"trainer\.time_limit"), time_limit(0.05 / 60):
        time.sleep(30)
    time.sleep(0.1)
    with time_limit(None):
        pass


def test_a_run_over_its_time_keeps_its_checkpoint_and_the_next_try_goes_on(cli, tmp_path, monkeypatch):
    """The hour is over right after the second epoch that a process has done."""
    inner, epochs = Checkpoints.on_train_epoch_end, iter(range(1, 1000))

    def hurried(self, trainer, module):
        inner(self, trainer, module)
        if next(epochs) % 2 == 0:
            signal.setitimer(signal.ITIMER_REAL, 1e-3)

    monkeypatch.setattr(Checkpoints, "on_train_epoch_end", hurried)
    words = ["method=autoencoder", *TINY, "scale.epochs=100000", "trainer.threads=1", "trainer.time_limit=60", "-m"]
    for tries in (1, 2):
        status, _, err = cli(*words)
        assert status == 1 and "trainer.time_limit" in err and "Traceback" not in err
        (record,) = (json.loads(p.read_text()) for p in tmp_path.rglob("record.json"))
        assert (record["status"], record["reason"]) == ("failed", "time limit")
        (last,) = tmp_path.rglob("last.ckpt")
        state = torch.load(last, weights_only=True)
        assert len(state["curve"]) >= 2 * tries and state["cryobench"]["resumed"] == tries - 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB of its own, and a way to make it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True)
    if not done or done.returncode:
        pytest.skip("no right to mount a tmpfs: run the tests as root")
    yield folder, lambda: subprocess.run([mount, "-o", "remount,ro", folder], check=True)
    subprocess.run(["umount", folder], check=True)


def records(folder) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("record.json")}


def test_a_full_disk_is_named_and_earlier_records_stay(cli, small_disk):
    folder, _ = small_disk
    assert cli("method=noisy", f"paths.results={folder}", *TINY)[0] == 0
    before = records(folder)
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    for words in (["method=oracle"], ["method=oracle,noisy"], ["method=autoencoder", "seed=0,1"]):
        status, out, err = cli(*words, f"paths.results={folder}", *TINY)
        assert status in (1, 2) and "No space left" in err and "Traceback" not in out + err, err
        assert records(folder) == before
    filler.unlink()
    assert cli("method=oracle,noisy", f"paths.results={folder}", *TINY)[0] == 0
    assert len(records(folder)) == 2 and records(folder).items() >= before.items()
    assert not list(Store(folder).runs.glob(".*oracle*"))


def test_a_read_only_folder_is_named_and_earlier_records_stay(cli, small_disk):
    folder, freeze = small_disk
    assert cli("method=noisy", f"paths.results={folder}", *TINY)[0] == 0
    before = records(folder)
    freeze()
    for words in (["method=oracle"], ["method=oracle,noisy"]):
        status, _, err = cli(*words, f"paths.results={folder}", *TINY)
        assert status == 2 and "Read-only file system" in err and len(err.strip().splitlines()) == 1
    assert records(folder) == before


def test_a_stack_for_a_read_only_disk_is_one_line(cli, small_disk, tmp_path):
    """What is left to clean up there must not hide why nothing could be written."""
    folder, freeze = small_disk
    mrcfile.write(tmp_path / "a.mrcs", np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32))
    freeze()
    status, _, err = cli("denoise", "a.mrcs", "method=noisy", "-o", str(folder / "out.mrcs"))
    last = err.strip().splitlines()[-1]
    assert (
        status == 2
        and "expected a folder that can be written" in last
        and "Traceback" not in err
        and not list(folder.iterdir())
    )


def test_each_worker_takes_a_gpu_of_its_own(tmp_path):
    first, one = own_gpu(["0", "3"], tmp_path)
    second, two = own_gpu(["0", "3"], tmp_path)
    _, crowded = own_gpu(["0", "3"], tmp_path)
    assert (one, two, crowded) == ("0", "3", "0")
    first.release()
    again, free = own_gpu(["0", "3"], tmp_path)
    assert free == "0"
    for lock in (second, again):
        lock.release()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, who can be another user for a while")
def test_a_gpu_lock_in_shared_temporary_space_is_everybodys():
    """Another user sees that a GPU is held, takes it once it is free, and passes by a lock that may not be opened."""
    with tempfile.TemporaryDirectory() as shared:  # pytest's own folders are closed to others
        os.chmod(shared, 0o1777)
        held, _ = own_gpu(["0"], Path(shared))
        closed = Path(shared, "cryobench-gpu-1.lock")
        closed.touch(mode=0o600)
        os.seteuid(65534)
        try:
            lock, name = own_gpu(["0", "1", "2"], Path(shared))
            lock.release()
            assert name == "2"
            held.release()
            lock, name = own_gpu(["0"], Path(shared))
            assert (name, lock is None) == ("0", False)
            lock.release()
        finally:
            os.seteuid(0)


def test_a_shared_cache_is_swept_around_what_is_another_users(tmp_path, monkeypatch):
    """A half-built data set whose lock may not be opened stays, and the next one is built beside it."""

    def refused(lock, *_, **__):
        if "theirs" in str(lock.lock_file):
            raise PermissionError(13, "Permission denied", lock.lock_file)
        return acquire(lock)

    acquire = FileLock.acquire
    monkeypatch.setattr(FileLock, "acquire", refused)
    (tmp_path / "theirs.partial").mkdir()
    folder = build_once(tmp_path / "ours", lambda part: (part / "a").write_text("1"), key={})
    assert is_whole(folder) and (tmp_path / "theirs.partial").exists()


@pytest.mark.slow
@pytest.mark.trains
def test_side_by_side_gives_the_same_numbers_as_one_after_the_other(cli, tmp_path, monkeypatch):
    words = ["method=autoencoder", "seed=0,1", *TINY]
    assert cli(*words, "paths.results=serial")[0] == 0
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    status, out, err = cli(*words, "paths.results=joblib", "trainer.side_by_side=2")
    assert status == 0, err
    assert "2 of 2 done" in out
    records = [
        {p.parent.name: json.loads(p.read_text()) for p in (tmp_path / name).rglob("record.json")}
        for name in ("serial", "joblib")
    ]
    assert records[0].keys() == records[1].keys() and len(records[0]) == 2
    for name, record in records[0].items():
        for key in ("per_image", "metrics", "config"):
            ours, theirs = record[key], records[1][name][key]
            if key == "config":
                ours, theirs = ({k: v for k, v in c.items() if k != "trainer"} for c in (ours, theirs))
            assert ours == theirs
    assert not list(tmp_path.rglob("*.lock"))
