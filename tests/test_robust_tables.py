"""Tables and rates of robust estimation from made-up results whose means and slopes are known."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from cryobench.experiments import fig_robust_rates, robust_estimation, robust_rates

from cryobench.errors import InputError
from cryobench.robust.settings import Settings


def result(seed, gan, scatter_error=None, **settings):
    errors = {"gan": gan, "oracle": 0.05, "coordinate_median": 3.2}
    scatter = {"gan": scatter_error, "oracle": 0.1} if scatter_error else {}
    return {"settings": dataclasses.asdict(Settings(**settings)), "seed": seed, "location": errors, "scatter": scatter}


def test_a_table_has_every_estimator_and_task_once():
    results = [result(seed, 0.05 + 0.01 * seed) for seed in range(3)]
    results += [result(seed, 0.07, alpha=1.0, beta=-1.0) for seed in range(3)]
    results += [result(0, 0.06, tail="cauchy", contamination="cauchy", p=50, widths=(50, 25))]
    table = robust_estimation.table(results, "location")
    assert "| (0,0)-GAN 100-20-1 | 0.0600(0.0100) | – |" in table["md"]
    assert "| (1,-1)-GAN 100-20-1† | 0.0700(0.0000) | – |" in table["md"]
    assert "| coordinate median | 3.2000(0.0000) | 3.2000(–) |" in table["md"]
    assert "| published (0,0)-GAN | 0.0478 | 0.0639 |" in table["md"]
    assert r"(1,-1)-GAN 100-20-1$^\dagger$ & 0.0700(0.0000) & -- \\" in table["tex"]
    first = next(csv.DictReader(io.StringIO(table["csv"])))
    assert first["row"] == "(0,0)-GAN 100-20-1" and first["published"] == "0.0478" and first["n_seeds"] == "3"
    assert (first["p"], first["n"], first["epsilon"], first["error"]) == ("100", "50000", "0.2", "location")
    assert float(first["mean"]) == pytest.approx(0.06) and float(first["spread"]) == pytest.approx(0.01)


def test_scatter_has_its_own_table():
    results = [result(0, 0.1, scatter_error=0.2, target="scatter", scatter="ar")]
    text = robust_estimation.table(results, "scatter")["md"]
    assert "N(0,AR), far, p=100, n=50000, ε=0.2" in text and "| (0,0)-GAN 100-20-1 | 0.2000(–) |" in text
    assert "published" not in text


def test_two_trainings_never_share_a_cell():
    cells = robust_estimation.cells([result(0, 0.05), result(1, 0.06, lr_d=0.1), result(2, 0.05)], "location")
    rows = {cell.row: cell.by_seed for cell in cells}
    assert rows["(0,0)-GAN 100-20-1, lr_d=0.2"] == {0: 0.05, 2: 0.05} and rows["(0,0)-GAN 100-20-1, lr_d=0.1"] == {
        1: 0.06
    }
    assert set(rows["oracle"]) == {0, 1, 2}


@pytest.fixture
def sweep():
    """Errors that follow 3ε at n = 50,000 and √(p/n) at ε = 0.01, but for a pair whose error grows like ε²."""
    results = []
    for seed in range(5):
        noise = np.random.default_rng(seed).uniform(0.95, 1.05)
        for pair, power in (((0.0, 0.0), 1), ((1.0, -1.0), 2), ((1.0, 1.0), 0)):
            chosen = {"alpha": pair[0], "beta": pair[1], "discriminator": "bounded"}
            for epsilon in (0.05, 0.1, 0.2, 0.3):
                results.append(result(seed, 3 * noise * epsilon**power, epsilon=epsilon, **chosen))
            for n in (1000, 4000, 16_000, 40_000):
                results.append(result(seed, noise * np.sqrt(100 / n), n=n, epsilon=0.01, **chosen))
    return results


def test_fitted_slopes_and_verdicts(sweep):
    along_epsilon = {rate.row: rate for rate in robust_rates.rates(sweep, "location", "epsilon")}
    assert along_epsilon["(0,0)-GAN D1(κ,B)"].slope == pytest.approx(1) == along_epsilon["(0,0)-GAN D1(κ,B)"].theorem
    verdicts = {row: rate.verdict for row, rate in along_epsilon.items()}
    assert verdicts["(0,0)-GAN D1(κ,B)"] == "agrees"
    assert verdicts["(1,-1)-GAN D1(κ,B)†"] == "worse"
    assert verdicts["(1,1)-GAN D1(κ,B)"] == "better"
    along_n = robust_rates.rates(sweep, "location", "n")[0]
    assert along_n.slope == pytest.approx(-0.5) == along_n.theorem and along_n.verdict == "agrees"
    assert along_n.fixed == 0.01 and along_n.slope_spread == pytest.approx(0, abs=1e-9)
    assert "| (1,-1)-GAN D1(κ,B)† | ε | 2.00(0.00) | 2.00 to 2.00 | 5 | 1.00 | worse |" in robust_rates.summary(sweep)


def test_slopes_are_fitted_on_the_side_that_the_axis_decides():
    """√(p/n + ε²) turns smoothly round the kink at ε = √(p/n) = 0.1, and is nearly straight well beyond it."""
    results = [result(0, np.hypot(0.1, e), epsilon=e, n=10_000) for e in (0.01, 0.03, 0.35, 0.4, 0.45)]
    (line, _) = robust_rates.rates(results, "location", "epsilon")
    assert line.x == (0.01, 0.03, 0.35, 0.4, 0.45)
    assert line.theorem == pytest.approx(1) and line.slope == pytest.approx(1, abs=0.1)


def test_the_bound_has_a_plateau():
    np.testing.assert_allclose(robust_rates.bound(100, np.array([100, 2500, 10**6]), 0.2), [1, 0.2, 0.2])


def test_the_figure_marks_what_the_theorem_leaves_out(sweep, tmp_path):
    figure = fig_robust_rates.figure(sweep)
    left, right, slopes, _ = figure.axes
    assert left.get_xscale() == right.get_yscale() == "log"
    # The curves: three GANs, those outside dashed and hollow; the oracle; the bound.
    kinds = ("< 1", "≥ 1", "oracle", "bound")
    drawn = [(one.get_linestyle(), *(kind for kind in kinds if kind in one.get_label())) for one in left.lines]
    assert sorted(drawn) == [("-", "< 1"), ("-", "< 1"), ("--", "≥ 1"), ("-.", "oracle"), (":", "bound")]
    # Below, from the top: each GAN's slope and its verdict, as the table has them.
    at = {round(float(bars[0].get_ydata()[0])): bars[0].get_xdata()[0] for bars in slopes.containers}
    verdicts = {round(text.xy[1]): text.get_text() for text in slopes.texts}
    rows = {place: label.get_text() for place, label in enumerate(slopes.get_yticklabels())}
    shown = {rows[place]: (pytest.approx(slope), verdicts[place]) for place, slope in at.items()}
    found = robust_rates.rates(sweep, "location", "epsilon")
    assert shown == {one.row.split()[0]: (one.slope, one.verdict) for one in found if one.row != "oracle"}
    assert slopes.get_title().splitlines()[1:] == [
        "2 GANs covered by it: 1 agrees, 1 is better",
        "1 GAN outside it: 1 is worse",
    ]
    figure.savefig(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 10_000


def test_too_little_for_a_slope_is_said():
    with pytest.raises(InputError, match="two or more values of epsilon"):
        robust_rates.rates([result(0, 0.05)], "location", "epsilon")


@pytest.mark.parametrize(
    ("slope", "spread", "verdict"),
    [
        (1.05, 0.04, "agrees"),
        (1.14, 0.04, "worse"),
        (1.05, 0.2, "undecided"),
        (0.7, 0.1, "better"),
        (1.3, 0.3, "undecided"),
    ],
)
def test_a_slopes_verdict_is_its_intervals(slope, spread, verdict):
    """Five seeds: half of the 95 % interval is 2.776 / √5 = 1.24 spreads."""
    rate = robust_rates.Rate("a", "epsilon", 50_000, 20, (0.1, 0.2), (1, 2), (0, 0), slope, spread, 1.0, 5)
    assert rate.verdict == verdict


def test_two_seeds_give_no_verdict_on_a_slope(sweep):
    few = [one for one in sweep if one["seed"] < 2]
    assert {rate.verdict for rate in robust_rates.rates(few, "location", "epsilon")} == {"too few seeds"}
    alone = [one for one in sweep if one["seed"] == 0]
    assert "2.00(–)" in robust_rates.summary(alone)
