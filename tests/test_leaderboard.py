"""Methods × tasks: which tasks there are, what their numbers are multiples of, which settings stand for a method."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_compare import record
from test_results import FOLDERS

from cryobench.runs.store import Store
from cryobench.tables import leaderboard

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def keep(folder: Path, records) -> Store:
    store = Store(folder)
    for one in records:
        store.begin(one.run_id)
        store.finish(one.run_id, one)
    return store


def runs(*around: str, **values: list[float]) -> list:
    """Method → MSE of two images whose clean variances are 0.1 and 0.2, at seed 0."""
    return [record([f"method={name}", *around], mse) for name, mse in values.items()]


PLAIN = {"bayes": [0.01, 0.02], "wiener": [0.02, 0.02], "nlm": [0.05, 0.06], "cwf": [0.04, 0.02]}


def nmse(mse: list[float]) -> float:
    return float(np.mean(np.divide(mse, [0.1, 0.2])))


def cells(store: Store) -> dict[tuple[str, str], dict]:
    """(task, method) → line of the csv."""
    found = list(csv.DictReader(leaderboard.to_csv(leaderboard.board([store])).splitlines()))
    return {(line["task"], line["method"]): line for line in found}


def test_each_nmse_is_a_multiple_of_the_bayes_limits(tmp_path):
    found = cells(keep(tmp_path, runs(**PLAIN)))
    for name, mse in PLAIN.items():
        line = found["phantom, quick scale, SNR 0.1", name]
        assert line["unit"] == "× Bayes limit" and float(line["mean"]) == pytest.approx(
            nmse(mse) / nmse(PLAIN["bayes"]), rel=1e-5
        )
        assert float(line["nmse"]) == pytest.approx(nmse(mse), rel=1e-5) and line["n_seeds"] == "1"


def test_without_that_limit_they_are_multiples_of_the_linear_one_and_without_both_nmse(tmp_path):
    without = {name: mse for name, mse in PLAIN.items() if name != "bayes"}
    clipped = runs("noise.clip=true", **PLAIN)  # of which neither method is the limit
    found = cells(keep(tmp_path, runs("noise.snr=0.05", **without) + clipped))
    line = found["phantom, quick scale, SNR 0.05", "nlm"]
    assert line["unit"] == "× linear limit" and float(line["mean"]) == pytest.approx(
        nmse(PLAIN["nlm"]) / nmse(PLAIN["wiener"]), rel=1e-5
    )
    line = found["phantom, quick scale, SNR 0.1, noise.clip=True", "nlm"]
    assert line["unit"] == "NMSE" and float(line["mean"]) == pytest.approx(nmse(PLAIN["nlm"]), rel=1e-5)


def test_contaminated_training_pairs_are_measured_by_the_limit_of_the_same_test_images(tmp_path):
    spoilt = runs("noise=contaminated", nlm=[0.2, 0.2], cwf=[0.1, 0.1], exemplar=[0.03, 0.03])
    found = cells(keep(tmp_path, runs(**PLAIN) + spoilt))
    (line,) = (line for (task, name), line in found.items() if name == "exemplar")
    assert line["noise"] == "contaminated" and line["unit"] == "× Bayes limit"
    assert float(line["mean"]) == pytest.approx(nmse([0.03, 0.03]) / nmse(PLAIN["bayes"]), rel=1e-5)


def test_a_task_needs_three_methods_and_what_is_shipped(tmp_path):
    """Two methods and a control are none, nor are another number of training images or the released protocol."""
    few = runs("noise.snr=0.3", nlm=[0.1, 0.1], cwf=[0.1, 0.1], noisy=[0.9, 0.9], mean_image=[0.2, 0.2])
    odd = [*runs("data.n_train=32", **PLAIN), *runs("protocol=released", **PLAIN)]
    failed = [replace(one, status="failed", error="x") for one in runs("noise.snr=0.4", **PLAIN)]
    store = keep(tmp_path, [*few, *odd, *runs(**PLAIN)])
    for one in failed:
        store.fail(one.run_id, one, "log")
    assert {task for task, _ in cells(store)} == {"phantom, quick scale, SNR 0.1"}


def test_a_method_has_one_row_with_settings_that_no_result_chose(tmp_path):
    """Those of its yaml, although others are better and in more tasks; where no record has these, those with the most tasks."""
    better = [record(["method=nlm", "method.h=0.5", f"noise.snr={snr}"], [0.02, 0.02]) for snr in (0.1, 0.05)]
    one = [record(["method=ksvd", "method.sigma=known", f"noise.snr={snr}"], [0.1, 0.1]) for snr in (0.1, 0.05)]
    other = [record(["method=ksvd", "method.sigma=0.2"], [0.01, 0.01])]
    others = {name: mse for name, mse in PLAIN.items() if name != "nlm"}
    store = keep(tmp_path, [*runs(**PLAIN), *runs("noise.snr=0.05", **others), *better, *one, *other])
    found = leaderboard.board([store])
    assert ("nlm", "") in found.rows and ("ksvd", "sigma=known") in found.rows and len(found.rows) == len(PLAIN) + 1
    assert [method for method, _ in found.rows] == ["bayes", "wiener", "cwf", "nlm", "ksvd"], (
        "the nearest to the limit first"
    )


def test_folders_with_runs_of_the_same_images_are_one(tmp_path):
    """Seeds and methods lie in two folders; a run that lies in both counts once."""
    seeds = {seed: record(["method=nlm", f"seed={seed}"], mse) for seed, mse in enumerate(([0.05, 0.06], [0.01, 0.02]))}
    rest = [record([f"method={name}"], PLAIN[name]) for name in ("bayes", "cwf")]
    one, other = keep(tmp_path / "one", [seeds[0], rest[0]]), keep(tmp_path / "other", [seeds[1], seeds[0], rest[1]])
    for stores in ([one, other], [other, one]):
        found = leaderboard.board(stores)
        assert len(found.tasks) == 1 and "2 methods, 1 limit and 1 task." in leaderboard.to_markdown(found)
        (cell,) = found.rows["nlm", ""].values()
        assert {run.run_id for run in cell.records} == {run.run_id for run in seeds.values()}
        assert cell.nmse[0] == pytest.approx((nmse([0.05, 0.06]) + nmse([0.01, 0.02])) / 2)
    assert not leaderboard.board([one]).tasks, "two methods alone"


def test_tasks_of_the_same_words_are_two(tmp_path):
    """Two people's noise models of one name: no cell of one stands in the place of the other's."""
    stores = []
    for who in ("mine", "theirs"):
        some = runs(**PLAIN)
        for one in some:
            one.config["noise"] |= {"name": "haze", "_target_": f"{who}.Haze"}
        stores.append(keep(tmp_path / who, some))
    found = leaderboard.board(stores)
    assert len({task.key for task in found.tasks}) == len({task.where for task in found.tasks}) == 2
    assert len(found.rows) == len(PLAIN) and all(len(cells) == 2 for cells in found.rows.values())


def test_the_verb_shows_all_folders_and_writes_where_it_is_told(cli, tmp_path):
    keep(tmp_path / "results" / "one", runs(**PLAIN))
    keep(tmp_path / "results" / "two", runs("data=rnap_ecoli", "noise.snr=0.05", **PLAIN))
    status, out, _ = cli("compare", "--tasks")
    assert status == 0 and "| × Bayes limit | side information | phantom quick 0.1 | rnap_ecoli quick 0.05 |" in out
    status, again, _ = cli("compare", "--tasks", "--results", "results/two", "-o", "board")
    assert status == 0 and again == out
    assert (tmp_path / "board" / "leaderboard.md").read_text("utf-8").strip() == out.strip()
    assert cli("compare", "--tasks", "-o", "x.csv")[0] == 0 and (tmp_path / "x.csv").read_text("utf-8").startswith(
        "task,data,"
    )
    assert "got data=phantom" in cli("compare", "--tasks", "data=phantom")[2]
    status, _, err = cli("compare", "--tasks", "--results", "elsewhere/one")
    assert status == 2 and "expected records of 3 methods or more" in err and err.count("\n") == 1


def test_the_readmes_leaderboard_is_that_of_the_committed_records():
    found = leaderboard.board([Store(folder) for folder in FOLDERS])
    short = leaderboard.in_short(found)
    assert len(short.splitlines()) >= 8 and short in README, short
