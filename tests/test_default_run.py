"""The default run, a newcomer's first picture: denoised particles, better than classical filters of the same images."""

import json
from pathlib import Path

import pytest
import yaml

from cryobench.config.sweep import plan


@pytest.mark.slow
@pytest.mark.trains
def test_it_is_better_than_non_local_means_and_the_mean_image(cli, tmp_path):
    assert cli("trainer.threads=1")[0] == 0
    assert cli("method=nlm,mean_image")[0] == 0
    records = [json.loads(file.read_text()) for file in tmp_path.glob("results/phantom-quick/runs/*/record.json")]
    mse = {one["config"]["method"]["name"]: one["metrics"]["mse"]["mean"] for one in records}
    assert mse["gan"] < mse["nlm"] and mse["gan"] < mse["mean_image"], mse


def test_sweeps_are_at_smoke_scale_unless_another_is_asked_for():
    """Sixteen GANs in a minute, to see that all of it works."""
    for words, scale in (
        ([], "quick"),
        (["+sweep=alpha_beta"], "smoke"),
        (["+sweep=alpha_beta", "scale=desk"], "desk"),
    ):
        assert {job.config["scale"]["name"] for job in plan(words).jobs} == {scale}
    for file in (Path(__file__).parents[1] / "conf" / "sweep").glob("*.yaml"):
        (scale,) = (
            one["override /scale"]
            for one in yaml.safe_load(file.read_text("utf-8"))["defaults"]
            if "override /scale" in one
        )
        assert scale == ("paper" if file.stem == "robust_estimation" else "smoke"), file.name
