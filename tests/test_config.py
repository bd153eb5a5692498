"""Configs are coerced to their types, and the run id is a hash of what decides the result and of nothing else."""

import pytest

from cryobench.config.compose import build, compose, resolve
from cryobench.config.identity import run_id
from cryobench.errors import InputError


def name(*overrides: str) -> str:
    return run_id(resolve(compose(list(overrides))))


@pytest.mark.parametrize("same", [
    ["noise.snr=1e-1"], ["method.lam=10"], ["method.alpha=.5"], ["paths.results=elsewhere"], ["paths.cache=elsewhere"],
    ["trainer=gpu"], ["trainer.threads=1"], ["trainer.workers=3"], ["hydra/launcher=joblib"],
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
    with pytest.raises(InputError, match=r"method: expected _target_ to name a class, got nowhere\.Nothing"):
        resolve(compose(["method._target_=nowhere.Nothing"]))
