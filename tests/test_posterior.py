"""What a run says of a method's uncertainty: calibrated where it is, and not where it isn't."""

import numpy as np
import pytest

from cryobench.evaluation.analysis import Evidence, analyse, posterior
from cryobench.methods.base import Uncertainty


def evidence(uncertainty, labels=None, error=None) -> Evidence:
    clean = np.zeros((40, 24, 24), np.float32)
    clean[:, 4:-4, 4:-4] = 0.5
    labels = np.zeros(40, int) if labels is None else labels
    eye = np.broadcast_to(np.eye(3), (40, 3, 3))
    denoised = clean if error is None else (clean + error).astype(np.float32)
    mse = ((denoised - clean) ** 2).mean(axis=(1, 2))
    return Evidence(clean, clean, denoised, mse, labels, eye, labels, eye, 3.2, 0, uncertainty)


def test_a_method_without_an_uncertainty_says_nothing():
    assert posterior.analyse(evidence(None)) == {}
    assert "posterior" not in analyse([], evidence(None))


@pytest.mark.parametrize(("factor", "within"), [(1.0, 0.6827), (2.0, 0.9545), (0.5, 0.3829)])
def test_shares_within_deviations_are_the_normal_laws(factor, within):
    """Gaussian errors of size 0.1 and a deviation of `factor` times that; the rim, nowhere wrong, is not counted."""
    error = 0.1 * np.random.default_rng(0).normal(size=(40, 24, 24))
    error[:, :4], error[:, -4:], error[:, :, :4], error[:, :, -4:] = 0, 0, 0, 0
    scores = posterior.analyse(evidence(Uncertainty(np.full((40, 24, 24), 0.1 * factor, np.float32)), error=error))
    assert scores["particle_pixels"] == pytest.approx((16 / 24) ** 2, rel=1e-5)
    assert scores["within_one"] == pytest.approx(within, abs=0.01)
    assert scores["error_over_deviation"] == pytest.approx(1 / factor, rel=0.02)
    assert "accuracy" not in scores


def test_conformations_are_scored_and_the_ends_told_apart():
    labels = np.repeat([0, 1, 2, 2], 10)
    sure = np.repeat([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.2, 0.7, 0.1]], 10, axis=0)
    scores = posterior.analyse(evidence(Uncertainty(np.ones((40, 24, 24), np.float32), sure), labels))
    assert scores["accuracy"] == pytest.approx(0.5)
    assert scores["accuracy_ends"] == pytest.approx(2 / 3, rel=1e-5) and scores["ends"] == 30
    assert scores["log_score"] == pytest.approx(np.log([0.6, 0.7, 0.3, 0.1]).mean(), rel=1e-5)


def test_a_conformation_never_thought_of_is_never_named():
    labels = np.repeat([0, 3], 20)
    scores = posterior.analyse(evidence(Uncertainty(np.ones((40, 24, 24), np.float32), np.ones((40, 1))), labels))
    assert scores["accuracy"] == 0.5 and scores["accuracy_ends"] == 0.5
