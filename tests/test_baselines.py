"""The classical baselines against the packages that they stand on, and against what they must refuse."""

import subprocess
import sys
from dataclasses import dataclass
from unittest.mock import MagicMock

import numpy as np
import pytest
from cryobench.baselines.aspire import import_aspire
from cryobench.baselines.bm3d import BM3D
from cryobench.baselines.controls import MeanImage, Noisy, Oracle
from cryobench.baselines.cwf import CWF
from cryobench.baselines.ksvd import KSVD
from cryobench.baselines.nlm import NLM
from cryobench.baselines.topaz import Topaz

from cryobench.data.images import NoisyImages
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.errors import BadImages, InputError
from cryobench.methods.base import Setting
from cryobench.noise.gaussian import Gaussian

pytestmark = pytest.mark.trains

CLASSICAL = {
    "bm3d": BM3D,
    "nlm": NLM,
    "ksvd": lambda **kw: KSVD(**{"atoms": 64, "n_patches": 1500, "iterations": 2, **kw}),
    "cwf": lambda **kw: CWF(**{"n_fit": 100, **kw}),
}


@pytest.fixture(scope="module")
def images(cache):
    """1,000 training and 8 test images of the phantom at 32 px, SNR 0.1."""
    pairs = open_pairs(Phantom(image_size=32, n_train=1000, n_test=8), cache)
    return {split: pairs.images(split, Gaussian(snr=0.1), seed=0) for split in ("train", "test")}


def fitted(name, images, **settings):
    method = CLASSICAL[name](**settings)
    method.fit(images["train"].subset(slice(200)).only(method.side_information))
    return method


def mse(method, images, **hints):
    return float(np.mean((method.denoise(images["test"].noisy(), **hints) - images["test"].clean()) ** 2))


def test_the_controls_are_the_noisy_and_the_clean_image(images):
    test = images["test"]
    np.testing.assert_array_equal(Noisy().denoise(test.noisy()), test.noisy())
    np.testing.assert_array_equal(Oracle().denoise(test.noisy(), truth=test.clean()), test.clean())
    assert Oracle().side_information == {"truth"} and not Noisy().side_information


def test_bm3d_is_its_authors_package(images):
    from bm3d import bm3d

    test = images["test"].subset(slice(2))
    direct = [bm3d(image, sigma) for image, sigma in zip(test.noisy(), test.sigma(), strict=True)]
    np.testing.assert_allclose(BM3D(sigma="known").denoise(test.noisy(), sigma=test.sigma()), direct, atol=1e-5)


def test_bm3d_gains_six_decibels_on_a_photograph():
    import skimage.data
    from skimage.metrics import peak_signal_noise_ratio

    photograph = skimage.data.camera()[64:192, 160:288] / 255
    noisy = photograph + np.random.default_rng(0).normal(0, 20 / 255, photograph.shape)
    denoised = BM3D(sigma=20 / 255).denoise(noisy[None].astype(np.float32))[0]
    before, after = (peak_signal_noise_ratio(photograph, image, data_range=1) for image in (noisy, denoised))
    assert after - before >= 6


def test_bm3d_knows_no_range_of_values(images):
    noisy = images["test"].noisy(slice(2))
    np.testing.assert_allclose(BM3D(sigma=4.0).denoise(8 * noisy), 8 * BM3D(sigma=0.5).denoise(noisy), atol=1e-5)


def test_nlm_is_scikit_image(images):
    from skimage.restoration import denoise_nl_means

    test = images["test"].subset(slice(3))
    direct = [
        denoise_nl_means(image, 5, 6, h=0.7 * sigma, sigma=sigma)
        for image, sigma in zip(test.noisy(), test.sigma(), strict=True)
    ]
    method = NLM(sigma="known", patch=5, distance=6, h=0.7)
    np.testing.assert_allclose(method.denoise(test.noisy(), sigma=test.sigma()), direct, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"gain": 0.3}, {"coding": "sparsity"}, {"coding": "sparsity", "sparsity": 9}])
def test_ksvd_codes_as_well_as_scikit_learn(images, settings):
    from sklearn.linear_model import orthogonal_mp_gram

    method = fitted("ksvd", images, **settings)
    atoms = method.dictionary
    rng = np.random.default_rng(0)
    patches = rng.standard_normal((200, len(atoms))) @ atoms / 2 + rng.standard_normal((200, 64))
    patches -= patches.mean(axis=1, keepdims=True)
    energy = (patches**2).sum(axis=1)
    needy = energy > (method.target if method.coding == "error" else 0)
    assert 0 < needy.sum()
    ours = method.encode(patches, atoms)
    assert not ours[~needy].any()
    if method.coding == "error":
        needy &= (ours != 0).sum(axis=1) < 32  # theirs knows no limit besides the error
        stop = {"tol": method.target, "norms_squared": energy[needy]}
    else:
        stop = {"n_nonzero_coefs": method.sparsity}
    theirs = orthogonal_mp_gram(atoms @ atoms.T, atoms @ patches[needy].T, **stop).T
    error, their_error = (((patches[needy] - c @ atoms) ** 2).sum(axis=1) for c in (ours[needy], theirs))
    np.testing.assert_allclose(error, their_error, atol=1e-6)


def test_ksvd_learns_from_its_seed_alone(images):
    first, again = fitted("ksvd", images), fitted("ksvd", images)
    np.testing.assert_array_equal(first.dictionary, again.dictionary)
    np.testing.assert_allclose(np.linalg.norm(first.dictionary, axis=1), 1)
    rmse = fitted("ksvd", images, coding="sparsity").report["dictionary"]["rmse"]
    assert rmse[-1] < rmse[0]


def test_ksvd_works_with_fewer_atoms_than_a_patch_may_have(images):
    method = fitted("ksvd", images, atoms=5, gain=0.5)
    assert mse(method, images) < mse(Noisy(), images)


def test_a_fixed_sparsity_needs_no_sigma(images):
    method = fitted("ksvd", images, coding="sparsity", sigma="known")
    assert not method.side_information
    assert mse(method, images) < mse(Noisy(), images)
    assert method.report["sigma"]["source"] == "not used"


def test_cwf_is_aspire(images):
    train = images["train"].subset(slice(150))
    method = CWF(sigma="known")
    method.fit(train.only({"sigma"}))

    import_aspire()
    from aspire.basis import FFBBasis2D
    from aspire.denoising import DenoiserCov2D
    from aspire.source import ArrayImageSource

    source = ArrayImageSource(train.noisy().astype(np.float64), pixel_size=train.pixel_size)
    basis = FFBBasis2D((32, 32), dtype=np.float64)
    aspire = DenoiserCov2D(source, basis, var_noise=np.mean(train.sigma() ** 2))
    direct = aspire.denoise[:20].asnumpy()
    np.testing.assert_allclose(method.denoise(train.noisy(slice(20)), sigma=train.sigma(slice(20))), direct, atol=1e-6)


def test_cwf_gains_from_a_larger_stack(images):
    errors = []
    for n in (100, 1000):
        method = CWF(n_fit=n)
        method.fit(images["train"].only(frozenset()))
        errors.append(mse(method, images))
    assert errors[1] < 0.95 * errors[0]


def test_aspire_is_imported_without_its_side_effects(tmp_path):
    script = """
import logging, os, sys, warnings
import numpy as np
mine, hook, state = logging.getLogger("mine"), sys.excepthook, np.random.get_state()[1].copy()
from cryobench.baselines.aspire import import_aspire
import_aspire()
import aspire.denoising
assert not mine.disabled and not logging.getLogger().handlers and sys.excepthook is hook
assert (np.random.get_state()[1] == state).all()
assert not os.listdir("."), os.listdir(".")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_methods_stand_in_their_order(images):
    one_atom = fitted("ksvd", images, coding="sparsity")
    errors = [mse(fitted(name, images), images) for name in ("cwf", "bm3d", "nlm")] + [mse(one_atom, images)]
    assert errors == sorted(errors) and errors[-1] < mse(Noisy(), images)


@pytest.mark.parametrize("name", CLASSICAL)
def test_an_image_is_denoised_alike_in_any_company(images, name, workers_end):
    noisy = images["test"].noisy(slice(4))
    method = fitted(name, images)
    together = method.denoise(noisy)
    assert together.dtype == np.float32 and together.shape == noisy.shape
    method.setting = Setting(workers=2)
    np.testing.assert_allclose(method.denoise(noisy[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(method.denoise(noisy[2:3])[0], together[2], atol=1e-6)


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_noise_level_used_is_told(images, name):
    test = images["test"].subset(slice(2))
    true = (images["train"].subset(slice(100)) if name == "cwf" else test).sigma().mean()
    for setting, hints, mean in (
        ("border", {}, pytest.approx(true, rel=0.1)),
        ("known", {"sigma": test.sigma()}, pytest.approx(true)),
        ("0.4", {}, pytest.approx(0.4)),
    ):
        method = fitted(name, images, sigma=setting)
        assert method.side_information == set(hints)
        method.denoise(test.noisy(), **hints)
        assert method.report["sigma"] == {"source": setting if setting != "0.4" else "given", "mean": mean}


@pytest.mark.parametrize("name", CLASSICAL)
def test_bad_images_are_named(images, name):
    method = fitted(name, images)
    noisy = images["test"].noisy(slice(4))
    for bad, reason in ((np.nan, "finite"), (np.inf, "finite"), (0.5, "one value")):
        damaged = noisy.copy()
        damaged[[1, 3]] = bad
        with pytest.raises(BadImages, match=reason) as caught:
            method.denoise(damaged)
        assert caught.value.indices == [1, 3]


@pytest.mark.parametrize("name, smallest", [("bm3d", 9), ("nlm", 9), ("cwf", 8)])
def test_images_too_small_are_refused(images, name, smallest):
    method = fitted(name, images)
    with pytest.raises(InputError, match=f"{smallest} × {smallest} pixels or more .* got {smallest - 1} × "):
        method.denoise(np.random.default_rng(0).standard_normal((2, smallest - 1, smallest - 1)).astype(np.float32))


@pytest.mark.parametrize(
    "make, complaint",
    [
        (lambda: BM3D(sigma="0"), "method.sigma: expected border, known or a finite number above 0"),
        (lambda: CWF(sigma="inf"), "method.sigma: expected border, known or a finite number above 0, got inf"),
        (lambda: NLM(sigma="-0.1"), "method.sigma"),
        (lambda: NLM(h=0), "method.h: expected a number above 0"),
        (lambda: KSVD(coding="greedy"), "method.coding: expected one of error, sparsity, got greedy"),
        (lambda: KSVD(patch=1), "method.patch"),
        (lambda: CWF(n_fit=1), "method.n_fit: expected at least 2, got 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, complaint):
    with pytest.raises(InputError, match=complaint):
        make()


@dataclass(frozen=True)
class Broken(Gaussian):
    """Noise under which some images, by index, are of one value, as a detector that failed leaves them."""

    values: tuple[tuple[int, float], ...] = ()

    def add(self, clean, indices, **where):
        noisy = super().add(clean, indices, **where)
        for index, value in self.values:
            noisy[np.asarray(indices) == index] = value
        return noisy


def with_values(train: NoisyImages, values: dict[int, float]) -> NoisyImages:
    view = train.subset(slice(None))
    view.noise = Broken(snr=0.1, values=tuple(values.items()))
    return view


@pytest.mark.parametrize("name", ["ksvd", "cwf"])
def test_bad_training_images_are_left_out_and_named(images, name):
    train = images["train"].subset(slice(60))
    method, without = CLASSICAL[name](), CLASSICAL[name]()
    method.fit(with_values(train, {7: np.nan, 30: 0.5}))
    without.fit(train.subset([i for i in range(60) if i not in (7, 30)]))
    assert list(method.report["bad_training_images"]) == ["7", "30"] and "bad_training_images" not in without.report
    noisy = images["test"].noisy(slice(2))
    np.testing.assert_array_equal(method.denoise(noisy), without.denoise(noisy))


def test_training_stacks_that_teach_nothing_are_refused(images):
    train = images["train"]
    with pytest.raises(InputError, match="2 training images or more"):
        CWF().fit(train.subset(slice(1)))
    with pytest.raises(InputError, match="at least 5000 training patches"):
        KSVD(atoms=5000, n_patches=100).fit(train.subset(slice(5)))
    with pytest.raises(InputError, match="40 × 40 pixels or more"):
        KSVD(patch=40).fit(train)
    with pytest.raises(InputError, match=r"2 training images or more .* got 1 \(1 left out; image 1: expected finite"):
        CWF().fit(with_values(train.subset(slice(2)), {1: np.nan}))
    with pytest.raises(InputError, match=r"got none \(2 left out; image 0: .*one value"):
        KSVD().fit(with_values(train.subset(slice(2)), {0: 0.5, 1: 0.5}))
    method = CWF()
    method.fit(train.subset(slice(20)))
    with pytest.raises(InputError, match="expected images of 32 pixels, as in training, got 40"):
        method.denoise(np.random.default_rng(0).standard_normal((2, 40, 40)).astype(np.float32))


def test_a_noise_level_of_zero_is_named(images):
    with pytest.raises(BadImages, match="noise level above 0") as caught:
        BM3D(sigma="known").denoise(images["test"].noisy(slice(2)), sigma=np.array([0.5, 0.0]))
    assert caught.value.indices == [1]


def test_without_topaz_the_command_that_installs_it_is_told(monkeypatch):
    for name in ["topaz", *(name for name in sys.modules if name.startswith("topaz."))]:  # loaded by another test
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install --no-deps topaz-em"):
        Topaz().fit(None)


def test_topaz_is_topaz(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", MagicMock())  # for stacks in files, which are not asked for
    topaz = pytest.importorskip(
        "topaz.denoise", reason="topaz-em is not installed (pip install --no-deps topaz-em)", exc_type=ImportError
    )
    import torch

    method = Topaz()
    method.fit(None)
    noisy = images["test"].noisy(slice(2))
    direct = topaz.Denoise(torch.nn.Sequential(method.network)).denoise(noisy[1])
    np.testing.assert_allclose(method.denoise(noisy)[1], direct, atol=1e-5)
    assert mse(method, images) < 0.2 * mse(Noisy(), images)


def test_the_mean_image_is_numpys_and_no_constant_image_is_better(images):
    """Of all images given to every particle alike, the mean has the lowest squared error; on the training images exactly."""
    method = MeanImage()
    method.fit(images["train"].only(method.side_information))
    clean, one = images["train"].clean(), method.denoise(images["test"].noisy())[0]
    np.testing.assert_allclose(one, clean.mean(axis=0), atol=1e-6)
    assert np.mean((clean - one) ** 2, dtype=np.float64) == pytest.approx(
        clean.var(axis=0, dtype=np.float64).mean(), rel=1e-4
    )
