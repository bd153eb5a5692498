"""The molecule made in code: its clamp opens in equal steps, and it has no symmetry."""

import itertools

import numpy as np
import pytest
import scipy.ndimage

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.molecules.structures import superpose
from cryobench.errors import InputError


@pytest.fixture(scope="module")
def phantom():
    return Phantom(image_size=16, n_train=4, n_test=2)


@pytest.fixture(scope="module")
def volumes(phantom):
    return phantom.volumes()


def test_clamp_turns_in_equal_steps_and_the_core_rests(phantom):
    frames = [atoms.positions for atoms in phantom.molecules()]
    moves = np.linalg.norm(frames[4] - frames[0], axis=1) > 0
    assert 0.1 < moves.mean() < 0.4
    for k, frame in enumerate(frames):
        assert superpose(frames[0][moves], frame[moves], keep=1).degrees == pytest.approx(5 * k, abs=1e-4)


def test_is_the_size_of_an_rna_polymerase(phantom):
    extent = np.ptp(phantom.molecules()[2].positions, axis=0)
    assert 140 < extent.max() < 160 and extent.min() > 80


def test_volumes_are_centred_and_differ(volumes):
    assert volumes.shape == (5, 16, 16, 16) and volumes.dtype == np.float32
    centre = np.mean([scipy.ndimage.center_of_mass(np.maximum(v, 0)) for v in volumes], axis=0)
    np.testing.assert_allclose(centre, 8, atol=0.1)
    for one, other in itertools.combinations(volumes, 2):
        assert 0.5 < np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.999


def test_has_no_symmetry(phantom):
    """Turned by 180° about a principal axis, or mirrored, it is another molecule."""
    positions = phantom.molecules()[2].positions
    moments, axes = np.linalg.eigh(np.cov(positions.T))
    assert (moments[1:] / moments[:-1] > 1.1).all()
    turned_in = positions @ axes
    own = np.histogramdd(turned_in, 12, [(-90, 90)] * 3)[0].ravel()
    for signs in itertools.product([1, -1], repeat=3):
        if signs != (1, 1, 1):
            other = np.histogramdd(turned_in * signs, 12, [(-90, 90)] * 3)[0].ravel()
            assert np.corrcoef(own, other)[0, 1] < 0.9


def test_is_the_same_every_time(phantom):
    again = Phantom(image_size=16, n_train=4, n_test=2)
    assert phantom.key() == again.key()
    for one, other in zip(phantom.molecules(), again.molecules(), strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"image_size": 60}, "image_size"),
        ({"image_size": 8}, "image_size"),
        ({"n_train": 0}, "n_train"),
        ({"n_test": -1}, "n_test"),
        ({"conformations": 0}, "conformations"),
        ({"seed": -1}, "seed"),
        ({"box": 0.0}, "box"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, key):
    with pytest.raises(InputError, match=rf"data\.{key}: expected") as caught:
        Phantom(**{"image_size": 16, "n_train": 4, "n_test": 2, **settings})
    assert "\n" not in str(caught.value)


def test_opening_is_a_rotation_about_the_hinge(phantom):
    narrow, wide = (Phantom(16, 4, 2, opening=o).molecules() for o in (0.0, 40.0))
    np.testing.assert_array_equal(narrow[0].positions, narrow[4].positions)
    moves = np.linalg.norm(wide[4].positions - wide[0].positions, axis=1) > 0
    motion = superpose(wide[0].positions[moves], wide[4].positions[moves], keep=1)
    assert abs(motion.rotation.as_rotvec(degrees=True)[1]) == pytest.approx(40, abs=1e-4)
