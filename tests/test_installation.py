"""It works from a built wheel in an empty folder, as from a checkout; so does a method of one's own that lies there."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from conftest import PATIENCE, TINY

import cryobench

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    ignored = shutil.ignore_patterns(".git", ".venv", ".cache", "results", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)  # building leaves files beside the sources
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True, timeout=PATIENCE
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, timeout=PATIENCE)
    assert wheel.name.startswith(f"cryobench-{cryobench.__version__}-")
    return site


@pytest.fixture
def python(site, cache, tmp_path):
    """`python("-m", "cryobench", …)` in an empty folder, with the wheel alone → the process, which ends with the test."""
    environment = {**os.environ, "PYTHONPATH": str(site), "CRYOBENCH_CACHE": str(cache), "CRYOBENCH_SIDE_BY_SIDE": "2"}
    started = []

    def start(*words, **variables) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, *map(str, words)],
                cwd=tmp_path,
                env=environment | variables,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def done(process: subprocess.Popen) -> str:
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    return out


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("results/*/runs/[!.]*/record.json"))]


def test_a_wheel_runs_in_an_empty_folder(python, site, tmp_path):
    assert sorted(p.name for p in site.iterdir() if not p.name.endswith(".dist-info")) == ["bin", "cryobench"]
    assert (site / "cryobench" / "py.typed").exists()
    done(python("-m", "cryobench", "+sweep=alpha_beta", "row='(1,1)'", "noise.snr=0.1", *TINY))
    assert (tmp_path / "results" / "phantom-smoke" / "tables" / "table1.md").exists()
    where = "import cryobench, cryobench.conf; print(cryobench.__file__, *cryobench.conf.__path__)"
    assert all(path.startswith(str(site)) for path in done(python("-c", where)).split())


def recipe() -> tuple[dict[str, str], list[list[str]]]:
    """README's method of one's own: its files, and the words of the commands that follow them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## A method of your own, in ten lines", 1)[1].split("\n## ", 1)[0]
    files = dict(re.findall(r"`([\w/.]+\.(?:py|yaml))`[^`]*```\w+\n(.*?)```", section, re.DOTALL))
    commands = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]
    return files, [shlex.split(line) for line in commands.splitlines()]


def test_the_readmes_ten_lines_are_a_sweep_with_workers_and_stand_beside_other_methods(python, tmp_path):
    files, (sweep, compare) = recipe()
    assert set(files) == {"mine.py", "conf/method/blur.yaml"}
    assert len([line for line in files["mine.py"].splitlines() if line.strip()]) <= 10
    assert sweep[:4] == compare[:4] == ["python", "-m", "cryobench", "--config-dir"] and "compare" in compare
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    out = done(python(*sweep[1:]))
    assert "9 runs, 0 done before" in out and "method.width=3" in out, out
    runs = {(one["config"]["method"]["width"], one["seed"]): one["metrics"]["mse"]["mean"] for one in records(tmp_path)}
    assert set(runs) == {(width, seed) for width in (1, 1.5, 3) for seed in (0, 1, 2)}
    assert all(runs[3, seed] < runs[1, seed] for seed in (0, 1, 2))
    out = done(python(*compare[1:], CRYOBENCH_SIDE_BY_SIDE="1"))
    (table,) = (tmp_path / "results").glob("*/compare/*.md")
    text = table.read_text()
    assert text.count("blur") >= 3 and "nlm" in text and "wiener" in out.lower() + text.lower(), out


def test_a_net_begun_by_new_trains_survives_sigterm_and_denoises_without_a_line_edited(python, tmp_path):
    done(python("-m", "cryobench", "new", "mynet", "--net"))
    begun = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "2 passed" in done(python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mynet.py"))

    words = (
        "-m",
        "cryobench",
        "--config-dir",
        "conf",
        "method=mynet",
        "data.n_train=36",
        "data.n_test=6",
        "scale.width=4",
        "protocol.batch_size=14",
        "scale.epochs=100",
    )
    first = python(*words)
    while not list(tmp_path.glob("results/*/runs/.mynet-*/checkpoints/last.ckpt")):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    out, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 143 and "the same command goes on" in out, out
    assert not records(tmp_path)

    out = done(python(*words))
    (record,) = records(tmp_path)
    assert record["status"] == "done" and record["method"]["resumed"] == 1 and len(record["method"]["curve"]) == 100
    assert record["metrics"]["mse"]["mean"] < record["noisy_metrics"]["mse"]["mean"] / 4

    noisy = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
    mrcfile.write(tmp_path / "in.mrcs", noisy, voxel_size=6.4)
    of_run = (record["run_id"], "--results", "results/phantom-quick")
    with_run = [
        ["--config-dir", "conf", "export", *of_run, "-o", "model.safetensors"],
        ["--config-dir", "conf", "denoise", "in.mrcs", "--run", *of_run, "-o", "a.mrcs"],
    ]
    done(python("-c", f"from cryobench.cli.main import main; raise SystemExit(any([main(w) for w in {with_run}]))"))
    with_file = ("denoise", "in.mrcs", "--model", "model.safetensors", "-o", "b.mrcs")
    done(python("-m", "cryobench", "--config-dir", "conf", *with_file))
    assert np.array_equal(mrcfile.read(tmp_path / "a.mrcs"), mrcfile.read(tmp_path / "b.mrcs"))
    assert begun == {path: path.read_bytes() for path in begun}
