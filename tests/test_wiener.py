"""The linear limit against linear algebra on pixels, its own prediction, and the filter that has not seen clean images."""

import gc
import weakref

import numpy as np
import pytest
import torch

from cryobench.data.images import NoisyImages
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.errors import InputError
from cryobench.evaluation.metrics import mse
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.linear import Filter
from cryobench.methods.posterior.wiener import Wiener
from cryobench.noise.gaussian import Gaussian

SIZE, SIGMA = 16, 0.3


@pytest.fixture(scope="module")
def ensemble():
    """Gaussian images of a known steerable covariance: clean (n, L, L), their mean (L·L,) and covariance in pixels."""
    basis = fourier_bessel(SIZE)
    rng = np.random.default_rng(0)
    n, variances = 6000, rng.uniform(0.02, 1.0, len(basis)) / (1 + basis.orders.numpy())
    real, imaginary = (part.double().numpy() for part in basis.functions.chunk(2))
    mean = np.where(basis.orders == 0, rng.normal(size=len(basis)), 0.0)
    drawn = rng.normal(size=(2, n, len(basis))) * np.sqrt(variances)
    clean = (drawn[0] + mean) @ real + drawn[1] @ imaginary
    covariance = (real.T * variances) @ real + (imaginary.T * variances) @ imaginary
    return clean.reshape(n, SIZE, SIZE), mean @ real, covariance


class White(Gaussian):
    """Noise of one σ, whatever the image."""

    def sigma(self, clean):
        return np.full(len(clean), SIGMA)


def images(clean: np.ndarray) -> NoisyImages:
    return NoisyImages("train", clean.astype(np.float32), None, None, None, 1.0, White(), seed=0)


def test_on_gaussian_images_it_is_the_posterior_mean(ensemble):
    """E[x | y] = μ + Σ(Σ + σ²I)⁻¹(y − μ) on pixels, with the true Σ; ours learns Σ from samples."""
    clean, mean, covariance = ensemble
    train, test = images(clean[:5000]), clean[5000:]
    seen = images(clean).noisy(slice(5000, None))
    gain = np.linalg.solve(covariance + SIGMA**2 * np.eye(SIZE**2), covariance)
    exact = (mean + (seen.reshape(len(seen), -1) - mean) @ gain).reshape(seen.shape)
    method = Wiener(sigma=str(SIGMA))
    method.fit(train)
    ours, limit = mse(test, method.denoise(seen)).mean(), mse(test, exact).mean()
    assert limit * 0.999 < ours < limit * 1.01, (
        "nothing beats the posterior mean, and 5,000 images are nearly enough for it"
    )
    assert mse(exact, method.denoise(seen)).mean() < 0.01 * limit
    predicted = np.trace(covariance - covariance @ gain) / SIZE**2
    assert method.report["predicted_mse"] == pytest.approx(predicted, rel=0.02)
    assert ours == pytest.approx(method.report["predicted_mse"], rel=0.03)


def test_with_the_true_covariance_it_is_exact(ensemble):
    """No estimate in it: the same numbers as linear algebra on pixels."""
    clean, mean, covariance = ensemble
    basis = fourier_bessel(SIZE)
    real, imaginary = (part.double() for part in basis.functions.chunk(2))
    # coefficients of x = Fᵀc are N c, N the Gram matrix, so their covariance is N D N with the coefficients' own D
    pixel = torch.from_numpy(covariance)
    blocks = {m: real[b] @ pixel @ real[b].T + imaginary[b] @ pixel @ imaginary[b].T for m, b in basis.blocks.items()}
    true = Filter(basis, torch.where(basis.orders == 0, real @ torch.from_numpy(mean), 0.0), blocks, SIGMA**2)
    seen = images(clean).noisy(slice(0, 50))
    gain = np.linalg.solve(covariance + SIGMA**2 * np.eye(SIZE**2), covariance)
    exact = (mean + (seen.reshape(50, -1) - mean) @ gain).reshape(seen.shape)
    error = mse(exact, true(seen)).mean()
    assert error < 2e-3 * mse(clean[:50], exact).mean(), "orders that a square grid mixes are all that is left"


@pytest.fixture(scope="module")
def phantoms(cache):
    pairs = open_pairs(Phantom(image_size=32, n_train=600, n_test=60), cache)
    return {split: pairs.images(split, Gaussian(0.1), 0) for split in ("train", "test")}


def test_it_is_not_above_the_filter_that_sees_no_clean_image(phantoms):
    from cryobench.baselines.cwf import CWF

    errors = {}
    for method in (Wiener(), CWF()):
        method.fit(phantoms["train"].only(method.side_information))
        errors[type(method)] = mse(phantoms["test"].clean(), method.denoise(phantoms["test"].noisy())).mean()
    assert errors[Wiener] < errors[CWF]


def test_turning_the_input_turns_the_output(phantoms):
    method = Wiener(sigma="0.5")
    method.fit(phantoms["train"].only(method.side_information))
    seen = phantoms["test"].noisy(slice(0, 4))

    def turned(stack):  # a quarter turn about pixel L//2, the centre of projections
        return np.roll(np.rot90(stack, axes=(1, 2)), 1, axis=1)

    np.testing.assert_allclose(method.denoise(turned(seen)), turned(method.denoise(seen)), atol=2e-5)


def test_other_sizes_and_too_few_images_are_refused(phantoms):
    method = Wiener()
    method.fit(phantoms["train"].only(method.side_information))
    with pytest.raises(InputError, match="32 pixels, as in training, got 16"):
        method.denoise(np.zeros((1, 16, 16), np.float32))
    with pytest.raises(InputError, match=r"n_fit: expected at least 2, got"):
        Wiener(n_fit=1)


def test_a_basis_is_made_once_for_all_that_use_it_and_let_go_after_them():
    basis = fourier_bessel(16)
    assert fourier_bessel(16) is basis is basis.to("cpu") and fourier_bessel(16, band=0.25) is not basis
    elsewhere = fourier_bessel(16, device="meta")  # as on a GPU
    assert elsewhere.functions.is_meta and fourier_bessel(16, device="meta") is elsewhere is not basis
    left = weakref.ref(basis)
    del basis
    gc.collect()
    assert left() is None
