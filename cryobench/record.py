"""What a run leaves behind: one folder, written whole or not at all, never overwritten once it is done.

    RESULTS/runs/RUN_ID/record.json       config, environment, metrics, training curve
                        per_image.csv     index,mse,psnr,ssim,nmse
                        gallery.npz       the first test images, denoised
                        strip.png         clean / noisy / denoised
                        model.safetensors weights of a learned method

While a run works, its files lie in RESULTS/runs/.RUN_ID; the folder is renamed when all of them are whole. The process
that holds the lock on .RUN_ID.lock has the run; the system frees the lock of a process that dies, on whatever machine,
as long as the file system knows flock (NFS does, from version 4 on).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from cryobench.errors import InputError

PACKAGES = (
    "aspire", "bm3d", "cryobench", "dictlearn", "gemmi", "hydra-core", "numpy", "pytorch-lightning", "scikit-image",
    "scikit-learn", "scipy", "torch", "torch-fourier-shell-correlation", "torch-fourier-slice",
)  # fmt: skip


class Store:
    """The records of one results folder. Raises InputError where the folder can't be written."""

    def __init__(self, results: Path | str):
        self.results = Path(os.path.expanduser(results))
        self.runs = self.results / "runs"

    def folder(self, run_id: str) -> Path:
        return self.runs / run_id

    def workdir(self, run_id: str) -> Path:
        return self.runs / f".{run_id}"

    def read(self, run_id: str) -> dict | None:
        """The record of a run, or None if there is none."""
        return read_record(self.folder(run_id) / "record.json")

    def finished(self, run_id: str) -> bool:
        record = self.read(run_id)
        return record is not None and record["status"] == "done"

    def all(self, task: str | None = "denoising") -> list[dict]:
        """Every record of one task here (None: of all), by run id."""
        names = sorted(p.parent.name for p in self.runs.glob("*/record.json") if not p.parent.name.startswith("."))
        found = (record for name in names if (record := self.read(name)) is not None)
        return [record for record in found if task in (None, task_name(record.get("config", {})))]

    @contextlib.contextmanager
    def claim(self, run_id: str, wait: bool = False):
        """Hold this run; yields False if another process does. The system frees the lock of a process that dies."""
        with writable(self.runs):
            self.runs.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.runs / f".{run_id}.lock")
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                yield False
                return
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock.lock_file)
            lock.release()

    def probe(self) -> None:
        """Raise InputError if nothing can be written here."""
        with writable(self.runs):
            self.runs.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.runs) as file:
                file.write(bytes(4096))

    def held(self, run_id: str) -> bool:
        """Whether some process has this run; exact only after `tidy`."""
        return (self.runs / f".{run_id}.lock").exists()

    def tidy(self, run_ids) -> list[str]:
        """Remove the locks that dead processes left; returns the runs that they had not finished."""
        left = []
        for run_id in run_ids:
            if self.held(run_id):
                with self.claim(run_id) as free:  # lets go of it by removing it
                    if free:
                        self.recover(run_id)
                        left += [] if self.finished(run_id) else [run_id]
        return left

    def begin(self, run_id: str) -> Path:
        """The folder in which a run works; what an interrupted run left there may be gone on with."""
        folder = self.workdir(run_id)
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def forget(self, run_id: str) -> None:
        """Remove the folder of a run that never got going; one with checkpoints stays."""
        if not (self.workdir(run_id) / "checkpoints").exists():
            shutil.rmtree(self.workdir(run_id), ignore_errors=True)

    def finish(self, run_id: str, record: dict) -> Path:
        """Write the record beside the run's other files and move all into place; checkpoints go."""
        work = self.workdir(run_id)
        with writable(work):
            for path in work.iterdir():
                if path.is_file():
                    flush(path)
            write_record(work, record)  # from here on the run is done, whatever happens
            return self._place(run_id, work)

    def fail(self, run_id: str, record: dict, log: str, keep_checkpoints: bool = False) -> Path:
        """Leave the record and the log of a failed try; checkpoints go, or stay for the next try to go on from."""
        ready = self.runs / f".{run_id}.failed"
        with writable(ready):
            shutil.rmtree(ready, ignore_errors=True)
            if not keep_checkpoints:  # first, since the disk may be full
                shutil.rmtree(self.workdir(run_id), ignore_errors=True)
            ready.mkdir()
            (ready / "log.txt").write_text(log, encoding="utf-8")
            write_record(ready, record)
            return self._place(run_id, ready)

    def recover(self, run_id: str) -> None:
        """Put into place what a process left that died between writing a record and moving it; for who holds the run."""
        shutil.rmtree(self.runs / f".{run_id}.failed", ignore_errors=True)
        record = read_record(self.workdir(run_id) / "record.json")
        if record and record["status"] == "done":
            with writable(self.workdir(run_id)):
                self._place(run_id, self.workdir(run_id))

    def _place(self, run_id: str, ready: Path) -> Path:
        final = self.folder(run_id)
        shutil.rmtree(ready / "checkpoints", ignore_errors=True)
        if final.exists():  # a failed try, or a damaged one
            shutil.rmtree(final)
        os.rename(ready, final)
        return final


def write_record(folder: Path, record: dict) -> None:
    """record.json, whole or not at all."""
    text, part = to_json(record), folder / "record.part"
    part.write_text(text, encoding="utf-8")
    flush(part)
    os.replace(part, folder / "record.json")


def flush(path: Path) -> None:
    """See to it that a file is on the disk, not only on its way there."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def read_record(path: Path) -> dict | None:
    """A record.json, or None if there is none; a damaged one counts as none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: bad JSON, or bytes that are no text
        return None
    return record if isinstance(record, dict) and "status" in record else None


def task_name(config: dict) -> str:
    """What a run of this config does; the first records are older than the word, and denoised."""
    return config.get("task", {"name": "denoising"})["name"]


def to_json(record: dict) -> str:
    """JSON for people: indented, a list of numbers on one line. Raises ValueError for NaN or infinity."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\s+([-+.\de,\snul]+?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text) + "\n"


@contextlib.contextmanager
def writable(folder: Path):
    """Turn the system's refusals to write into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder}: expected a folder that can be written, got '{reason}'; "
                         "free some space or choose another with paths.results=DIR") from None  # fmt: skip


@cache
def environment() -> dict:
    """Versions, machine and code that a result was made with."""
    import torch

    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": versions,
        **code_version(),
    }


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def code_version() -> dict:
    """The git commit of this code and whether it was changed since; None for an installed wheel."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "record.py") is None:
        return {"commit": None, "dirty": None}
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/results")
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
