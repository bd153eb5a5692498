"""Trends toward the paper's scale: a power law is found again, and its interval holds what it should."""

import csv
import io
import re

import numpy as np
import pytest
from cryobench.experiments import fig_scale_up, scale_up
from cryobench.experiments.scale_up import Point

from cryobench.printed import plain
from cryobench.runs.store import Store


def made_up(rng=None, noise=0.0) -> list[Point]:
    """MSE = 0.4 (images)^-0.5 (width)^-0.25, with noise on the logarithm."""
    points = []
    for pairs, width in ((1000, 16), (2000, 16), (4000, 16), (8000, 16), (4000, 8), (4000, 32)):
        images = pairs * 6
        jitter = np.exp(noise * rng.standard_normal()) if noise else 1.0
        row = f"l1-Autoencoder, {f'{pairs} pairs' if width == 16 else f'd = {width}'}"
        points.append(Point(row, "l1-Autoencoder", pairs, images, width, (0.4 * images**-0.5 * width**-0.25 * jitter,)))
    return points


def test_a_power_law_is_found_again_and_drawn_on():
    ways = scale_up.series(made_up(), "l1-Autoencoder")
    more, wider = scale_up.trend(ways["pairs"], "images"), scale_up.trend(ways["width"], "width")
    assert (more.b, wider.b) == (pytest.approx(-0.5), pytest.approx(-0.25))
    assert more.at(490_000)[0] == pytest.approx(0.4 * 490_000**-0.5 * 16**-0.25)
    assert "MSE ∝ images to the power of −0.50" in scale_up.reading(made_up(), "l1-Autoencoder")


def test_seeds_are_points_of_their_own():
    """Means that lie on a line by chance, and seeds that scatter tenfold about them: scipy's p over all nine, not over three."""
    from scipy import stats

    seeds = [(4e-4 * k, 4e-3 * k, 4e-2 * k) for k in (1.0, 1.05, 1.1025)]
    points = [
        Point(f"l1-Autoencoder, d = {d}", "l1-Autoencoder", 4000, 22_800, d, mse)
        for d, mse in zip((8, 16, 32), seeds, strict=True)
    ]
    fit = scale_up.trend(points, "width")
    expected = stats.linregress(np.log(np.repeat([8, 16, 32], 3)), np.log(np.ravel(seeds)))
    assert fit.b == pytest.approx(expected.slope) and fit.p == pytest.approx(expected.pvalue) and fit.p > 0.5


def test_the_prediction_interval_holds_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        fit = scale_up.trend(scale_up.series(made_up(rng, 0.05), "l1-Autoencoder")["pairs"], "images")
        low, high = fit.at(490_000)[1]
        truth = 0.4 * 490_000**-0.5 * 16**-0.25 * np.exp(0.05 * rng.standard_normal())
        hits += low <= truth <= high
    assert hits / 400 == pytest.approx(0.95, abs=0.03)


def test_two_points_have_a_trend_and_no_interval():
    ways = scale_up.series(made_up(), "l1-Autoencoder")
    assert scale_up.trend(ways["pairs"][:2], "images").at(1e5)[1] is None
    assert scale_up.trend(ways["pairs"][:1], "images") is None


def test_without_records_table_and_figure_are_empty_and_whole(tmp_path):
    store = Store(tmp_path)
    assert all(file.stat().st_size for file in (*scale_up.write(store), *fig_scale_up.write(store)))


def test_p_is_corrected_for_all_trends_and_told_as_the_csv_has_it():
    rng, methods = np.random.default_rng(1), scale_up.METHODS
    points = [
        Point(p.row.replace(methods[0], method), method, p.pairs, p.images, p.width, p.mse)
        for method in methods
        for p in made_up(rng, 0.1)
    ]
    found = scale_up.trends(points)
    sure = scale_up.corrected(found)
    assert len(found) == len(sure) == 4  # no epochs here
    least = min(found, key=lambda which: found[which].p)
    assert sure[least] == pytest.approx(4 * found[least].p) and all(sure[one] >= found[one].p for one in found)
    lines = list(csv.DictReader(io.StringIO(scale_up.trends_to_csv(points))))
    for line in lines:
        p = sure[line["method"], line["way"]]
        assert float(line["p_corrected"]) == pytest.approx(p, rel=1e-5)
        assert (line["verdict"] == "undecided") == (p >= 0.05)
    assert {line["verdict"] for line in lines} > {"undecided"}
    (legend,) = fig_scale_up.sheet(points).legends
    assert "corrected for the 4 trends" in legend.get_title().get_text()
    titles = [axis.get_title() for axis in legend.figure.axes if "p = " in axis.get_title()]
    assert [re.search(r"p = (.*)", title)[1] for title in titles] == [plain(sure[which]) for which in found]
