"""Scoring rules against numerical integration, named losses, and what makes a rule proper."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from cryobench.errors import InputError
from cryobench.methods.learned.losses import discriminator_loss, generator_loss
from cryobench.methods.learned.scores import TABLE_1, AlphaBeta, Wasserstein

T = np.array([0.01, 0.1, 0.3, 0.5, 0.77, 0.95, 0.99])
pairs = pytest.mark.parametrize("pair", TABLE_1, ids=str)


def rate(value, step=1e-5):
    """dS/dt at T by central differences."""
    return np.array([(value(t + step) - value(t - step)) / (2 * step) for t in T])


@pairs
def test_slopes_are_those_of_the_integrals_that_define_the_rule(pair):
    """By QUADPACK, from one half, since not every pair has an integral up to the end."""
    (alpha, beta), rule = pair, AlphaBeta(*pair)
    real = rate(lambda t: quad(lambda c: c ** (alpha - 1) * (1 - c) ** beta, 0.5, t, epsrel=1e-12, limit=400)[0])
    fake = rate(lambda t: -quad(lambda c: c**alpha * (1 - c) ** (beta - 1), 0.5, t, epsrel=1e-12, limit=400)[0])
    np.testing.assert_allclose(rule.real_slope(T), real, rtol=1e-5)
    np.testing.assert_allclose(rule.fake_slope(T), fake, rtol=1e-5)


NAMED = {  # S(t,1) and S(t,0) as textbooks have them
    "logarithmic": ((0, 0), np.log, lambda t: np.log1p(-t)),
    "quadratic, half the squared error": ((1, 1), lambda t: -((1 - t) ** 2) / 2, lambda t: -(t**2) / 2),
    "boosting": ((-0.5, -0.5), lambda t: -2 * np.sqrt((1 - t) / t), lambda t: -2 * np.sqrt(t / (1 - t))),
}


@pytest.mark.parametrize("name", NAMED)
def test_slopes_of_scores_that_have_a_name(name):
    pair, real, fake = NAMED[name]
    np.testing.assert_allclose(AlphaBeta(*pair).real_slope(T), rate(real), rtol=1e-5)
    np.testing.assert_allclose(AlphaBeta(*pair).fake_slope(T), rate(fake), rtol=1e-5)


@pairs
@pytest.mark.parametrize("eta", [0.05, 0.3, 0.5, 0.9])
def test_rules_are_proper(pair, eta):
    """η S(t,1) + (1−η) S(t,0) is largest at t = η, and only there."""
    rule = AlphaBeta(*pair)
    t = np.linspace(0.001, 0.999, 1999)
    slope = eta * rule.real_slope(t) + (1 - eta) * rule.fake_slope(t)
    assert (slope[t < eta - 1e-9] > 0).all()
    assert (slope[t > eta + 1e-9] < 0).all()


def test_theorem_1_leaves_two_pairs_out():
    assert {pair for pair in TABLE_1 if not AlphaBeta(*pair).satisfies_theorem_1} == {(1, -1), (0.5, -0.5)}


@pairs
def test_surrogate_gradients_are_the_slopes(pair):
    rule = AlphaBeta(*pair)
    real, fake = (torch.tensor(T, requires_grad=True) for _ in range(2))
    discriminator_loss(rule, real, fake, reduce=torch.sum).backward()
    np.testing.assert_allclose(real.grad, -rule.real_slope(T), rtol=1e-12)
    np.testing.assert_allclose(fake.grad, -rule.fake_slope(T), rtol=1e-12)
    fake = torch.tensor(T, requires_grad=True)
    generator_loss(rule, fake).backward()
    np.testing.assert_allclose(fake.grad, rule.fake_slope(T) / len(T), rtol=1e-12)


def test_log_loss_gradients_are_those_of_binary_cross_entropy():
    logits = torch.randn(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    score, truth = torch.sigmoid(logits), torch.arange(20) < 10
    (ours,) = torch.autograd.grad(discriminator_loss(AlphaBeta(0, 0), score[truth], score[~truth], 1e-9), logits)
    score = torch.sigmoid(logits)
    theirs = 2 * torch.nn.functional.binary_cross_entropy(score, truth.double())
    np.testing.assert_allclose(ours, torch.autograd.grad(theirs, logits)[0], rtol=1e-7)


def test_saturated_scores_are_clamped_and_still_pull():
    rule, score = AlphaBeta(0, 0), torch.tensor([0.0, 1.0], requires_grad=True)
    discriminator_loss(rule, score, score.detach(), reduce=torch.sum).backward()
    np.testing.assert_allclose(score.grad, [-100, -1 / 0.99], rtol=1e-5)


def test_wasserstein_is_linear_and_unclamped():
    real, fake = torch.tensor([-7.0, 3.0], requires_grad=True), torch.tensor([[9.0]], requires_grad=True)
    loss = discriminator_loss(Wasserstein(), real, fake)
    assert loss.item() == pytest.approx(9 - (-2))
    loss.backward()
    assert real.grad.tolist() == [-0.5, -0.5] and fake.grad.tolist() == [[1.0]]
    assert generator_loss(Wasserstein(), fake).item() == -9
    assert AlphaBeta.squash and not Wasserstein.squash


@pytest.mark.parametrize("kind", [float, lambda t: np.full((2, 1), t, np.float32), lambda t: torch.full((2, 1), t)])
@pytest.mark.parametrize("name", ["real_slope", "fake_slope"])
def test_floats_arrays_and_tensors_alike(kind, name):
    given = kind(0.3)
    answer = getattr(AlphaBeta(0.5, -0.5), name)(given)
    assert isinstance(answer, type(given))
    if not isinstance(given, float):
        assert answer.dtype == given.dtype and answer.shape == given.shape
    np.testing.assert_allclose(np.asarray(answer), getattr(AlphaBeta(0.5, -0.5), name)(0.3), rtol=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, "one", None, True])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="alpha: expected a finite number"):
        AlphaBeta(value, 0.0)
