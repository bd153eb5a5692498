"""Several volumes from noisy images: sums against all poses one by one, what is found against conformations that are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from cryobench.config.compose import build, compose, resolve
from cryobench.data.io.stack import read_map
from cryobench.data.pairs import open_pairs
from cryobench.data.poses import Poses
from cryobench.data.project import project
from cryobench.data.rotations import random_rotations
from cryobench.errors import InputError
from cryobench.methods.base import Setting
from cryobench.methods.posterior.abinitio import AbInitio
from cryobench.methods.posterior.at_pose import Centred
from cryobench.methods.posterior.band import band_of
from cryobench.methods.posterior.band import places as places_of
from cryobench.methods.posterior.conformations import Search, iterate, placed, places
from cryobench.methods.posterior.direction import direction
from cryobench.methods.posterior.half_maps import HalfMaps, masked
from cryobench.methods.posterior.halves import Halves
from cryobench.methods.posterior.pose_mixture import Contrast
from cryobench.methods.posterior.structure import Structure, expectation, mixture, mixture_of, poses_of
from cryobench.noise.ctf import Ctf, through

CONTRAST = Contrast(0.01, 0.0, 1e-3)


def ball(size: int, *centres: tuple[float, float, float]) -> torch.Tensor:
    """Round lumps, their centres (z, y, x) in shares of the edge."""
    axis = torch.arange(size).float() / size - 0.5
    away = [(axis[:, None, None] - z) ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2 for z, y, x in centres]
    return masked(sum((torch.exp(-square / 0.01) for square in away), torch.zeros((size,) * 3)))


BODY = ((0.0, 0.0, 0.0), (0.2, 0.0, 0.05), (0.0, -0.22, 0.0), (-0.1, 0.1, -0.15))


def clamp(size: int, where: float) -> torch.Tensor:
    """A body with a lump that moves."""
    return ball(size, *BODY, (-0.05, 0.2, where))


def ctfs(n: int) -> Ctf:
    """Of a spread of defoci."""
    defocus = np.random.default_rng(1).uniform(4e3, 12e3, n)
    return Ctf(np.stack([defocus, defocus, 0 * defocus, *np.tile([[300], [2.7], [0.1], [0]], n)], axis=1), 8.0)


def displaced(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images moved by up to 2 px, and by how many each, (n, 2) as (down, right)."""
    by = np.random.default_rng(7).integers(-1, 2, (len(images), 2)) * (1, 2)
    return np.stack([np.roll(image, move, axis=(0, 1)) for image, move in zip(images, by, strict=True)]), by


def images_of(volumes: list[torch.Tensor], labels: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Noisy projections of the volumes with these labels, and their rotations."""
    rng = np.random.default_rng(0)
    rotations = random_rotations(len(labels), rng)
    clean = np.stack([project(volumes[k].numpy(), turn[None])[0] for k, turn in zip(labels, rotations, strict=True)])
    return (clean + sigma * rng.normal(size=clean.shape)).astype(np.float32), rotations


def known(
    images: np.ndarray,
    rotations: np.ndarray,
    one: torch.Tensor,
    sigma: float,
    transfers: np.ndarray | None = None,
    moved: np.ndarray | None = None,
) -> tuple[Structure, Search]:
    """A structure with one volume and the right poses, and a search for two; transfers: what images were seen through; moved:
    how far off the centre their particles are, (n, 2) as (down, right) in px."""
    n, size = len(images), images.shape[-1]
    halves, sigmas = np.arange(n) % 2, np.full(n, sigma)
    poses = poses_of(size, 2.5, "cpu")
    through_what = (lambda rows: transfers[rows]) if transfers is not None else (lambda rows: None)
    off = np.zeros((n, 2)) if moved is None else moved
    there = None if moved is None else places_of(off / size, size, 3 / size, near=True)
    band = band_of(lambda rows: images[rows], n, size, sigmas, size, "cpu", through_what, there)
    maps = HalfMaps((one, one), one, torch.ones(size // 2 + 1))
    mix = mixture(band.basis, one, poses, CONTRAST, transfers is not None)
    _, likely, _ = expectation(band, [mix, mix], halves, 1.0, None)
    structure = Structure(maps, CONTRAST, poses, likely, rotations, off / size)

    def in_pose(rows: np.ndarray, px: int) -> Centred:
        return Centred.of(images[rows], None, sigmas[rows], Poses(rotations[rows], 1.0 * off[rows, ::-1]), px)

    return structure, Search(2, halves, in_pose, lambda *_: band, 2.5, 2.5)


def test_the_mixture_of_several_volumes_is_that_of_each_with_its_share():
    """Bayes' rule over the conformation, by the log-likelihoods under the volumes one by one."""
    volumes, shares = [clamp(16, -0.2), clamp(16, 0.1), clamp(16, 0.25)], np.array([0.6, 0.3, 0.1])
    images, _ = images_of(volumes, np.arange(6) % 3, 3.0)
    band = band_of(lambda rows: images[rows], 6, 16, np.full(6, 3.0), 16, "cpu")
    poses = poses_of(16, 2.8, "cpu")
    each = tuple(HalfMaps((volume, volume), volume, torch.ones(9)) for volume in volumes)
    structure = Structure(each[0], CONTRAST, several=each, shares=shares)
    found = mixture_of(structure, None, band.basis, poses, False).posterior(band)
    single = [mixture(band.basis, volume, poses, CONTRAST).posterior(band) for volume in volumes]
    joint = torch.stack([one.log_likelihood for one in single]) + torch.from_numpy(np.log(shares))[:, None]
    torch.testing.assert_close(found.log_likelihood.double(), torch.logsumexp(joint, dim=0), atol=1e-2, rtol=0)
    of_each = found.weights.sum(dim=(1, 2, 3)).view(6, 3, -1).sum(dim=2)
    assert 0.05 < float(of_each.min(dim=1).values.median()), "conformations that are certain show little"
    torch.testing.assert_close(of_each.T.double(), torch.softmax(joint, dim=0), atol=2e-3, rtol=0)


@pytest.mark.parametrize("seen", [False, True])
def test_the_direction_is_that_of_known_departures(seen):
    """Images of V + z v, with z normal: v and z are found but for the sign, through CTFs, too."""
    ends, n, sigma = (clamp(16, -0.15), clamp(16, 0.15)), 300, 0.5
    one, v = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    rng = np.random.default_rng(1)
    rotations, z = random_rotations(n, rng), rng.normal(size=n)
    clean = project(one.numpy(), rotations) + z[:, None, None] * project(v.numpy(), rotations)
    transfers = None
    if seen:
        transfers = ctfs(n).transfer(16)
        clean = through(clean, transfers)
    noisy = (clean + sigma * rng.normal(size=clean.shape)).astype(np.float32)
    images = Centred.of(noisy, transfers, np.full(n, sigma), Poses(rotations, np.zeros((n, 2))), 16)
    found, along = direction(images, one, CONTRAST, rng.normal(size=n), 12)
    # how far along an image is along its own view cannot be told from its scale and level
    assert abs(np.corrcoef(along, z)[0, 1]) > 0.9
    assert abs(float((found * v).sum() / (found.norm() * v.norm()))) > 0.85


@pytest.mark.parametrize("how", ["centred", "through CTFs", "off the centre"])
def test_an_iteration_gives_the_direction_from_a_shorter_one(how):
    """Of two conformations V ± v, one twice as frequent, from V ± v/2, each half by itself."""
    ends, sigma, labels = [clamp(16, -0.2), clamp(16, 0.2)], 0.5, (np.arange(240) // 2 % 3 == 0).astype(int)
    one, v = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    clean, rotations = images_of(ends, labels, 0.0)
    transfers, moved = (ctfs(240).transfer(16) if how == "through CTFs" else None), None
    if how == "off the centre":
        clean, moved = displaced(clean)
    noise = sigma * np.random.default_rng(5).normal(size=clean.shape)
    noisy = ((clean if transfers is None else through(clean, transfers)) + noise).astype(np.float32)
    structure, search = known(noisy, rotations, one, sigma, transfers, moved)
    along, half = places(2), HalfMaps((v, v), v, torch.ones(9)).times(0.5 / float(places(2)[1]))
    before = replace(placed(structure, structure.maps, half, along), shares=np.full(2, 0.5))
    after, found = iterate(before, search.bands(), search.halves, structure.poses, along)
    for each in found.halves:
        step = float(along[1]) * each
        assert float((step * v).sum() / (step.norm() * v.norm())) > 0.9
        assert 0.6 < float((step * v).sum() / v.square().sum()) < 1.2
    torch.testing.assert_close(after.several[1].both, one + float(along[1]) * found.both)
    assert abs(after.shares[1] - 1 / 3) < 0.1
    if moved is not None:
        assert np.mean(np.abs(after.shifts * 16 - moved).max(axis=1) <= 1) > 0.95


@pytest.mark.parametrize("off", [False, True])
def test_two_conformations_are_told_apart_and_one_is_kept_where_there_is_one(off):
    """With particles off the centre, too."""
    sigma, labels = 1.0, np.random.default_rng(3).integers(0, 2, 240)
    volumes = [clamp(16, -0.2), clamp(16, 0.2)]
    for several in (True, False):
        images, rotations = images_of(volumes, labels if several else 0 * labels, sigma)
        one = (volumes[0] + volumes[1]) / 2 if several else volumes[0]
        images, moved = displaced(images) if off else (images, None)
        structure, search = known(images, rotations, one, sigma, None, moved)
        found, report = search.run(structure, np.random.default_rng(0))
        assert report["kept"] == several, report
        assert len(found.several) == (2 if several else 0)
        if not several:
            assert found is structure
            continue
        band, poses = search.bands(), poses_of(16, 2.5, "cpu")
        weights = mixture_of(found, None, band.basis, poses, False).posterior(band).weights
        number = weights.sum(dim=(1, 2, 3)).view(240, 2, -1).sum(dim=2).argmax(dim=1).numpy()
        assert adjusted_rand_score(labels, number) > 0.5
        assert abs(found.shares[0] - max(np.mean(number == 0), 0)) < 0.1
        apart = [[float((maps.both - volume).square().sum()) for volume in volumes] for maps in found.several]
        average = float((one - volumes[0]).square().sum())
        assert max(min(row) for row in apart) < 0.6 * average, (apart, average)


def test_one_volume_is_the_least():
    with pytest.raises(InputError, match=r"method\.volumes: expected a number above 0, got 0"):
        AbInitio(volumes=0)


def test_stages_that_were_kept_are_those_of_any_number_of_volumes():
    fits = [AbInitio(volumes=1), AbInitio(volumes=3), AbInitio(volumes=3, starts=2)]
    for fit in fits:
        fit.halves = Halves({b"one": 0})
    one, three, other = (fit.fingerprint for fit in fits)
    assert one == three != other


@pytest.mark.slow
def test_conformations_are_found_from_noisy_images_alone(cache, tmp_path):
    """Of seeds 0 to 4 all are kept, with gains above 20 standard errors. The adjusted Rand index of 60 test images is 0.87, 0.27,
    0.93, 0.81 and 0.87, the error 0.58, 0.84, 0.58, 0.62 and 0.62 times that under one volume (which is twice as large with seed
    1 as with the others)."""
    few = [
        "data=phantom",
        "data.image_size=32",
        "data.conformations=2",
        "data.n_train=400",
        "data.n_test=60",
        "noise.snr=1",
    ]
    fast = ["method.starts=1", "method.n_first=300", "method.fine_step=2.4"]
    config = resolve(compose(["method=abinitio", "method.volumes=2", *fast, *few, "seed=0"]))
    pairs = open_pairs(build(config, "data"), cache)
    train, test = (pairs.images(split, build(config, "noise"), seed=0) for split in ("train", "test"))
    method = build(config, "method")
    method.setting = Setting(seed=0)
    method.fit(train.only(method.side_information))
    found, clean, noisy = method.report["conformations"], test.clean(), test.noisy()
    assert found["kept"] and len(found["volumes"]) == 2, found
    error = np.mean((method.denoise(noisy) - clean) ** 2)
    assert adjusted_rand_score(test.labels, method.report["per_image"]["conformation"]) > 0.4
    names = {path.name for path in method.leave(tmp_path)}
    assert {"map.mrc", "map1.mrc", "map2.mrc"} < names
    np.testing.assert_allclose(read_map(tmp_path / "map2.mrc")[0], method.structure.several[1].both, atol=1e-6)
    method.use(replace(method.structure, several=(), shares=np.ones(1)))
    assert error < 0.8 * np.mean((method.denoise(noisy) - clean) ** 2)
