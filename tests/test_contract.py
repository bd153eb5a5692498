"""Every method yaml keeps the Denoiser contract; whatever is added to conf/method is tested on arrival."""

from pathlib import Path

import numpy as np
import pytest

from cryobench.config.compose import build, compose, resolve
from cryobench.data.pairs import open_pairs
from cryobench.errors import BadImages, InputError
from cryobench.evaluation.metrics import mse
from cryobench.methods.base import KNOWLEDGE, Denoiser, Setting

pytestmark = pytest.mark.trains

METHODS = sorted(p.stem for p in (Path(__file__).parents[1] / "conf" / "method").glob("*.yaml"))
SMALL = ["data.n_train=72", "data.n_test=6", "scale.width=8", "scale.epochs=4", "protocol.batch_size=8"]


@pytest.fixture(scope="module", params=METHODS)
def fitted(request, cache, tmp_path_factory):
    """(method, its hints as a function of an index, test images) for each method yaml, fitted once."""
    config = resolve(compose([f"method={request.param}", *SMALL]))
    pairs = open_pairs(build(config, "data"), cache)
    train, test = (pairs.images(split, build(config, "noise"), seed=0) for split in ("train", "test"))
    method = build(config, "method")
    method.setting = Setting(workdir=tmp_path_factory.mktemp(request.param))
    try:
        method.fit(train.only(method.knows))
    except InputError as error:
        if "pip install" in str(error):
            pytest.skip(str(error))
        raise

    def denoise(index) -> np.ndarray:
        hints = {"sigma": test.sigma(index), "truth": test.clean(index)}
        told = {name: values for name, values in hints.items() if name in method.knows}
        return method.denoise(test.noisy(index), **told)

    return method, denoise, test


def test_shape_type_and_finite_pixels(fitted):
    method, denoise, _ = fitted
    out = denoise(np.arange(6))
    assert isinstance(method, Denoiser) and out.shape == (6, 32, 32) and out.dtype == np.float32
    assert np.isfinite(out).all()


def test_what_it_knows_is_declared_in_known_words(fitted):
    method, _, _ = fitted
    assert set(method.knows) <= set(KNOWLEDGE)


def test_an_image_is_denoised_alike_in_any_batch_and_order(fitted):
    _, denoise, _ = fitted
    together = denoise(np.arange(6))
    shuffled = np.array([4, 0, 5])
    assert np.allclose(denoise(shuffled), together[shuffled], atol=2e-5)
    assert np.allclose(denoise(np.array([2])), together[[2]], atol=2e-5)


def test_better_than_noisy_and_no_better_than_the_oracle(fitted):
    method, denoise, test = fitted
    error, noise = mse(test.clean(), denoise(np.arange(6))).mean(), mse(test.clean(), test.noisy()).mean()
    if type(method).__name__ == "Noisy":
        assert error == noise
    else:
        assert 0 <= error < noise


def test_a_bad_pixel_is_refused_and_the_image_named(fitted):
    method, _, test = fitted
    noisy = test.noisy(np.arange(3))
    noisy[1, 4, 4] = np.nan
    hints = {"sigma": test.sigma(np.arange(3)), "truth": test.clean(np.arange(3))}
    if not method.knows & {"truth"} and type(method).__name__ != "Noisy":
        with pytest.raises(BadImages) as error:
            method.denoise(noisy, **{k: v for k, v in hints.items() if k in method.knows})
        assert error.value.indices == [1]


def test_its_input_is_left_as_it_was(fitted):
    method, _, test = fitted
    noisy = test.noisy(np.arange(2))
    before = noisy.copy()
    hints = {"sigma": test.sigma(np.arange(2)), "truth": test.clean(np.arange(2))}
    method.denoise(noisy, **{k: v for k, v in hints.items() if k in method.knows})
    assert np.array_equal(noisy, before)
