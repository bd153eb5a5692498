"""From noisy images alone: each step against sums over all poses one by one, and the whole against a volume that is known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch_fourier_shell_correlation import fourier_shell_correlation

from cryobench.config.compose import build, compose, resolve
from cryobench.data.backproject import back_project
from cryobench.data.images import NoisyImages
from cryobench.data.io.stack import read_map, resample
from cryobench.data.io.star import read_star
from cryobench.data.pairs import open_pairs
from cryobench.data.project import Projector, project
from cryobench.data.rotations import random_rotations, rotations_from_euler
from cryobench.evaluation.analysis import Evidence
from cryobench.evaluation.analysis.structure import analyse
from cryobench.methods.base import Setting
from cryobench.methods.posterior import abinitio, pose_mixture, structure
from cryobench.methods.posterior.abinitio import AbInitio
from cryobench.methods.posterior.align import align, hand, turned
from cryobench.methods.posterior.band import Band, Places, band_of
from cryobench.methods.posterior.confirmed import confirmed
from cryobench.methods.posterior.cross_fitted import together
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.half_maps import HalfMaps, Part, half_maps, masked
from cryobench.methods.posterior.halves import Halves
from cryobench.methods.posterior.orbits import angles_of
from cryobench.methods.posterior.pose_mixture import Contrast, PoseMixture, Sums
from cryobench.methods.posterior.seen import cropped, rings_of
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.methods.posterior.structure import (
    Structure,
    ViewGrid,
    batch_of,
    beginning,
    expectation,
    iterate,
    mixture,
    part,
    poses_of,
    resized,
)
from cryobench.noise.ctf import Ctf, through
from cryobench.noise.recorded import Recorded


def lumps(size: int, seed: int = 1, width: float = 0.07) -> torch.Tensor:
    """A volume without symmetry."""
    rng = np.random.default_rng(seed)
    axis = np.arange(size) - size // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = np.zeros((size,) * 3)
    for centre in rng.normal(0, 0.17 * size, (9, 3)):
        volume += np.exp(
            -((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / (2 * (width * size) ** 2)
        )
    return masked(torch.from_numpy(volume).float())


# The posterior over poses


CONTRAST = Contrast(0.02, 0.1, 0.003)


@dataclass
class Case:
    """A mixture and three images; of every element, one by one: x and the image 1 as each image sees them (3, e, d) and (3, d),
    log p(y | element), and of a and b the means and second moments. Vectors are coefficients, or pixels where there is a CTF."""

    mix: PoseMixture
    band: Band
    elements: torch.Tensor
    x: torch.Tensor
    one: torch.Tensor
    y: torch.Tensor
    transfers: np.ndarray | None = None

    def __post_init__(self) -> None:
        precision = torch.tensor([1 / CONTRAST.scale_variance, 1 / CONTRAST.level_variance], dtype=torch.float64)
        centre = torch.tensor([1.0, CONTRAST.level], dtype=torch.float64)
        self.log = torch.empty(self.x.shape[:2], dtype=torch.float64)
        self.means = torch.empty(*self.log.shape, 2, dtype=torch.float64)
        self.moments = torch.empty(*self.log.shape, 2, 2, dtype=torch.float64)
        for i, e in np.ndindex(*self.log.shape):
            variance, y = self.band.variance[i].double(), self.y[i]
            design = torch.stack([self.x[i, e], self.one[i]], dim=1)
            posterior = design.T @ design / variance + torch.diag(precision)
            right = design.T @ y / variance + precision * centre
            mean = torch.linalg.solve(posterior, right)
            self.log[i, e] = (right @ mean - y @ y / variance - (precision * centre**2).sum()) / 2
            self.log[i, e] += (precision.log().sum() - torch.logdet(posterior)) / 2
            self.means[i, e], self.moments[i, e] = mean, torch.linalg.inv(posterior) + mean[:, None] * mean
        self.weights = torch.softmax(self.log, dim=1)


def defocused(*defocus: float, pixel_size: float) -> Ctf:
    return Ctf(np.array([[d, d, 0, 300, 2.7, 0.1, 0] for d in defocus], dtype=float), pixel_size)


@pytest.fixture(
    scope="module", params=["plain", "plain, all orders at once", "seen through a CTF", "the same, at once"]
)
def case(request) -> Case:
    at_once = "at once" in request.param
    basis = fourier_bessel(16)
    images = Projector(lumps(16))(torch.from_numpy(hemisphere(0.7).views()).float())
    views = basis.coefficients(images)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 4, (3, 16, 16))).float()
    variance, angles = torch.tensor([16.0, 14.0, 18.0]), angles_of(basis, 0)
    elements = torch.stack(
        [
            (views.conj() if mirrored else views)
            * torch.polar(torch.ones(1), torch.tensor(2 * np.pi * turn / angles) * basis.orders)
            for mirrored in (False, True)
            for turn in range(angles)
        ]
    ).flatten(0, 1)
    if "plain" in request.param:
        mix = PoseMixture(basis, views, 0, CONTRAST, at_once=at_once)
        y = basis.coefficients(1.1 * images[:3] + 0.15 + noise)
        x, one = vectors(elements).expand(3, -1, -1), torch.zeros(3, 2 * len(basis), dtype=torch.float64)
        one[:, 0] = mix.whole
        return Case(mix, Band(basis, y[:, None], variance), vectors(elements), x, one, vectors(y))
    transfers = defocused(6e3, 9e3, 12e3, pixel_size=8.0).transfer(16)
    rendered = basis.render(elements)
    noisy = through(1.1 * images[:3].numpy() + 0.15, transfers) + noise.numpy()
    sees = [torch.from_numpy(through(rendered.numpy(), transfer)).flatten(1).double() for transfer in transfers]
    one = torch.from_numpy(through(np.ones((3, 16, 16)), transfers)).flatten(1).double()
    mix = PoseMixture(basis, views, 0, CONTRAST, rings_of(16).power(basis.render(views)), at_once=at_once)
    band = band_of(lambda rows: noisy[rows], 3, 16, variance.sqrt().numpy(), 16, "cpu", lambda rows: transfers[rows])
    y = torch.from_numpy(noisy).flatten(1).double()
    return Case(mix, band, vectors(elements), torch.stack(sees), one, y, transfers)


def vectors(coefficients: torch.Tensor) -> torch.Tensor:
    return torch.cat([coefficients.real, coefficients.imag], dim=-1).double()


def test_the_posterior_over_poses_is_that_of_all_poses_one_by_one(case):
    mix, found = case.mix, case.mix.posterior(case.band)
    torch.testing.assert_close(found.weights.flatten(1).double(), case.weights, atol=1e-4, rtol=0)
    evidence = torch.logsumexp(case.log, dim=1) - np.log(case.log.shape[1])
    torch.testing.assert_close(found.log_likelihood.double(), evidence, atol=1e-2, rtol=0)
    expected = torch.einsum("ie,ie,ed->id", case.weights, case.means[..., 0], case.elements)
    expected[:, 0] += (case.weights * case.means[..., 1]).sum(dim=1) * mix.whole
    mean, views = mix.mean(case.band)
    expected = mix.basis.render(torch.complex(*expected.chunk(2, dim=1)).to(torch.complex64))
    torch.testing.assert_close(mean, expected, atol=1e-3 * float(expected.abs().max()), rtol=0)
    torch.testing.assert_close(views.double(), case.weights.view(3, -1, len(mix)).sum(dim=1), atol=1e-4, rtol=0)
    assert 3 < float(1 / case.weights.square().sum(dim=1).min()), "a posterior of one pose shows little"


def test_views_that_are_not_allowed_are_as_good_as_not_there(case):
    few = torch.tensor([0, 2, 3, 7])
    allowed = torch.zeros((3, len(case.mix)), dtype=torch.bool)
    allowed[:, few] = True
    found, alone = case.mix.posterior(case.band, allowed=allowed), case.mix.of(few).posterior(case.band)
    torch.testing.assert_close(found.weights[..., few], alone.weights, atol=1e-5, rtol=0)
    assert float(found.weights.sum(dim=(1, 2, 3))[~allowed].abs().max()) == 0
    torch.testing.assert_close(found.log_likelihood, alone.log_likelihood, atol=1e-3, rtol=0)


def test_a_heat_takes_the_likelihood_to_a_power(case):
    weights = torch.softmax(case.log / 3, dim=1)
    found = case.mix.posterior(case.band, 3.0).weights.flatten(1).double()
    torch.testing.assert_close(found, weights, atol=1e-4, rtol=0)


def test_the_sums_for_the_next_map_are_those_over_all_poses_one_by_one(case):
    mix, band = case.mix, case.band
    sums, _, best = mix.sums(band)
    weights, n, orders = case.weights, len(mix), mix.basis.orders
    expected = torch.zeros_like(mix.views, dtype=torch.complex128)
    count = torch.zeros(n, dtype=torch.float64)
    for i in range(3):
        rest = case.means[i, :, :1] * case.y[i] - case.moments[i, :, 0, 1:] * case.one[i]  # E[a (y − b)]
        if case.transfers is not None:
            rest = vectors(mix.basis.coefficients(through(rest.view(-1, 16, 16).numpy(), case.transfers[i])))
        for e in range(case.log.shape[1]):
            mirrored, turn, view = e // (mix.angles * n), e // n % mix.angles, e % n
            back = torch.complex(*rest[e].chunk(2)) * torch.polar(
                torch.ones(1, dtype=torch.float64), -2 * np.pi * turn / mix.angles * orders.double()
            )
            expected[view] += weights[i, e] * (back.conj() if mirrored else back)
            count[view] += weights[i, e] * case.moments[i, e, 0, 0]
    mirrored, turn, view, _ = best.T
    assert torch.equal((mirrored * mix.angles + turn) * n + view, case.log.argmax(dim=1))
    scale = float(expected.abs().max())
    torch.testing.assert_close(sums.images.to(torch.complex128), expected, atol=1e-3 * scale, rtol=0)
    if case.transfers is None:
        torch.testing.assert_close(sums.weights.double(), count, atol=1e-4, rtol=1e-3)
    else:  # of frequency 0, of (0, 3) and of all that are 5 away from it
        squares = torch.einsum("ie,ie->ie", weights, case.moments[..., 0, 0]).view(3, -1, n).sum(dim=1)
        radii = rings_of(16).radii
        for distance, places in ((0, [(0, 0)]), (3, [(0, 3)]), (5, [(0, 5), (3, 4), (-4, 3), (5, 0)])):
            seen = np.mean([case.transfers[:, down, right] ** 2 for down, right in places], axis=0)
            found = sums.weights[:, int((radii - distance).abs().argmin())].double()
            torch.testing.assert_close(found, squares.T @ torch.from_numpy(seen).double(), atol=1e-4, rtol=1e-3)
    over = {
        "scale": case.means[..., 0],
        "scale_square": case.moments[..., 0, 0],
        "level": case.means[..., 1] - CONTRAST.level,
        "level_square": case.moments[..., 1, 1] - 2 * CONTRAST.level * case.means[..., 1] + CONTRAST.level**2,
    }
    for name, values in over.items():
        assert getattr(sums, name) == pytest.approx(float((weights * values).sum()), rel=2e-3), name


def test_some_views_give_what_all_give_where_the_others_have_no_weight(case):
    mix, band = case.mix, replace(case.band, variance=case.band.variance / 100)
    sums, views, _ = mix.sums(band)
    there = torch.nonzero((views > 1e-6).any(dim=0))[:, 0]
    assert 0 < len(there) < len(mix)
    few, _, _ = mix.of(there).sums(band)
    torch.testing.assert_close(few.images, sums.images[there], atol=1e-3 * float(sums.images.abs().max()), rtol=0)


@pytest.fixture(scope="module")
def looked():
    """60 images of 24 px, their halves, the poses, and a mixture for each half."""
    volume = lumps(24)
    noisy, _ = images_of(volume, 60, sigma=1.0)
    band = band_of(lambda rows: noisy[rows], 60, 24, np.full(60, 1.0), 24, "cpu")
    poses, halves = poses_of(24, 2.8, "cpu"), np.arange(60) % 2
    return band, halves, poses, [mixture(band.basis, volume, poses, Contrast(0.01, 0.0, 1e-3))] * 2


def test_images_looked_at_together_add_up_to_what_they_do_one_by_one(looked, monkeypatch):
    band, halves, _, mixes = looked
    together, likely, best = expectation(band, mixes, halves, 1.0, None)
    monkeypatch.setattr(structure, "ELEMENTS", 1)
    assert batch_of(mixes[0], band) == 1
    apart, likely_apart, best_apart = expectation(band, mixes, halves, 1.0, None)
    assert torch.equal(likely, likely_apart) and torch.equal(best, best_apart)
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one.images, other.images, atol=1e-4 * float(one.images.abs().max()), rtol=0)
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-5)


def test_looking_only_around_likely_views_changes_next_to_nothing(looked):
    band, halves, poses, mixes = looked
    all_of, likely, best = expectation(band, mixes, halves, 1.0, None)
    around, _, best_around = expectation(band, mixes, halves, 1.0, likely.float() @ poses.near(poses) > 0)
    for one, other in zip(all_of, around, strict=True):
        torch.testing.assert_close(one.images, other.images, atol=5e-3 * float(one.images.abs().max()), rtol=0)
    assert (best == best_around).all(dim=1).float().mean() > 0.95  # views by their numbers among all
    assert likely.float().mean() < 0.5, "nothing was left out"


# Particles off the centre


def test_the_posterior_over_places_is_that_of_shifted_images_one_by_one(case):
    """An element in a place fits as the element itself fits the image moved back; all that is known of it is added up there."""
    plain, where = case.mix, Places.around(torch.tensor([[0, 0], [1, 0], [-1, 1]]), 1, 2)
    assert where.steps.tolist()[0] == [0, 0] and len(where.steps) == 5 and where.allowed.tolist()[1] == [True] * 5
    assert where.allowed[2].sum() == 3 and where.allowed[:, 0].all()
    pixels = np.random.default_rng(5).normal(0, 4, (3, 16, 16)).astype(np.float32)
    pixels += np.roll(plain.basis.render(plain.views[:3]).numpy(), 1, axis=1)

    def band(images, places=None):
        sees = lambda rows: None if case.transfers is None else case.transfers[rows]  # noqa: E731
        return band_of(lambda rows: images[rows], 3, 16, np.full(3, 4.0), 16, "cpu", sees, places)

    mix = PoseMixture(plain.basis, plain.views, 0, CONTRAST, plain.power, at_once=plain.at_once)
    logs, means, sums = [], [], []
    for k, (down, right) in enumerate(where.steps.tolist()):
        offsets = [(int(c[0]) + down, int(c[1]) + right) for c in where.centres]
        moved = band(np.stack([np.roll(one, (-y, -x), (0, 1)) for one, (y, x) in zip(pixels, offsets, strict=True)]))
        log = mix.posterior(moved).log_likelihood
        if case.transfers is None:  # of an image moved, other pixels lie beyond the disc, which has no share in it
            log = log + moved.coefficients.abs().square().sum(dim=(1, 2)) / 32
            log = log - band(pixels, where).coefficients[:, 0].abs().square().sum(dim=1) / 32
        logs.append(torch.where(where.allowed[:, k], log, -torch.inf))
        means.append([np.roll(m, o, (0, 1)) for m, o in zip(mix.mean(moved)[0].numpy(), offsets, strict=True)])
        sums.append([mix.sums(moved.take(slice(i, i + 1)))[0] for i in range(3)])
    weights = torch.softmax(torch.stack(logs, dim=1), dim=1)
    assert float(weights.amax(dim=1).min()) < 0.95, "one place alone shows little"
    found = mix.posterior(band(pixels, where))
    torch.testing.assert_close(found.weights.sum(dim=(2, 3, 4)), weights, atol=1e-3, rtol=0)
    evidence = torch.logsumexp(torch.stack(logs, dim=1), dim=1) - where.allowed.sum(dim=1).log()
    torch.testing.assert_close(found.log_likelihood, evidence, atol=2e-2, rtol=0)
    expected = np.einsum("ik,kiyx->iyx", weights.numpy(), np.array(means))
    mean, _ = mix.mean(band(pixels, where))
    np.testing.assert_allclose(mean, expected, atol=1e-3 * np.abs(expected).max())
    together, _, best = mix.sums(band(pixels, where))
    assert torch.equal(best[:, 3], found.weights.amax(dim=(2, 3, 4)).argmax(dim=1))
    images = sum(weights[i, k] * sums[k][i].images for i in range(3) for k in range(5))
    torch.testing.assert_close(together.images, images, atol=2e-3 * float(images.abs().max()), rtol=0)
    scale = sum(float(weights[i, k]) * sums[k][i].scale for i in range(3) for k in range(5))
    assert together.scale == pytest.approx(scale, rel=1e-3)


@pytest.mark.slow
def test_particles_off_the_centre_are_found_where_they_are_and_denoised_there(tmp_path):
    """From a map that is known: shifts in each stage's px, images of the fit and others."""
    volume, rng = lumps(32, width=0.04), np.random.default_rng(3)
    noisy, _ = images_of(volume, 80, sigma=0.0)
    shifts = rng.integers(-2, 3, (80, 2))
    clean = np.stack([np.roll(one, shift, (0, 1)) for one, shift in zip(noisy, shifts, strict=True)])
    noisy = (clean + 0.2 * rng.normal(size=clean.shape)).astype(np.float32)
    method = AbInitio(sigma="0.2", shift=3)
    maps = HalfMaps((volume, volume), volume, torch.ones(17))
    method.begin = lambda *_: (
        method.report.update(starts=[], agreement=1.0, stages=[]) or Structure(maps, Contrast(0.01, 0.0, 1e-3))
    )
    method.fit(Given(noisy[:60]))
    found = method.structure
    off = np.abs(found.shifts * 32 - shifts[:60]).max(axis=1)
    assert found.maps.size == 32 and np.mean(off <= 1.01) > 0.8, off
    method.leave(tmp_path)
    written = read_star(tmp_path / "poses.star")
    np.testing.assert_allclose(written.origins(4.0)[:, ::-1], -32 * found.shifts, atol=1e-4)
    error = np.mean((method.denoise(noisy[60:]) - clean[60:]) ** 2)
    method.crossed = replace(method.crossed, reach=0.0)
    assert error < 0.5 * np.mean((method.denoise(noisy[60:]) - clean[60:]) ** 2)


# Maps


def images_of(volume: torch.Tensor, n: int, sigma: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n projections with white noise in float32, and their rotations."""
    rng = np.random.default_rng(seed)
    rotations = random_rotations(n, rng)
    clean = project(volume.numpy(), rotations)
    return (clean + sigma * rng.normal(size=clean.shape)).astype(np.float32), rotations


def test_known_poses_give_what_back_projection_gives():
    volume = lumps(24)
    images, rotations = (torch.from_numpy(a).float() for a in images_of(volume, 600, sigma=0.0))
    parts = [Part(images[half::2], torch.ones(300), rotations[half::2]) for half in (0, 1)]
    halves = [half_maps([part] * 2).both for part in parts]
    for half, found in enumerate(halves):
        plain = masked(back_project([(images[half::2], rotations[half::2])]))
        assert fourier_shell_correlation(found, plain)[1:10].min() > 0.99
        assert fourier_shell_correlation(found, volume)[1:8].min() > 0.98


def test_known_poses_give_the_volume_from_images_seen_through_ctfs():
    """Of a spread of defoci, with astigmatism: what one image lacks, others have; in two steps as good as without a CTF."""
    volume, n = lumps(24), 300
    images, rotations = images_of(volume, n, sigma=0.0)
    defocus = np.random.default_rng(0).uniform(4e3, 12e3, n)
    ctf = Ctf(np.stack([defocus, defocus + 300, defocus / 100, *np.tile([[300], [2.7], [0.1], [0]], n)], axis=1), 6.0)
    transfers, turns = ctf.transfer(24), torch.from_numpy(rotations).float()
    noisy = through(images, transfers)
    band = band_of(lambda rows: noisy[rows], n, 24, np.ones(n), 24, "cpu", lambda rows: transfers[rows])
    sums, found = Sums(band.coefficients[:, 0], band.seen.rings), [torch.zeros(24, 24, 24)]
    for _ in range(2):
        views = band.basis.coefficients(Projector(found[-1])(turns))
        mix = PoseMixture(band.basis, views, 0, CONTRAST, rings_of(24).power(band.basis.render(views)))
        # its own partner: nothing is regularised
        found.append(half_maps([part(found[-1], mix, sums, turns, 1.0)] * 2).both)
    plain = masked(back_project([(torch.from_numpy(images), turns)]))
    once, twice, without = (float((one - volume).square().sum()) for one in (*found[1:], plain))
    assert twice < 1.1 * without < 0.01 * float(volume.square().sum())
    assert twice < 0.5 * once, "what the disc cuts off comes in at all frequencies"


def test_a_transfer_function_at_another_size_is_that_of_the_same_frequencies():
    rng = np.random.default_rng(0)
    for length, size in ((32, 24), (31, 24), (24, 24)):
        transfer = defocused(8e3, pixel_size=6.0).transfer(length)
        noisy = resample(
            resample(rng.normal(size=(2, length, length)), 20), length
        )  # nothing at the smaller one's Nyquist
        one = resample(through(noisy, transfer), size)
        np.testing.assert_allclose(one, through(resample(noisy, size), cropped(transfer, length, size)), atol=1e-5)


def test_rings_have_an_images_power_and_a_round_functions_values():
    rings, images = rings_of(16), torch.from_numpy(np.random.default_rng(0).normal(size=(3, 16, 16))).float()
    torch.testing.assert_close(rings.power(images).sum(dim=1), images.square().sum(dim=(1, 2)))
    transfer = torch.from_numpy(defocused(9e3, pixel_size=8.0).transfer(16))
    found = (rings.means(transfer.square()) * rings.power(images[:1])).sum()
    expected = torch.from_numpy(through(images[:1].numpy(), transfer.numpy())).square().sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    values = rings.padded(rings.means(transfer))
    assert values.shape == (1, 32, 17)
    torch.testing.assert_close(values[0, 16, ::2], transfer[0, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(values[0, ::2, 0], torch.fft.fftshift(transfer[0, :, 0]), atol=1e-5, rtol=0)


def test_views_that_next_to_nothing_came_to_are_left_out_and_change_nothing(monkeypatch):
    """Of three quarters of the views the weight is 1e-11 of the others': the map is the same, from a quarter of the work."""
    volume, seen = lumps(24), []
    turns = torch.from_numpy(random_rotations(200, np.random.default_rng(0))).float()
    basis = fourier_bessel(24)
    mix = PoseMixture(basis, basis.coefficients(Projector(volume)(turns)), 0, CONTRAST)
    weights = torch.where(torch.arange(200) % 4 == 0, 1.0, 1e-11)
    parts = []
    for unseen in (pose_mixture.UNSEEN, 0.0):
        monkeypatch.setattr(pose_mixture, "UNSEEN", unseen)
        parts.append(part(volume, mix, Sums(mix.views * weights[:, None], weights), turns, 1.0))
        seen.append(len(parts[-1].images))
    assert seen == [50, 200]
    few, all_of_them = (half_maps([one] * 2).both for one in parts)
    assert (few - all_of_them).abs().max() < 1e-6 * all_of_them.abs().max()


def test_a_shell_without_signal_is_left_out_and_one_with_it_is_kept():
    volume = lumps(24)
    poses = torch.from_numpy(random_rotations(400, np.random.default_rng(0))).float()
    clean = Projector(volume)(poses)
    noise = torch.from_numpy(np.random.default_rng(1).normal(0, 3 * float(clean.std()), (2, 400, 24, 24))).float()
    power = []
    for signal in (0.0, 1.0):
        maps = half_maps([Part(signal * clean + noise[half], torch.ones(400), poses) for half in (0, 1)], shared=0)
        power.append(float(maps.both.square().mean()))
        assert (maps.fsc[2:6].mean() > 0.8) == bool(signal)
    assert power[0] < 0.05 * power[1]


def test_a_volume_is_turned_where_it_lies():
    """On whatever device: torch's "meta" has shapes without numbers, and is not to be mixed with others, as a GPU isn't."""
    assert turned(torch.empty((8, 8, 8), device="meta"), torch.eye(3)[None]).device.type == "meta"


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_volume_is_turned_back_in_the_right_hand(mirrored):
    volume = lumps(16)
    rotation = Rotation.random(random_state=3).as_matrix()
    other = turned(hand(volume, mirrored), torch.from_numpy(rotation[None]).float())[0]
    found = align(volume, other)
    assert found.mirrored == mirrored and found.correlation > 0.999
    assert np.degrees(Rotation.from_matrix(found.rotation @ rotation.T).magnitude()) < 1
    views = random_rotations(4, np.random.default_rng(0))
    one, same = project(volume.numpy(), views), project(found(volume).numpy(), found.orientations(views))
    assert np.corrcoef(one.ravel(), same.ravel())[0, 1] > 0.99


# The whole


class Given(NoisyImages):
    """Images at hand."""

    def __init__(self, noisy: np.ndarray, ctf: Ctf | None = None):
        labels = np.zeros(len(noisy), np.int64)
        super().__init__("train", noisy, labels, None, None, 4.0, Recorded(), 0, recorded=noisy, optics=ctf)


@pytest.mark.slow
def test_a_structure_is_found_from_images_with_little_noise_and_written(cache, tmp_path):
    """Of seeds 0 to 4 all are found, with poses 4.4° to 4.8° from the truth (median), an FSC above ½ to 14.6 Å, an agreement of
    0.83 to 0.99 and all poses confirmed; the error is 0.20 to 0.22 times the noise."""
    few = ["data=phantom", "data.image_size=32", "data.n_train=260", "data.n_test=20", "noise.snr=10"]
    config = resolve(compose(["method=abinitio", "method.starts=1", "method.fine_step=2.4", *few, "seed=2"]))
    pairs = open_pairs(build(config, "data"), cache)
    train, test = (pairs.images(split, build(config, "noise"), seed=2) for split in ("train", "test"))
    method = build(config, "method")
    method.setting = Setting(seed=2)
    method.fit(train.only(method.side_information))
    maps, clean, noisy = method.structure.maps, test.clean(), test.noisy()
    assert method.report["found"] and method.report["agreement"] > 0.6 and maps.size == 32
    assert method.report["confirmed"] > 0.93
    nothing = np.zeros(1)
    labels, rotations = train.labels, train.rotations
    truth = Evidence(
        clean, noisy, noisy, nothing, nothing, nothing, labels, rotations, 6.4, 2, None, pairs.volumes, method.found
    )
    errors = analyse(truth)
    assert errors["resolution"] < 2 * 6.4 / 0.8 and errors["degrees"]["0.5"] < 6, errors
    method.leave(tmp_path)
    written = read_star(tmp_path / "poses.star")
    angles = rotations_from_euler(*(written.column(f"rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")))
    np.testing.assert_allclose(angles, method.structure.rotations, atol=1e-5)
    for name, kept in (("map", maps.both), ("half1", maps.halves[0]), ("half2", maps.halves[1])):
        read, voxel = read_map(tmp_path / f"{name}.mrc")
        np.testing.assert_allclose(read, kept, atol=1e-6)
        assert voxel == pytest.approx(6.4)
    assert np.mean((method.denoise(noisy) - clean) ** 2) < 0.5 * np.mean((noisy - clean) ** 2)


@pytest.mark.slow
def test_a_volume_is_found_from_images_seen_through_ctfs_and_images_are_corrected_or_have_them():
    """Of seeds 0 to 4 all are found; the lowest correlation is 0.72 to 0.99, the error at most 0.024."""
    volume = lumps(32, width=0.05)
    noisy, _ = images_of(volume, 420, sigma=0.0)
    ctf = defocused(*np.random.default_rng(1).uniform(8e3, 16e3, 420), pixel_size=4.0)
    clean, transfers = noisy[400:].copy(), ctf.transfer(32)
    noisy = through(noisy, transfers) + np.random.default_rng(2).normal(0, 0.1, noisy.shape).astype(np.float32)
    method = AbInitio(sigma="0.1", starts=2, n_first=200, largest=24, ctf="corrected")
    method.fit(Given(noisy[:400], ctf[:400]).only(method.side_information))
    assert method.report["found"]
    correlation = fourier_shell_correlation(
        align(method.structure.maps.both, small := resized(volume, 24))(method.structure.maps.both), small
    )
    assert correlation[2:9].min() > 0.5, correlation
    corrected = method.denoise(noisy[400:], ctf=ctf[400:])
    error = np.mean((corrected - clean) ** 2) / np.mean((clean - clean.mean(axis=(1, 2), keepdims=True)) ** 2)
    assert error < 0.2
    method.ctf = "applied"
    applied = method.denoise(noisy[400:], ctf=ctf[400:])
    np.testing.assert_allclose(applied, through(corrected, transfers[400:]), atol=1e-4)


def test_the_likelihood_does_not_fall_between_iterations_at_one_temperature():
    volume = lumps(16)
    noisy, _ = images_of(volume, 200, sigma=1.0)
    band = band_of(lambda rows: noisy[rows], 200, 16, np.full(200, 1.0), 16, "cpu")
    structure, poses = beginning(band, 0.0, np.random.default_rng(0)), poses_of(16, 2.8, "cpu")
    found = []
    for _ in range(6):
        structure = iterate(structure, band, np.arange(200) % 2, poses, 1.0, None, local=False)
        found.append(structure.log_likelihood)
    assert np.diff(found).min() > -0.02, found  # the maps' masks and regularisation are no part of the likelihood


def test_of_pure_noise_it_says_that_there_is_nothing(recwarn):
    noise = np.random.default_rng(0).normal(size=(300, 32, 32)).astype(np.float32)
    method = AbInitio(starts=1)
    method.fit(Given(noise))
    assert not method.report["found"]
    assert any("no structure was found in 300 images" in str(warning.message) for warning in recwarn)
    last = method.report["stages"][-1]
    assert last["size"] == 24 and abs(np.mean(last["fsc"][abinitio.SHARED + 1 : 11])) < 0.2


def test_poses_are_confirmed_by_the_map_of_the_other_half_where_they_are_right():
    volume = lumps(24)
    noisy, rotations = images_of(volume, 60, sigma=0.5)
    band = band_of(lambda rows: noisy[rows], 60, 24, np.full(60, 0.5), 24, "cpu")
    maps, poses = HalfMaps((volume, volume), volume, torch.ones(13)), poses_of(24, 2.8, "cpu")
    halves, contrast = (np.arange(60) >= 40).astype(int), Contrast(0.01, 0.0, 1e-3)
    right = Structure(maps, contrast, rotations=rotations)
    assert confirmed(right, band, halves, poses) > 0.95
    elsewhere = rotations.copy()
    elsewhere[:20] = random_rotations(20, np.random.default_rng(5))
    assert 0.6 < confirmed(replace(right, rotations=elsewhere), band, halves, poses) < 0.75
    wrong = replace(maps, halves=(volume, lumps(24, seed=7)))  # under its second half the 40 are looked for
    assert 0.25 < confirmed(replace(right, maps=wrong), band, halves, poses) < 0.5


def test_a_fit_whose_poses_are_not_confirmed_has_found_nothing(recwarn):
    method = AbInitio()
    method.structure = Structure(HalfMaps((lumps(24),) * 2, lumps(24), torch.ones(13)), CONTRAST)
    method.size, method.pixel_size, method.device, method.shown = 24, 4.0, "cpu", {}
    method.halves = Halves({b"one": 0, b"other": 1})
    for share, found in ((0.95, True), (0.7, False)):
        method.report.update(stages=[{"size": 24, "fsc": [1.0] * 13}], confirmed=share)
        method.conclude()
        assert method.report["found"] == found
    assert ["70 % of their poses are confirmed" in str(warning.message) for warning in recwarn] == [True]


def test_a_fit_that_was_stopped_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    noisy, _ = images_of(lumps(24), 120, sigma=0.3)
    fits = []
    for folder in (None, tmp_path):
        method = AbInitio(starts=1, largest=24)
        method.setting = Setting(workdir=folder)
        if folder:
            with monkeypatch.context() as patch:
                patch.setattr(AbInitio, "save", lambda self, save=AbInitio.save: (save(self), stop())[0])
                with pytest.raises(KeyboardInterrupt):
                    method.fit(Given(noisy))
            method = AbInitio(starts=1, largest=24)
            method.setting = Setting(workdir=folder)
            monkeypatch.setattr(AbInitio, "begin", lambda *_: pytest.fail("began anew"))
        method.fit(Given(noisy))
        fits.append(method)
    torch.testing.assert_close(fits[0].structure.maps.both, fits[1].structure.maps.both)
    assert fits[0].report == fits[1].report
    (words, *_), (others, *_) = (zip(*fit.found.stages, strict=True) for fit in fits)
    assert words == others and words[:2] == ("first maps", "16 px, steps of 2.5 px")
    for change in (
        {"halves": Halves({b"other": 0})},
        {"starts": 2},
        {"setting": Setting(seed=1, workdir=tmp_path)},
        {},
    ):
        other = AbInitio(starts=1, largest=24)
        other.setting, other.device, other.halves = Setting(workdir=tmp_path), "cpu", fits[1].halves
        vars(other).update(change)
        assert (other.saved() is None) == bool(change), change


def stop():
    raise KeyboardInterrupt


def test_an_image_of_the_fit_is_denoised_by_the_other_half():
    noisy, _ = images_of(lumps(24), 120, sigma=0.3)
    method = AbInitio(starts=1, largest=24)
    method.fit(Given(noisy))
    maps = method.structure.maps
    with_both = method.denoise(noisy[:2] + np.float32(1e-6))
    crossed = method.denoise(noisy[:2])
    mixtures = method.crossed.mixtures
    assert {0, 1, None} == set(mixtures) and not np.allclose(with_both, crossed, atol=1e-4)
    for half in (0, 1):
        expected = mixture(
            mixtures[half][1].basis,
            maps.halves[1 - half],
            poses_of(24, method.fine_step, "cpu"),
            method.structure.contrast,
        )
        torch.testing.assert_close(mixtures[half][1].views, expected.views)


@pytest.mark.parametrize("shift", [0, 2])
def test_images_are_denoised_alike_one_by_one_and_many_at_a_time(shift):
    """As on a CPU and on a GPU: images of each half, and of neither."""
    noisy, _ = images_of(lumps(24), 130, sigma=0.3)
    method = AbInitio(starts=1, largest=32, shift=shift)
    method.fit(Given(noisy[:120]))
    alone = method.denoise(noisy[100:])
    method.crossed = replace(method.crossed, together=True)
    many = method.denoise(noisy[100:])
    # log-likelihoods of thousands, in single precision: weights may differ by 1e-3 where two poses are as likely
    assert np.abs(many - alone).max() < 1e-3 * alone.std()


def test_images_go_together_as_long_as_they_and_their_views_are_few_enough():
    likely = np.random.default_rng(0).random((50, 40)) < 0.1
    likely[:, 0] |= ~likely.any(axis=1)
    rows = np.arange(3, 48)
    for most in (0, 60, 400):
        parts = list(together(rows, likely, most))
        assert sorted(np.concatenate([some for some, _ in parts])) == rows.tolist()
        for some, views in parts:
            assert views.tolist() == np.flatnonzero(likely[some].any(axis=0)).tolist()
            assert len(some) == 1 or len(some) * len(views) <= most
        assert (max(len(some) for some, _ in parts) > 1) == (most > 0)


def test_views_near_others_are_found_from_in_front_and_behind():
    poses = poses_of(16, 2.8, "cpu")
    behind = ViewGrid(poses.cells, poses.spacing, poses.rotations @ torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    torch.testing.assert_close(poses.near(poses), poses.near(behind))
    assert bool(poses.near(poses).diagonal().all()) and poses.near(poses).mean() < 0.3
