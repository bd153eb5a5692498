"""The worker processes of joblib's launcher, as far as loky shows them only inside.

joblib starts them through loky's reusable executor and gives nobody a handle on it, or on its processes. A sweep needs both: to
pass SIGTERM on, and to end workers that would serve a later sweep of this process with this one's settings.
"""

from __future__ import annotations

import contextlib
import os
import signal


def _executor():
    from joblib.externals.loky import reusable_executor

    return reusable_executor._executor


def stop_workers() -> bool:
    """Pass SIGTERM on to the workers, each of which ends its step; False if there are none."""
    pids = list(getattr(_executor(), "_processes", None) or {})
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return bool(pids)


def shut_workers() -> None:
    """End the workers, so that no later sweep of this process is given them with this one's settings."""
    if (executor := _executor()) is not None:
        executor.shutdown(wait=True)
