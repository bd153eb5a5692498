"""Verdicts on simulated rows of known truth: how often they err, what they find, and what they refuse to say.

The world of the simulation. Rows of one kind vary over seeds by spreads drawn anew for each draw, three seeds, half of each
row's variance shared by all rows (the same seed is the same noise), on log MSE. 24 rows are a kind, as many as train a
ResNet at desk scale. A claim sets its first row against seven others, as that of λ does, unless said otherwise. With half of
the variance shared, a difference of 10 % between rows that each vary by 5 % is 3.6 of its standard errors; with nothing
shared 2.6, where even a test that knew all spreads would find 73 %.
"""

import copy
import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cryobench.experiments import claims
from scipy import stats

from cryobench.config.compose import compose, resolve
from cryobench.evaluation import statistics
from cryobench.printed import row_named
from cryobench.runs.record import Record
from cryobench.tables.frame import frame, setting
from cryobench.tables.table import Cell

DRAWS, ROWS_OF_A_KIND = 1000, 24


def world(rng, spreads: np.ndarray, shared: float = 0.5, seeds: int = 3) -> np.ndarray:
    """(rows, seeds) log MSE of rows that are all the same but for their spreads."""
    together, own = rng.standard_normal(seeds), rng.standard_normal((len(spreads), seeds))
    return spreads[:, None] * (np.sqrt(shared) * together + np.sqrt(1 - shared) * own)


def answers(logs: np.ndarray, kinds: list[str], others, margin: float = 0.05, close: bool = False) -> list:
    """The answers of the claim "row 0 is lower than each of `others`"."""
    by_seed = {row: dict(enumerate(values)) for row, values in enumerate(logs)}
    spread = statistics.spreads(by_seed, dict(enumerate(kinds)))
    compared = [statistics.between(logs[0] - logs[other], spread[0], spread[other]) for other in others]
    return statistics.judge(compared, margin, close)


def old(logs: np.ndarray, others) -> list[str]:
    """The test that this one took the place of: paired t over seeds, 95 % of a level of 4 % for the claim's direction."""
    p = [stats.ttest_rel(logs[0], logs[other], alternative="less").pvalue for other in others]
    right = stats.false_discovery_control([min(1.0, one / 0.95, (1 - one) / 0.05) for one in p])
    return ["decided" if one < 0.04 else "not significant" for one in right]


@pytest.fixture
def verdicts_alone(monkeypatch):
    """How many seeds would decide costs more than the verdict, and has no part in it."""
    monkeypatch.setattr(statistics.Comparison, "seeds_to_decide", lambda *_: None)


@pytest.mark.usefixtures("verdicts_alone")
@pytest.mark.parametrize("shared", [0.5, 0.0])
@pytest.mark.parametrize("law", ["uniform", "alike", "wide tails"])
def test_false_verdicts_are_at_most_five_percent_of_claims_about_rows_that_are_the_same(law, shared):
    """Spreads: uniform from 0 to 30 %; all 5 %; inverse χ² about 5 % with four degrees of freedom, up to 30 %."""
    rng, wrong = np.random.default_rng(18), 0
    draw = {
        "uniform": lambda: rng.uniform(0, 0.3, ROWS_OF_A_KIND),
        "alike": lambda: np.full(ROWS_OF_A_KIND, 0.05),
        "wide tails": lambda: np.minimum(0.3, 0.05 * np.sqrt(4 / rng.chisquare(4, ROWS_OF_A_KIND))),
    }[law]
    for _ in range(DRAWS):
        verdicts = answers(world(rng, draw(), shared), ["net"] * ROWS_OF_A_KIND, range(1, 8))
        wrong += any(one.says in ("holds", "reversed") for one in verdicts)
    assert wrong <= 0.05 * DRAWS


@pytest.mark.usefixtures("verdicts_alone")
def test_false_verdicts_of_any_sort_are_at_most_five_percent_of_claims_where_some_rows_differ():
    """Eight classical rows that vary by up to 0.3 % beside 24 nets of up to 30 %; the claim's first row is classical.

    Of its eight comparisons two are the same, four differ by just the margin, either way (not equivalent), two by 23 and
    30 %: wrong are "holds" or "reversed" of the same, "equivalent" of what differs by the margin, and a wrong direction.
    """
    rng, wrong, counts = np.random.default_rng(19), 0, Counter()
    truth = dict(zip((1, 8, 2, 9, 3, 10, 4, 11), (0, 0, 0.05, -0.05, -0.05, 0.05, 0.3, -0.23), strict=True))
    kinds = ["no net"] * 8 + ["net"] * ROWS_OF_A_KIND
    for _ in range(DRAWS):
        logs = world(rng, np.concatenate([rng.uniform(0, 0.003, 8), rng.uniform(0, 0.3, ROWS_OF_A_KIND)]))
        for row, higher in truth.items():
            logs[row] += np.sign(higher) * np.log1p(abs(higher))
        verdicts = answers(logs, kinds, truth)
        bad = [
            (one.says == "holds" and higher <= 0)
            or (one.says == "reversed" and higher >= 0)
            or (one.says == "equivalent" and higher != 0)
            for one, higher in zip(verdicts, truth.values(), strict=True)
        ]
        wrong += any(bad)
        counts.update(one.says for one in verdicts)
    assert wrong <= 0.05 * DRAWS
    assert (
        min(counts["holds"], counts["reversed"], counts["equivalent"]) > 0.9 * DRAWS
    )  # it isn't silence that makes it right


@pytest.mark.usefixtures("verdicts_alone")
def test_a_claim_of_closeness_errs_as_rarely():
    """Four rows just 10 % off, either way, are not within 10 %; three that are the same are not further apart than that."""
    rng, wrong = np.random.default_rng(20), 0
    for _ in range(DRAWS):
        logs = world(rng, np.full(ROWS_OF_A_KIND, 0.02))
        logs[1:5] += np.log(1.1) * np.array([1, -1, 1, -1])[:, None]
        verdicts = answers(logs, ["net"] * ROWS_OF_A_KIND, range(1, 8), margin=0.1, close=True)
        wrong += any(one.says == "equivalent" for one in verdicts[:4]) or any(
            one.says == "reversed" for one in verdicts
        )
    assert wrong <= 0.05 * DRAWS


@pytest.mark.usefixtures("verdicts_alone")
def test_ten_percent_between_rows_that_vary_by_five_is_found_with_three_seeds_and_the_old_test_missed_it():
    rng, detected, missed = np.random.default_rng(21), Counter(), Counter()
    for _ in range(DRAWS):
        logs = world(rng, np.full(ROWS_OF_A_KIND, 0.05))
        logs[0] += np.log(0.9)
        detected[answers(logs, ["net"] * ROWS_OF_A_KIND, [1])[0].says] += 1
        missed[old(logs, [1])[0]] += 1
    assert detected["holds"] >= 0.8 * DRAWS and detected["reversed"] == 0
    assert missed["not significant"] >= 0.3 * DRAWS


def test_the_smallest_difference_that_could_have_shown_is_found_four_times_in_five():
    """At two-sided 5 %, with variances that have eight degrees of freedom; and it takes three seeds, no fewer or many more."""
    rng, variance, hits = np.random.default_rng(22), 0.05**2, 0
    size = np.log1p(statistics.Comparison(0.0, 2 * variance, 8.0, 3).detectable(0.05))
    for _ in range(DRAWS):
        seen = statistics.Spread("net", variance * rng.chisquare(8.0) / 8.0, 8.0, 0.0)
        hits += statistics.between(rng.normal(-size, (2 * variance) ** 0.5, 3), seen, seen).p_different() < 0.05
    assert hits / DRAWS == pytest.approx(0.8, abs=0.04)
    for share, needed in ((0.99, 4), (0.5, 11), (0.001, 51)):  # (t₁ + t₂)² · variance / size², and of the margin
        one = statistics.Comparison(-share * size, 2 * variance, 8.0, 3)
        assert one.seeds_to_decide(0.05, 0.03, close=False) == needed
    assert statistics.Comparison(np.log(1.05), 0.5, 8.0, 3).seeds_to_decide(0.05, 0.05, close=False) is None


def test_moderated_variances_are_limmas():
    """limma 3.54.1 (R), squeezeVar of these variances: equal and unequal degrees of freedom, and variances that agree."""
    variances = np.array([0.5, 1, 2, 4, 0.1, 9, 0.03, 1.5])
    moderated, df = statistics.squeeze(variances, np.full(8, 2.0))
    assert moderated == pytest.approx([0.6127697794, 0.8764590867, 1.4038377013, 2.4585949304, 0.4018183336, 5.0954880033,
                                       0.3649018306, 1.1401483940], rel=1e-8)  # fmt: skip
    assert df == pytest.approx(2 + 1.792341867)
    unequal = np.array([2.0, 2, 2, 4, 4, 2, 3, 2])
    moderated, df = statistics.squeeze(variances, unequal)
    assert moderated == pytest.approx([0.5333901775, 0.8187439520, 1.3894515008, 3.0646677655, 0.2305826525, 5.3844043430,
                                       0.2129516777, 1.1040977264], rel=1e-8)  # fmt: skip
    assert df == pytest.approx(unequal + 1.504421843)
    alike = np.array([1.1, 0.9, 1.2, 1.0, 0.8, 1.05])
    moderated, df = statistics.squeeze(alike, np.full(6, 2.0))  # an infinite prior: all rows pooled, with their 12
    assert moderated == pytest.approx(np.full(6, alike.mean())) and list(df) == [12.0] * 6


def test_the_inverse_trigamma_function_is_limmas():
    """trigammaInverse(c(1e-6, 5, 0.3, 1e6, 2e7)) in limma 3.54.1."""
    inverses = [statistics.trigamma_inverse(x) for x in (1e-6, 5, 0.3, 1e6, 2e7)]
    assert inverses == pytest.approx([1.000000500e06, 0.4961687347, 3.808719012, 1.000000821e-03, 2.236067977e-04])


def test_a_row_is_never_taken_to_vary_less_than_it_did():
    logs = {row: dict(enumerate(values)) for row, values in enumerate(np.random.default_rng(0).normal(0, 1, (10, 3)))}
    logs[0] = {0: -9.0, 1: 0.0, 2: 9.0}
    spreads = statistics.spreads(logs, dict.fromkeys(logs, "net"))
    for row, by_seed in logs.items():
        assert spreads[row].variance >= np.var(list(by_seed.values()), ddof=1) * (1 - 1e-12)


def test_two_rows_of_a_kind_are_left_with_their_own_variance_which_is_welchs_test():
    """Paired t where the two vary alike and share nothing: the same standard error; df the smaller of the two."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (2, 4))
    spreads = statistics.spreads({"a": dict(enumerate(a)), "b": dict(enumerate(b))}, {"a": "net", "b": "net"})
    one = statistics.between(a - b, spreads["a"], spreads["b"])
    welch = stats.ttest_ind(a, b, equal_var=False)
    t = one.difference / one.error
    assert t == pytest.approx(welch.statistic) and one.p_different() == pytest.approx(2 * stats.t.sf(abs(t), 3))


def test_what_seeds_share_is_taken_out_and_chance_is_not_taken_for_it():
    rng = np.random.default_rng(2)
    same = [dict(enumerate(values)) for values in world(rng, np.full(200, 0.1), 0.8, seeds=200)]
    assert statistics.correlation(same) == pytest.approx(0.8, abs=0.03)
    lucky = [statistics.correlation([dict(enumerate(v)) for v in rng.normal(size=(8, 3))]) for _ in range(300)]
    assert np.mean(np.array(lucky) == 0) > 0.8 and statistics.correlation(same[:2]) == 0.0


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_what_is_taken_off_a_mean_correlation_is_its_standard_error_at_any_number_of_seeds(seeds):
    """Of unrelated rows, by simulation; and the mean itself is that of numpy's correlations."""
    rng, n = np.random.default_rng(16), ROWS_OF_A_KIND
    draws = rng.normal(size=(3000, n, seeds))
    means = np.array([(np.corrcoef(rows).sum() - n) / (n * (n - 1)) for rows in draws])
    assert means.std() == pytest.approx(statistics.chance_error(n, seeds), rel=0.06)
    taken = [statistics.correlation([dict(enumerate(row)) for row in rows]) for rows in draws[:300]]
    expected = np.maximum(means[:300] - means.std(), 0)
    assert taken == pytest.approx(expected, abs=0.06 * means.std()) and np.mean(np.array(taken) == 0) > 0.8


def test_holm_on_a_worked_example():
    """Four tests: 0.005·4, 0.01·3, 0.03·2, and 0.04, which may not come before it."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == [] and statistics.holm([0.6, 0.7]) == [1.0, 1.0]


def test_equivalence_agrees_with_the_confidence_interval_lying_inside_the_margin():
    """Two one-sided tests at 5 % are a 90 % interval inside the margin (Schuirmann 1987), here of the logarithm."""
    rng = np.random.default_rng(3)
    for scale in (0.01, 0.05, 0.2):
        one = statistics.Comparison(rng.normal(0.02, scale), scale**2, 5.0, 6)
        low, high = stats.t.interval(0.9, 5.0, one.difference, one.error)
        assert (one.p_equivalent(0.1) < 0.05) == (-np.log(1.1) < low and high < np.log(1.1))


def test_the_interval_is_students_and_agrees_with_the_test():
    one = statistics.Comparison(np.log(0.9), 0.03**2, 4.0, 3)
    low, high = np.log1p(one.interval)
    assert (high - low) / 2 == pytest.approx(2.776 * 0.03 / 3**0.5, rel=1e-3)
    edge = statistics.Comparison((high - low) / 2, 0.03**2, 4.0, 3)
    assert edge.p_different() == pytest.approx(0.05) and one.effect == pytest.approx(-0.1)


def test_rows_that_never_vary_are_decided_by_their_difference_alone():
    """Two deterministic rows: different is different, the same is equivalent."""
    still = statistics.Spread("no net", 0.0, 2.0, 0.0)
    lower, same = (statistics.between(np.full(3, value), still, still) for value in (-0.1, 0.0))
    assert [one.says for one in statistics.judge([lower, same], 0.05)] == ["holds", "equivalent"]


def test_an_image_that_one_row_lacks_is_left_out_of_both():
    a, b = np.ones((3, 10)), np.full((3, 10), 2.0)
    holed = copy.deepcopy(a)
    holed[1, 4] = np.nan
    b[:, 4] = 100.0
    comparison = statistics.compare(dict(enumerate(holed)), dict(enumerate(b)), None, None)
    assert comparison.effect == pytest.approx(-0.5)


def test_seeds_are_compared_with_themselves_only():
    a, b = {0: [1.0, 2.0], 1: [1.0, 2.0]}, {1: [2.0, 4.0], 2: [9.0, 9.0]}
    comparison = statistics.compare(a, b, None, None)
    assert comparison.seeds == 1 and comparison.effect == pytest.approx(-0.5) and np.isnan(comparison.variance)


# Claims: from records to words.

ROWS = {"a": ["method=nlm", "protocol=described"], "b": ["method=bm3d", "protocol=described"]}
CLAIM = claims.Claim("a-better", "nowhere", "a is better than b", ((("made up", "a", 0.1), ("made up", "b", 0.1)),))


@pytest.fixture(scope="module")
def templates():
    return {row: resolve(compose(overrides)) for row, overrides in ROWS.items()}


@pytest.fixture
def judged(monkeypatch, templates):
    """Seed → per-image MSE of both rows → the claim's one finding."""
    rows = {row: dict(setting(text) for text in overrides) for row, overrides in ROWS.items()}
    monkeypatch.setattr(claims, "rows", lambda sweep: rows)

    def judge(a, b, claim=CLAIM) -> claims.Finding:
        records = [
            Record(f"{row}-{seed}", "done", templates[row], seed, per_image={"mse": list(values)})
            for row, all_seeds in (("a", a), ("b", b))
            for seed, values in enumerate(all_seeds)
        ]
        (finding,) = claims.findings(frame(records), (claim,))
        return finding

    return judge


def rows_of(mean: float, seeds: int, spread: float = 0.02) -> np.ndarray:
    """(seeds, images): a row whose seeds are spread evenly about its mean."""
    return mean * (1 + spread * np.linspace(-1, 1, seeds))[:, None] * np.linspace(0.5, 1.5, 40)


def test_the_four_answers_and_the_words_for_them(judged):
    answers_said = {
        judged(rows_of(mean, 3, spread), rows_of(1.0, 3, spread)).answer.says
        for mean, spread in ((0.5, 0.02), (2.0, 0.02), (1.001, 0.001), (0.97, 0.02))
    }
    assert answers_said == {"holds", "reversed", "equivalent", "undecided"}


def test_undecided_says_how_much_could_have_shown(judged):
    finding = judged(rows_of(0.97, 3), rows_of(1.0, 3))
    assert finding.answer.detectable > 0.03 and finding.answer.seeds_to_decide > 3
    assert claims.verdict([finding]) == "undecided"
    page = claims.to_markdown([finding])
    assert f"| {100 * finding.answer.detectable:.0f} % | {finding.answer.seeds_to_decide} |" in page
    assert "1 of 1 comparisons are undecided" in page


def test_one_or_two_seeds_decide_nothing(judged):
    for seeds in (1, 2):
        finding = judged(rows_of(0.1, seeds), rows_of(1.0, seeds))
        assert finding.answer.says == "too few seeds" and finding.answer.p is None
        assert "–" in claims.to_markdown([finding]) and claims.to_csv([finding])


def test_a_row_without_records_is_named_not_run(judged):
    assert judged(rows_of(0.5, 3), []).answer.says == "not run"
    assert claims.verdict(claims.findings(frame([]), (CLAIM,))) == "not run"


def test_a_claim_adds_up_its_answers_and_calls_silence_no_refutation():
    def told(*says):
        return claims.verdict([claims.Finding(CLAIM, CLAIM.pairs[0], statistics.Answer(None, one)) for one in says])

    assert told("holds", "undecided", "reversed", "holds") == "holds in 2, reversed in 1, undecided in 1 of 4"
    assert told("undecided", "undecided") == "undecided in all 2 comparisons" and told("equivalent") == "equivalent"


def test_a_row_of_two_sweeps_counts_once_toward_its_kind(monkeypatch):
    """(.5,.5) of Table 1 is λ = 10 of Table 3: the same runs must not make the prior of the kind surer."""
    seen = []
    monkeypatch.setattr(statistics, "spreads", lambda logs, kinds: seen.append(len(logs)) or {})
    config = resolve(compose(["method=nlm", "protocol=described"]))
    records = [Record(f"r{s}", "done", config, s, per_image={"mse": [1.0, 2.0]}) for s in range(3)]
    monkeypatch.setattr(claims, "rows", lambda sweep: {"a": {"method.name": "nlm"}, "b": {"method.name": "nlm"}})
    claims.findings(frame(records), (CLAIM,))
    assert seen == [1]


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


def test_the_committed_claims_are_decided_where_three_seeds_agree():
    """WGANgp + ℓ1 is 159 % above CWF, and the ℓ2-autoencoder a third below non-local means, with each of three seeds."""
    file = Path(__file__).parents[1] / "results" / "rnap_ecoli-desk" / "tables" / "claims.csv"
    with open(file, encoding="utf-8") as lines:
        verdicts = {
            (line["row"], line["than_row"]): line["verdict"]
            for line in csv.DictReader(lines)
            if line["claim"] == "learned" and line["snr"] == "0.1"
        }
    assert verdicts["WGANgp + l1", "CWF"] == "reversed" and verdicts["l2-Autoencoder", "Non-local means"] == "holds"


def test_a_row_of_lambdas_is_read_without_its_table():
    """λ and SNR are both numbers."""
    assert row_named("0.1") == "λ = 0.1" and row_named("10000") == "λ = 10000"
    assert row_named("l1-Autoencoder") == "ℓ1-Autoencoder" and row_named("(1,1)") == "(1,1)"
    assert claims.percent(-0.068) == "−6.8 %" and claims.percent(0.31) == "+31.0 %"
