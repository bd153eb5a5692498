"""Metrics against scikit-image, closed forms and each other."""

import tracemalloc

import numpy as np
import pytest
from skimage import data
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from cryobench.errors import InputError
from cryobench.evaluation import metrics
from cryobench.evaluation.analysis.sharpness import ring_power


@pytest.fixture(scope="module")
def pair():
    clean = np.stack([data.camera()[:96, :96], data.moon()[100:196, 100:196]]) / 255.0
    return clean, clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_metrics_equal_scikit_image(pair, data_range):
    clean, noisy = pair
    for i in range(2):
        ours = {
            name: getattr(metrics, name)(clean, noisy, data_range=data_range)[i] for name in ("mse", "psnr", "ssim")
        }
        assert ours["mse"] == pytest.approx(mean_squared_error(clean[i], noisy[i]), rel=1e-12)
        assert ours["psnr"] == pytest.approx(
            peak_signal_noise_ratio(clean[i], noisy[i], data_range=data_range), rel=1e-12
        )
        assert ours["ssim"] == pytest.approx(structural_similarity(clean[i], noisy[i], data_range=data_range), abs=1e-6)


def test_closed_forms():
    clean = np.zeros((1, 8, 8))
    assert metrics.mse(clean, clean + 0.1)[0] == pytest.approx(0.01)
    assert metrics.psnr(clean, clean + 0.1)[0] == pytest.approx(20.0)
    assert metrics.psnr(clean, clean)[0] == np.inf
    assert metrics.ssim(clean + 0.5, clean + 0.5)[0] == pytest.approx(1.0)


def test_a_wider_range_flatters_ssim(pair):
    assert (metrics.ssim(*pair, data_range=2.0) > metrics.ssim(*pair)).all()


def test_nmse_is_the_share_of_the_variance_that_is_lost(pair):
    """1 − R² of scikit-learn, pixel by pixel; the same in any unit; 1 for a flat image; none where nothing varies."""
    from sklearn.metrics import r2_score

    clean, noisy = pair
    ours = metrics.nmse(clean, noisy)
    assert ours == pytest.approx([1 - r2_score(c.ravel(), n.ravel()) for c, n in zip(clean, noisy, strict=True)])
    assert metrics.nmse(255 * clean + 7, 255 * noisy + 7) == pytest.approx(ours)
    assert metrics.nmse(clean, np.broadcast_to(clean.mean(axis=(1, 2), keepdims=True), clean.shape)) == pytest.approx(1)
    assert np.isnan(metrics.nmse(np.ones((1, 8, 8)), np.zeros((1, 8, 8)))).all()


def test_shapes_that_differ_are_named():
    with pytest.raises(InputError, match=r"\(1, 8, 8\) and \(2, 8, 8\)"):
        metrics.mse(np.zeros((1, 8, 8)), np.zeros((2, 8, 8)))


@pytest.mark.parametrize("what", [metrics.mse, metrics.nmse, lambda clean, denoised: ring_power(denoised)])
def test_many_images_take_no_more_memory_than_they_are(what):
    """Double precision and spectra are of a few images at a time."""
    clean, denoised = np.random.default_rng(0).random((2, 2000, 32, 32), dtype=np.float32)
    tracemalloc.start()
    what(clean, denoised)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < clean.nbytes
