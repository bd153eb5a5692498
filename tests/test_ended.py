"""A sweep ends with its table: that of its yaml, or one of its own runs, whose numbers are those of the records."""

import json

import numpy as np
from conftest import TINY

from cryobench.config.sweep import plan
from cryobench.launch.ended import labels


def test_a_sweep_of_ones_own_ends_with_a_table_of_its_runs(cli, tmp_path, monkeypatch):
    """Whole, also where nobody says how wide the terminal is."""
    monkeypatch.setenv("COLUMNS", "40")
    status, out, _ = cli("method=nlm", "method.h=0.5,0.9", "seed=0,1", *TINY)
    assert status == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/*/runs/*/record.json")]
    for h in (0.5, 0.9):
        (line,) = (line for line in out.splitlines() if f"method.h={h}" in line)
        psnr = [one["metrics"]["psnr"]["mean"] for one in records if one["config"]["method"]["h"] == h]
        assert " 2 " in line and "SNR 0.1" in line
        assert f"{np.mean(psnr):.2f}({np.std(psnr, ddof=1):.2f})" in line
    assert "records: results/phantom-quick/runs" in out
    again = cli("method=nlm", "method.h=0.5,0.9", "seed=0,1", *TINY)[1]
    assert out[out.index("mean (standard") :] == again[again.index("mean (standard") :]


def test_a_sweep_of_the_paper_ends_with_the_papers_table(cli, tmp_path):
    status, out, _ = cli("+sweep=methods", "row=noisy,oracle", "noise.snr=0.1", *TINY)
    assert status == 0
    text = (tmp_path / "results/phantom-smoke/tables/table2.md").read_text()
    assert text in out and "written: results/phantom-smoke/tables/table2.md" in out


def test_runs_are_called_by_what_sets_them_apart():
    assert labels(plan(["method=noisy", "seed=0,1", "noise.snr=0.1,0.05"]).jobs) == ["noisy"] * 4
    assert labels(plan(["method=noisy,oracle"]).jobs) == ["method=noisy", "method=oracle"]
    one = labels(plan(["method=nlm", "method.h=1,2", "data.n_train=50"]).jobs)
    assert one == ["method.h=1", "method.h=2"]
    assert labels(plan(["+sweep=alpha_beta", "row='(1,1)','(0,0)'", "noise.snr=0.1"]).jobs) == ["(1,1)", "(0,0)"]
