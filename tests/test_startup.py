"""What a command loads: nothing that takes seconds where nothing is computed; and what `import cryobench` gives."""

import importlib
import subprocess
import sys
from dataclasses import replace

import pytest

import cryobench
from cryobench.config.identity import BUILT, shipped_targets
from cryobench.config.sweep import plan
from cryobench.runs.record import Record
from cryobench.runs.store import Store

HEAVY = ("aspire", "gemmi", "joblib", "matplotlib", "pytorch_lightning", "skimage", "sklearn", "torch")
TABLES = (*HEAVY, "starfile")  # which has pandas, and scipy's special functions
OTHERS = (*TABLES, "pandas", "scipy")

MAIN = "from cryobench.cli.main import main; status = main({words})"
SWEEP = ["+sweep=alpha_beta", "scale=smoke", "paths.results=out"]
ONE = ["method=nlm", "paths.results=out"]
GROWN = ["method=pggan", "scale=smoke", "paths.results=out"]  # its yaml has settings scale by scale


def loaded(code: str, heavy, folder) -> str:
    """The heavy modules that a new Python has loaded after this code, which sets `status`."""
    end = f"print('LOADED', *sorted({heavy!r} & sys.modules.keys()), file=sys.stderr); sys.exit(status)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; status = 0; {code}; {end}"], cwd=folder, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with finished records of a sweep of 16 runs, and of two more."""
    folder = tmp_path_factory.mktemp("startup")
    values = {"mean": 0.01, "std": 0.001}
    metrics = {name: values for name in ("mse", "psnr", "ssim", "nmse")}
    store = Store(folder / "out")
    for job in [*plan(SWEEP).jobs, *plan(ONE).jobs, *plan(GROWN).jobs]:
        record = Record(job.run_id, "done", job.config, job.config["seed"], metrics=metrics, noisy_metrics=metrics)
        store.begin(job.run_id)
        store.finish(job.run_id, replace(record, per_image={"mse": [0.01]}))
    return folder


@pytest.mark.parametrize(
    ("words", "heavy"),
    {
        "help": (["--help"], OTHERS),
        "help of a verb": (["plan", "--help"], OTHERS),
        "help, by its name": (["help"], OTHERS),
        "version": (["--version"], (*OTHERS, "numpy", "typer")),
        "runs": (["runs", "--results", "out", "method=gan"], OTHERS),
        "config": (["--cfg"], OTHERS),
        "plan": (["plan", *SWEEP], OTHERS),
        "finished run": (ONE, OTHERS),
        "finished sweep, with its table": (SWEEP, TABLES),
        "table": (["table", "1", "--results", "out"], TABLES),
    }.values(),
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_computes_nothing_loads_nothing_heavy(words, heavy, folder):
    assert loaded(MAIN.format(words=words), set(heavy), folder) == "LOADED"


def test_no_class_that_a_yaml_names_loads_torch_before_it_works(folder):
    """Configs are checked against these classes, so all of them are imported where one is planned with."""
    places = sorted({target.rpartition(".")[0] for group in BUILT for target in shipped_targets(group).values()})
    assert len(places) > 20
    code = f"import importlib; [importlib.import_module(place) for place in {places}]"
    assert loaded(code, {*HEAVY, "bm3d", "topaz", "dictlearn", "pandas"}, folder) == "LOADED"


def test_importing_cryobench_loads_nothing_and_what_is_asked_for_loads_no_torch(folder):
    assert loaded("import cryobench; cryobench.__version__", {*OTHERS, "numpy", "hydra"}, folder) == "LOADED"
    used = (
        "import cryobench as c, numpy as np; noisy = np.eye(8)[None]; c.Denoiser; c.mse(noisy, noisy), "
        "c.psnr(noisy, noisy + 1), c.nmse(noisy, noisy); c.rotations_from_euler(0, 90, 0); "
        "status = c.AlphaBeta(0, 0).real_slope(0.25) != 4"
    )
    assert loaded(used, set(HEAVY), folder) == "LOADED"


def test_what_cryobench_offers_is_what_its_rooms_have():
    expected = {"AlphaBeta", "Denoiser", "mse", "psnr", "ssim", "nmse", "project", "rotations_from_euler"}
    assert expected <= set(cryobench.__all__) <= set(dir(cryobench))
    for name in cryobench.__all__:
        offered = getattr(cryobench, name)
        assert offered is getattr(importlib.import_module(offered.__module__), name)
    with pytest.raises(AttributeError, match=r"no attribute 'denoise'; it has AlphaBeta, "):
        cryobench.denoise  # noqa: B018
    with pytest.raises(ImportError):
        from cryobench import Denoise  # noqa: F401
