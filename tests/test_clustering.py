"""Clustering of conformations: closed forms where there is nothing to find and where it cannot be missed; fixed views."""

from math import comb

import numpy as np
import pytest

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.data.directions import motion_view
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.project import Projector
from cryobench.errors import InputError
from cryobench.evaluation.analysis import Evidence, clustering


def evidence(images, labels, seed=0) -> Evidence:
    images, labels = np.asarray(images, np.float32), np.asarray(labels)
    return Evidence(images, images, images, np.zeros(len(labels)), labels, None, labels, None, 3.2, seed)


@pytest.fixture
def labels():
    return np.random.default_rng(0).permutation(np.arange(200) % 5)


def test_conformations_that_differ_plainly_are_all_right(labels, monkeypatch):
    monkeypatch.setattr(clustering, "DRAWS", 2)
    noise = np.random.default_rng(1).normal(size=(200, 8, 8))
    result = clustering.analyse(evidence(noise + 20 * (labels == 4)[:, None, None], labels))
    for name in ("isomap", "mds", "tsne"):
        assert result[name]["correct"] == [60, 60] and result[name]["right"] == ["1" * 60] * 2, name
    assert result["each"] == 30 and np.shape(result["isomap"]["points"]) == (2, 60)
    for images in result["drawn"]:
        assert len(set(images)) == 60 and (labels[images[:30]] == 0).all() and (labels[images[30:]] == 4).all()


def test_clusters_that_know_nothing_are_right_as_often_as_the_better_side_of_a_coin():
    """E max(X, 60 − X) for X ~ B(60, ½) is 33.1."""
    expected = sum(comb(60, k) * max(k, 60 - k) for k in range(61)) / 2**60
    assert expected == pytest.approx(33.1, abs=0.05)
    rng = np.random.default_rng(0)
    truth = rng.random((200, 60)) < 0.5
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 30, axis=0) + 0.01 * rng.normal(size=(60, 2))
    correct = [clustering.rightly_clustered(points, t.astype(int), 0).sum() for t in truth]
    assert np.mean(correct) == pytest.approx(expected, abs=4 * np.std(correct) / np.sqrt(200))


def test_draws_are_the_same_for_all_methods_and_others_for_another_seed(labels, monkeypatch):
    monkeypatch.setattr(clustering, "DRAWS", 1)
    monkeypatch.setattr(clustering, "embeddings", lambda seed, n: {})
    first, second = (np.random.default_rng(k).normal(size=(200, 4, 4)) for k in (0, 1))
    one, other, seed = (clustering.analyse(evidence(x, labels, s)) for x, s in ((first, 0), (second, 0), (first, 1)))
    assert one["drawn"] == other["drawn"] != seed["drawn"]


def test_too_few_images_are_no_clustering():
    assert clustering.analyse(evidence(np.zeros((4, 4, 4)), [0, 0, 4, 4])) == {}
    assert clustering.analyse(evidence(np.zeros((9, 4, 4)), [0] * 9)) == {}


@pytest.fixture(scope="module")
def pair(cache):
    settings = {"image_size": 32, "n_train": 36, "n_test": 12}
    return tuple(open_pairs(Phantom(**settings, test_view=view), cache) for view in ("random", "motion"))


def test_one_fixed_view_leaves_nothing_but_the_conformation(pair):
    random, fixed = pair
    assert np.array_equal(random.train.clean, fixed.train.clean), "training images are the same"
    assert np.array_equal(random.test.labels, fixed.test.labels) and random.key != fixed.key
    assert np.ptp(fixed.test.rotations, axis=0).max() == 0 < np.ptp(random.test.rotations, axis=0).max()
    for label in np.unique(fixed.test.labels):
        assert np.ptp(fixed.test.clean[fixed.test.labels == label], axis=0).max() < 1e-6


def test_the_fixed_view_shows_the_motion(pair):
    """The phantom's clamp swings about y: seen along y it moves most, seen across it moves least."""
    volumes = pair[0].volumes
    view = motion_view(volumes)
    assert abs(view[1, 2]) > 0.7, "the direction of view is near the hinge"

    def moved(rotation):
        return np.square(np.subtract(*(Projector(volumes[k])(rotation[None]) for k in (0, -1)))).sum()

    assert moved(view) > moved(np.eye(3))


def test_random_views_leave_ids_and_cached_images_as_they_were():
    plain = resolve(compose([]))
    assert "test_view" not in plain["data"]
    assert run_id(resolve(compose(["data.test_view=random"]))) == run_id(plain)
    assert run_id(resolve(compose(["data.test_view=motion"]))) != run_id(plain)
    assert Phantom(32, 36, 12).key().keys() == Phantom(32, 36, 12, test_view="motion").key().keys() - {"test_view"}
    with pytest.raises(InputError, match="random, motion"):
        Phantom(32, 36, 12, test_view="side")
