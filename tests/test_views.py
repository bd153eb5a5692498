"""Angles between views: closed forms, and what in-plane turns and mirrors leave alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryobench.data.directions import nearest_view
from cryobench.data.rotations import random_rotations, rotations_from_euler
from cryobench.errors import InputError
from cryobench.evaluation.analysis import Evidence, check, views


def test_the_angle_between_two_views_is_their_tilt():
    tilts = np.array([0.0, 10.0, 90.0, 170.0, 180.0])
    views = rotations_from_euler(0, tilts, [0, 40, 80, 120, 160])
    np.testing.assert_allclose(nearest_view(views, np.eye(3)[None]), [0, 10, 90, 10, 0], atol=1e-6)


def test_turns_in_the_plane_and_mirrors_do_not_count():
    rotations = random_rotations(20, np.random.default_rng(0))
    turned = rotations @ Rotation.from_euler("z", 77, degrees=True).as_matrix()
    mirrored = turned @ np.diag([1.0, -1.0, -1.0])
    assert nearest_view(mirrored, rotations).max() < 1e-5


def test_uniform_views_are_as_far_apart_as_chance_has_it():
    # The share of the sphere within θ of ±d is 1 - cos θ; the nearest of m views has the mean √(π/2m) for large m.
    rng, m = np.random.default_rng(0), 1000
    angles = nearest_view(random_rotations(4000, rng), random_rotations(m, rng))
    assert np.radians(angles.mean()) == pytest.approx(np.sqrt(np.pi / (2 * m)), rel=0.05)


def test_a_run_records_how_near_its_test_views_are_to_training_views():
    rng = np.random.default_rng(1)
    rotations, labels = random_rotations(40, rng), rng.integers(2, size=40)
    near = rotations @ Rotation.from_euler("x", 3, degrees=True).as_matrix()
    images = np.zeros((40, 2, 2), np.float32)
    evidence = Evidence(images, images, images, np.arange(40.0), labels, near, labels, rotations, 3.2, 0)
    result = views.analyse(evidence)
    assert 0 < result["degrees"]["0.95"] <= 3.001 and len(result["mse_by_quarter"]) == 4 and result["unseen"] == 0
    elsewhere = views.analyse(replace(evidence, train_labels=labels * 0 + 5))
    assert elsewhere == {"degrees": {}, "mse_by_quarter": [], "unseen": 40, "mse_unseen": 19.5}


def test_an_unknown_analysis_is_refused():
    with pytest.raises(InputError, match="views"):
        check(["vews"])
