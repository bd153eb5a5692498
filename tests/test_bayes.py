"""The limit: orientation cells against uniform rotations, the posterior against direct sums, and its calibration."""

import types
from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from one_device import OneDevice, moved
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from scipy.stats import kstest, norm

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.project import Projector
from cryobench.data.rotations import random_rotations
from cryobench.data.simulate import draw_poses, rescale
from cryobench.errors import BadImages, InputError
from cryobench.methods.posterior import coarse, orbits, sampling
from cryobench.methods.posterior.adaptive import (
    MOST,
    WIDER,
    GaussianMixture,
    PoseGaussians,
    Proposals,
    _within,
    fit,
    normalised,
)
from cryobench.methods.posterior.bayes import Bayes
from cryobench.methods.posterior.coarse import CellsOfOne, HeavyCells
from cryobench.methods.posterior.likelihood import log_likelihood, uncut
from cryobench.methods.posterior.sampling import DrawnPosterior
from cryobench.methods.posterior.simulator import DrawnPoses, through
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.noise.ctf import Ctf
from cryobench.noise.ctf import through as through_ctfs
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
    area = (cells.z_range.diff().abs() * cells.phi_range.diff())[:, 0].numpy()
    np.testing.assert_allclose(area, 2 * np.pi / len(cells), rtol=1e-9)
    assert len(cells) == pytest.approx(2 * np.pi / np.deg2rad(7) ** 2, rel=0.1)
    corners = np.arccos(np.clip(cells.z_range.numpy(), 0, 1))
    assert np.ptp(corners, axis=1).max() < np.deg2rad(2 * 7)


@pytest.mark.parametrize("spacing", [9, 80])
def test_the_cell_of_a_rotation_is_found_again(spacing):
    rng, shape = np.random.default_rng(1), (5, 400)
    cells = hemisphere(np.deg2rad(spacing))
    cell, mirrored = torch.from_numpy(rng.integers(len(cells), size=shape)), torch.from_numpy(rng.random(shape) < 0.5)
    angle, offset = torch.from_numpy(2 * np.pi * rng.random(shape) - np.pi), torch.from_numpy(rng.random((*shape, 2)))
    found, behind, turned = cells.find(cells.rotations(cell, offset, mirrored, angle))
    np.testing.assert_array_equal(found, cell)
    np.testing.assert_array_equal(behind, mirrored)
    np.testing.assert_allclose(torch.polar(torch.ones(()).double(), turned), np.exp(1j * angle.numpy()), atol=1e-6)


def test_a_cell_at_its_centre_looks_along_its_view():
    cells = hemisphere(np.deg2rad(20))
    n = len(cells)
    centres = (cells.centre - torch.stack([cells.z_range[:, 0], cells.phi_range[:, 0]], dim=1)) / torch.cat(
        [cells.z_range.diff(), cells.phi_range.diff()], dim=1
    )
    plain = cells.rotations(torch.arange(n), centres, torch.zeros(n).bool(), torch.zeros(n).double())
    np.testing.assert_allclose(plain, cells.views(), atol=1e-7)  # of the pole, arccos(1 - 1e-16) is 1e-8
    turned = cells.rotations(torch.arange(n), centres, torch.ones(n).bool(), torch.full((n,), 0.3).double())
    about = Rotation.from_euler("z", -0.3).as_matrix()
    np.testing.assert_allclose(turned, cells.views() @ np.diag([1, -1, -1]) @ about, atol=1e-7)


def test_a_view_from_aside_is_not_turned():
    rng, cells = np.random.default_rng(4), hemisphere(np.deg2rad(8))
    cell = np.flatnonzero(cells.z_range[:, 0] < 0.9)  # about the pole a cell goes far around
    offset, n = torch.from_numpy(rng.random((len(cell), 2))), len(cell)
    poses = cells.rotations(torch.from_numpy(cell), offset, torch.zeros(n).bool(), torch.zeros(n).double())
    turns = (Rotation.from_matrix(cells.views()[cell]).inv() * Rotation.from_matrix(poses.numpy())).as_rotvec()
    assert np.abs(turns[:, 2]).max() < 0.1 * np.abs(turns[:, :2]).max()


def test_uniform_draws_from_the_cells_are_uniform_rotations():
    rng, n = np.random.default_rng(0), 20_000
    cells = hemisphere(np.deg2rad(12))
    draw, cell = torch.from_numpy(rng.random((n, 4))), torch.from_numpy(rng.integers(len(cells), size=n))
    rotations = cells.rotations(cell, draw[:, :2], draw[:, 2] < 0.5, 2 * np.pi * draw[:, 3]).numpy()
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (n, 1, 1)), atol=1e-9)
    for reference in (np.eye(3), random_rotations(1, rng)[0]):
        # The angle between a uniform rotation and any fixed one has the density (1 - cos θ)/π on [0, π].
        angle = np.arccos(np.clip((np.trace(reference.T @ rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
        assert kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3


def test_the_bank_shows_each_cell_as_its_orientation_is_projected(bayes):
    bank, rng = bayes.sampler.coarse.bank, np.random.default_rng(0)
    flat = torch.from_numpy(rng.integers(np.prod(bank.shape), size=20))
    poses = bayes.sampler.coarse.poses(flat[None], torch.full((len(flat), 3), 0.5).double())
    np.testing.assert_array_equal(bayes.sampler.coarse.find(poses)[0], flat)
    images = bayes.sampler.simulator(poses)[0]
    for image, cell in zip(images, flat, strict=True):
        weights = torch.zeros(bank.shape)
        weights.view(-1)[cell] = 1
        seen = bank.basis.render(bank.weighted_sum(weights[None]))[0].numpy()
        assert np.corrcoef(seen.ravel(), image.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("wider", [0.1, 0.3, 1, 100])
def test_views_that_may_be_drawn_are_found_part_by_part(bayes, case, monkeypatch, wider):
    """Against all cells at once; with σ 100 times as large every view may be."""
    _, noisy, sigma, _ = case
    cells, images, variance = (
        bayes.sampler.coarse,
        torch.from_numpy(noisy[:2]),
        torch.from_numpy(wider * sigma[:2]) ** 2,
    )
    bank = cells.bank
    inner = bank.inner_products(bank.basis.coefficients(noisy[:2]))
    at_once = (inner - bank.norms / 2) / (bayes.temper * variance[:, None, None, None])
    monkeypatch.setattr(orbits, "ELEMENTS", 4 * bank.angles * (len(bank) // 7))
    monkeypatch.setattr(orbits, "MULTIPLIED", len(bank) // 3)
    likely = cells._likely(images, variance, bank.norms[None])
    for one, every in zip(likely, at_once.flatten(1), strict=True):
        found, every = one.cells(len(bank)), every.float()
        near = every >= every.max() - coarse.LEFT_OUT
        rounding = 1e-3 + 1e-6 * every.abs().max().item()
        assert (every[found.positions] >= every.max() - coarse.LEFT_OUT - rounding).all()
        assert abs(len(found.positions) - near.sum()) <= 1e-3 * near.sum() + 1
        assert (found.positions.diff() > 0).all() and (len(one.views) == len(bank)) >= (wider == 100)
        logs = torch.log_softmax(every[found.positions].double(), dim=0)
        torch.testing.assert_close(found.logs, logs, rtol=1e-5, atol=rounding)
        np.testing.assert_allclose(found.cumulative / found.cumulative[-1], found.logs.exp().cumsum(0), rtol=1e-9)
        weights = torch.zeros(np.prod(bank.shape)).index_copy_(0, found.positions, found.logs.exp().float())
        every_view = bank.weighted_sum(weights.view(1, *bank.shape))
        torch.testing.assert_close(bank.weighted_sum(one.weights()[None], one.views), every_view, rtol=1e-4, atol=1e-4)


def test_draws_come_from_cells_as_often_as_these_are_probable(bayes, case):
    _, noisy, sigma, _ = case
    heavy = bayes.sampler.coarse.heavy(torch.from_numpy(noisy[:2]), torch.from_numpy(sigma[:2]).double(), None)
    uniform = torch.from_numpy(np.random.default_rng(0).random((2_000, 3)))
    poses, logs = heavy.draw(0.3, uniform)
    np.testing.assert_allclose(heavy.log_density(poses), logs)
    for cells, one in zip(bayes.sampler.coarse.find(poses), heavy.each, strict=True):
        assert one.logs.exp().sum() == pytest.approx(1)
        which, times = np.unique(np.searchsorted(one.positions.numpy(), cells.numpy()), return_counts=True)
        assert (np.abs(times - len(uniform) * one.logs.exp().numpy()[which]) < 1 + 1e-6).all()
    elsewhere = heavy.of(torch.tensor([1])).log_density(poses[torch.tensor([0])])
    assert not torch.equal(elsewhere, logs[:1])


def test_a_second_look_at_cut_images_is_nearer_their_likelihood(bayes, volumes):
    """Cells' probabilities against the likelihoods of their centres, whose differences would be one number."""
    _, noisy, sigma, _ = simulate(volumes, 12, snr=0.3, clip=True)
    cells, seen, known = bayes.sampler.coarse, torch.from_numpy(noisy), torch.from_numpy(sigma).double()
    plain, variance = uncut(seen, known, cells.typical.expand_as(seen))  # as the first look has them
    inner = cells.bank.inner_products(cells.bank.basis.coefficients(plain.float()))
    once = ((inner - cells.bank.norms / 2) / (bayes.temper * variance[:, None, None, None])).flatten(1)
    errors = []
    for i, one in enumerate(cells.heavy(seen, known, None).each):
        best = one.logs.topk(400).indices
        poses = cells.poses(one.positions[best][None], torch.full((400, 3), 0.5).double())
        exact = log_likelihood(bayes.sampler.simulator(poses), seen[i : i + 1], known[i : i + 1])[0] / bayes.temper
        errors.append([(exact - logs).std().item() for logs in (once[i, one.positions[best]], one.logs[best])])
    first, second = np.mean(errors, axis=0)
    assert second < 0.95 * first


def test_weighted_draws_give_the_direct_sums_of_a_discrete_posterior(volumes):
    # The whole prior: 300 poses of two conformations, each drawn once.
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)
    poses = random_rotations(300, rng)
    images = np.empty((300, SIZE, SIZE), np.float32)
    for k in range(2):
        images[labels == k] = rescale(Projector(volumes[k])(poses[labels == k]))
    noisy, sigma = images[0] + 2 * rng.standard_normal((SIZE, SIZE)), 2  # several poses are likely
    evidence = np.array([np.exp(-((noisy - x.astype(float)) ** 2).sum() / (2 * sigma**2)) for x in images])
    evidence /= evidence.sum()
    assert 1 / (evidence**2).sum() > 10
    mean = sum(p * x.astype(float) for p, x in zip(evidence, images, strict=True))
    log_weights = ((images * noisy).sum((1, 2)) - (images.astype(float) ** 2).sum((1, 2)) / 2) / sigma**2
    # The second time the other way round: images go their own ways in a batch.
    images, log_weights, labels = (
        torch.from_numpy(np.stack([one, one[::-1]])) for one in (images, log_weights, labels)
    )
    posterior = DrawnPosterior.of_draws(images, normalised(log_weights), labels, 3)
    for at in range(2):
        np.testing.assert_allclose(posterior.mean[at], mean, rtol=1e-5)
        squares = np.tensordot(evidence, (images[0].numpy() - mean) ** 2, 1) / (1 - (evidence**2).sum())
        np.testing.assert_allclose(posterior.deviation[at], np.sqrt(squares), rtol=1e-4, atol=1e-6)
        assert posterior.variance[at] == pytest.approx(squares.mean(), rel=1e-5)
        assert posterior.ess[at] == pytest.approx(1 / (evidence**2).sum())
        shares = [evidence[labels[0] == k].sum() for k in range(3)]
        np.testing.assert_allclose(posterior.conformations[at], shares, atol=1e-9)
        half = evidence[::-1][::2] if at else evidence[::2]
        moved = np.tensordot(half / half.sum(), images[at, ::2].numpy(), 1) - mean
        assert posterior.change[at] == pytest.approx((moved**2).mean() / squares.mean(), rel=1e-3)
        assert posterior.draws[at] == 300


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


class Everywhere:
    """Uniform poses, of which each draw has the density 1."""

    def log_density(self, poses: DrawnPoses) -> torch.Tensor:
        return torch.zeros(poses.conformations.shape).double()


def test_adaptive_proposals_are_densities():
    # Over uniform orientations every density has the mean 1, and over draws of its own its inverse has. Of two images, whose
    # Gaussians come in no order.
    rng = np.random.default_rng(0)
    spreads = 0.3 * torch.linalg.cholesky(torch.eye(3).double() + torch.from_numpy(rng.random((4, 1, 1))))
    centres = torch.from_numpy(random_rotations(4, rng))
    image, conformation = torch.tensor([1, 0, 1, 0]), torch.tensor([2, 2, 0, 0])
    share = torch.tensor([0.6, 0.9, 1.4, 2.1]).double()
    mixture = GaussianMixture(PoseGaussians(image, conformation, share, centres, spreads), b=2, k=3)
    normals = partial(lambda n, rng: torch.from_numpy(rng.standard_normal((n, 3))), rng=rng)

    def uniform(n: int) -> DrawnPoses:
        labels, rotations = rng.integers(3, size=(2, n)), random_rotations(2 * n, rng).reshape(2, n, 3, 3)
        return DrawnPoses(torch.from_numpy(labels), torch.from_numpy(rotations))

    density = mixture.log_density(uniform(100_000)).exp()
    error = density.std(dim=1) / np.sqrt(density.shape[1])
    assert (error < 0.04).all() and ((density.mean(dim=1) - 1).abs() < 4 * error).all()
    before = uniform(10_000)  # a quarter uniform, so that no weight is above 4
    proposals = Proposals(Everywhere(), (), (10_000,), before, (Everywhere().log_density(before),))
    proposals = proposals.then(mixture, mixture.draw(0.5, normals(30_000)))
    weights = (-proposals.log_density()).exp()
    assert weights.max() <= 4 * (1 + 1e-9)
    error = weights.std(dim=1) / np.sqrt(weights.shape[1])
    assert ((weights.mean(dim=1) - 1).abs() < 4 * error).all()
    torch.testing.assert_close(
        mixture.of(torch.tensor([1])).log_density(before[torch.tensor([1])]), mixture.log_density(before)[1:]
    )
    # A fit to draws of equal weight gives the mixture back, each Gaussian WIDER by what it says.
    narrow = GaussianMixture(replace(mixture.gaussians, spread=mixture.gaussians.spread / 5), b=2, k=3)
    again = fit(narrow.draw(0.5, normals(4_000)), torch.zeros(2, 4_000).double(), k=3, reach=1.0)
    torch.testing.assert_close(again.gaussians.image, torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(again.gaussians.conformation, torch.tensor([0, 2, 0, 2]))
    np.testing.assert_allclose(again.share, [0.7, 0.3, 0.7, 0.3], atol=0.01)
    for of_fit, true in zip(again.gaussians.spread, narrow.gaussians.spread, strict=True):
        covariance = true @ true.T
        np.testing.assert_allclose(of_fit @ of_fit.T, WIDER * covariance, atol=0.2 * covariance.max())
    np.testing.assert_allclose(again.gaussians.centre, narrow.gaussians.centre, atol=0.01)


@pytest.mark.parametrize("reach", [0.5, 2.5, 3.5])
def test_a_gaussian_is_of_the_draws_within_reach_of_the_heaviest(reach):
    rng, n = np.random.default_rng(2), 500
    rotations, weights = random_rotations(n, rng), rng.random(n)
    poses = DrawnPoses(torch.zeros(1, n).long(), torch.from_numpy(rotations)[None])
    found, _ = _within(reach, poses, torch.from_numpy(weights / weights.sum())[None], k=1)
    vectors = (Rotation.from_matrix(rotations[weights.argmax()]).inv() * Rotation.from_matrix(rotations)).as_rotvec()
    close = np.linalg.norm(vectors, axis=1) <= reach  # 3.5 is more than any two rotations are apart
    np.testing.assert_allclose(found.share[0], weights[close].sum() / weights.sum(), rtol=1e-9)
    assert (len(found) == 1) == (reach > np.pi)


def test_draws_are_of_their_own_image_however_shares_are_rounded():
    rng, b = np.random.default_rng(1), 40
    image = torch.arange(b).repeat_interleave(7)
    centres = torch.from_numpy(random_rotations(b, rng))[image]  # those of an image are in one place
    shares, spread = torch.from_numpy(rng.random(len(image))), 1e-9 * torch.eye(3).double().expand(len(image), -1, -1)
    mixture = GaussianMixture(PoseGaussians(image, 0 * image, shares, centres, spread), b, k=1)
    drawn = mixture.draw(np.nextafter(1, 0), torch.zeros(3, 3).double())  # the last mark is 1, as far as numbers tell
    torch.testing.assert_close(drawn.rotations, centres[::7, None].expand(-1, 3, -1, -1))


def test_a_mixture_has_few_gaussians_however_far_draws_are_apart():
    """One image's draws lie everywhere, the other's in one place: each has what it would have alone."""
    rng = np.random.default_rng(2)
    everywhere = random_rotations(400, rng)
    together = (
        Rotation.from_rotvec(0.01 * rng.standard_normal((400, 3))) * Rotation.from_matrix(everywhere[0])
    ).as_matrix()
    labels = torch.from_numpy(rng.integers(2, size=400)).expand(2, -1)
    poses = DrawnPoses(labels, torch.from_numpy(np.stack([everywhere, together])))
    weights = torch.from_numpy(rng.standard_normal((2, 400)))
    both = fit(poses, weights, k=2, reach=0.1)
    counts = torch.bincount(both.gaussians.image)
    assert MOST < counts[0] <= 2 * MOST and counts[1] == 2
    for image in range(2):
        rows = torch.tensor([image])
        alone = fit(poses[rows], weights[rows], k=2, reach=0.1)
        torch.testing.assert_close(both.of(rows).gaussians.centre, alone.gaussians.centre)
        torch.testing.assert_close(both.of(rows).share, alone.share)
        assert alone.share.sum() == pytest.approx(1)


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
    known, seen = torch.tensor([sigma, sigma]).double(), torch.from_numpy(np.stack([noisy, images[2] + 0.1]))
    ours = log_likelihood(torch.from_numpy(images).expand(2, -1, -1, -1), seen, known).numpy()
    np.testing.assert_allclose(ours[0] - ours[0, 0], direct - direct[0], rtol=1e-5)
    plain = norm.logpdf(images[2] + 0.1, images, sigma).sum((1, 2))  # the other image of the batch is not cut
    np.testing.assert_allclose(ours[1] - ours[1, 0], plain - plain[0], rtol=1e-4)
    # The stand-in for the coarse search has the slope of the true likelihood, here in the direction of another image.
    stand_in, variance = uncut(seen, known, torch.from_numpy(images[[1, 1]]))
    np.testing.assert_allclose(stand_in[1], seen[1], rtol=1e-6)
    assert variance[1] == pytest.approx(sigma**2)
    step = np.stack([images[1] - 1e-2 * images[2], images[1] + 1e-2 * images[2]]).astype(np.float32)
    slope = np.diff(-((step - stand_in[0].numpy()) ** 2).sum((1, 2), dtype=float) / (2 * float(variance[0])))
    true = np.diff(log_likelihood(torch.from_numpy(step)[None], seen[:1], known[:1])[0])
    assert slope[0] == pytest.approx(true[0], rel=1e-3)


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


@pytest.mark.parametrize("adapt_above", [64, SIZE - 1])
def test_an_image_does_not_depend_on_how_many_threads_there_are(volumes, case, adapt_above, three_threads):
    _, noisy, sigma, _ = case
    bayes = fitted(volumes, adapt_above=adapt_above)
    together, reported = bayes.denoise(noisy[:8], sigma=sigma[:8]), bayes.report["per_image"]
    torch.set_num_threads(1)
    np.testing.assert_array_equal(together, bayes.denoise(noisy[:8], sigma=sigma[:8]))
    assert bayes.report["per_image"] == reported


def test_as_many_images_are_at_work_as_memory_has_room_for(volumes, bayes, case, monkeypatch, three_threads):
    _, noisy, sigma, _ = case
    assert bayes.sampler.threads == sampling.TOGETHER and bayes.sampler.images_at_once == 1
    monkeypatch.setattr(sampling, "CELLS", int(2.5 * bayes.report["cells"]))
    few = fitted(volumes)
    assert few.sampler.threads == 2
    at_work, most, posterior = [], [], few.sampler.posterior

    def watched(*of_one):
        at_work.append(of_one)
        most.append(len(at_work))
        found = posterior(*of_one)
        at_work.pop()
        return found

    monkeypatch.setattr(few.sampler, "posterior", watched)
    few.denoise(noisy[:6], sigma=sigma[:6])
    assert max(most) <= 2
    monkeypatch.setattr(sampling, "PIXELS", 1)
    assert fitted(volumes).sampler.threads == 1


@pytest.mark.parametrize("ctf", ["none", "corrected"])
def test_spectra_are_made_before_several_threads_would_each_make_them(volumes, ctf):
    assert ("spectra" in vars(fitted(volumes, ctf=ctf).sampler.coarse.bank.basis)) == (ctf != "none")


@pytest.mark.parametrize(("adapt_above", "ctf"), [(64, "none"), (SIZE - 1, "none"), (SIZE - 1, "corrected")])
def test_many_images_at_once_are_what_they_are_one_by_one(volumes, adapt_above, ctf, monkeypatch):
    """As on a GPU: some cut, some not, and with more draws than others."""
    *_, sigma, _ = simulate(volumes, 6, snr=0.5)
    noisy = np.concatenate([simulate(volumes, 6, snr=0.5, clip=clip)[1][clip::2] for clip in (False, True)])
    hints = {"sigma": np.r_[sigma[::2], sigma[1::2]]}
    if ctf != "none":
        underfocus = np.linspace(1e4, 2e4, 6)
        hints["ctf"] = Ctf(np.array([[u, 0.9 * u, 20, 300, 2.7, 0.1, 0] for u in underfocus]), 4.0)
        noisy = through_ctfs(noisy, hints["ctf"].transfer(SIZE))
    bayes = fitted(volumes, adapt_above=adapt_above, ess=100, max_draws=1500, ctf=ctf)
    expected, alone, reported = bayes.denoise(noisy, **hints), bayes.uncertainty, bayes.report["per_image"]
    assert len(set(reported["draws"])) > 1
    bayes.sampler.images_at_once = 4
    monkeypatch.setattr(coarse, "images_at_once", lambda _: 2)
    np.testing.assert_allclose(bayes.denoise(noisy, **hints), expected, atol=1e-5)
    np.testing.assert_allclose(bayes.uncertainty.deviation, alone.deviation, atol=1e-5)
    np.testing.assert_allclose(bayes.uncertainty.conformations, alone.conformations, atol=1e-5)
    for name, values in bayes.report["per_image"].items():
        np.testing.assert_allclose(values, reported[name], rtol=1e-3)


def test_draws_are_made_where_their_images_are(bayes, monkeypatch):
    """Each step that does not hang on what numbers are; how many Gaussians an image has is given."""
    monkeypatch.setattr(torch, "bincount", lambda _, minlength: torch.ones(minlength, device="meta").long())
    cells, b, n = copy(bayes.sampler.coarse), 3, 7
    cells.bank, cells.cells, cells.typical = moved(cells.bank), cells.cells.to("meta"), cells.typical.to("meta")
    numbers = partial(torch.zeros, device="meta", dtype=torch.float64)
    places, noisy = partial(torch.zeros, device="meta", dtype=torch.int64), numbers(b, SIZE, SIZE).float()
    with OneDevice() as seen:
        filtered = through(noisy, numbers(b, SIZE, SIZE // 2 + 1).float())
        _, products = next(cells.bank.in_parts(cells.bank.basis.coefficients(filtered)))
        heavy = HeavyCells(cells, [CellsOfOne.of(places(5), numbers(5))] * b)
        first, log = heavy.draw(0.5, numbers(n, 3))
        mixture = GaussianMixture(
            PoseGaussians(places(4), places(4), numbers(4), numbers(4, 3, 3), numbers(4, 3, 3)), b, 2
        )
        none = Proposals(heavy, (), (0,), DrawnPoses(places(b, 0), numbers(b, 0, 3, 3)), (numbers(b, 0),))
        proposals = none.more(first, log).then(mixture, mixture.draw(0.5, numbers(2, 3)))
        density = proposals.log_density()
    assert products.shape[:2] == (b, 2) and products.shape[3] == cells.bank.angles and density.shape == (b, n + 2)
    assert products.is_meta and density.is_meta and proposals.poses.rotations.is_meta and not seen.mixed


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
