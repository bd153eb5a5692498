"""A training that was ended anywhere goes on to the same weights, curve and optimizer as one that was left alone."""

import os
import signal
from functools import cache

import numpy as np
import pytest
import torch

from cryobench.data.images import NoisyImages
from cryobench.errors import Stopped
from cryobench.methods.base import Setting
from cryobench.methods.learned.autoencoder import Autoencoder
from cryobench.methods.learned.gan import AlphaBetaGan, WassersteinGan
from cryobench.methods.learned.lightning import save_whole
from cryobench.methods.learned.noise2noise import Noise2Noise
from cryobench.methods.learned.unet import UNet
from cryobench.noise.gaussian import Gaussian

pytestmark = pytest.mark.trains

EPOCHS, STEPS = 3, 4  # 48 images, 8 of them to choose the epoch, batches of ten


@pytest.fixture(scope="module")
def images():
    """Soft discs of random place and size, 32 px."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    cx, cy = rng.uniform(-0.4, 0.4, (2, 48, 1, 1))
    clean = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.05, 0.3, (48, 1, 1))).astype(np.float32)
    return NoisyImages("train", clean, None, None, None, 1.0, Gaussian(0.1), seed=0)


class PowerCut(Exception):
    pass


def train(cls, images, folder, minutes=0.0, at=None, what=PowerCut, hook="training_step", **settings):
    """Train; at call `at` of the module's `hook`, counted from 0 in this process, `what` happens."""
    method = cls(width=4, epochs=EPOCHS, batch_size=10, **settings)
    method.setting = Setting(workdir=folder, checkpoint_minutes=minutes)
    make, calls = method.module, iter(range(10**6))

    def module(size):
        made = make(size)
        inner = getattr(made, hook)

        def disturbed(*arguments):
            if next(calls) == at:
                what_happens(what)
            return inner(*arguments)

        setattr(made, hook, disturbed)
        return made

    method.module = module
    method.fit(images)
    return method


def what_happens(what):
    if what == signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        raise what


def state(folder) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


LEARNED = {
    "autoencoder": (Autoencoder, {}),
    "gan": (AlphaBetaGan, {}),
    "wgan_gp": (WassersteinGan, {"checkpoint": "last"}),  # its penalty draws random numbers
    "noise2noise": (Noise2Noise, {"draws": 3}),  # which two draws, by epoch
    "unet": (UNet, {"guide": "none", "draws": 2}),  # noise by epoch, a schedule
}


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory):
    """`undisturbed(name)` → class, settings, the trained method and its last checkpoint; trained once each."""

    @cache
    def trained(name):
        cls, settings = LEARNED[name]
        folder = tmp_path_factory.mktemp(name)
        return cls, settings, train(cls, images, folder, minutes=60, **settings), state(folder)

    return trained


ENDS = {
    "first step": [(0, PowerCut, "training_step")],
    "within an epoch, after an odd step": [(1, PowerCut, "training_step")],
    "last step of an epoch": [(STEPS - 1, PowerCut, "training_step")],
    "validation": [(0, PowerCut, "validation_step")],
    "first step of an epoch": [(STEPS, PowerCut, "training_step")],
    "thrice": [(2, PowerCut, "training_step"), (3, PowerCut, "training_step"), (4, PowerCut, "training_step")],
    "SIGTERM": [(STEPS + 1, signal.SIGTERM, "training_step"), (0, signal.SIGTERM, "validation_step")],
}


CASES = [("gan", ends) for ends in ENDS] + [("autoencoder", "thrice"), ("wgan_gp", "thrice"), ("wgan_gp", "validation")]
CASES += [("noise2noise", "thrice")]
CASES += [("unet", ends) for ends in ("thrice", "validation", "first step of an epoch")]


@pytest.mark.parametrize(("name", "ends"), CASES)
def test_a_disturbed_training_ends_as_an_undisturbed_one(images, tmp_path, undisturbed, name, ends):
    cls, settings, expected, last = undisturbed(name)
    for at, what, hook in ENDS[ends]:
        with pytest.raises(Stopped if what == signal.SIGTERM else PowerCut):
            train(cls, images, tmp_path, at=at, what=what, hook=hook, **settings)
    resumed = train(cls, images, tmp_path, **settings)
    assert resumed.report["curve"] == expected.report["curve"]
    assert resumed.report["chosen_epoch"] == expected.report["chosen_epoch"]
    assert same(resumed.weights(), expected.weights())
    assert same(state(tmp_path)["optimizer_states"], last["optimizer_states"])
    assert same(state(tmp_path)["state_dict"], last["state_dict"])
    assert resumed.report["resumed"] == len(ENDS[ends]) - (ends == "first step")
    left = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert left == {"last.ckpt", f"epoch_{expected.report['chosen_epoch']}.ckpt"}


@pytest.mark.parametrize(("step", "epochs", "batches"), [(1, 0, 2), (STEPS - 1, 1, 1), (EPOCHS * STEPS - 1, EPOCHS, 0)])
def test_who_is_told_to_end_loses_no_step(images, tmp_path, step, epochs, batches):
    """SIGTERM within an epoch, in its last step (the checkpoint then is that of the step after), and in the very last."""
    with pytest.raises(Stopped):
        train(Autoencoder, images, tmp_path, minutes=60, at=step, what=signal.SIGTERM)
    left = state(tmp_path)
    assert (len(left["curve"]), left["cryobench"]["batches_done"]) == (epochs, batches)


def test_work_is_not_done_twice(images, tmp_path):
    """With a checkpoint after each step, each step is done once, however often the training is ended."""
    steps = 0
    for _ in range(100):
        try:
            train(Autoencoder, images, tmp_path, at=2, hook="training_step")
        except PowerCut:
            steps += 2
            continue
        break
    assert steps in (EPOCHS * STEPS - 2, EPOCHS * STEPS)  # the last process had the last one or two


def test_a_checkpoint_that_cant_be_read_begins_again(images, tmp_path):
    expected = train(Autoencoder, images, tmp_path / "a").weights()
    (tmp_path / "b" / "checkpoints").mkdir(parents=True)
    (tmp_path / "b" / "checkpoints" / "last.ckpt").write_bytes(b"PK\3\4 and then the lights went out")
    with pytest.warns(UserWarning, match="last.ckpt: expected a checkpoint.*begins again"):
        assert same(train(Autoencoder, images, tmp_path / "b").weights(), expected)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    save_whole({"a": 1}, tmp_path / "x.ckpt")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        save_whole({"a": 2}, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True) == {"a": 1}
