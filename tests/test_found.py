"""A structure that was found against the true one: turned and mirrored by a known amount, with poses off by a known angle."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.rotations import random_rotations
from cryobench.evaluation.analysis import Evidence, structure
from cryobench.methods.base import Found
from cryobench.methods.posterior.align import Alignment


def evidence(found: Found | None, volumes: np.ndarray, rotations: np.ndarray) -> Evidence:
    images, labels = np.zeros((2, 2, 2), np.float32), np.zeros(len(rotations), int)
    eye = np.tile(np.eye(3), (2, 1, 1))
    return Evidence(
        images, images, images, np.zeros(2), labels[:2], eye, labels, rotations, 6.4, 0, volumes=volumes, found=found
    )


@pytest.fixture(scope="module")
def volumes() -> np.ndarray:
    return Phantom(image_size=32, n_train=1, n_test=1, conformations=2).volumes()


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_error_of_poses_is_what_is_left_in_the_true_frame_and_hand(volumes, mirrored):
    frame = Alignment(Rotation.random(random_state=1).as_matrix(), mirrored, 1.0)
    true = random_rotations(80, np.random.default_rng(0))
    off = Rotation.from_rotvec(np.radians(12) * np.eye(3)[np.arange(80) % 3]).as_matrix()
    off[60:] = Rotation.from_rotvec([0, 0, np.radians(100)]).as_matrix()
    volume = frame(torch.from_numpy(volumes[0])).numpy()  # all training images show this conformation
    result = structure.analyse(evidence(Found(volume, frame.orientations(off @ true)), volumes, true))
    assert result["mirrored"] == mirrored
    assert result["degrees"]["0.5"] == pytest.approx(12, abs=1) and result["degrees"]["0.95"] == pytest.approx(
        100, abs=1
    )
    counts = np.array(result["histogram"])
    assert counts.sum() == 80 and counts[2] > 55 and counts[19:21].sum() == 20
    assert min(result["fsc"][:10]) > 0.95 and result["resolution"] < 17


def test_a_map_of_something_else_has_no_resolution_that_is_worth_the_name(volumes):
    other = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    true = random_rotations(200, np.random.default_rng(0))
    result = structure.analyse(evidence(Found(other, random_rotations(200, np.random.default_rng(1))), volumes, true))
    assert result["resolution"] is None or result["resolution"] > 60
    assert result["degrees"]["0.5"] > 90, "random orientations are 126° apart (median)"


def test_of_a_method_that_looks_for_no_structure_nothing_is_said(volumes):
    assert structure.analyse(evidence(None, volumes, np.tile(np.eye(3), (3, 1, 1)))) == {}


def test_fewer_poses_than_training_images_are_those_of_the_first(volumes):
    true = random_rotations(40, np.random.default_rng(0))
    result = structure.analyse(evidence(Found(volumes[0], true[:30]), volumes, true))
    assert sum(result["histogram"]) == 30 and result["degrees"]["0.95"] < 1
