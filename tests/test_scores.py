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


def integral(power_of_c, power_of_rest, low, high):
    """∫ c^a (1−c)^b dc by QUADPACK, which is told of the singular end if there is one."""
    if low == 0:
        return quad(lambda c: (1 - c) ** power_of_rest, low, high, weight="alg", wvar=(power_of_c, 0), epsrel=1e-11)[0]
    if high == 1:
        return quad(lambda c: c**power_of_c, low, high, weight="alg", wvar=(0, power_of_rest), epsrel=1e-11)[0]
    return quad(lambda c: c**power_of_c * (1 - c) ** power_of_rest, low, high, epsrel=1e-11, limit=400)[0]


@pairs
def test_values_are_the_integrals_that_define_them(pair):
    alpha, beta = pair
    rule = AlphaBeta(alpha, beta)
    if beta > -1:
        expected = [-integral(alpha - 1, beta, t, 1) for t in T]
        np.testing.assert_allclose(rule.real_value(T), expected, rtol=1e-8)
    if alpha > -1:
        expected = [-integral(alpha, beta - 1, 0, t) for t in T]
        np.testing.assert_allclose(rule.fake_value(T), expected, rtol=1e-8)


@pairs
def test_gains_are_integrals_from_one_half_for_every_pair(pair):
    alpha, beta = pair
    rule = AlphaBeta(alpha, beta)
    np.testing.assert_allclose(rule.real_gain(T), [integral(alpha - 1, beta, 0.5, t) for t in T], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        rule.fake_gain(T), [-integral(alpha, beta - 1, 0.5, t) for t in T], rtol=1e-9, atol=1e-12
    )


@pairs
def test_gains_reach_far_into_the_ends(pair):
    rule = AlphaBeta(*pair)
    for t in (1e-6, 1 - 1e-6):
        middle = 0.01 if t < 0.5 else 0.99
        expected = rule.fake_gain(middle) - integral(pair[0], pair[1] - 1, middle, t)
        assert rule.fake_gain(t) == pytest.approx(expected, rel=1e-6)


@pairs
def test_the_slope_is_the_derivative_of_the_value(pair):
    rule, step = AlphaBeta(*pair), 1e-5
    inner = T[1:-1]
    for value, slope in ((rule.real_gain, rule.real_slope), (rule.fake_gain, rule.fake_slope)):
        central = (value(inner + step) - value(inner - step)) / (2 * step)
        np.testing.assert_allclose(slope(inner), central, rtol=1e-5)


def test_which_integrals_diverge():
    def diverges(function):
        try:
            function(0.3)
        except InputError:
            return True
        return False

    real = {pair for pair in TABLE_1 if diverges(AlphaBeta(*pair).real_value)}
    fake = {pair for pair in TABLE_1 if diverges(AlphaBeta(*pair).fake_value)}
    assert real == {(-1, -1), (1, -1)}  # ∫_t^1 (1−c)^(−1) …
    assert fake == {(-1, -1)}  # ∫_0^t c^(−1) …; that of (1,−1) is ∫_0^t c (1−c)^(−2), finite below 1
    with pytest.raises(InputError, match=r"\(1,-1\) diverges"):
        AlphaBeta(1, -1).real_value(0.3)


def test_log_loss():
    rule = AlphaBeta(0, 0)
    np.testing.assert_allclose(rule.real_value(T), np.log(T), rtol=1e-12)
    np.testing.assert_allclose(rule.fake_value(T), np.log1p(-T), rtol=1e-12)


def test_quadratic_score_is_half_the_squared_error():
    rule = AlphaBeta(1, 1)
    np.testing.assert_allclose(rule.real_value(T), -((1 - T) ** 2) / 2, rtol=1e-12)
    np.testing.assert_allclose(rule.fake_value(T), -(T**2) / 2, rtol=1e-12)


def test_boosting_score():
    rule = AlphaBeta(-0.5, -0.5)
    np.testing.assert_allclose(rule.real_value(T), -2 * np.sqrt((1 - T) / T), rtol=1e-12)
    np.testing.assert_allclose(rule.fake_value(T), -2 * np.sqrt(T / (1 - T)), rtol=1e-12)


@pairs
@pytest.mark.parametrize("eta", [0.05, 0.3, 0.5, 0.9])
def test_rules_are_proper(pair, eta):
    """η S(t,1) + (1−η) S(t,0) is largest at t = η, and only there."""
    rule = AlphaBeta(*pair)
    t = np.linspace(0.001, 0.999, 1999)
    slope = eta * rule.real_slope(t) + (1 - eta) * rule.fake_slope(t)
    assert (slope[t < eta - 1e-9] > 0).all()
    assert (slope[t > eta + 1e-9] < 0).all()
    expected_score = eta * rule.real_gain(t) + (1 - eta) * rule.fake_gain(t)
    assert t[expected_score.argmax()] == pytest.approx(eta, abs=1e-3)


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
@pytest.mark.parametrize("name", ["real_slope", "fake_slope", "real_value", "fake_value", "real_gain", "fake_gain"])
def test_floats_arrays_and_tensors_alike(kind, name):
    given = kind(0.3)
    answer = getattr(AlphaBeta(0.5, -0.5), name)(given)
    assert isinstance(answer, type(given))
    if not isinstance(given, float):
        assert answer.dtype == given.dtype and answer.shape == given.shape
    np.testing.assert_allclose(np.asarray(answer), getattr(AlphaBeta(0.5, -0.5), name)(0.3), rtol=1e-6)


def test_values_of_tensors_are_differentiable():
    t = torch.tensor(T, requires_grad=True)
    AlphaBeta(0.1, -0.1).real_value(t).sum().backward()
    np.testing.assert_allclose(t.grad, AlphaBeta(0.1, -0.1).real_slope(T), rtol=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, "one", None, True])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="alpha: expected a finite number"):
        AlphaBeta(value, 0.0)
