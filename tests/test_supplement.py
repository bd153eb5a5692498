"""The supplement's other sweeps (notes 2, 5, 7) at smoke scale: exit 0, and every table and figure is written."""

import re

import numpy as np
import pandas as pd
import pytest

from cryobench.config.sweep import plan

SMALL = ("data.n_train=36", "data.n_test=6", "trainer.threads=1", "paths.results=out")


def test_lambda_is_the_papers_eight_and_their_limit():
    jobs = {job.row: job for job in plan(["+sweep=lambda"]).jobs}
    lams = {row: job.config["method"].get("lam") for row, job in jobs.items()}
    assert lams == {
        "0.1": 0.1,
        "1": 1,
        "5": 5,
        "10": 10,
        "50": 50,
        "100": 100,
        "500": 500,
        "10000": 10000,
        "l1-Autoencoder": None,
        "oracle": None,
    }
    shared = plan(["+sweep=alpha_beta", "row='(.5,.5)'", "noise.snr=0.1"]).jobs[0]
    assert jobs["10"].run_id == shared.run_id, "a run of Table 1 is Table 3's too"


@pytest.mark.trains
def test_lambda_ends_in_table_3_and_its_strip(cli, tmp_path):
    status, _, err = cli("+sweep=lambda", "row='10','10000',l1-Autoencoder,oracle", *SMALL)
    assert status == 0, err
    table = pd.read_csv(tmp_path / "out/tables/table3.csv", dtype={"row": str})
    ours = table[table["mean"].notna()]
    assert set(ours["row"]) == {"10", "10000", "l1-Autoencoder"} and set(table["snr"]) == {0.1}
    text = (tmp_path / "out/tables/table3.md").read_text()
    assert "Lowest MSE at λ = 10" in text and "| λ | MSE | PSNR | SSIM |" in text and "10000: " in text
    assert all((tmp_path / f"out/figures/fig2_lambda.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))


def test_stability_is_joint_training_with_and_without_l1_and_both_are_watched():
    planned = plan(["+sweep=stability"])
    settings = {(job.row, job.config["method"]["lam"], job.config["seed"], job.config["watch"]) for job in planned.jobs}
    assert settings == {(row, lam, seed, 10) for row, lam in (("JSGAN", 0), ("JSGAN + l1", 10)) for seed in (0, 1)}
    assert {(job.config["method"]["alpha"], job.config["method"]["beta"]) for job in planned.jobs} == {(0, 0)}


@pytest.mark.trains
def test_stability_ends_in_figure_1_and_its_number(cli, tmp_path):
    status, _, err = cli("+sweep=stability", "seed=0", *SMALL)
    assert status == 0, err
    table = pd.read_csv(tmp_path / "out/tables/table_stability.csv")
    assert list(table["row"].unique()) == ["JSGAN", "JSGAN + l1"] and (table["mean"] > 0).all()
    assert table[table["row"] == "JSGAN"]["mean"].notna().all()
    assert all((tmp_path / f"out/figures/fig1_stability.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))


def test_the_oscillation_of_a_wave_is_its_amplitude_over_root_2():
    from cryobench.experiments.table_stability import oscillation

    step = np.arange(1, 2001)
    mse = np.where(step < 900, 50.0, 1 + 0.3 * np.sin(2 * np.pi * step / 100))  # what comes before half does not count
    mean, std, quartiles = oscillation(step, mse)
    assert (mean, std) == pytest.approx((1, 0.3 / np.sqrt(2)), rel=1e-6)
    assert quartiles == pytest.approx(0.6 * np.sin(np.pi / 4), rel=0.05)  # of a hundred phases


def test_by_how_much_less_the_joint_training_oscillates_is_a_table_of_its_own():
    """So that it is seen on a phone: a line for each curve, three numbers."""
    from cryobench.experiments.table_stability import RATIOS, answer

    line = {"curve": "train_mse", **dict(zip(RATIOS, (2.0, 0.5, 3.0), strict=True))}
    sentence, table, _ = answer([line, {"curve": "train_mse", **dict.fromkeys(RATIOS)}])
    assert "by 2 of these 3 measures" in sentence and table.endswith("| training | 2.00 | 0.50 | 3.00 |")


@pytest.mark.trains
def test_clustering_ends_in_figure_3_and_its_table(cli, tmp_path, monkeypatch):
    from cryobench.evaluation.analysis import clustering

    monkeypatch.setattr(clustering, "DRAWS", 2)
    small = ["data.n_train=36", "data.n_test=30", "trainer.threads=1", "paths.results=out"]
    status, _, err = cli("+sweep=clustering", "row=clean,'(1,1)-GAN + l1'", *small)
    assert status == 0, err
    table = pd.read_csv(tmp_path / "out/tables/table_clustering.csv").set_index(["view", "row", "embedding"])
    assert set(table.index.get_level_values("view")) == {"random", "motion"} and (table["draws"] == 2).all()
    assert table.loc["motion", "clean", "isomap"]["mean"] == table.loc["motion", "clean", "isomap"]["images"]
    assert table.loc["random", "(1,1)-GAN + l1", "spectral"]["paper"] == 50
    names = ("fig3_clustering", "fig3_clustering_fixed_view")
    assert all(
        (tmp_path / f"out/figures/{n}.{suffix}").stat().st_size > 1000 for n in names for suffix in ("png", "svg")
    )
    text = (tmp_path / "out/tables/table_clustering.md").read_text()
    assert "| (1,1)-GAN + ℓ1, Isomap | KSVD, Isomap | 54 to 36 |" in text
    assert re.search(r"\| \(1,1\)-GAN \+ ℓ1 \| [\d.()]+ \| 54 \|", text)
    random, fixed = text.split("## ")[1:]
    assert "| paper |" in random and "paper |" not in fixed, (
        "the paper's counts are of random views: beside one fixed view they would seem to agree with ours"
    )
    assert table.loc["motion", "(1,1)-GAN + l1", "spectral"]["paper"] != 50


def test_which_of_the_papers_differences_exceed_chance():
    """54 to 44 of 60 by Fisher: the hypergeometric tail, summed here."""
    from math import comb

    from cryobench.experiments.table_clustering import fisher

    def tables(a, b):
        total, probability = a + b, comb(60, a) * comb(60, b)
        ways = [comb(60, k) * comb(60, total - k) for k in range(max(0, total - 60), min(60, total) + 1)]
        return sum(way for way in ways if way <= probability) / comb(120, total)

    for a, b in ((54, 34), (54, 44), (54, 50), (54, 46)):
        assert fisher(a, b) == pytest.approx(tables(a, b), rel=1e-9)
    assert fisher(54, 36) < 0.001 and fisher(54, 50) > 0.3


def test_a_paired_difference_of_two_methods_is_found_and_none_where_there_is_none():
    from cryobench.tables.clustered import Clustering, paired

    rng = np.random.default_rng(0)
    better, same, worse = (
        Clustering(np.array([30]), 60, {(0, i): share for i, share in enumerate(rng.random(200) * 0.4 + low)}, 1)
        for low in (0.5, 0.5, 0.2)
    )
    effect, p = paired(better, worse)
    assert effect == pytest.approx(0.3, abs=0.04) and p < 1e-10
    assert paired(better, same)[1] > 0.01 and paired(better, better) == (0.0, 1.0)

    def thrice(one):  # what two more seeds with the same outcome would say is nothing new
        return Clustering(one.correct, 60, {(seed, i): v for (_, i), v in one.share.items() for seed in range(3)}, 3)

    assert paired(thrice(better), thrice(same)) == pytest.approx(paired(better, same))
