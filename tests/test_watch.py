"""The watch: it sees what the denoiser would give, changes nothing, survives a resume, and is in the id only when on."""

from dataclasses import replace

import numpy as np
import pytest

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Setting, Watch
from cryobench.methods.learned.gan import AlphaBetaGan
from cryobench.noise.gaussian import Gaussian

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def images():
    clean = np.random.default_rng(0).random((48, 32, 32)).astype(np.float32)
    return NoisyImages("train", clean, None, None, None, 1.0, Gaussian(0.1), seed=0)


@pytest.fixture(scope="module")
def watch(images):
    test = images.subset(slice(0, 6))
    return Watch(3, test.noisy(), test.clean())


def gan(folder, watch=None, **settings):
    method = AlphaBetaGan(width=4, epochs=2, batch_size=10, checkpoint="last", **settings)
    method.setting = Setting(workdir=folder, watch=watch, checkpoint_minutes=0)
    return method


@pytest.fixture(scope="module")
def watched(images, watch, tmp_path_factory):
    method = gan(tmp_path_factory.mktemp("watched"), watch)
    method.fit(images)
    return method


def test_it_changes_no_weight(images, watched, tmp_path):
    alone = gan(tmp_path)
    alone.fit(images)
    assert alone.report["curve"] == watched.report["curve"] and "watch" not in alone.report
    for name, value in alone.weights().items():
        assert np.array_equal(value, watched.weights()[name]), name


def test_its_last_point_is_what_the_denoiser_gives(watched, watch):
    """Four batches an epoch: every third, and the last of each epoch."""
    points = watched.report["watch"]
    assert points["step"] == [3, 4, 6, 8] and points["images"] == 6
    own = replace(watched, batch_norm="train")
    own.generator = watched.generator
    for method, name in ((watched, "test_mse"), (own, "test_mse_batch")):
        error = float(((method.denoise(watch.noisy) - watch.clean) ** 2).mean())
        assert points[name][-1] == pytest.approx(error, rel=1e-4), name


def test_the_training_mse_is_the_mean_since_the_last_point(watched):
    """The epoch's mean is that of its points, weighted by their batches: 3, 1; 2, 2."""
    curve, points = watched.report["curve"], watched.report["watch"]["train_mse"]
    assert curve[0]["train_mse"] == pytest.approx((3 * points[0] + points[1]) / 4, rel=1e-4)
    assert curve[1]["train_mse"] == pytest.approx((points[2] + points[3]) / 2, rel=1e-4)


def test_a_killed_run_has_the_same_points(images, watch, watched, tmp_path, monkeypatch):
    class PowerCut(Exception):
        pass

    for at in (2, 3):
        method, steps = gan(tmp_path, watch), iter(range(100))
        module = method.module(32)
        inner = module.training_step

        def disturbed(*arguments, inner=inner, steps=steps, at=at):
            if next(steps) == at:
                raise PowerCut
            return inner(*arguments)

        module.training_step = disturbed
        method.module = lambda size, module=module: module
        with pytest.raises(PowerCut):
            method.fit(images)
    method = gan(tmp_path, watch)
    method.fit(images)
    assert method.report["resumed"] == 2 and method.report["watch"] == watched.report["watch"]


def test_every_curve_has_parts_that_average_to_its_points(watched):
    for point in watched.report["curve"]:
        assert set(point["parts"]) == {"l1", "adversarial", "discriminator", "train_mse"}
        assert len(point["parts"]["train_mse"]) == 4 and len(point["parts"]["discriminator"]) == 2
        assert np.mean(point["parts"]["l1"]) == pytest.approx(point["l1"], rel=1e-4)


def test_the_id_knows_of_it_only_where_it_is_on():
    plain = resolve(compose([]))
    assert run_id(plain) == run_id({key: value for key, value in plain.items() if key != "watch"})
    assert run_id(resolve(compose(["watch=10"]))) != run_id(plain)
    with pytest.raises(InputError, match="watch"):
        resolve(compose(["watch=-1"]))
