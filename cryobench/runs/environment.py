"""The machine and the code that a result is made with."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib import metadata, resources
from pathlib import Path

PACKAGES = (
    "aspire",
    "bm3d",
    "cryobench",
    "dictlearn",
    "gemmi",
    "hydra-core",
    "numpy",
    "pytorch-lightning",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "torch",
    "torch-fourier-shell-correlation",
    "torch-fourier-slice",
)
CODE = ("cryobench", "cryobench.baselines", "cryobench.experiments", "cryobench.conf")  # wherever a checkout has them


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
    """The processor's name as the system has it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def code_version() -> dict:
    """The git commit of this code and whether it was changed since, by a new module or yaml too; None for a wheel."""
    file = Path(__file__).resolve()

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(file.parent), *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", file.name) is None:
        return {"commit": None, "dirty": None}
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/results")
    added = git("ls-files", "--others", "--exclude-standard", "--", *(str(resources.files(name)) for name in CODE))
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed or added)}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB (of all its runs, if it did several)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
