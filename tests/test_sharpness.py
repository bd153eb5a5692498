"""Sharpness: what blur, noise and a shift do to power and correlation is known in closed form."""

import numpy as np
import pytest

from cryobench.evaluation.analysis import Evidence, sharpness

SIZE, PIXEL = 64, 2.0
RINGS = np.arange(1, SIZE // 2 + 1)


@pytest.fixture(scope="module")
def clean():
    return np.random.default_rng(0).normal(size=(60, SIZE, SIZE)).astype(np.float32)


def analysed(clean, denoised) -> dict:
    n = len(clean)
    eye = np.broadcast_to(np.eye(3), (n, 3, 3))
    return sharpness.analyse(
        Evidence(
            clean,
            clean,
            denoised.astype(np.float32),
            np.zeros(n),
            np.zeros(n, int),
            eye,
            np.zeros(n, int),
            eye,
            PIXEL,
            0,
        )
    )


def test_a_perfect_image_has_ratio_and_correlation_1_up_to_nyquist(clean):
    result = analysed(clean, clean)
    np.testing.assert_allclose(result["power_ratio"], 1)
    np.testing.assert_allclose(result["frc"], 1, atol=1e-5)
    assert result["resolution"] == result["power_resolution"] == 2 * PIXEL == pytest.approx(1 / result["frequency"][-1])


def test_a_blur_takes_power_and_no_correlation(clean):
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE)] * 2))
    sigma = 1.5  # pixels
    blurred = np.fft.ifft2(np.fft.fft2(clean) * np.exp(-2 * (np.pi * sigma * radius) ** 2)).real
    result = analysed(clean, blurred)
    expected = np.exp(-((2 * np.pi * sigma * RINGS / SIZE) ** 2))
    np.testing.assert_allclose(result["power_ratio"][:24], expected[:24], rtol=0.1)
    assert min(result["frc"]) > 0.95 and result["resolution"] == 2 * PIXEL
    half = np.sqrt(np.log(2)) / (2 * np.pi * sigma)  # cycles per pixel at which exp(-(2πσk)²) = ½
    assert result["power_resolution"] == pytest.approx(PIXEL / half, rel=0.03)


def test_invented_detail_has_power_but_no_correlation(clean):
    noise = np.random.default_rng(1).normal(size=clean.shape)
    result = analysed(clean, clean + noise)
    np.testing.assert_allclose(result["power_ratio"][2:], 2, rtol=0.1)
    np.testing.assert_allclose(np.mean(result["frc"]), 1 / np.sqrt(2), rtol=0.02)  # E FRC at equal signal and noise
    assert analysed(clean, noise)["resolution"] is None


def test_rings_hold_all_power_of_a_wave_where_it_belongs():
    x = np.arange(SIZE)
    wave = np.broadcast_to(np.cos(2 * np.pi * 5 * x / SIZE), (1, SIZE, SIZE))
    power = sharpness.ring_power(wave)
    assert np.argmax(power) == 4 and power[4] == pytest.approx(SIZE**4 / 2) and power.sum() == pytest.approx(power[4])


def test_a_constant_image_is_reported_and_not_divided_by(clean):
    flat = np.full_like(clean[:2], 0.5)
    assert analysed(flat, clean[:2])["power_ratio"] == [None] * (SIZE // 2)
    nothing = analysed(clean[:2], flat)
    assert nothing["power_resolution"] is None and nothing["resolution"] is None


def test_the_crossing_lies_between_two_rings():
    frequency = np.array([0.1, 0.2, 0.3])
    assert sharpness.resolution(frequency, np.array([1.0, 0.75, 0.25])) == pytest.approx(4.0)
