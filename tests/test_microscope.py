"""Test particles off the centre or through a CTF: the noise stays what it is, training pairs too."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, gaussian_filter

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.errors import InputError
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope


@pytest.fixture(scope="module")
def clean():
    """Eight round blobs at the centre of 64 px."""
    images = np.zeros((8, 64, 64), np.float32)
    images[:, 32, 32] = 1
    return np.stack([gaussian_filter(image, 4) for image in images]) * 100


def test_a_test_particle_lies_as_far_off_as_was_drawn_and_its_truth_with_it(clean):
    noise, index = Microscope(0.1, shift=4.0), np.arange(8)
    truth = noise.reference(clean, index, seed=0, split="test")
    offsets = np.array([center_of_mass(image) for image in truth]) - 32
    np.testing.assert_allclose(offsets, noise.draws(index, 0, "test")[:, :2], atol=0.02)
    assert np.hypot(*offsets.T).max() <= 4.01 and np.ptp(offsets, axis=0).min() > 1
    plain = Gaussian(0.1).add(clean, index, seed=0, split="test") - clean
    np.testing.assert_allclose(noise.add(clean, index, seed=0, split="test") - truth, plain, atol=1e-5)


def test_shifts_are_uniform_on_the_disc():
    draws = Microscope(shift=2.0).draws(np.arange(2000), 0, "test")
    radius = np.hypot(draws[:, 0], draws[:, 1])
    assert radius.max() <= 2 and np.mean(radius < 1) == pytest.approx(0.25, abs=0.03)
    assert 1.0 <= draws[:, 2].min() < 1.1 and 2.9 < draws[:, 2].max() <= 3.0


def test_a_ctf_filters_a_wave_by_its_textbook_value():
    """cos of one frequency, at the defocus drawn: −sin(−πλΔf s² + π/2 C_s λ³ s⁴ − arctan(A/√(1−A²))), 300 kV: 0.0197 Å."""
    wavelength, size, box, k = 0.019687, 64, 204.8, 9
    wave = np.cos(2 * np.pi * k * np.arange(size) / size)[None, None] * np.ones((1, size, 1))
    noise = Microscope(1e9, ctf=True, defocus=[2.0, 2.0], box=box)
    seen = noise.add(wave.astype(np.float32), np.array([0]), seed=0, split="test")
    s, aberration = k / box, 2.7e7
    phase = -np.pi * wavelength * 2e4 * s**2 + np.pi / 2 * aberration * wavelength**3 * s**4
    factor = -np.sin(phase - np.arctan(0.1 / np.sqrt(1 - 0.01)))
    assert (seen * wave).sum() / (wave**2).sum() == pytest.approx(factor, abs=2e-3)
    np.testing.assert_allclose(noise.reference(wave, np.array([0]), seed=0, split="test"), wave)


def test_training_pairs_and_plain_settings_are_gaussian(clean):
    both = Microscope(0.1, shift=4.0, ctf=True)
    index = np.arange(8)
    plain = Gaussian(0.1).add(clean, index, seed=0, split="train")
    np.testing.assert_allclose(both.add(clean, index, seed=0, split="train"), plain, atol=1e-6)
    assert both.reference(clean, index, seed=0, split="train") is clean
    assert run_id(resolve(compose(["noise=microscope"]))) == run_id(resolve(compose([])))
    assert run_id(resolve(compose(["noise=microscope", "noise.shift=1"]))) != run_id(resolve(compose([])))


@pytest.mark.parametrize("wrong", [{"shift": -1.0}, {"defocus": [2.0, 1.0]}, {"amplitude": 2.0}])
def test_settings_that_cant_be_used_are_named(wrong):
    with pytest.raises(InputError, match=f"noise.{next(iter(wrong))}"):
        Microscope(**wrong)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("voltage=-5", "voltage"),
        ("box=-1", "box"),
        ("defocus=[3,1]", "defocus"),
        ("amplitude=2", "amplitude"),
        ("snr=0", "snr"),
    ],
)
def test_settings_that_cant_be_used_are_named_where_they_come_to_nothing(cli, word, name):
    """Without a shift, a CTF or a colour it is Gaussian noise, but what was typed is looked at."""
    status, _, err = cli("noise=microscope", f"noise.{word}", "--cfg")
    assert status == 2 and f"noise.{name}: expected" in err and len(err.strip().splitlines()) == 1, err
    assert cli("noise=microscope", "--cfg")[0] == 0
