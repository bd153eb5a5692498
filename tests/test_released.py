"""The table that sets both protocols beside the paper, from made-up records with known means and spreads."""

import csv
import json

import pytest
from cryobench.experiments import released

from cryobench.config.sweep import plan
from cryobench.runs.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    """(0,0)-GAN at SNR 0.1 under both protocols, two seeds, and the Bayes limit."""
    wanted = [("described", seed, 0.0076) for seed in (0, 1)] + [
        ("released", seed, 0.0038 + seed * 1e-4) for seed in (0, 1)
    ]
    jobs = [
        (
            plan(
                ["+sweep=released", "row='(0,0)-GAN + l1'", f"protocol={protocol}", "noise.snr=0.1", f"seed={seed}"]
            ).jobs[0],
            mse,
            protocol,
        )
        for protocol, seed, mse in wanted
    ]
    resnet = ["+sweep=released", "row='(0,0)-GAN + l1, ResNet'", "protocol=described", "noise.snr=0.1", "seed=0"]
    jobs.append((plan(resnet).jobs[0], 0.005, "described"))
    jobs.append((plan(["method=bayes", "noise.snr=0.1", "seed=0", "scale=smoke"]).jobs[0], 0.0019, "described"))
    for job, mse, protocol in jobs:
        over = {
            name: {"values": [mse] * 5, "spread": 1e-4 * (1 + job.config["seed"])} for name in ("mse", "psnr", "ssim")
        }
        record = {
            "run_id": job.run_id,
            "status": "done",
            "config": job.config,
            "seed": job.config["seed"],
            "side_information": [],
            "metrics": {name: {"mean": mse, "std": 0.0} for name in (*over, "nmse")},
        }
        record |= {"variants": over} if protocol == "released" else {}
        folder = tmp_path / "runs" / job.run_id
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record))
    return Store(tmp_path)


def test_both_protocols_stand_beside_the_paper(store, tmp_path):
    assert [file.suffix for file in released.write(store)] == [".md", ".csv", ".tex"]
    text = (tmp_path / "tables" / "released.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| (0,0)-GAN + ℓ1 |")]
    assert (
        "| (0,0)-GAN + ℓ1 | 7.60e-3(0) | 3.85e-3(1.50e-4) | 3.80e-3(6.00e-4) | released (1.0× against 2.0×) | 2/2 |"
        in lines
    )
    assert any(line.endswith("| 4.00 | 2.03 |") for line in lines)
    rows = list(csv.DictReader((tmp_path / "tables" / "released.csv").open()))
    (cell,) = (r for r in rows if r["protocol"] == "released" and r["metric"] == "mse" and r["mean"])
    (nmse,) = (r for r in rows if r["protocol"] == "released" and r["metric"] == "nmse" and r["mean"])
    assert (
        float(nmse["spread"]) == pytest.approx(7.07e-5, rel=1e-2)
        and not nmse["paper"]
        and not nmse["spread_over_epochs"]
    )
    assert float(cell["spread"]) == pytest.approx(7.07e-5, rel=1e-2), "over seeds"
    assert float(cell["spread_over_epochs"]) == pytest.approx(1.5e-4) and cell["n_seeds"] == "2"
    assert cell["paper"] == "0.0038" and float(cell["times_bayes"]) == pytest.approx(2.026, rel=1e-3)
    tex = (tmp_path / "tables" / "released.tex").read_text()
    assert r"(0,0)-GAN + $\ell_1$ & 7.60e-3(0) & 3.85e-3(1.50e-4) & 3.80e-3(6.00e-4) & -- & --" in tex


def test_the_sweep_is_each_row_under_both_protocols_at_both_noise_levels():
    jobs = plan(["+sweep=released"]).jobs
    assert len(jobs) == 9 * 2 * 2 and {job.config["protocol"]["name"] for job in jobs} == {"described", "released"}
    assert all(job.config["noise"]["clip"] is (job.config["protocol"]["name"] == "released") for job in jobs)
