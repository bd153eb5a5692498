"""What is installed apart, under a licence of its own: nothing needs it but its own method, which says how to get it."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import PATIENCE, TINY
from cryobench.baselines.bm3d import BM3D
from cryobench.baselines.cwf import CWF

from cryobench.errors import MissingPackage

ROOT = Path(__file__).parents[1]
APART = {"aspire": "pip install aspire", "bm3d": "pip install bm3d"}

WITHOUT = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({apart!r}))  # as if they were not installed
import cryobench
for module in pkgutil.walk_packages(cryobench.__path__, "cryobench."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from cryobench.cli.main import main
print("STATUS", main([*{tiny!r}]), main(["+sweep=methods", "row=BM3D,CWF,noisy", "noise.snr=0.1", *{tiny!r}]),
      main(["method=cwf", *{tiny!r}]), main(["method=bm3d", *{tiny!r}]))
"""


@pytest.mark.slow
def test_without_them_all_is_imported_a_run_runs_and_a_sweep_leaves_their_rows_out(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    monkeypatch.setenv("CRYOBENCH_SIDE_BY_SIDE", "1")
    code = WITHOUT.format(apart=list(APART), tiny=TINY)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert "STATUS 0 0 2 2" in done.stdout, done.stderr
    for row, package in (("BM3D", "bm3d"), ("CWF", "aspire")):
        assert f"{row} is left out: it needs {package}; {APART[package]}" in done.stdout
        (message,) = (line for line in done.stderr.splitlines() if f"expected the package {package}" in line)
        assert message.endswith(APART[package])
    assert "Traceback" not in done.stderr


def test_the_package_depends_on_none_of_them_and_offers_them_as_extras():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 and newer can read pyproject.toml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}

    extras = project["optional-dependencies"]
    assert not names(project["dependencies"]) & set(APART)
    assert set(APART) == names(extras["bm3d"]) | names(extras["cwf"])
    for bundle in ("baselines", "dev"):
        assert any("baselines" in r or "bm3d,cwf" in r for r in extras[bundle]), bundle


def test_readmes_two_commands_bring_them():
    """So that a newcomer's tables have every row."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", "")
    install, test = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert "-e '.[baselines]' && python -m cryobench" in install and "-e '.[dev]' && python -m pytest" in test


@pytest.mark.parametrize("method", [BM3D(), CWF()])
def test_a_method_says_what_it_needs(method, monkeypatch):
    (package,) = method.needs
    monkeypatch.setitem(sys.modules, package, None)
    assert find_spec(package) is None
    with pytest.raises(MissingPackage, match=f"{type(method).__name__}: .* {package}, .* {APART[package]}"):
        method.require()
