"""Sweeps: the runs that they stand for, and their tables; test_torture.py kills them."""

import json
import sys

import pandas as pd
import pytest
from conftest import TINY

from cryobench.config.sweep import plan
from cryobench.launch.job import missing_package
from cryobench.tables.table import published

PAIRS = [(1, 1), (0.5, 0.5), (-0.5, -0.5), (-1, -1), (1, -1), (0.5, -0.5), (0, 0), (0.1, -0.1)]


def test_alpha_beta_is_eight_pairs_at_two_noise_levels():
    jobs = plan(["+sweep=alpha_beta"]).jobs
    settings = [
        (job.config["method"]["alpha"], job.config["method"]["beta"], job.config["noise"]["snr"]) for job in jobs
    ]
    assert settings == [(a, b, snr) for a, b in PAIRS for snr in (0.1, 0.05)]
    assert len({job.run_id for job in jobs}) == 16
    assert plan(["+sweep=alpha_beta"]).writes == ["table1"]


def test_the_command_line_wins_over_the_sweeps_file():
    jobs = plan(["+sweep=alpha_beta", "seed=0,1,2", "noise.snr=0.1", "row='(0,0)','(1,1)'", "method.lam=5"]).jobs
    assert [(job.row, job.config["seed"]) for job in jobs] == [(r, s) for r in ("(0,0)", "(1,1)") for s in (0, 1, 2)]
    assert {job.config["noise"]["snr"] for job in jobs} == {0.1} and {job.config["method"]["lam"] for job in jobs} == {
        5.0
    }


def test_a_sweep_of_ones_own_over_groups_and_values():
    planned = plan(["method=noisy,oracle", "seed=0,1"])
    assert planned.is_sweep and len(planned.jobs) == 4
    assert {job.config["method"]["name"] for job in planned.jobs} == {"noisy", "oracle"}


def test_a_rows_name_may_be_quoted_or_not():
    names = {
        tuple(job.row for job in plan(["+sweep=methods", word, "noise.snr=0.1"]).jobs)
        for word in ("row=CWF,Non-local means", "row=CWF,'Non-local means'", 'row=CWF,"Non-local means"')
    }
    assert names == {("CWF", "Non-local means")}
    (job,) = plan(["+sweep=methods", "row=Non-local means", "noise.snr=0.1"]).jobs
    assert job.row == "Non-local means"


def test_a_job_of_a_sweep_is_the_same_run_as_the_one_typed_alone():
    job = plan(["+sweep=alpha_beta", "row='(1,-1)'", "noise.snr=0.05", "seed=2"]).jobs[0]
    words = [
        "method=gan",
        "method.alpha=1",
        "method.beta=-1",
        "method.lam=10",
        "noise.snr=0.05",
        "seed=2",
        "scale=smoke",
    ]
    (alone,) = plan(words).jobs
    assert job.run_id == alone.run_id


@pytest.mark.trains
def test_a_failing_run_leaves_the_others_going(cli, tmp_path):
    status, out, err = cli("method.lr=1e30,1e-2", "method=autoencoder", *TINY)
    assert status == 1 and "failed: " in err and "step" in err and "Traceback" not in err
    records = [json.loads(p.read_text()) for p in tmp_path.rglob("record.json")]
    assert sorted(r["status"] for r in records) == ["done", "failed"]
    (failed,) = (r for r in records if r["status"] == "failed")
    assert "at step" in failed["error"] and failed["metrics"] is None
    status, out, err = cli("method.lr=1e30,1e-2", "method=autoencoder", *TINY)
    assert status == 1 and "2 runs, 1 done before" in out, "a failed run is tried again, a finished one is not"


def test_a_users_mistake_within_a_sweep_is_a_failed_record(cli, tmp_path):
    status, _, err = cli("data.image_size=32,40", "method=gan", "method.net=conv", "data.n_train=36", *TINY[1:])
    assert status == 0, err
    status, _, err = cli("data.image_size=32,30", "method=noisy", *TINY)
    assert status in (1, 2) and "multiple of 8" in err and "Traceback" not in err


def test_a_row_whose_package_is_missing_is_left_out_and_said(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "topaz", None)
    topaz, noisy = plan(["+sweep=methods", "row=Topaz,noisy", "noise.snr=0.1"]).jobs
    assert missing_package(topaz) == "it needs topaz; pip install --no-deps topaz-em" and missing_package(noisy) is None
    status, _, err = cli("+sweep=methods", "row=Topaz", *TINY)
    assert status == 2 and "Topaz: it needs topaz; pip install --no-deps topaz-em" in err and "Traceback" not in err


@pytest.mark.trains
def test_the_table_has_the_papers_numbers_beside_ours(cli, tmp_path):
    status, _, err = cli("+sweep=alpha_beta", "row='(1,1)','(0,0)','(1,-1)'", "noise.snr=0.1", *TINY)
    assert status == 0, err
    table = pd.read_csv(tmp_path / "results" / "phantom-smoke" / "tables" / "table1.csv")
    assert list(table.columns) == "row,snr,metric,mean,spread,n_seeds,paper,paper_spread,verdict".split(",")
    table = table[table["metric"] != "nmse"]  # of the runs that are there
    assert len(table) == 8 * 2 * 3
    ours = table[table["mean"].notna()]
    assert (
        set(ours["row"]) == {"(1,1)", "(0,0)", "(1,-1)"} and (ours["n_seeds"] == 1).all() and (ours["snr"] == 0.1).all()
    )
    assert (table[table["mean"].isna()]["verdict"] == "missing").all()
    row = table[(table["row"] == "(.5,.5)") & (table["snr"] == 0.05) & (table["metric"] == "mse")].iloc[0]
    assert (row["paper"], row["paper_spread"]) == published(1)["(.5,.5)", 0.05, "mse"] == (3.98e-3, 4.60e-5)
