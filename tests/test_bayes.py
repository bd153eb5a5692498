"""The limit: orientation cells against uniform rotations, the posterior against direct sums, and its calibration."""

import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest, norm

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.project import Projector
from cryobench.data.rotations import random_rotations
from cryobench.data.simulate import draw_poses, rescale
from cryobench.errors import BadImages, InputError
from cryobench.methods.posterior import sampling
from cryobench.methods.posterior.adaptive import WIDER, DrawnPoses, PoseGaussian, Proposals, draw
from cryobench.methods.posterior.bayes import Bayes
from cryobench.methods.posterior.likelihood import log_likelihood, uncut
from cryobench.methods.posterior.sampling import WeightedDraws, normalised
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.noise.gaussian import Gaussian

SIZE = 24


@pytest.fixture(scope="module")
def volumes():
    return Phantom(image_size=SIZE, n_train=1, n_test=1, conformations=2).volumes()


def simulate(volumes, n: int, snr: float, clip: bool = False):
    """Clean and noisy images (n, L, L), σ and labels (n,), drawn as a data set is."""
    labels, rotations = draw_poses(n, len(volumes), seed=0, split="test")
    projectors = [Projector(volume) for volume in volumes]
    clean = np.concatenate([rescale(projectors[k](r[None])) for k, r in zip(labels, rotations, strict=True)])
    noise = Gaussian(snr=snr, clip=clip)
    return clean, noise.add(clean, np.arange(n), seed=0, split="test"), noise.sigma(clean), labels


def fitted(volumes, **settings) -> Bayes:
    bayes = Bayes(**settings)
    bayes.fit(types.SimpleNamespace(volumes=volumes))
    return bayes


@pytest.fixture(scope="module")
def bayes(volumes):
    return fitted(volumes)


@pytest.fixture(scope="module")
def case(volumes):
    return simulate(volumes, 60, snr=0.1)


def test_cells_have_equal_area_and_cover_the_hemisphere():
    cells = hemisphere(np.deg2rad(7))
    area = np.ptp(cells.z_range, axis=1) * np.ptp(cells.phi_range, axis=1)
    np.testing.assert_allclose(area, 2 * np.pi / len(cells), rtol=1e-9)
    assert len(cells) == pytest.approx(2 * np.pi / np.deg2rad(7) ** 2, rel=0.1)
    corners = np.arccos(np.clip(cells.z_range, 0, 1))
    assert np.ptp(corners, axis=1).max() < np.deg2rad(2 * 7)


def test_the_cell_of_a_rotation_is_found_again():
    rng, n = np.random.default_rng(1), 2_000
    cells = hemisphere(np.deg2rad(9))
    cell, mirrored = rng.integers(len(cells), size=n), rng.random(n) < 0.5
    angle = 2 * np.pi * rng.random(n) - np.pi
    found, behind, turned = cells.find(cells.rotations(cell, rng.random((n, 2)), mirrored, angle))
    np.testing.assert_array_equal(found, cell)
    np.testing.assert_array_equal(behind, mirrored)
    np.testing.assert_allclose(np.exp(1j * turned), np.exp(1j * angle), atol=1e-6)


def test_uniform_draws_from_the_cells_are_uniform_rotations():
    rng, n = np.random.default_rng(0), 20_000
    cells = hemisphere(np.deg2rad(12))
    draw = rng.random((n, 4))
    rotations = cells.rotations(rng.integers(len(cells), size=n), draw[:, :2], draw[:, 2] < 0.5, 2 * np.pi * draw[:, 3])
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (n, 1, 1)), atol=1e-9)
    for reference in (np.eye(3), random_rotations(1, rng)[0]):
        # The angle between a uniform rotation and any fixed one has the density (1 - cos θ)/π on [0, π].
        angle = np.arccos(np.clip((np.trace(reference.T @ rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
        assert kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3


def test_the_bank_shows_each_cell_as_its_orientation_is_projected(bayes, volumes):
    rng = np.random.default_rng(0)
    flat = rng.integers(np.prod(bayes.sampler.bank.shape), size=20)
    centred = np.full((len(flat), 3), 0.5)
    images = bayes.sampler._images(bayes.sampler._poses(flat, centred))
    for image, cell in zip(images, flat, strict=True):
        weights = torch.zeros(bayes.sampler.bank.shape)
        weights.view(-1)[cell] = 1
        seen = bayes.sampler.bank.basis.render(bayes.sampler.bank.weighted_sum(weights[None]))[0].numpy()
        assert np.corrcoef(seen.ravel(), image.ravel())[0, 1] > 0.99


def test_cells_are_compared_with_an_image_in_parts(bayes, case, monkeypatch):
    _, noisy, sigma, _ = case
    bank = bayes.sampler.bank
    inner = bank.inner_products(bank.basis.coefficients(noisy[:1]))[0]
    at_once = ((inner - bank.norms / 2) / (bayes.temper * sigma[0] ** 2)).flatten()
    monkeypatch.setattr(sampling, "PART", len(bank) // 3)
    torch.testing.assert_close(
        bayes.sampler._tempered(noisy[0], sigma[0] ** 2, bank.norms), at_once, rtol=1e-5, atol=1e-4
    )


def test_weighted_draws_give_the_direct_sums_of_a_discrete_posterior(volumes):
    # The whole prior: 300 poses of two conformations, each drawn once.
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)
    poses = random_rotations(300, rng)
    images = np.empty((300, SIZE, SIZE), np.float32)
    for k in range(2):
        images[labels == k] = rescale(Projector(volumes[k])(poses[labels == k]))
    noisy, sigma = images[0] + 0.5 * rng.standard_normal((SIZE, SIZE)), 0.5
    evidence = np.array([np.exp(-((noisy - x.astype(float)) ** 2).sum() / (2 * sigma**2)) for x in images])
    evidence /= evidence.sum()
    mean = sum(p * x.astype(float) for p, x in zip(evidence, images, strict=True))
    log_weights = ((images * noisy).sum((1, 2)) - (images.astype(float) ** 2).sum((1, 2)) / 2) / sigma**2
    posterior = WeightedDraws(torch.from_numpy(images), normalised(log_weights), labels)
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-5)
    assert posterior.summary["ess"] == pytest.approx(1 / (evidence**2).sum())
    assert posterior.summary["conformation_probability"] == pytest.approx(
        max(evidence[labels == k].sum() for k in range(2))
    )


@pytest.mark.parametrize("adapt_above", [64, SIZE - 1])
def test_equals_the_closed_form_where_orientation_does_not_matter(adapt_above):
    # Two Gaussian balls look the same from everywhere: the limit is a sum of two images.
    z, y, x = np.mgrid[:SIZE, :SIZE, :SIZE] - SIZE // 2
    balls = np.stack([np.exp(-(x**2 + y**2 + z**2) / (2 * width**2)) for width in (2.5, 2.8)]).astype(np.float32)
    images = np.concatenate([rescale(Projector(ball)(np.eye(3)[None])) for ball in balls]).astype(float)
    noisy, sigma = images[0] + 0.5 * np.random.default_rng(3).standard_normal((SIZE, SIZE)), 0.5
    evidence = np.exp(-((noisy - images) ** 2).sum((1, 2)) / (2 * sigma**2))
    evidence /= evidence.sum()
    assert 0.1 < evidence[0] < 0.9
    bayes = fitted(balls, step=4, ess=2000, adapt_above=adapt_above)
    denoised = bayes.denoise(noisy[None].astype(np.float32), sigma=np.array([sigma]))[0]
    np.testing.assert_allclose(denoised, np.tensordot(evidence, images, axes=1), atol=0.01)
    assert bayes.report["per_image"]["conformation"] == [evidence.argmax()]
    assert bayes.report["per_image"]["conformation_probability"][0] == pytest.approx(evidence.max(), abs=0.05)


def test_agrees_with_brute_force_over_random_poses(bayes, volumes):
    _, noisy, sigma, _ = simulate(volumes, 6, snr=0.03)  # so little signal that random poses come close enough
    rng = np.random.default_rng(0)
    images = np.concatenate([rescale(Projector(volume)(random_rotations(8_000, rng))) for volume in volumes])
    flat, norms = images.reshape(len(images), -1), np.einsum("nyx,nyx->n", images, images)
    denoised = bayes.denoise(noisy, sigma=sigma)
    predicted = bayes.report["per_image"]["predicted_mse"]
    excess = []
    for i in range(6):
        log = (flat @ noisy[i].ravel() - norms / 2) / sigma[i] ** 2
        weights = np.exp(log - log.max())
        mean = (weights @ flat / weights.sum()).reshape(SIZE, SIZE)
        excess.append(((mean - denoised[i]) ** 2).mean() / predicted[i])
    assert np.mean(excess) < 0.05


@pytest.mark.parametrize("adapt_above", [64, SIZE - 1])
def test_predicts_its_own_error_and_beats_any_blur(volumes, case, adapt_above):
    n = 60 if adapt_above > SIZE else 20  # where a cell is no wider than the posterior adaptive draws are slow
    clean, noisy, sigma = (part[:n] for part in case[:3])
    bayes = fitted(volumes, adapt_above=adapt_above)
    error = ((bayes.denoise(noisy, sigma=sigma) - clean) ** 2).mean(axis=(1, 2))
    report = bayes.report["per_image"]
    surprise = error - report["predicted_mse"]
    assert abs(surprise.mean()) < 3 * surprise.std() / np.sqrt(len(surprise))
    blurred = [((gaussian_filter(noisy, (0, w, w)) - clean) ** 2).mean() for w in (1, 1.5, 2, 3)]
    assert error.mean() < 0.7 * min(blurred)
    assert all(1 <= e <= d for e, d in zip(report["ess"], report["draws"], strict=True))
    assert min(report["ess"]) >= bayes.ess


def test_adaptive_proposals_are_densities():
    # Over uniform orientations every density has the mean 1, and over draws of its own its inverse has.
    rng = np.random.default_rng(0)
    mixture = [
        PoseGaussian(share, k, centre, 0.3 * np.linalg.cholesky(np.eye(3) + 0.5 * np.ones((3, 3))))
        for share, k, centre in zip((0.7, 0.3), (0, 2), random_rotations(2, rng), strict=True)
    ]
    proposals = Proposals(lambda poses: np.zeros(len(poses)), conformations=3, reach=0.5)
    uniform = DrawnPoses(rng.integers(3, size=100_000), random_rotations(100_000, rng))
    density = np.exp(proposals.of_mixture(mixture, uniform))
    assert density.mean() == pytest.approx(1, abs=4 * density.std() / np.sqrt(len(density)))
    assert density.std() / np.sqrt(len(density)) < 0.03
    proposals.rounds = [(100, None), (300, mixture)]  # a quarter uniform, so that no weight is above 4
    own = draw(mixture, 30_000, rng)
    poses = DrawnPoses(
        np.r_[uniform.conformations[:10_000], own.conformations], np.r_[uniform.rotations[:10_000], own.rotations]
    )
    weights = np.exp(-proposals.log_density(poses))
    assert weights.max() <= 4 * (1 + 1e-9)
    assert weights.mean() == pytest.approx(1, abs=4 * weights.std() / np.sqrt(len(weights)))
    # A fit to draws of equal weight gives the mixture back, each Gaussian WIDER by what it says.
    narrow = [replace(gaussian, spread=gaussian.spread / 5) for gaussian in mixture]
    again = Proposals(proposals.of_cells, 3, reach=1.0).fit(draw(narrow, 4_000, rng), np.zeros(4_000))
    assert [g.share for g in again] == pytest.approx([0.7, 0.3], abs=0.01)
    for gaussian, true in zip(again, narrow, strict=True):
        covariance = true.spread @ true.spread.T
        np.testing.assert_allclose(gaussian.centre, true.centre, atol=0.01)
        np.testing.assert_allclose(gaussian.spread @ gaussian.spread.T, WIDER * covariance, atol=0.2 * covariance.max())


def test_adaptive_draws_give_the_same_posterior_with_fewer_projections(volumes):
    # Little noise, so that a cell is broad beside the posterior.
    _, noisy, sigma, _ = simulate(volumes, 6, snr=1)
    plain, adaptive = fitted(volumes, ess=200, max_draws=65536), fitted(volumes, ess=200, adapt_above=SIZE - 1)
    expected, denoised = plain.denoise(noisy, sigma=sigma), adaptive.denoise(noisy, sigma=sigma)
    variance = np.array(plain.report["per_image"]["predicted_mse"])
    assert min(adaptive.report["per_image"]["ess"]) >= 200
    assert (((denoised - expected) ** 2).mean(axis=(1, 2)) / variance).mean() < 4 * 2 / 200
    np.testing.assert_allclose(adaptive.report["per_image"]["predicted_mse"], variance, rtol=0.3)
    assert adaptive.report["per_image"]["conformation"] == plain.report["per_image"]["conformation"]
    assert np.mean(adaptive.report["per_image"]["draws"]) < 0.5 * np.mean(plain.report["per_image"]["draws"])


def test_cut_pixels_count_by_the_chance_of_being_cut():
    rng = np.random.default_rng(0)
    images, sigma = rng.random((3, 8, 8)).astype(np.float32), 0.4
    noisy = np.clip(images[0] + sigma * rng.standard_normal((8, 8)), 0, 1).astype(np.float32)
    inside, chance = norm.logpdf(noisy, images, sigma), norm.logcdf(0, images, sigma)
    direct = np.where(noisy == 0, chance, np.where(noisy == 1, norm.logsf(1, images, sigma), inside)).sum((1, 2))
    ours = log_likelihood(torch.from_numpy(images), noisy, sigma).numpy()
    np.testing.assert_allclose(ours - ours[0], direct - direct[0], rtol=1e-5)
    # The stand-in for the coarse search has the slope of the true likelihood, here in the direction of another image.
    plain, variance = uncut(noisy, sigma, images[1])
    step = np.stack([images[1] - 1e-2 * images[2], images[1] + 1e-2 * images[2]]).astype(np.float32)
    stand_in = -((step - plain) ** 2).sum((1, 2), dtype=float) / (2 * variance)
    true = log_likelihood(torch.from_numpy(step), noisy, sigma).numpy()
    assert np.diff(stand_in)[0] == pytest.approx(np.diff(true)[0], rel=1e-3)


def test_is_the_limit_of_cut_images_too(bayes, volumes):
    clean, noisy, sigma, _ = simulate(volumes, 60, snr=0.1, clip=True)
    error = ((bayes.denoise(noisy, sigma=sigma) - clean) ** 2).mean(axis=(1, 2))
    surprise = error - bayes.report["per_image"]["predicted_mse"]
    assert abs(surprise.mean()) < 3 * surprise.std() / np.sqrt(len(surprise))
    assert min(bayes.report["per_image"]["ess"]) >= bayes.ess


def test_hardly_changes_on_a_finer_grid(bayes, volumes, case):
    _, noisy, sigma, _ = case
    denoised = bayes.denoise(noisy[:20], sigma=sigma[:20])
    predicted = np.mean(bayes.report["per_image"]["predicted_mse"])
    finer = fitted(volumes, step=bayes.step / 1.5).denoise(noisy[:20], sigma=sigma[:20])
    assert ((finer - denoised) ** 2).mean() < 0.05 * predicted


def test_an_image_does_not_depend_on_its_batch(bayes, case):
    _, noisy, sigma, _ = case
    together = bayes.denoise(noisy[:3], sigma=sigma[:3])
    backwards = bayes.denoise(noisy[2::-1], sigma=sigma[2::-1])
    np.testing.assert_array_equal(together, backwards[::-1])
    np.testing.assert_array_equal(together[1:2], bayes.denoise(noisy[1:2], sigma=sigma[1:2]))
    assert bayes.denoise(noisy[:0], sigma=sigma[:0]).shape == (0, SIZE, SIZE)


def test_says_what_is_wrong(bayes, case):
    _, noisy, sigma, _ = case
    with pytest.raises(InputError, match="expected images of 24 pixels"):
        bayes.denoise(noisy[:1, :16, :16], sigma=sigma[:1])
    with pytest.raises(BadImages, match="σ above 0") as caught:
        bayes.denoise(noisy[:3], sigma=np.array([0.5, 0.0, np.nan]))
    assert caught.value.indices == [1, 2]
    with pytest.raises(InputError, match="temper"):
        Bayes(temper=0.5)
    with pytest.raises(InputError, match="max_draws"):
        Bayes(max_draws=10)
