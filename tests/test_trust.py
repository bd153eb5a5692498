"""The three questions: a denoiser that invents is caught, one that is honest is not."""

from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import scipy.ndimage
from conftest import TINY

from cryobench.config.compose import compose, resolve
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.noise.gaussian import Gaussian
from cryobench.particles import trust


@pytest.fixture(scope="module")
def noisy(cache):
    return open_pairs(Phantom(image_size=32, n_train=24, n_test=1), cache).images("train", Gaussian(0.3), 0).noisy()


def model(denoise):
    return SimpleNamespace(name="it", method=SimpleNamespace(denoise=denoise), config={"data": {}}, fits_stack=False)


def test_a_denoiser_that_always_paints_the_molecule_is_caught(noisy):
    blob = np.exp(-((np.mgrid[:32, :32] - 16) ** 2).sum(0) / 40)
    answers = trust.ask(model(lambda images: np.broadcast_to(blob, images.shape).astype(np.float32)), noisy, 6.4, None)
    assert answers.invented == pytest.approx(1) and answers.floor[:5].min() > 0.99
    assert "not flat" in trust.paragraph("it", answers) and "proves nothing" in trust.paragraph("it", answers)


def test_a_blur_is_flat_on_noise_and_agrees_at_low_frequency_only(noisy):
    answers = trust.ask(model(lambda images: scipy.ndimage.gaussian_filter(images, (0, 3, 3))), noisy, 6.4, None)
    assert answers.invented < 0.5
    assert answers.agreement[1] > 0.7 and abs(answers.floor[3:]).max() < 0.5
    assert answers.frequency[-1] == pytest.approx(1 / 12.8) and answers.unit == "Å"


def test_the_halves_have_independent_noise_of_twice_the_variance():
    """Of images that are nothing but noise, y + n and y − n don't correlate."""
    images = np.random.default_rng(0).normal(size=(200, 32, 32)).astype(np.float32)
    answers = trust.ask(model(lambda halves: halves), images, None, None)
    assert abs(answers.raw[2:]).max() < 0.1


def test_noise_has_the_images_own_spectrum_and_level():
    rng = np.random.default_rng(3)
    images = (5 + 2 * scipy.ndimage.gaussian_filter(rng.normal(size=(100, 32, 32)), (0, 1, 1), mode="wrap")).astype(
        np.float32
    )
    noise = trust.noise_like(images, rng)
    assert noise.mean() == pytest.approx(5, abs=0.02) and noise.std() == pytest.approx(images.std(), rel=0.05)

    def neighbours(x):
        return np.corrcoef(x[:, :, 1:].ravel(), x[:, :, :-1].ravel())[0, 1]

    assert neighbours(noise) == pytest.approx(neighbours(images), abs=0.1)


def test_the_verb_on_a_run_and_on_a_stack(cli, noisy, tmp_path):
    assert cli("method=autoencoder", *TINY)[0] == 0
    (folder,) = (tmp_path / "results" / "phantom-smoke" / "runs").glob("[!.]*")
    given = ("--run", folder.name, "--results", "results/phantom-smoke")
    status, out, err = cli("trust", *given, "-o", "a.png", "--number", "20")
    assert status == 0 and "never trained on" in out and "pure noise" in out, err
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    with mrcfile.new(tmp_path / "in.mrcs", noisy) as file:
        file.set_image_stack()
        file.voxel_size = 6.4
    status, out, err = cli("trust", "in.mrcs", "method=nlm", "-o", "b.png")
    assert status == 0 and "never trained on" not in out, err
    bad = noisy.copy()
    bad[3] = 0
    with mrcfile.new(tmp_path / "bad.mrcs", bad) as file:
        file.set_image_stack()
    status, _, err = cli("trust", "bad.mrcs", "method=nlm", "-o", "c.png")
    assert status == 2 and "image 4;" in err and "--skip-bad" in err and len(err.strip().splitlines()) == 1, err
    status, _, err = cli("trust", "bad.mrcs", "method=nlm", "-o", "c.png", "--skip-bad")
    assert status == 0 and "left out, since blank or not finite: image 4" in err, err
    status, _, err = cli("trust", *given, "-o", "a.png")
    assert status == 2 and "--force" in err


def test_errors_are_sorted_by_whether_the_conformation_was_trained_on(cache):
    """A denoiser that knows the even half of nine conformations by heart, and makes nothing of the others."""
    config = resolve(compose(["method=noisy", f"paths.cache={cache}"]))
    nine = open_pairs(Phantom(image_size=32, n_train=1, n_test=30, conformations=9), cache).test

    def denoise(images):
        return np.where((nine.labels % 2 == 0)[:, None, None], nine.clean, 0).astype(np.float32)

    errors = trust.unseen_conformation(SimpleNamespace(config=config, method=SimpleNamespace(denoise=denoise)), 30)[
        "mse"
    ]
    assert len(errors["known"]) == (nine.labels % 2 == 0).sum() and max(errors["known"]) == 0 < min(errors["unseen"])
    config["data"]["train_conformations"] = [0, 1]
    left_out = trust.unseen_conformation(SimpleNamespace(config=config, method=SimpleNamespace(denoise=denoise)), 30)[
        "mse"
    ]
    five = open_pairs(Phantom(image_size=32, n_train=1, n_test=30), cache).test
    assert len(left_out["known"]) == (five.labels < 2).sum() and len(left_out["known"]) + len(left_out["unseen"]) == 30
