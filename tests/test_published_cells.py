"""Every published cell is there once, with one verdict; agreement is a factor, whatever the metric."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cryobench.experiments import published_cells, scale_up
from scipy import stats

from cryobench.runs.store import Store
from cryobench.tables.table import Cell

COMMITTED = Path(__file__).parents[1] / "results" / "rnap_ecoli-desk"


def test_all_108_cells_of_the_supplement_have_a_line(tmp_path):
    (tmp_path / "runs").symlink_to(COMMITTED / "runs")
    _, file = published_cells.write(Store(tmp_path))
    lines = file.read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) == len({tuple(line.split(",")[:5]) for line in lines}) == 108
    assert sum("clipped" in line for line in lines) >= 4  # BM3D and non-local means, at both noise levels


@pytest.mark.parametrize(
    ("metric", "ours", "paper", "agrees"),
    [
        ("mse", 1.24e-3, 1e-3, True),
        ("mse", 1e-3, 1.26e-3, False),
        ("psnr", 24.0, 24.96, True),
        ("psnr", 24.0, 25.2, False),
        ("ssim", 0.8, 0.76, True),
        ("ssim", 0.8, 0.74, False),
    ],
)
def test_to_agree_is_to_be_near_in_size(metric, ours, paper, agrees):
    assert published_cells.near(metric, ours, paper) is agrees
    cell = Cell("(1,1)", 0.1, metric, (ours,), ("a",), paper, None, "desk", ("clean",))
    assert published_cells.reading(cell, {"scale": None})[0] == ("agrees" if agrees else "unexplained")


def test_what_the_trends_carry_to_the_papers_number_is_put_down_to_scale():
    cell = Cell("(1,1)", 0.1, "mse", (4.6e-3,), ("a",), 3.0e-3, None, "desk", ("clean",))
    assert published_cells.reading(cell, {"scale": (0.6, 0.4, 0.9)})[0] == "scale"
    assert published_cells.reading(cell, {"scale": (0.9, 0.8, 0.95)})[0] == "unexplained"
    status, why = published_cells.reading(cell, {"scale": (0.75, 0.3, 2.1)})
    assert status == "unexplained" and "no trend over pairs or width is more than scatter" in why, (
        "an interval so wide explains anything"
    )
    classical = Cell("BM3D", 0.1, "mse", (4.6e-3,), ("a",), 3.0e-3, None, "desk", ())
    assert published_cells.reading(classical, {"scale": (0.6, 0.4, 0.9)})[0] == "unexplained"


def test_an_unexplained_cell_says_what_was_tried():
    cell = Cell("BM3D", 0.1, "mse", (3.4e-3,), (), 3.5e-2, None, None)
    tried = {"scale": None, ("BM3D", 0.1, "mse"): [("true σ, clipped", 2.56e-2), ("protocol=released", 1.2e-2)]}
    assert published_cells.reading(cell, tried) == (
        "unexplained",
        "not by true σ, clipped: 2.56e-2; protocol=released: 1.20e-2",
    )
    tried["BM3D", 0.1, "mse"].append(("σ 25/255, clipped", 3e-2))
    assert published_cells.reading(cell, tried) == ("protocol", "σ 25/255, clipped: 3.00e-2")


def test_an_ssim_tells_its_data_range_and_agrees_under_either():
    """The supplement gives none; 2 is what the library of its day took for floats, and what the released protocol has."""
    cell = Cell("(1,1)", 0.1, "ssim", (0.76,), ("a",), 0.82, None, "desk128", ("clean",))
    for wider, status, words in (
        (0.81, "protocol", "with 2 it is 0.81"),
        (0.9, "unexplained", "with 2 it is 0.90"),
        (None, "unexplained", "was not recorded"),
    ):
        known = {"scale": None, "wider": {} if wider is None else {("a",): wider}}
        verdict, why = published_cells.reading(cell, known)
        assert verdict == status and why.startswith("SSIM with a data range of 1") and words in why
    runs = pd.DataFrame({"run_id": ["a", "b"], "ssim_range2": [0.8, 0.84]})
    both = Cell("(1,1)", 0.1, "ssim", (0.7, 0.7), ("a", "b"), 0.82, None, "desk128", ())
    assert published_cells.wider_range(runs, [both, cell]) == {("a", "b"): pytest.approx(0.82), ("a",): 0.8}
    assert published_cells.wider_range(runs.assign(ssim_range2=[0.8, np.nan]), [both]) == {}


def test_closer_cells_are_counted_by_their_own_limits():
    def cell(metric, ours, paper):
        return 1, Cell("(1,1)", 0.1, metric, (ours,), ("a",), paper, None, "desk128", ()), "agrees", ""

    lines = [
        cell("mse", 3.3e-3, 3.01e-3),
        cell("mse", 3.4e-3, 3.0e-3),
        cell("psnr", 25.0, 25.4),
        cell("psnr", 25.0, 25.6),
        cell("ssim", 0.8, 0.8),
    ]
    assert published_cells.closer(lines) == "2 of 4"


def test_a_cell_without_a_run_is_missing():
    assert published_cells.reading(Cell("(1,1)", 0.1, "mse", (), (), 3e-3, None, None), {"scale": None})[0] == "missing"


def test_the_interval_of_two_independent_errors_is_welchs():
    """That of the difference of two means, as scipy gives it, and Student's where there is but one."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 7), rng.normal(0, 5, 4)
    errors = [(sample.std(ddof=1) / len(sample) ** 0.5, len(sample) - 1) for sample in (first, second)]
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert published_cells.half_width_of_sum(errors) == pytest.approx((interval.high - interval.low) / 2)
    alone = stats.ttest_1samp(first, 0).confidence_interval()
    assert published_cells.half_width_of_sum(errors[:1]) == pytest.approx((alone.high - alone.low) / 2)


def test_the_way_to_the_papers_scale_is_as_uncertain_as_both_its_trends(monkeypatch):
    """A power law over pairs without any scatter: all doubt is that of the slope over width, which scipy knows, too."""
    name, rng = "(.5,.5)-GAN + l1", np.random.default_rng(0)
    law = {pairs: 0.4 * (6 * pairs) ** -0.5 for pairs in (1000, 2000, 4000, 8000)}
    points = [scale_up.Point(f"{name}, {n} pairs", name, n, 6 * n, 16, (mse,) * 3) for n, mse in law.items()]
    wide = {
        8: tuple(law[4000] * np.exp(rng.normal(0.2, 0.3, 3))),
        32: tuple(law[4000] * np.exp(rng.normal(-0.2, 0.3, 3))),
    }
    points += [scale_up.Point(f"{name}, d = {d}", name, 4000, 24_000, d, mse) for d, mse in wide.items()]
    monkeypatch.setattr(scale_up, "points", lambda records: points)
    factor, low, high = published_cells.scale([])
    x, y = np.log([8] * 3 + [16] * 3 + [32] * 3), np.log([*wide[8], *(law[4000],) * 3, *wide[32]])
    fit = stats.linregress(x, y)
    middle = 0.5 * np.log(24_000 / scale_up.PAPER["images"]) + fit.slope * np.log(64 / 16)
    room = stats.t.ppf(0.975, len(x) - 2) * fit.stderr * np.log(64 / 16)
    assert np.log([factor, low, high]) == pytest.approx([middle, middle - room, middle + room], rel=1e-6)
