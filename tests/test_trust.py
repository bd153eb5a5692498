"""A denoiser that invents, remembers or was fitted on what it is judged on is caught; one that is honest is not."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import scipy.ndimage
from conftest import ASPIRE, SHARED, TINY, needs

from cryobench import figure
from cryobench.config.compose import build, compose, resolve
from cryobench.data.io.stack import Stack
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.evaluation.analysis import Evidence, sharpness
from cryobench.evaluation.metrics import mse, nmse
from cryobench.methods.base import Denoiser
from cryobench.noise.ctf import through
from cryobench.noise.gaussian import Gaussian
from cryobench.particles import recorrupted, trust, verdict
from cryobench.particles.model import Model, from_file, from_overrides
from cryobench.particles.prepared import Prepared

REAL, RELION = SHARED / "particles", SHARED / "relion"
GAN = Path(__file__).parents[1] / "results/rnap_ecoli-desk/runs/gan-5afb16153176/model.safetensors"


@pytest.fixture(scope="module")
def phantom(cache):
    return open_pairs(Phantom(image_size=32, n_train=200, n_test=1), cache).images("train", Gaussian(0.3), 0)


@pytest.fixture(scope="module")
def noisy(phantom):
    return phantom.noisy()


@pytest.fixture(scope="module")
def white():
    return np.random.default_rng(1).normal(size=(200, 32, 32)).astype(np.float32)


def model(denoise, fits_stack=True):
    return SimpleNamespace(
        name="it",
        method=SimpleNamespace(denoise=denoise, side_information=frozenset()),
        config={"data": {}},
        fits_stack=fits_stack,
    )


def judged(images, pixel_size=6.4) -> trust.Judged:
    return trust.Judged(images, pixel_size, [np.arange(len(images))])


def first_sentence(denoise, images, fits_stack=True) -> str:
    return verdict.verdict("it", trust.ask(model(denoise, fits_stack), judged(images)))


def blur(images, width=1.5):
    return scipy.ndimage.gaussian_filter(images, (0, width, width))


def test_a_denoiser_that_always_paints_the_molecule_is_caught(phantom, noisy):
    """The images' own mean, which does correlate with each of them."""
    mean = phantom.clean().mean(axis=0)
    answers = trust.ask(model(lambda images: np.broadcast_to(mean, images.shape).astype(np.float32)), judged(noisy))
    assert answers.invented == pytest.approx(1) and answers.agreement.floor[:5].min() > 0.99
    text = verdict.findings("it", answers)
    assert text.startswith("No: ") and "not flat" in text and "- model bias: " in text


def test_a_blur_agrees_at_low_frequency(noisy):
    answers = trust.ask(model(blur), judged(noisy))
    text = verdict.findings("it", answers)
    assert text.startswith("Yes: what it shows agrees with these 200 particles to ") and answers.invented < 0.5
    assert answers.frequency[-1] == pytest.approx(1 / 12.8) and answers.unit == "Å"
    assert 20 < verdict.resolution(answers) < 80


NOTHING = {
    "none": lambda images: images,
    "blur": blur,
    "clip": lambda images: np.clip(images, 0, 1),
    "peaks": lambda images: np.where(images > 2.5, images, 0),
}


@pytest.mark.parametrize("denoise", NOTHING.values(), ids=NOTHING)
def test_pure_noise_is_told(white, denoise):
    assert first_sentence(denoise, white).startswith(
        "No: nothing that it shows of these 200 images is above chance, and neither"
    )


def test_coloured_noise_is_told():
    rng = np.random.default_rng(2)
    images = scipy.ndimage.gaussian_filter(rng.normal(size=(200, 32, 32)), (0, 0.7, 0.7), mode="wrap").astype(
        np.float32
    )
    assert first_sentence(blur, images).startswith("No: ")


def test_the_chance_level_is_that_of_chance():
    """Without particles B over its standard deviation has variance 1, with few images in two folds, too."""
    folds = [np.arange(0, 40, 2), np.arange(1, 40, 2)]
    scores = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pair = recorrupted.recorrupt(rng.normal(size=(40, 32, 32)).astype(np.float32), rng)
        found = recorrupted.agreement(pair, blur(pair.first), blur(pair.second), folds)
        scores.append(found.frc[3:8] / found.chance[3:8])
        assert not found.reach
    scores = recorrupted.SIGMAS * np.array(scores)
    assert 0.8 < np.sqrt(np.nanmean(scores**2)) < 1.2


def test_the_two_versions_share_nothing_but_the_particle(white):
    pair = recorrupted.recorrupt(white, np.random.default_rng(0))
    assert abs(np.corrcoef(pair.first.ravel(), pair.second.ravel())[0, 1]) < 0.01
    assert pair.first.var() == pytest.approx(1.25, rel=0.02) and pair.second.var() == pytest.approx(5, rel=0.02)


def test_noise_has_the_images_own_spectrum_and_level():
    rng = np.random.default_rng(3)
    images = scipy.ndimage.gaussian_filter(rng.normal(size=(200, 32, 32)), (0, 1, 1), mode="wrap")
    outside = images[:, trust.outside_circle(32)]
    images = (5 + (images - outside.mean(1)[:, None, None]) / outside.std(1)[:, None, None]).astype(np.float32)
    noise, spread = recorrupted.noise_like(images, rng)
    assert noise.mean() == pytest.approx(5, abs=0.05) and noise.std() == pytest.approx(images.std(), rel=0.05)
    power, theirs = (sharpness.ring_power(x) for x in (noise, images))
    np.testing.assert_allclose(power[1:7], theirs[1:7], rtol=0.15)
    assert spread.shape == (16,) and (spread < 0.2).all()


@dataclass
class Memory(Denoiser):
    """The training image that an image resembles most."""

    def fit(self, train):
        self.known = train.noisy()

    def denoise(self, noisy, **hints):
        return self.known[(noisy.reshape(len(noisy), -1) @ self.known.reshape(len(self.known), -1).T).argmax(axis=1)]


def stack_of(images, folder) -> Prepared:
    mrcfile.write(folder / "x.mrcs", images, voxel_size=6.4, overwrite=True)
    return Prepared(Stack(folder / "x.mrcs"), np.arange(len(images)), images.shape[-1], (0.0, 1.0))


@pytest.mark.parametrize("total", [200, 60])
def test_a_method_is_judged_on_images_that_it_was_not_fitted_on(white, tmp_path, total):
    """Fitted on noise that it is judged on, it would agree with it to the finest detail."""
    remembers = Model("it", Memory(), {"method": {"name": "it"}, "data": {}})
    prepared = stack_of(white[:total], tmp_path)
    fooled = trust.Judged(
        prepared[np.arange(total)], 6.4, [np.arange(total)], lambda fold: remembers.method.fit(prepared.as_training())
    )
    assert verdict.verdict("it", trust.ask(remembers, fooled)).startswith("Yes: ")
    right = trust.stack_images(remembers, prepared, 50)
    assert len(right.folds) == (1 if total == 200 else 2) and sorted(np.concatenate(right.folds)) == list(range(50))
    text = verdict.findings("it", trust.ask(remembers, right))
    assert text.startswith("No: nothing") and "never on those that it is judged on" in text


def test_cwf_fitted_on_white_noise_says_no(white, tmp_path):
    cwf = from_overrides(["method=cwf"])
    assert verdict.verdict("cwf", trust.ask(cwf, trust.stack_images(cwf, stack_of(white, tmp_path), 200))).startswith(
        "No: "
    )


@needs(REAL / "sample.mrcs", f"{ASPIRE}, and sample_particles_relion31.star")
def test_cwf_fitted_on_seventeen_real_images_says_no():
    cwf, size = from_overrides(["method=cwf"]), 64  # of 200 px; the verdict is the same, in the same words
    prepared = Prepared(Stack(REAL / "sample.mrcs"), np.arange(17), size, (0.0, 1.0))
    images = trust.stack_images(cwf, prepared, 200)
    assert verdict.verdict("cwf", trust.ask(cwf, images)).startswith("No: ")


@pytest.fixture(scope="module")
def simulated(cache):
    """64 px at SNR 0.1: training and test images."""
    pairs = open_pairs(Phantom(image_size=64, n_train=400, n_test=200), cache)
    return [pairs.images(split, Gaussian(0.1), 0) for split in ("train", "test")]


def test_the_resolution_is_that_against_the_truth(simulated):
    """The linear limit on simulated particles: Fourier ring correlation with clean images as a run's analysis has it."""
    from cryobench.methods.posterior.wiener import Wiener

    train, test = simulated
    wiener = Wiener()
    wiener.fit(train)
    answers = trust.ask(SimpleNamespace(name="wiener", method=wiener, fits_stack=False), judged(test.noisy(), 3.2))
    denoised = wiener.denoise(test.noisy())
    truth = sharpness.analyse(evidence(test, denoised))
    assert verdict.verdict("wiener", answers).startswith("Yes: ")
    assert verdict.resolution(answers) == pytest.approx(truth["resolution"], rel=0.2)
    assert answers.agreement.losses.lost[0] == pytest.approx(nmse(test.clean(), denoised).mean(), abs=0.03)
    assert answers.agreement.losses.excess[0] < 0, "it knows more than the power spectrum"


def evidence(test, denoised) -> Evidence:
    return SimpleNamespace(clean=np.array(test.clean()), denoised=denoised, pixel_size=3.2)


def templates(clean):
    """A denoiser that answers with the clean image that fits best, as large as it fits."""
    flat = clean.reshape(len(clean), -1)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)

    def denoise(images):
        fit = images.reshape(len(images), -1) @ unit.T
        best = fit.argmax(axis=1)
        return (unit[best] * np.take_along_axis(fit, best[:, None], 1)).reshape(images.shape).astype(np.float32)

    return denoise


def test_on_a_foreign_molecule_the_first_sentence_says_so(phantom, noisy):
    """What answers with views of one molecule is right for it, and wrong for discs and rods of no such view."""
    knows = templates(np.asarray(phantom.clean()))
    assert first_sentence(knows, noisy, fits_stack=False).startswith("Yes: ")
    y, x = np.mgrid[:32, :32] - 15.5
    angles = np.random.default_rng(4).uniform(0, np.pi, 200)[:, None, None]
    along, across = x * np.cos(angles) + y * np.sin(angles), y * np.cos(angles) - x * np.sin(angles)
    rods = (np.exp(-((np.abs(along) - 9) ** 2) / 8 - across**2 / 8)).astype(np.float32)
    foreign = Gaussian(0.3).add(rods, np.arange(200), seed=0, split="test")
    assert "don't look like those that it was trained on" in first_sentence(knows, foreign, fits_stack=False)


@needs(RELION / "rln_proj_65.mrcs", f"{ASPIRE}, and clean70SRibosome_vol_65p.mrc")
def test_a_net_trained_on_rna_polymerase_says_no_to_a_ribosome(monkeypatch, cache):
    from cryobench.data.io.stack import read_map, resample
    from cryobench.data.project import Projector
    from cryobench.data.rotations import random_rotations

    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    volume = resample(read_map(next(RELION.glob("*vol*.mrc")))[0], 64, axes=(0, 1, 2))
    clean = Projector(volume)(random_rotations(100, np.random.default_rng(0)))
    images = Gaussian(0.1).add(clean, np.arange(100), seed=0, split="test")
    net = from_file(GAN, [])
    outside = images[:, trust.outside_circle(64)]
    mean, spread = net.background
    images = (images - outside.mean(1)[:, None, None]) / outside.std(1)[:, None, None] * spread + mean
    text = verdict.verdict(net.name, trust.ask(net, judged(images.astype(np.float32), 3.2)))
    assert text.startswith("No: these particles don't look like those that gan-5afb16153176 was trained on"), text
    answers = trust.ask(net, judged(images.astype(np.float32), 3.2))
    assert "but also in image size, pixel size, CTF or noise level alone" in verdict.findings(net.name, answers)


def test_the_verb_on_a_run_and_on_a_stack(cli, noisy, tmp_path, monkeypatch):
    feet, write = [], figure.note
    monkeypatch.setattr(figure, "note", lambda sheet, words: (feet.append(words), write(sheet, words)))
    assert cli("method=autoencoder", *TINY)[0] == 0
    (folder,) = (tmp_path / "results" / "phantom-quick" / "runs").glob("[!.]*")
    given = ("--run", folder.name, "--results", "results/phantom-quick")
    status, out, err = cli("trust", *given, "-o", "a.png", "--number", "20")
    assert status == 0 and "never trained on" in out and "pure noise" in out and out.startswith(("Yes: ", "No: ")), err
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    with mrcfile.new(tmp_path / "in.mrcs", noisy) as file:
        file.set_image_stack()
        file.voxel_size = 6.4
    status, out, err = cli("trust", "in.mrcs", "method=nlm", "-o", "b.png")
    assert status == 0 and "never trained on" not in out, err
    assert feet[0].endswith(", SNR 0.1, seed 0") and feet[1].startswith("in.mrcs, ") and "SNR" not in feet[1]
    bad = noisy.copy()
    bad[3] = 0
    with mrcfile.new(tmp_path / "bad.mrcs", bad) as file:
        file.set_image_stack()
    status, _, err = cli("trust", "bad.mrcs", "method=nlm", "-o", "c.png")
    assert status == 2 and "image 4;" in err and "--skip-bad" in err and len(err.strip().splitlines()) == 1, err
    status, _, err = cli("trust", "bad.mrcs", "method=nlm", "-o", "c.png", "--skip-bad")
    assert status == 0 and "left out: one value around the particle in image 4" in err, err
    status, _, err = cli("trust", *given, "-o", "a.png")
    assert status == 2 and "--force" in err


def test_errors_are_sorted_by_whether_the_conformation_was_trained_on(cache):
    """A denoiser that knows the even half of nine conformations by heart, and makes nothing of the others."""
    config = resolve(compose(["method=noisy", f"paths.cache={cache}"]))
    nine = open_pairs(Phantom(image_size=32, n_train=1, n_test=30, conformations=9), cache).test

    def denoise(images):
        return np.where((nine.labels % 2 == 0)[:, None, None], nine.clean, 0).astype(np.float32)

    errors = trust.unseen_conformation(
        SimpleNamespace(config=config, method=SimpleNamespace(denoise=denoise, side_information=frozenset())), 30
    )["mse"]
    assert len(errors["known"]) == (nine.labels % 2 == 0).sum() and max(errors["known"]) == 0 < min(errors["unseen"])
    config["data"]["train_conformations"] = [0, 1]
    left_out = trust.unseen_conformation(
        SimpleNamespace(config=config, method=SimpleNamespace(denoise=denoise, side_information=frozenset())), 30
    )["mse"]
    five = open_pairs(Phantom(image_size=32, n_train=1, n_test=30), cache).test
    assert len(left_out["known"]) == (five.labels < 2).sum() and len(left_out["known"]) + len(left_out["unseen"]) == 30


SEEN = ["noise=microscope", "noise.ctf=true", "noise.train=true", "scale=smoke"]


def test_the_limit_is_told_the_sigma_of_unseen_conformations(cache):
    """It knows the volumes of every second conformation, and does better on these."""
    limit = from_overrides(["method=bayes", "method.max_draws=256", "scale=smoke", f"paths.cache={cache}"])
    errors = trust.unseen_conformation(limit, 30)["mse"]
    assert len(errors["known"]) + len(errors["unseen"]) == 30
    assert np.mean(errors["known"]) < np.mean(errors["unseen"])


def test_where_denoised_images_have_the_ctf_so_has_the_truth_of_unseen_conformations(cache):
    words = ["method=wiener", "method.ctf=corrected", *SEEN, f"paths.cache={cache}"]
    wiener, config = from_overrides(words), resolve(compose(words))
    corrected = trust.unseen_conformation(wiener, 30)["mse"]
    data = Phantom(image_size=32, n_train=1, n_test=30, conformations=9)
    test = open_pairs(data, cache).images("test", build(config, "noise"), config["seed"])
    clean, denoised, known = test.clean(), wiener.method.denoise(test.noisy(), ctf=test.ctf()), test.labels % 2 == 0
    wiener.method.ctf = "applied"
    applied = trust.unseen_conformation(wiener, 30)["mse"]
    transfer = test.ctf().transfer(32)
    for errors, expected in (
        (corrected, mse(clean, denoised)),
        (applied, mse(*(through(x, transfer) for x in (clean, denoised)))),
    ):
        np.testing.assert_allclose(errors["known"], expected[known], rtol=1e-4)
        np.testing.assert_allclose(errors["unseen"], expected[~known], rtol=1e-4)


@pytest.mark.trains
@pytest.mark.parametrize("name", ["wiener", "cwf"])
def test_the_verb_on_simulated_images_seen_through_a_ctf(cli, tmp_path, name):
    status, out, err = cli("trust", f"method={name}", "method.ctf=corrected", *SEEN, "-o", "a.png")
    assert status == 0 and "never trained on" in out, err


def found(noisy, **changes) -> str:
    """The findings on a blur, with some of its answers replaced."""
    answers = trust.ask(model(blur), judged(noisy))
    own = {key: value for key, value in changes.items() if key in ("how", "few", "invented")}
    agreed = {key: value for key, value in changes.items() if key not in own}
    return verdict.findings("it", replace(answers, **own, agreement=replace(answers.agreement, **agreed)))


def losses(share: float, error: float) -> recorrupted.Losses:
    return recorrupted.Losses((share, error), (0.5, 0.01), (0.0, 1.0), 0.73, np.ones(4), np.ones(4))


def test_there_is_a_line_for_each_question(noisy):
    lines = found(noisy, losses=losses(0.42, 0.03), remaining=np.full(16, 1.0)).splitlines()
    assert lines[0].startswith("Yes: ") and "finer detail than that" in lines[0] and "below that" not in lines[0]
    heads = [line.partition(":")[0] for line in lines[1:]]
    assert heads == ["- what to do", "- NMSE", "- left out", "- pure noise"] and max(map(len, lines)) < 250
    assert "it loses 42 ± 3 % of the particles' variance; a flat image loses 100 %" in lines[2]
    assert (
        "1.00 times the variance of the noise (as pure noise has); 73 % of the particles' power is in it (0 % would"
        in lines[3]
    )


@pytest.mark.parametrize(
    ("share", "error", "words"),
    [
        (2.21, 3.40, "can't be measured with 200 images (221 ± 340 %)"),
        (0.95, 0.04, "no significant difference to a flat image"),
        (11.42, 0.63, "it loses 1142 ± 63 % of the particles' variance; a flat image loses 100 %"),
    ],
)
def test_a_loss_is_no_more_certain_than_its_error(noisy, share, error, words):
    text = found(noisy, losses=losses(share, error))
    assert words in text and ("% of the particles' power" in text) == (share > error)


def test_one_ring_is_one_place(noisy):
    """The model bias of a single ring, the fourth: 32 px of 6.4 Å over 4."""
    floor = np.zeros(16)
    floor[3] = 0.9
    assert "alike in 1 of 16 rings, at 51.2 Å: " in found(noisy, floor=floor)
    floor[2] = 0.9
    assert "alike in 2 of 16 rings, from 68.3 to 51.2 Å: " in found(noisy, floor=floor)


@pytest.mark.parametrize(
    ("rings", "words"),
    [
        ([0, *range(5, 16)], "12 of 16 rings, at 205 Å and from 34.1 to 12.8 Å: that much it shows there"),
        ([0, 1, 4, 14, 15], "5 of 16 rings, from 205 to 102 Å, at 41 Å and from 13.7 to 12.8 Å: "),
        ([0, 2, 4, 6, 8, 10], "6 of 16 rings, at 205 Å, at 68.3 Å, at 41 Å and in 3 stretches more: "),
        (range(16), "16 of 16 rings, from 205 to 12.8 Å: "),
    ],
)
def test_the_model_bias_names_its_stretches_and_no_ring_between_them(noisy, rings, words):
    floor = np.zeros(16)
    floor[list(rings)] = 0.9
    assert f"alike in {words}" in found(noisy, floor=floor)


def test_a_no_says_what_to_do_and_a_yes_what_it_allows_and_what_not(noisy, white):
    answers = trust.ask(model(blur), judged(white))
    assert verdict.findings("it", answers).splitlines()[1].startswith("- what to do: more particles, larger pixels")
    lines = found(noisy, losses=losses(0.42, 0.03)).splitlines()
    reach = re.search(r" to ([\d.]+ Å)", lines[0])[1]
    assert lines[1].startswith(
        f"- what to do: look, pick, sort and cluster with the denoised images, down to {reach}; "
    )
    assert "refine the recorded ones" in lines[1]


def test_a_yes_says_where_a_flat_image_would_do_as_well(noisy):
    """The images as they are: what they show is there, under more noise than particle."""
    answers = trust.ask(model(lambda images: images), judged(noisy))
    text = verdict.findings("it", answers)
    lost, error = answers.agreement.losses.lost
    assert lost - 2 * error > 1, "at an SNR of 0.3, noise has more than the particles' variance"
    first, second = text.splitlines()[:2]
    assert first.startswith("Yes: ") and first.endswith(
        f"Yet a flat image would be nearer to them: it loses {100 * lost:.0f} ± {100 * error:.0f} % of their variance."
    )
    assert second.startswith("- what to do: another method") and "cluster" not in text


@pytest.mark.parametrize(
    ("share", "error", "words"),
    [
        (0.99, 0.02, " Yet a flat image would be as near to them: it loses 99 ± 2 % of their variance."),
        (1.05, 0.02, " Yet a flat image would be nearer to them: it loses 105 ± 2 % of their variance."),
        (0.90, 0.02, ""),
        (2.21, 3.40, ""),
    ],
)
def test_a_loss_is_held_against_that_of_a_flat_image_within_its_error(share, error, words):
    assert verdict.beside_flat((share, error)) == words


def test_the_picture_says_where_chance_reaches_an_frcs_highest_value(noisy):
    answers = trust.ask(model(blur), judged(noisy))
    chance = np.full(16, 0.1)
    assert legend(replace(answers, agreement=replace(answers.agreement, chance=chance)))[1] == "chance (3 σ)"
    chance[-3:] = 1.1, 2, np.inf
    shown = legend(replace(answers, agreement=replace(answers.agreement, chance=chance)))[1]
    assert shown == "chance (3 σ), off the scale in 3 of 16 rings"


def legend(answers) -> list[str]:
    """The texts of a picture's legend, of its panel of correlations."""
    (shown,) = verdict.draw("it", answers).legends
    return [text.get_text() for text in shown.get_texts()]
