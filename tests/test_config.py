"""Configs are coerced to their types, and the run id is a hash of what decides the result and of nothing else."""

import subprocess
import sys

import pytest
from conftest import PATIENCE

from cryobench.config.compose import build, compose, resolve
from cryobench.config.identity import run_id
from cryobench.config.sweep import for_hydra, from_hydra, plan
from cryobench.errors import InputError


def name(*overrides: str) -> str:
    return run_id(resolve(compose(list(overrides))))


@pytest.mark.parametrize("same", [
    ["noise.snr=1e-1"], ["method.lam=10"], ["method.alpha=.5"], ["paths.results=elsewhere"], ["paths.cache=elsewhere"],
    ["trainer=gpu"], ["trainer.threads=1"], ["trainer.workers=3"], ["trainer.logger=csv"], ["hydra/launcher=joblib"],
])  # fmt: skip
def test_the_same_run_has_the_same_id(same):
    assert name(*same) == name()


@pytest.mark.parametrize("other", [
    ["noise.snr=0.05"], ["method.lam=5"], ["seed=1"], ["data.seed=1"], ["data.n_train=65"], ["protocol.clip=true"],
    ["protocol.ssim_range=2"], ["protocol=released"], ["scale.width=9"], ["method=autoencoder"], ["scale=desk"],
    ["trainer.precision=bf16-mixed"],
])  # fmt: skip
def test_another_run_has_another_id(other):
    assert name(*other) != name()


def test_switches_of_the_protocol_reach_the_groups_that_use_them():
    config = resolve(compose(["protocol=released"]))
    assert config["noise"]["clip"] is True and config["method"]["score_map"] == "sum"
    assert config["method"]["batch_norm"] == "train" and config["method"]["batch_size"] == 10
    assert resolve(compose(["protocol=released", "method=wgan_gp"]))["method"]["lipschitz"] == "clip"
    alone = resolve(compose(["protocol.clip=true"]))
    assert alone["noise"]["clip"] is True and alone["method"]["score_map"] == "mean"


def test_building_makes_what_the_config_says():
    config = resolve(compose(["method.alpha=1", "method.beta=-1", "noise.snr=0.05"]))
    method, noise = build(config, "method"), build(config, "noise")
    assert (method.alpha, method.beta, noise.snr) == (1.0, -1.0, 0.05)
    assert str(method.rule()) == "(1,-1)"


def test_a_target_that_is_no_class_is_named():
    with pytest.raises(
        InputError, match=r"method: expected nowhere\.Nothing in nowhere\.py in the folder where you stand"
    ):
        resolve(compose(["method._target_=nowhere.Nothing"]))


@pytest.mark.parametrize(
    ("scale", "images", "lr", "epochs"),
    [
        ("smoke", 240, 0.01, 2),
        ("quick", 1200, 0.01, 10),
        ("desk", 3000, 0.01, 12),
        ("desk128", 6000, 0.003, 6),
        ("paper", 200_000, 0.0001, 40),
    ],
)
def test_what_belongs_to_one_method_stands_with_it_for_each_scale(scale, images, lr, epochs):
    """2e5 images a phase at the paper's scale, as published; a scale itself holds sizes that methods and data share."""
    pggan, unet = (resolve(compose([f"method={name}", f"scale={scale}"])) for name in ("pggan", "unet"))
    assert (pggan["method"]["phase_images"], pggan["method"]["lr"], unet["method"]["epochs"]) == (images, lr, epochs)
    shared = {"name", "image_size", "n_train", "n_test", "width", "epochs", "size"}
    assert set(pggan["scale"]) == shared


def test_at_a_scale_of_ones_own_such_a_setting_is_asked_for():
    with pytest.raises(
        InputError, match=r"^method\.epochs: expected one of scale=smoke, quick, desk, desk128, paper, got mine; "
    ):
        resolve(compose(["method=unet", "scale.name=mine"]))
    assert resolve(compose(["method=unet", "scale.name=mine", "method.epochs=3"]))["method"]["epochs"] == 3


def test_tables_know_what_is_usual_at_each_scale_without_composing_anything():
    """In a process that has not read the command line; at a scale of one's own nothing is."""
    code = """
import json
from cryobench.tables import frame
for name in ("desk", "paper", "mine"):
    around = {"scale": {"name": name, "width": 4}, "protocol": frame.shipped("protocol/described")}
    print(frame.resolved("method", "pggan", json.dumps(around)).get("phase_images"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.split() == ["3000", "200000", "None"], done.stderr


def test_what_others_build_on_is_no_choice():
    from cryobench.cli.main import help_text

    (line,) = (line for line in help_text().splitlines() if line.strip().startswith("data="))
    names = [name.strip() for name in line.split("=")[1].split("|")]
    assert "rnap_mtb" in names and "_rnap" not in names
    with pytest.raises(
        InputError, match=r"data: expected one of empiar10028, particles, phantom, rnap, .*, got nothing"
    ):
        compose(["data=nothing"])


def test_a_sweep_takes_settings_that_only_its_row_s_method_has():
    """Hydra, which starts the runs, composes before the row is looked at: it failed, with a traceback, on what the plan took."""
    given = ["+sweep=methods", "row='WGANgp + l1'", "method.critic_norm=layer,none", "noise.snr=0.1", "seed=0"]
    planned = plan(given)
    assert [job.config["method"]["critic_norm"] for job in planned.jobs] == ["layer", "none"]
    handed = for_hydra(given)
    assert handed == [*given[:2], "++method.critic_norm=layer,none", *given[3:]]
    for job, norm in zip(planned.jobs, ("layer", "none"), strict=True):
        words = [*handed[:2], f"++method.critic_norm={norm}", *handed[3:]]
        compose(words)  # as Hydra does
        (one,) = plan(from_hydra(words), single=True).jobs
        assert (one.run_id, one.command) == (job.run_id, job.command)
    with pytest.raises(InputError, match=r"^row CWF: unknown key method.critic_norm: .* sigma_factor"):
        plan(["+sweep=methods", "row='WGANgp + l1',CWF", "method.critic_norm=layer"])
