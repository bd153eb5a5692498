"""The two protocols: each habit of the released code a switch, and described runs that keep their names."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from cryobench.config.compose import compose, resolve
from cryobench.config.sweep import plan

LATER = {"U-Net + exemplar"}  # rows that were added after the records were made; it has one at SNR 0.1
COMMITTED = Path(__file__).parents[1] / "results" / "rnap_ecoli-desk" / "runs"


def settings(*overrides: str) -> dict:
    return resolve(compose(list(overrides)))


@pytest.mark.parametrize(
    "method, key, switch, described, released",
    [
        ("bm3d", "sigma", "bm3d_sigma", "border", str(25 / 255)),
        ("ksvd", "coding", "ksvd_coding", "error", "sparsity"),
        ("ksvd", "atoms", "ksvd_atoms", 256, 1100),
        ("gan", "checkpoint", "checkpoint", "validation", "five_best"),
        ("gan", "score_map", "score_map", "mean", "sum"),
        ("autoencoder", "batch_norm", "batch_norm", "eval", "train"),
        ("wgan_gp", "lipschitz", "lipschitz", "penalty", "clip"),
    ],
)
def test_a_habit_of_the_released_code_is_a_switch_that_can_be_set_alone(method, key, switch, described, released):
    plain = settings(f"method={method}")
    alone = settings(f"method={method}", f"protocol.{switch}={released}")
    assert (plain["method"][key], alone["method"][key]) == (described, released)
    assert settings(f"method={method}", "protocol=released")["method"][key] == released
    assert {name for name in plain["method"] if plain["method"][name] != alone["method"][name]} == {key}
    assert alone["noise"] == plain["noise"]


@pytest.mark.parametrize("sweep", ["alpha_beta", "methods", "gap"])
def test_described_runs_keep_the_names_of_their_committed_records(sweep):
    jobs = plan([f"+sweep={sweep}", "data=rnap_ecoli", "scale=desk"]).jobs
    missing = {job.row for job in jobs if not (COMMITTED / job.run_id).is_dir()}
    assert missing <= LATER


def test_a_released_run_reports_the_mean_and_the_spread_over_its_kept_epochs(cli, tmp_path):
    status, _, err = cli("protocol=released", "method=autoencoder", *TINY, "scale.epochs=3")
    assert status == 0, err
    (file,) = tmp_path.rglob("record.json")
    record = json.loads(file.read_text())
    assert record["method"]["epochs_kept"][0] == record["method"]["chosen_epoch"]
    for name, over in record["variants"].items():
        assert len(over["values"]) == 3
        assert over["spread"] == pytest.approx(np.std(over["values"], ddof=1), rel=1e-4)
        assert record["metrics"][name]["mean"] == pytest.approx(np.mean(over["values"]), rel=1e-5)
        assert record["metrics"][name]["mean"] == pytest.approx(np.mean(record["per_image"][name]), rel=1e-4)


def test_a_described_run_has_one_set_of_weights(cli, tmp_path):
    status, _, err = cli("method=autoencoder", *TINY)
    assert status == 0, err
    (file,) = tmp_path.rglob("record.json")
    assert "variants" not in json.loads(file.read_text())
