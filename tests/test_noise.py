"""Noise: the SNR that was asked for, and the same noise for an image whatever is asked beside it."""

import numpy as np
import pytest

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError, Undeclared
from cryobench.noise.background import border_sigma
from cryobench.noise.gaussian import Gaussian


@pytest.fixture(scope="module")
def clean():
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    widths = np.linspace(0.15, 0.4, 40)[:, None, None]
    return np.exp(-(x**2 + y**2) / widths**2).astype(np.float32)


@pytest.mark.parametrize("snr", [0.05, 0.1, 1.0])
def test_realised_snr_is_the_one_asked_for(clean, snr):
    noisy = Gaussian(snr).add(clean, np.arange(40), seed=0, split="train")
    realised = clean.var(axis=(1, 2)) / (noisy - clean).var(axis=(1, 2))
    # A variance from 4096 draws is off by about 2.2 %.
    assert np.allclose(realised, snr, rtol=0.12)
    assert realised.mean() == pytest.approx(snr, rel=0.02)


def test_noise_of_an_image_depends_on_seed_split_and_index_alone(clean):
    noise = Gaussian(0.1)
    whole = noise.add(clean, np.arange(40), seed=3, split="test")
    shuffled = np.array([7, 31, 0])
    assert np.array_equal(noise.add(clean[shuffled], shuffled, seed=3, split="test"), whole[shuffled])
    for other in ({"seed": 4, "split": "test"}, {"seed": 3, "split": "train"}):
        assert not np.allclose(noise.add(clean[:1], [0], **other), whole[:1])
    assert not np.allclose(whole[0] - clean[0], (whole[1] - clean[1]))


def test_noise_drawn_anew_is_independent_and_of_the_same_strength(clean):
    images = NoisyImages("train", clean, None, None, None, 1.0, Gaussian(0.1), seed=0)
    noise = np.stack([images.noisy(slice(0, 8), draw) - clean[:8] for draw in (0, 1, 2)])
    assert np.array_equal(images.noisy(slice(0, 8), draw=0), images.noisy(slice(0, 8)))
    assert np.array_equal(images.noisy([5], draw=2)[0], images.noisy(slice(0, 8), draw=2)[5])
    assert np.abs(np.corrcoef(noise.reshape(24, -1))[np.triu_indices(24, 1)]).max() < 0.08  # 1/64 is one sigma
    assert np.allclose(noise.std(axis=(2, 3)), Gaussian(0.1).sigma(clean[:8]), rtol=0.06)


def test_noise_is_white_and_normal(clean):
    from scipy import stats

    noisy = Gaussian(0.1).add(clean[:1].repeat(20, 0), np.arange(20), seed=0, split="train")
    residual = (noisy - clean[:1]) / Gaussian(0.1).sigma(clean[:1])[0]
    assert stats.kstest(residual.ravel()[::7], "norm").pvalue > 1e-3
    spectrum = (np.abs(np.fft.fft2(residual)) ** 2).mean(0) / residual[0].size
    assert spectrum[1:16, 1:16].mean() == pytest.approx(spectrum[17:32, 17:32].mean(), rel=0.1)


def test_clip_cuts_to_the_unit_interval_and_nothing_else(clean):
    free = Gaussian(0.1).add(clean, np.arange(40), seed=0, split="train")
    cut = Gaussian(0.1, clip=True).add(clean, np.arange(40), seed=0, split="train")
    assert np.array_equal(cut, np.clip(free, 0, 1))


def test_sigma_from_the_border_is_right_without_clipping_and_wrong_with_it(clean):
    narrow, noise = clean[:10], Gaussian(0.1)
    sigma = noise.sigma(narrow)
    assert np.allclose(border_sigma(noise.add(narrow, np.arange(10), seed=0, split="train")), sigma, rtol=0.1)
    clipped = Gaussian(0.1, clip=True).add(narrow, np.arange(10), seed=0, split="train")
    assert (border_sigma(clipped) < 0.8 * sigma).all()


@pytest.mark.parametrize("snr", [0, -0.1, float("nan"), float("inf")])
def test_an_snr_that_is_no_snr_is_refused(snr):
    with pytest.raises(InputError, match=r"noise\.snr: expected a number above 0"):
        Gaussian(snr)


def test_a_view_shows_no_more_than_was_declared(clean):
    labels = np.zeros(40, int)
    images = NoisyImages("train", clean, labels, None, None, 1.0, Gaussian(0.1), seed=0).only({"clean"})
    assert images.clean([1]).shape == (1, 64, 64)
    for hidden in ("labels", "volumes", "rotations"):
        with pytest.raises(Undeclared, match=hidden):
            getattr(images, hidden)
    with pytest.raises(Undeclared, match="sigma"):
        images.subset(slice(0, 3)).sigma()
