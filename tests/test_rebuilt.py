"""Volumes rebuilt from clean images: their unseen projections are the true ones, and so is the posterior mean."""

import numpy as np
import pytest
import torch

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.project import Projector
from cryobench.data.simulate import rescale
from cryobench.errors import BadImages, InputError
from cryobench.evaluation.metrics import mse
from cryobench.methods.posterior.bayes import Bayes
from cryobench.methods.posterior.rebuilt import Rebuilt
from cryobench.methods.posterior.volumes import rebuild, regress
from cryobench.noise.gaussian import Gaussian


@pytest.fixture(scope="module")
def pairs(cache):
    return open_pairs(Phantom(image_size=32, n_train=600, n_test=12, conformations=2), cache)


def test_projections_of_a_rebuilt_volume_are_those_of_the_true_one_in_unseen_orientations(pairs):
    chosen = pairs.train.labels == 0
    volume, residual = rebuild(
        torch.from_numpy(pairs.train.clean[chosen]), torch.from_numpy(pairs.train.rotations[chosen]).float(), 3
    )
    test = pairs.test.labels == 0
    again = rescale(Projector(volume.numpy())(pairs.test.rotations[test]))
    assert residual < 1e-6
    assert np.mean((again - pairs.test.clean[test]) ** 2) < 1e-3 * pairs.test.clean[test].var()


def test_scale_and_level_of_each_image_are_found():
    rng = np.random.default_rng(0)
    projected = torch.from_numpy(rng.normal(size=(5, 8, 8)))
    a, b = torch.from_numpy(rng.uniform(0.5, 2, 5)), torch.from_numpy(rng.normal(size=5))
    scale, level = regress(a[:, None, None] * projected + b[:, None, None], projected)
    torch.testing.assert_close(scale, a)
    torch.testing.assert_close(level, b)


def test_it_denoises_as_well_as_the_limit_without_seeing_the_volumes(pairs):
    train, test = (pairs.images(split, Gaussian(0.1), 0) for split in ("train", "test"))
    errors = {}
    for method in (Rebuilt(sigma="known"), Bayes()):
        method.fit(train.only(method.side_information))
        errors[type(method).__name__] = mse(test.clean(), method.denoise(test.noisy(), sigma=test.sigma()))
    assert "volumes" not in Rebuilt().side_information
    assert errors["Rebuilt"].mean() < 1.05 * errors["Bayes"].mean()


def test_a_conformation_without_images_keeps_its_number_free(pairs):
    """Labels that training images don't have are never named."""
    train = pairs.images("train", Gaussian(1.0), 0)
    only = train.subset(np.flatnonzero(pairs.train.labels == 1))
    method = Rebuilt(rounds=1, max_draws=256)
    method.fit(only.only(method.side_information))
    method.denoise(train.noisy(slice(0, 3)))
    assert method.report["per_image"]["conformation"] == [1, 1, 1]
    with pytest.raises(BadImages):
        method.denoise(np.zeros((1, 32, 32), np.float32))


def test_settings_that_cant_be_used_are_named():
    with pytest.raises(InputError, match=r"method\.rounds"):
        Rebuilt(rounds=0)
    with pytest.raises(InputError, match=r"method\.temper"):
        Rebuilt(temper=0.5)
