"""What a task promises: something that a run can do, and that its record can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Task(Protocol):
    """A frozen dataclass of its own settings (they are its config schema), named in `_target_` by a yaml of conf/task.

    Its settings, and the run's seed, decide all that comes out; denoising alone is decided by the groups data, noise, method,
    protocol and scale instead. A constructor raises InputError, in one line, for what can't be. A class attribute
    `accelerators` names the devices that it can run on (trainer.accelerator); without one it can on all.
    """

    def run(self, config: dict, folder: Path, progress: bool) -> dict:
        """Do it: returns the task's part of the record (JSON-able) and leaves its files in `folder`.

        config: the run's, resolved; progress: show bars. Raises InputError for a user's mistake, RunFailed for a run that
        can't finish; any other error becomes a failed record, too.
        """
