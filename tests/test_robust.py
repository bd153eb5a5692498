"""Robust estimation: laws, contaminations, discriminator bounds and classical estimators against what is known of them."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from cryobench.errors import InputError
from cryobench.robust import estimators
from cryobench.robust.contamination import CONTAMINATIONS, contaminate
from cryobench.robust.discriminators import Bounded, Plain, Ramp, project_rows
from cryobench.robust.elliptical import TAILS, Elliptical, scatter_matrix
from cryobench.robust.estimation import draw_weights
from cryobench.robust.generator import Generator


def law(p=4, tail="gaussian", scatter="ar"):
    return Elliptical(np.arange(p, dtype=float), scatter_matrix(scatter, p), tail)


@pytest.mark.parametrize("tail", TAILS)
def test_samples_have_the_radius_and_the_directions_of_their_law(tail):
    truth = law(tail=tail)
    samples = truth.sample(20_000, np.random.default_rng(0))
    white = np.linalg.solve(np.linalg.cholesky(truth.scatter), (samples - truth.location).T).T
    square = (white**2).sum(1)
    expected = stats.chi2(4).cdf if math.isinf(truth.degrees) else stats.f(4, truth.degrees).cdf
    assert stats.kstest(square if math.isinf(truth.degrees) else square / 4, expected).pvalue > 1e-3
    direction = white / np.sqrt(square)[:, None]
    np.testing.assert_allclose(direction.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(direction.T @ direction / len(direction), np.eye(4) / 4, atol=0.01)


@pytest.mark.parametrize(
    ("scatter", "tail", "message"),
    [
        (np.eye(3), "laplace", "tail: expected one of gaussian"),
        (np.diag([1.0, 1.0, -1.0]), "gaussian", "symmetric positive definite"),
        (np.triu(np.ones((3, 3))), "gaussian", "symmetric positive definite"),
        (np.eye(2), "gaussian", r"expected a scatter \(3, 3\)"),
    ],
)
def test_what_is_not_elliptical_is_refused(scatter, tail, message):
    with pytest.raises(InputError, match=message):
        Elliptical(np.zeros(3), scatter, tail)


@pytest.mark.parametrize("name", CONTAMINATIONS)
def test_contamination_touches_its_share_and_nothing_else(name):
    truth, rng = law(), np.random.default_rng(1)
    clean = truth.sample(20_000, rng)
    samples, touched = contaminate(clean, truth, name, 0.2, rng)
    assert touched.mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(samples[~touched], clean[~touched])
    assert (samples[touched] != clean[touched]).any(axis=1).all()
    if name == "point":
        assert np.unique(samples[touched], axis=0).tolist() == [(truth.location + 5).tolist()]


def test_the_strong_adversary_moves_the_mean_and_keeps_every_radius():
    """Mirroring the lowest share ε of a normal moves its mean by 2 φ(Φ⁻¹(ε)), and no Mahalanobis radius."""
    truth, rng = law(), np.random.default_rng(2)
    clean = truth.sample(100_000, rng)
    samples, _ = contaminate(clean, truth, "strong", 0.1, rng)
    before, after = (estimators.mahalanobis(x - truth.location, truth.scatter) for x in (clean, samples))
    np.testing.assert_allclose(after, before, rtol=1e-9)
    shift = np.linalg.solve(np.linalg.cholesky(truth.scatter), samples.mean(0) - truth.location)
    assert np.linalg.norm(shift) == pytest.approx(2 * stats.norm.pdf(stats.norm.ppf(0.1)), rel=0.03)


@pytest.mark.parametrize("epsilon", [-0.1, 0.5, 0.9, math.nan])
def test_a_share_that_can_not_be_told_from_the_law_is_refused(epsilon):
    with pytest.raises(InputError, match="epsilon"):
        contaminate(np.zeros((5, 4)), law(), "far", epsilon, np.random.default_rng(0))


def test_projection_is_the_nearest_point_of_the_l1_ball():
    """P is the projection onto a convex set if and only if (x − Px)·(y − Px) ≤ 0 for all its corners y."""
    weight = torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight[0], weight[1] = 0.0, 1.0  # nothing to do; all equal
    radius = 1.5
    projected = project_rows(weight, radius)
    assert (projected.abs().sum(1) <= radius + 1e-12).all()
    corners = torch.cat([torch.eye(7), -torch.eye(7)]).double() * radius
    inward = ((weight - projected)[:, None] * (corners - projected[:, None])).sum(-1)
    assert (inward <= 1e-12).all()
    inside = weight.abs().sum(1) <= radius
    assert inside.any() and torch.equal(projected[inside], weight[inside])


def test_the_bounds_of_definition_4_hold_after_every_step():
    rng = torch.Generator().manual_seed(0)
    net = Bounded(5, (6, 4, 3), kappa=0.3, bound=0.7)
    draw_weights(net, rng)
    optimiser = torch.optim.SGD(net.parameters(), lr=50.0)
    for _ in range(10):
        x = torch.randn(64, 5, generator=rng)
        optimiser.zero_grad()
        net(x)[:32].sum().sub(net(x)[32:].sum()).backward()
        optimiser.step()
        net.project()
        for layer in net.layers:
            assert (layer.weight.abs().sum(1) <= 0.7 + 1e-5).all() and layer.bias is None
        assert net.top.weight.abs().sum() <= 0.3 + 1e-5 and net.top.bias is None
        logit = torch.logit(net(100 * x))  # g ≤ B² in the last ReLU layer, whatever x
        assert (logit.abs() <= 0.3 * 0.7**2 + 1e-5).all()


def test_ramp():
    assert Ramp()(torch.tensor([-9.0, -0.5, 0.0, 0.25, 9.0])).tolist() == [0, 0, 0.5, 0.75, 1]


def test_plain_network_of_the_published_demonstration():
    net = Plain(100, (20,))
    assert sum(parameter.numel() for parameter in net.parameters()) == 100 * 20 + 20 + 20 + 1
    assert net(torch.zeros(3, 100)).shape == (3,)
    with pytest.raises(InputError, match="activation"):
        Plain(100, (20,), "softsign")


def test_a_generator_on_the_sphere_and_one_with_power_law_tails():
    rng = torch.Generator().manual_seed(0)
    generator = Generator(6, learn_scatter=False, learn_radius=True)
    generator.start_on_sphere()
    with torch.no_grad():
        np.testing.assert_allclose(generator(500, rng).norm(dim=1), math.sqrt(6), rtol=1e-5)
        for layer, (weight, bias) in zip(
            (generator.radius[0], generator.radius[2]), ((1.0, 30.0), (1 / 16, -30.0)), strict=True
        ):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
        radius = generator(50_000, rng).norm(dim=1) / math.sqrt(6)  # h(s) = s, so that ξ/√p = v / (1−v)
    assert stats.kstest(radius.numpy(), lambda r: r / (1 + r)).pvalue > 1e-3


@pytest.fixture(scope="module")
def contaminated():
    truth, rng = law(p=6), np.random.default_rng(3)
    clean = truth.sample(5_000, rng)
    samples, touched = contaminate(clean, truth, "far", 0.1, rng)
    return truth, clean, samples, touched


def test_geometric_median_minimises_the_sum_of_distances(contaminated):
    _, _, samples, _ = contaminated
    ours = estimators.geometric_median(samples[:400])
    theirs = optimize.minimize(
        lambda m: np.linalg.norm(samples[:400] - m, axis=1).sum(), np.median(samples, 0), tol=1e-10
    )
    np.testing.assert_allclose(ours, theirs.x, atol=1e-4)


def test_trimmed_mean_lies_between_mean_and_median(contaminated):
    _, _, samples, _ = contaminated
    np.testing.assert_allclose(estimators.trimmed_mean(samples, 0.0), samples.mean(0))
    middle = estimators.trimmed_mean(samples[:-1], 0.49999)
    np.testing.assert_allclose(middle, np.median(samples[:-1], 0), atol=1e-12)


@pytest.mark.parametrize("name", ["far", "cauchy", "point", "wide"])
def test_iterative_filtering_finds_what_lies_far_out(name):
    truth, rng = law(p=6), np.random.default_rng(4)
    clean = truth.sample(5_000, rng)
    samples, touched = contaminate(clean, truth, name, 0.1, rng)
    filtered = estimators.iterative_filtering(samples, 0.1, truth.scatter)
    assert np.linalg.norm(filtered - clean[~touched].mean(0)) < 0.05
    everything = estimators.iterative_filtering(clean, 0.0, truth.scatter)
    np.testing.assert_allclose(everything, clean.mean(0), atol=0.01)


def test_kendall_against_scipy_and_the_law():
    truth = law(p=3)
    samples = truth.sample(2_000, np.random.default_rng(5))
    ours = estimators.kendall(samples, np.random.default_rng(0), shifts=200)
    tau = stats.kendalltau(samples[:, 0], samples[:, 1]).statistic
    scale = stats.median_abs_deviation(samples[:, :2], axis=0, scale="normal")
    assert ours[0, 1] / scale.prod() == pytest.approx(math.sin(math.pi / 2 * tau), abs=0.01)
    np.testing.assert_allclose(np.diag(ours), stats.median_abs_deviation(samples, axis=0, scale="normal") ** 2)


@pytest.mark.parametrize("tail", ["gaussian", "cauchy"])
def test_tyler_finds_the_shape_whatever_the_tail(tail):
    truth = law(tail=tail)
    shape = estimators.tyler(truth.sample(20_000, np.random.default_rng(6)))
    np.testing.assert_allclose(shape / np.trace(shape), truth.scatter / np.trace(truth.scatter), atol=0.015)
    if tail == "gaussian":
        np.testing.assert_allclose(shape, truth.scatter, atol=0.05)


@pytest.mark.parametrize("tail", ["student3", "cauchy"])
def test_student_fit_is_a_maximum_of_the_likelihood(tail):
    truth = law(p=3, tail=tail)
    samples = truth.sample(800, np.random.default_rng(7))
    location, scatter = estimators.student_fit(samples, truth.degrees)

    def loglikelihood(shift, stretch):
        return stats.multivariate_t(location + shift, scatter * stretch, df=truth.degrees).logpdf(samples).sum()

    best = loglikelihood(0, 1)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 1e-3:
        assert loglikelihood(step, 1) < best
    assert max(loglikelihood(0, 1.001), loglikelihood(0, 0.999)) < best


def test_minimum_covariance_determinant_leaves_the_contamination_out(contaminated):
    truth, clean, samples, touched = (x[:1500] if isinstance(x, np.ndarray) else x for x in contaminated)
    location, scatter = estimators.mcd(samples, seed=0)
    assert np.linalg.norm(location - clean[~touched].mean(0)) < 0.1
    assert np.linalg.norm(scatter - truth.scatter, 2) < 0.3
