"""The runs of one results folder: claimed by one process at a time, written whole or not at all.

While a run works, its files lie in RESULTS/runs/.RUN_ID; the folder is renamed when all of them are whole. The process
that holds the lock on .RUN_ID.lock has the run; the system frees the lock of a process that dies, on whatever machine,
as long as the file system knows flock (NFS does, from version 4 on).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from cryobench.errors import InputError, note
from cryobench.files import flush, writable
from cryobench.runs.record import Record, read_record, write_record


class Store:
    """The records of one results folder. Raises InputError where the folder can't be written."""

    def __init__(self, results: Path | str):
        self.results = Path(os.path.expanduser(results))
        self.runs = self.results / "runs"

    def folder(self, run_id: str) -> Path:
        """Where a run's files lie once it is over."""
        return self.runs / run_id

    def workdir(self, run_id: str) -> Path:
        """Where a run's files lie while it works."""
        return self.runs / f".{run_id}"

    def read(self, run_id: str) -> Record | None:
        """The record of a run, or None if there is none."""
        return read_record(self.folder(run_id) / "record.json")

    def finished(self, run_id: str) -> bool:
        """Whether there is a record of this run, and it is done."""
        record = self.read(run_id)
        return record is not None and record.done

    def all(self, task: str | None = "denoising") -> list[Record]:
        """Every record of one task here (None: of all), by run id."""
        names = sorted(p.parent.name for p in self.runs.glob("*/record.json") if not p.parent.name.startswith("."))
        records = (record for name in names if (record := self.read(name)) is not None)
        return [record for record in records if task in (None, record.task)]

    def gallery(self, run_id: str) -> np.ndarray | None:
        """The denoised test images (n, L, L) float32 that a run kept; None if it kept none, and, with a word, if they are
        damaged."""
        path = self.folder(run_id) / "gallery.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                images = arrays["denoised"].astype(np.float32)
            if images.ndim == 3 and len(images) and images.shape[1] == images.shape[2] > 0:
                return images
        except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, zipfile.BadZipFile, zlib.error):
            pass  # cut off, a pickle, no archive, or one of other arrays
        note(f"{path}: counts as none, since it holds no images")
        return None

    @contextlib.contextmanager
    def claim(self, run_id: str, wait: bool = False):
        """Hold this run; yields False if another process does. The system frees the lock of a process that dies."""
        with writable(self.runs):
            self.runs.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.runs / f".{run_id}.lock", mode=0o666)  # results may be shared among users
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                yield False
                return
        try:
            yield True
        finally:
            # Removed while it is held. Whoever opened it before locks a file without a name, which filelock sees and lets go of
            # (from 3.21 on), and it removes no file itself, which might be the next one's by now (from 3.29.5 on).
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

    def finish(self, run_id: str, record: Record) -> Path:
        """Write the record beside the run's other files and move all into place; checkpoints go."""
        work = self.workdir(run_id)
        with writable(work):
            for path in work.iterdir():
                if path.suffix == ".part":  # of a process that died while it wrote
                    path.unlink()
                elif path.is_file():
                    flush(path)
            write_record(work, record)  # from here on the run is done, whatever happens
            return self._place(run_id, work)

    def fail(self, run_id: str, record: Record, log: str, keep_checkpoints: bool = False) -> Path:
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
        if record and record.done:
            with writable(self.workdir(run_id)):
                self._place(run_id, self.workdir(run_id))

    def _place(self, run_id: str, ready: Path) -> Path:
        final = self.folder(run_id)
        shutil.rmtree(ready / "checkpoints", ignore_errors=True)
        if final.exists():  # a failed try, or a damaged one
            shutil.rmtree(final)
        os.rename(ready, final)
        return final


def results_folder(given: str | None) -> Path:
    """--results DIR, by default the committed folder. Raises InputError if it holds no runs."""
    folder = Path(os.path.expanduser(given or "results/rnap_ecoli-desk"))
    if not (folder / "runs").is_dir():
        raise InputError(f"--results: expected a folder with runs in it, got {folder}; {where_runs_are()}")
    return folder


def where_runs_are(run_id: str | None = None) -> str:
    """What to do where a results folder, or this run in it, isn't there: which folders are, or how to come by one."""
    folders = [path.parent for path in sorted(Path("results").glob("*/runs")) if any(path.glob("[!.]*/record.json"))]
    if having := [folder for folder in folders if run_id and Store(folder).finished(run_id)]:
        return f"it is in {having[0]}: add --results {having[0]}"
    if folders:
        return f"--results names another folder; those here: {', '.join(map(str, folders))}"
    return (
        f"there are no results in {Path.cwd()}: those that come with cryobench are in its checkout, in results/; a run makes "
        "some of your own, and --results names a folder elsewhere"
    )
