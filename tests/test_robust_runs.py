"""Robust estimation through the command line: a task of a run, with records and tables of its own."""

import json

import pytest

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.robust.tasks import RobustRates
from cryobench.runs.store import Store

QUICK = ("task.steps=60", "task.batch=100", "task.compare=[mean,coordinate_median]")


def name(*overrides):
    return run_id(resolve(compose(list(overrides))))


def test_the_sweep_leaves_tables_and_the_figure_and_no_table_of_denoising_sees_it(cli, tmp_path):
    command = (
        "+sweep=robust_estimation",
        "scale=smoke",
        "seed=0",
        "row=far,scatter,'rates (0,0)','rates (1,-1)'",
        *QUICK,
    )
    status, out, err = cli(*command)
    assert status == 0, err
    results = tmp_path / "results" / "robust"
    for kind in ("location", "scatter"):
        assert {file.suffix for file in (results / "tables").glob(f"robust_{kind}.*")} == {".md", ".csv", ".tex"}
    location = (results / "tables" / "robust_location.md").read_text()
    assert "N(0,I), far, p=10" in location and "| coordinate median |" in location
    rates = (results / "tables" / "robust_rates.md").read_text()
    assert "| (1,-1)-GAN D1(κ,B)† | ε |" in rates and "| 1.00 |" in rates
    assert (results / "figures" / "fig_robust_rates.svg").exists()
    store = Store(results)
    assert store.all() == [] and len(store.all("robust_estimation")) == 2 == len(store.all("robust_rates"))
    record = store.all("robust_rates")[0]
    assert set(record.config) == {"task", "seed", "scale", "trainer"} and record.environment["versions"]["torch"]
    assert len(record.results) == 8 and record.wall_s > 0

    status, out, _ = cli(*command)
    assert status == 0 and "4 done before" in out
    status, out, _ = cli("table", "robust_estimation")
    assert status == 0 and "# Robust estimation of location" in out


def test_one_task_alone_prints_its_errors(cli, tmp_path):
    status, out, err = cli("task=robust_estimation", "task.p=4", "task.n=900", *QUICK)
    assert status == 0 and not err
    assert "gan" in out and "oracle" in out and "record.json" in out and "strip.png" not in out
    (file,) = tmp_path.rglob("record.json")
    (result,) = json.loads(file.read_text())["results"]
    assert result["location"]["gan"] > 0 and result["settings"]["n"] == 90, "smoke is a tenth"


def test_a_tasks_run_id_is_made_of_its_own_settings_and_the_seed():
    assert name("task=robust_estimation", "scale=paper").startswith("robust_estimation-")
    same = name("task=robust_estimation", "scale=paper")
    for other in ("method=nlm", "data.n_train=50", "noise.snr=0.05", "scale=desk"):
        assert name("task=robust_estimation", "scale=paper", other) == same
    for other in ("task.epsilon=0.1", "task.alpha=1", "seed=1", "scale=smoke", "task=robust_rates"):
        assert name("task=robust_estimation", "scale=paper", other) != same
    assert name("task=denoising") == name()


def test_the_published_size_is_the_sweeps_own():
    from cryobench.config.sweep import plan

    jobs = {job.row: job.config["task"] for job in plan(["+sweep=robust_estimation", "seed=0"]).jobs}
    far = jobs["far"]
    assert (far["p"], far["n"], far["epsilon"], far["size"], far["widths"]) == (100, 50_000, 0.2, 1.0, [20])
    assert (jobs["heavy tails"]["p"], jobs["heavy tails"]["tail"]) == (50, "cauchy")
    assert len([row for row in jobs if row.startswith("rates")]) == 8


def test_rates_are_two_grids():
    points = RobustRates(epsilon=0.02, epsilons=(0.1, 0.2), ns=(500,)).samples()
    assert [(one.epsilon, one.n) for one in points] == [(0.1, 50_000), (0.2, 50_000), (0.02, 500)]


WRONG = {
    "half": (["task.epsilon=0.5"], ["epsilon", "[0, 0.5)", "got 0.5"]),
    "more than half": (["task.epsilon=0.7"], ["epsilon", "[0, 0.5)", "got 0.7"]),
    "fewer points than dimensions": (["task.n=50"], ["n ≥ p", "p = 100", "n = 50"]),
    "unknown contamination": (["task.contamination=cosmic"], ["contamination", "far, near", "strong", "cosmic"]),
    "no elliptical law": (["task.tail=laplace"], ["tail", "elliptical", "laplace"]),
    "unknown scatter": (["task.scatter=wishart"], ["scatter", "identity or ar", "wishart"]),
    "unknown estimator": (["task.compare=[guess]"], ["compare", "tyler", "guess"]),
    "no such class": (["task.discriminator=resnet"], ["discriminator", "plain, bounded", "resnet"]),
    "misspelt key": (["task.epsilom=0.1"], ["task.epsilom", "--cfg"]),
    "not a number": (["task.p=many"], ["task.p", "expected a whole number, got", "many"]),
    "a grid beyond half": (["task=robust_rates", "task.epsilons=[0.1,0.6]"], ["epsilon", "got 0.6"]),
    "no such task": (["task=robust"], ["task", "robust_estimation", "got robust"]),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("start", ["task=robust_estimation", "+sweep=robust_estimation"])
def test_a_mistake_gets_one_line_and_status_2(cli, tmp_path, what, start):
    arguments, words = WRONG[what]
    if any(word.startswith("task=") for word in arguments):
        start = ""
    status, out, err = cli(*filter(None, [start, "row=far" if "sweep" in start else ""]), *arguments)
    assert status == 2, err
    assert len([line for line in err.splitlines() if line.strip()]) == 1 and "Traceback" not in err and not out
    for word in words:
        assert word in err, err
    assert not list(tmp_path.rglob("record.json"))
