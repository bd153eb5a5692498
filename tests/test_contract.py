"""Every method yaml keeps the Denoiser contract (whatever is added to conf/method is checked on arrival), and the check sees
each promise that a denoiser breaks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cryobench.config.compose import build, compose, resolve
from cryobench.data.pairs import open_pairs
from cryobench.errors import InputError, MissingPackage, Undeclared
from cryobench.methods.base import Denoiser, NotFitted, Setting, check_images
from cryobench.methods.check import BrokenContract, check_denoiser, phantoms

YAMLS = sorted((Path(__file__).parents[1] / "conf" / "method").glob("[!_]*.yaml"))
METHODS = [path.stem for path in YAMLS]
WHITENING = [path.stem for path in YAMLS if "\nwhiten:" in path.read_text()]
SMALL = ["data.n_train=72", "data.n_test=6", "scale.width=8", "scale.epochs=4", "protocol.batch_size=8"]
SMALLER = {"abinitio": ["method.starts=1"], "pggan": ["method.phase_images=80"]}  # where epochs say nothing


@pytest.mark.trains
@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract(name, cache, tmp_path):
    config = resolve(compose([f"method={name}", *SMALL, *SMALLER.get(name, [])]))
    pairs = open_pairs(build(config, "data"), cache)
    train, test = (pairs.images(split, build(config, "noise"), seed=0) for split in ("train", "test"))
    method = build(config, "method")
    method.setting = Setting(workdir=tmp_path)
    try:
        check_denoiser(method, train, test)
    except InputError as error:
        if isinstance(error, MissingPackage) or "pip install" in str(error):
            pytest.skip(str(error))
        raise


@dataclass
class Plain(Denoiser):
    """Halves every pixel's distance from the image's mean: keeps all promises."""

    def denoise(self, noisy, **hints):
        check_images(noisy)
        return (noisy + noisy.mean(axis=(1, 2), keepdims=True)) / 2


class Unknown(Plain):
    side_information = frozenset({"everything"})


class Peeks(Plain):
    def fit(self, train):
        train.clean()


class DrawsAgain(Plain):
    def fit(self, train):
        train.noisy(draw=1)


class Doubles(Plain):
    def denoise(self, noisy, **hints):
        return super().denoise(noisy).astype(np.float64)


class Infinite(Plain):
    def denoise(self, noisy, **hints):
        out = super().denoise(noisy)
        out[-1, 0, 0] = np.inf
        return out


class LooksAside(Plain):
    def denoise(self, noisy, **hints):
        return super().denoise(noisy) + noisy.mean() / 10


class Overwrites(Plain):
    def denoise(self, noisy, **hints):
        out = super().denoise(noisy)
        noisy[:] = 0
        return out


class Worse(Plain):
    def denoise(self, noisy, **hints):
        check_images(noisy)
        return 2 * noisy


class TakesAnything(Plain):
    def denoise(self, noisy, **hints):
        return super().denoise(np.nan_to_num(noisy))


class RefusesAll(Plain):
    def denoise(self, noisy, **hints):
        if np.isnan(noisy).any():
            raise ValueError("NaN")
        return super().denoise(noisy)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return phantoms(tmp_path_factory.mktemp("phantoms"))


def test_a_denoiser_of_ones_own_is_checked_without_any_data_and_its_setting_is_left_alone():
    method = Plain()
    before = method.setting
    check_denoiser(method)
    assert method.setting is before


@pytest.mark.parametrize(("cls", "words"), [
    (Unknown, "`side_information` has everything"), (Doubles, "got float64"), (Infinite, "not finite"),
    (LooksAside, "depends on its batch"), (Overwrites, "changes its input"), (Worse, "above the noisy"),
    (TakesAnything, "got an answer"), (RefusesAll, "ValueError"),
])  # fmt: skip
def test_each_broken_promise_is_named(cls, words, images):
    with pytest.raises(BrokenContract, match=words) as caught:
        check_denoiser(cls(), *images)
    assert str(caught.value).startswith(f"{cls.__name__}: expected") and "\n" not in str(caught.value)


def test_all_that_is_broken_is_named_at_once(images):
    both = type(
        "Both", (LooksAside,), {"denoise": lambda self, noisy: np.nan_to_num(20 * noisy) + np.nan_to_num(noisy).mean()}
    )
    with pytest.raises(BrokenContract) as caught:
        check_denoiser(both(), *images)
    assert len(caught.value.broken) == 3


@pytest.mark.parametrize(("cls", "what"), [(Peeks, "clean"), (DrawsAgain, "draws")])
def test_side_information_that_is_not_declared_is_refused_by_name(cls, what, images):
    with pytest.raises(
        Undeclared, match=f"{cls.__name__}: expected '{what}' to be declared .* add it to `side_information`"
    ):
        check_denoiser(cls(), *images)
    declared = type("Declared", (cls,), {"side_information": frozenset({what})})
    check_denoiser(declared(), *images)


def test_an_undeclared_look_ends_a_run_in_one_line(cli, tmp_path, monkeypatch):
    (tmp_path / "conf/method").mkdir(parents=True)
    (tmp_path / "conf/method/peek.yaml").write_text("name: peek\n_target_: peek.Peek\n")
    (tmp_path / "peek.py").write_text(
        "from cryobench.methods.base import Denoiser\n\n\nclass Peek(Denoiser):\n"
        "    def fit(self, train):\n        train.noisy(draw=3)\n\n    def denoise(self, noisy):\n        return noisy\n"
    )
    status, _, err = cli("--config-dir", "conf", "method=peek", "data.n_train=36", "data.n_test=6")
    assert status == 2 and "method peek: expected 'draws' to be declared" in err and "Traceback" not in err


def test_recorded_images_have_no_second_draw():
    from cryobench.data.images import NoisyImages
    from cryobench.noise.recorded import Recorded

    one = np.zeros((2, 8, 8), np.float32)
    images = NoisyImages("train", one, None, None, None, 1.0, Recorded(), 0, recorded=one)
    with pytest.raises(InputError, match="got recorded ones"):
        images.noisy(slice(None), draw=1)


@pytest.mark.parametrize("words", [*METHODS, *(f"{name} method.whiten=border" for name in WHITENING)])
def test_a_denoiser_that_was_not_fitted_says_so(words):
    """Or it denoises without a fit, as a method does that learns nothing."""
    method = build(resolve(compose(f"method={words}".split())), "method")
    noisy = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
    told = {"sigma": np.ones(2), "truth": noisy}
    hints = {key: told[key] for key in method.side_information & told.keys()}
    try:
        method.require()
    except MissingPackage as error:
        pytest.skip(str(error))
    if not method.learns:
        assert method.denoise(noisy, **hints).shape == noisy.shape
        return
    with pytest.raises(NotFitted, match=f"{type(method).__name__}: expected to be fitted before it denoises; call fit"):
        method.denoise(noisy, **hints)
