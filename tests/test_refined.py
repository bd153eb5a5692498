"""Maps from noisy images of known pose: against linear regression, a volume that is known, and other methods."""

import numpy as np
import pytest
import torch
from cryobench.baselines.cwf import CWF
from torch_fourier_shell_correlation import fourier_shell_correlation

from cryobench.data.io.relion import write_split
from cryobench.data.io.stack import resample
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.poses import Poses
from cryobench.data.project import Projector
from cryobench.errors import InputError, Undeclared
from cryobench.evaluation.metrics import nmse
from cryobench.methods.posterior.at_pose import Centred
from cryobench.methods.posterior.pose_mixture import Contrast
from cryobench.methods.posterior.refined import Refined
from cryobench.noise.ctf import through
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope

SIZE = 32
OPTICS = {"ctf": True, "box": 204.8, "train": True}


@pytest.fixture(scope="module")
def pairs(cache):
    return open_pairs(Phantom(image_size=SIZE, n_train=800, n_test=40, conformations=1), cache)


def splits(pairs, noise, seed=0):
    return [pairs.images(split, noise, seed=seed) for split in ("train", "test")]


def fitted(method, train):
    method.fit(train.only(method.side_information))
    return method


def error(method, test) -> float:
    return float(nmse(test.clean(), method.denoise(test.noisy(), **test.hints(method.side_information))).mean())


def test_scale_and_level_are_those_of_bayesian_linear_regression(pairs):
    """y = a T x + b T 1 + σn with normal a and b is a regression on two columns, which linear algebra answers."""
    train, _ = splits(pairs, Microscope(snr=0.5, **OPTICS))
    rows, projector, contrast = np.arange(3), Projector(np.array(pairs.volumes[0])), Contrast(0.05, 0.02, 0.003)
    sigma, transfers = train.sigma(rows), train.ctf(rows).transfer(SIZE)
    centred = Centred.of(train.noisy(rows), transfers, sigma, train.poses(rows), SIZE)
    under = centred.under(projector, contrast)
    prior = np.diag([1 / contrast.scale_variance, 1 / contrast.level_variance])
    for i, view in enumerate(projector(train.poses(rows).rotations)):
        columns = np.stack(
            [through(one[None], transfers[i : i + 1]).ravel() for one in (view, np.ones_like(view))], axis=1
        )
        covariance = np.linalg.inv(columns.T @ columns / sigma[i] ** 2 + prior)
        mean = covariance @ (columns.T @ train.noisy(rows)[i].ravel() / sigma[i] ** 2 + prior @ [1, contrast.level])
        assert under.scale[i] == pytest.approx(mean[0], rel=1e-4)
        assert under.scale_square[i] == pytest.approx(mean[0] ** 2 + covariance[0, 0], rel=1e-4)
        assert under.level[i] + contrast.level == pytest.approx(mean[1], abs=1e-5)
        assert under.level_square[i] == pytest.approx((mean[1] - contrast.level) ** 2 + covariance[1, 1], rel=1e-3)


@pytest.mark.trains
@pytest.mark.parametrize(
    "noise", [Gaussian(20.0), Microscope(snr=20.0, **OPTICS, shift=3)], ids=["white", "microscope"]
)
def test_nearly_clean_images_give_the_volume(pairs, noise):
    """Seen through CTFs and off the centre, too: FSC with the true one above 0.9 up to three quarters of Nyquist (seeds 0 to 4:
    above 0.98)."""
    train, _ = splits(pairs, noise)
    method = fitted(Refined(ctf="corrected" if noise.__class__ is Microscope else "none", sigma="known"), train)
    volume = torch.from_numpy(method.found.volume)
    truth = torch.from_numpy(np.array(pairs.volumes[0]))
    assert volume.shape == truth.shape and method.report["resolution"] < 15
    assert (fourier_shell_correlation(volume, truth)[1 : 3 * SIZE // 8] > 0.9).all()


@pytest.mark.trains
def test_where_poses_are_given_images_are_nearer_to_the_truth_than_where_they_are_searched_or_unknown(pairs):
    """Seeds 0 to 4: 0.27 to 0.32 of the NMSE of the search, which has 0.56 to 0.65 of that of CWF."""
    train, test = splits(pairs, Microscope(snr=0.4, **OPTICS))
    errors = {pose: error(fitted(Refined(pose=pose, ctf="corrected"), train), test) for pose in ("given", "search")}
    cwf = error(fitted(CWF(ctf="corrected"), train), test)
    assert errors["given"] < 0.6 * errors["search"] and errors["search"] < 0.9 * cwf


@pytest.mark.trains
def test_an_image_of_the_fit_is_denoised_by_the_map_of_the_other_half(pairs):
    train, test = splits(pairs, Gaussian(0.4))
    method = fitted(Refined(pose="given", rounds=1), train)
    maps, contrast = method.structure.maps, method.structure.contrast
    for images, row, volume in ((train, 0, maps.halves[1]), (train, 1, maps.halves[0]), (test, 0, maps.both)):
        noisy, poses = images.noisy([row]), images.poses([row])
        centred = Centred.of(noisy, None, method.noise_level(noisy, {}), poses, maps.size)
        expected = resample(centred.mean(Projector(volume), contrast), SIZE)
        np.testing.assert_allclose(method.denoise(noisy, poses=poses), expected, atol=1e-6)


def test_particles_are_where_their_poses_say(pairs):
    """A clean image off the centre, moved by its pose, is the image in the centre."""
    noise = Microscope(snr=1e6, shift=3.0, train=True)
    train, _ = splits(pairs, noise)
    poses = train.poses(np.arange(5))
    assert (np.hypot(*poses.displaced.T) <= 3).all() and poses.displaced.any()
    centred = Centred.of(train.clean(np.arange(5)), None, np.ones(5), poses, SIZE)
    inside = slice(4, -4)  # what was moved over the rim comes back at the other side, alike
    still = pairs.images("train", Gaussian(1e6), seed=0).clean(np.arange(5))
    np.testing.assert_allclose(centred.images[:, inside, inside], still[:, inside, inside], atol=1e-3)


def test_poses_have_to_be_declared_and_known(pairs):
    train, _ = splits(pairs, Gaussian(0.4))
    with pytest.raises(Undeclared, match="poses"):
        train.only({"sigma"}).poses()
    assert len(train.only({"rotations"}).poses()) == len(train)
    assert isinstance(train.hints({"poses"}, [0])["poses"], Poses)


@pytest.mark.trains
def test_a_refined_stack_is_denoised_and_a_stack_without_poses_is_one_line(pairs, cli, tmp_path):
    """By its star file, whose origins say where particles lie."""
    noise = Microscope(snr=1.0, shift=2.0, train=True)
    star = write_split(tmp_path / "in", pairs, "train", pairs.images("train", noise, seed=0))
    out = tmp_path / "out.mrcs"
    words = ("method=refined", "method.pose=given", "--images", "1-300")
    assert cli("denoise", str(star), *words, "-o", str(out))[0] == 0
    import mrcfile

    denoised, clean = mrcfile.read(out), pairs.images("train", noise, seed=0).clean(np.arange(300))
    correlation = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(denoised, clean, strict=True)]
    assert np.median(correlation) > 0.97
    stack = next((tmp_path / "in").rglob("*.mrcs"))
    status, _, err = cli("denoise", str(stack), *words, "-o", str(tmp_path / "other.mrcs"))
    assert status == 2 and "poses" in err and err.count("\n") == 1
    status, _, err = cli("compare", str(star), "method=refined", "method.pose=given", "-o", str(tmp_path / "c.png"))
    assert "method.pose: expected search" in err


def test_settings_that_are_none_are_named():
    with pytest.raises(InputError, match=r"method\.pose: expected one of search, given"):
        Refined(pose="guessed")
