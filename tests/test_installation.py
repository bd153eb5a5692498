"""It works from a built wheel in an empty folder, as from a checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE, TINY

import cryobench

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_runs_in_an_empty_folder(tmp_path, cache):
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", ".cache", "results", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)  # building leaves files beside the sources
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source], check=True, timeout=PATIENCE
    )
    (wheel,) = tmp_path.glob("*.whl")
    site, empty = tmp_path / "site", tmp_path / "empty"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, timeout=PATIENCE)
    assert sorted(p.name for p in site.iterdir() if not p.name.endswith(".dist-info")) == ["bin", "cryobench"]
    assert (site / "cryobench" / "py.typed").exists() and wheel.name.startswith(f"cryobench-{cryobench.__version__}-")

    empty.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "CRYOBENCH_CACHE": str(cache)}
    for arguments in (["method=noisy", *TINY], ["+sweep=alpha_beta", "row='(1,1)'", "noise.snr=0.1", *TINY]):
        done = subprocess.run([sys.executable, "-m", "cryobench", *arguments], cwd=empty, env=environment,
                              capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (empty / "results" / "phantom-smoke" / "tables" / "table1.md").exists()
    where = "import cryobench, cryobench.conf; print(cryobench.__file__, *cryobench.conf.__path__)"
    places = subprocess.run([sys.executable, "-c", where], cwd=empty, env=environment, capture_output=True, text=True)
    assert all(path.startswith(str(site)) for path in places.stdout.split())
