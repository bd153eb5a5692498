"""What a run leaves behind: one folder, written whole or not at all, never overwritten once it is done.

    RESULTS/runs/RUN_ID/record.json       config, environment, metrics, training curve
                        per_image.csv     index,mse,psnr,ssim
                        gallery.npz       the first test images, denoised
                        strip.png         clean / noisy / denoised
                        model.safetensors weights of a learned method

While a run works, its files lie in RESULTS/runs/.RUN_ID; the folder is renamed when all of them are whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
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
        self.results = Path(results)
        self.runs = self.results / "runs"

    def folder(self, run_id: str) -> Path:
        return self.runs / run_id

    def workdir(self, run_id: str) -> Path:
        return self.runs / f".{run_id}"

    def read(self, run_id: str) -> dict | None:
        """The record of a run, or None if there is none; a damaged one counts as none."""
        try:
            record = json.loads((self.folder(run_id) / "record.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: bad JSON, or bytes that are no text
            return None
        return record if isinstance(record, dict) and "status" in record else None

    def finished(self, run_id: str) -> bool:
        record = self.read(run_id)
        return record is not None and record["status"] == "done"

    def all(self) -> list[dict]:
        """Every record here, by run id."""
        names = sorted(p.parent.name for p in self.runs.glob("*/record.json") if not p.parent.name.startswith("."))
        return [record for name in names if (record := self.read(name)) is not None]

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
        work, final = self.workdir(run_id), self.folder(run_id)
        with writable(work):
            shutil.rmtree(work / "checkpoints", ignore_errors=True)
            with open(work / "record.json", "w", encoding="utf-8") as file:
                file.write(to_json(record))
                file.flush()
                os.fsync(file.fileno())
            if final.exists():  # a failed try, or a damaged one
                shutil.rmtree(final)
            os.rename(work, final)
        return final


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
