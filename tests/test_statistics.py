"""Verdicts: their rate of false alarms, their power, and what they refuse to say."""

import copy

import numpy as np
import pytest
from cryobench.experiments import claims
from scipy import stats

from cryobench.config.compose import compose, resolve
from cryobench.evaluation import statistics
from cryobench.tables.table import Cell, setting

ROWS = {"a": ["method=nlm", "protocol=described"], "b": ["method=bm3d", "protocol=described"]}
SIDES = (("made up", "a", 0.1), ("made up", "b", 0.1))
CLAIM = claims.Claim("a-better", "nowhere", "a is better than b", (SIDES,))
IMAGES, SPREAD = 40, 0.05


@pytest.fixture(scope="module")
def templates():
    return {row: resolve(compose(overrides)) for row, overrides in ROWS.items()}


@pytest.fixture
def verdict(monkeypatch, templates):
    """Seed → per-image MSE of both rows → the claim's one finding."""
    rows = {row: dict(setting(text) for text in overrides) for row, overrides in ROWS.items()}
    monkeypatch.setattr(claims, "rows", lambda sweep: rows)

    def judge(a: np.ndarray, b: np.ndarray) -> str:
        records = [
            {"status": "done", "seed": seed, "config": templates[row], "per_image": {"mse": list(values)}}
            for row, all_seeds in (("a", a), ("b", b))
            for seed, values in enumerate(all_seeds)
        ]
        (finding,) = claims.findings(records, (CLAIM,))
        return finding.says

    return judge


def draw(rng, seeds: int, planted: float) -> tuple[np.ndarray, np.ndarray]:
    """Two rows with a spread of SPREAD over seeds, half of its variance shared by rows (the same seed is the same noise),
    images of very different difficulty; the first row is `planted` spreads lower."""
    difficulty = rng.lognormal(0, 0.5, IMAGES)
    shared = rng.normal(0, SPREAD * 0.5**0.5, (seeds, 1))
    rows = [
        difficulty * (1 - lower * SPREAD + shared + rng.normal(0, SPREAD * 0.5**0.5, (seeds, 1)))
        + rng.normal(0, 0.1, (seeds, IMAGES))
        for lower in (planted, 0.0)
    ]
    return rows[0], rows[1]


def test_false_alarms_are_rare_and_a_planted_difference_is_found(verdict):
    rng = np.random.default_rng(7)
    nothing = [verdict(*draw(rng, 5, 0.0)) for _ in range(200)]
    planted = [verdict(*draw(rng, 5, 2.0)) for _ in range(200)]
    assert sum(says in ("holds", "reversed") for says in nothing) <= 0.05 * 200
    assert sum(says == "holds" for says in planted) >= 0.8 * 200


def test_one_or_two_seeds_decide_nothing(verdict):
    rng = np.random.default_rng(0)
    for seeds in (1, 2):
        assert verdict(*draw(rng, seeds, 50.0)) == "too few seeds"


def test_a_row_without_records_is_named_not_run(verdict):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 5, 0.0)
    assert verdict(a, b[:0]) == "not run"
    assert "not run" in claims.verdict(claims.findings([], (CLAIM,)))


def test_a_clear_difference_the_other_way_is_called_reversed(verdict):
    a, b = draw(np.random.default_rng(1), 5, 20.0)
    assert verdict(b, a) == "reversed"


def test_compare_is_scipys_paired_test_over_seed_means():
    rng = np.random.default_rng(2)
    a, b = rng.normal(1.0, 0.1, (4, 30)), rng.normal(1.1, 0.1, (4, 30))
    found = statistics.compare(dict(enumerate(a)), dict(enumerate(b)))
    assert found.p_below == pytest.approx(stats.ttest_rel(a.mean(1), b.mean(1), alternative="less").pvalue)
    assert found.effect == pytest.approx((a.mean() - b.mean()) / b.mean())
    assert found.interval[0] < found.effect < found.interval[1] and found.seeds == 4


def test_an_image_that_one_row_lacks_is_left_out_of_both():
    a, b = np.ones((3, 10)), np.full((3, 10), 2.0)
    holed = copy.deepcopy(a)
    holed[1, 4] = np.nan
    b[:, 4] = 100.0
    assert statistics.compare(dict(enumerate(holed)), dict(enumerate(b))).effect == pytest.approx(-0.5)


def test_seeds_are_compared_with_themselves_only():
    a, b = {0: [1.0, 2.0], 1: [1.0, 2.0]}, {1: [2.0, 4.0], 2: [9.0, 9.0]}
    found = statistics.compare(a, b)
    assert found.seeds == 1 and found.effect == pytest.approx(-0.5) and found.p_below is None


def test_equivalence_agrees_with_the_confidence_interval_lying_inside_the_margin():
    # Two one-sided tests at 5 % are a 90 % interval inside ± margin (Schuirmann 1987).
    rng = np.random.default_rng(3)
    for scale in (0.01, 0.05, 0.2):
        b = rng.normal(1.0, 0.01, (6, 5))
        a = b * (1 + rng.normal(0.02, scale, (6, 1)))
        ratios = a.mean(1) / b.mean(1) - 1
        low, high = stats.ttest_1samp(ratios, 0).confidence_interval(0.9)
        p = statistics.equivalent(dict(enumerate(a)), dict(enumerate(b)), 0.1)
        assert (p < 0.05) == (-0.1 < low and high < 0.1)


def test_the_order_of_rows_that_never_changes_is_found_and_noise_is_not():
    rng = np.random.default_rng(4)
    steady = np.arange(8)[:, None] + rng.normal(0, 0.1, (8, 5))
    agreement, p = statistics.order_repeats(steady)
    assert agreement == pytest.approx(1.0) and p < 0.001
    assert statistics.order_repeats(rng.normal(size=(8, 5)))[1] > 0.05
    assert statistics.order_repeats(steady[:, :2]) is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((3.0e-3, 3.1e-3, 2.9e-3), "agrees"),
        ((2.0e-3, 2.01e-3, 1.99e-3), "better"),
        ((5.0e-3, 5.01e-3, 4.99e-3), "worse"),
        ((3.0e-3, 3.1e-3), "too few seeds"),
        ((), "missing"),
    ],
)
def test_a_cell_against_the_published_one(values, says):
    cell = Cell("(1,1)", 0.1, "mse", values, tuple("abc"[: len(values)]), 3.01e-3, None, "paper")
    assert cell.verdict == says


def test_published_numbers_that_are_one_more_run_of_ours_rarely_disagree():
    rng = np.random.default_rng(5)
    p = [statistics.against_published(rng.normal(0, 1, 4), rng.normal(0, 1))[0] for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_the_interval_of_a_mean_is_students():
    """Two-sided 95 % points of t as printed in any table: 4.303 with 2 degrees of freedom, 2.776 with 4."""
    from cryobench.evaluation.statistics import half_width

    assert half_width(1.0, 3) == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert half_width(2.0, 5) == pytest.approx(2 * 2.776 / 5**0.5, rel=1e-3)
    assert half_width(1.0, 2) is None
