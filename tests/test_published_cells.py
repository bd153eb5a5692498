"""Every published cell is there once, with one verdict; agreement is a factor, whatever the metric."""

from pathlib import Path

import pytest
from cryobench.experiments import published_cells

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
    [("mse", 1.24e-3, 1e-3, True), ("mse", 1e-3, 1.26e-3, False), ("psnr", 24.0, 24.96, True), ("psnr", 24.0, 25.2, False),
     ("ssim", 0.8, 0.76, True), ("ssim", 0.8, 0.74, False)],
)  # fmt: skip
def test_to_agree_is_to_be_near_in_size(metric, ours, paper, agrees):
    assert published_cells.near(metric, ours, paper) is agrees
    cell = Cell("(1,1)", 0.1, metric, (ours,), ("a",), paper, None, "desk", ("clean",))
    assert published_cells.reading(1, cell, {"scale": None})[0] == ("agrees" if agrees else "unexplained")


def test_what_the_trends_carry_to_the_papers_number_is_put_down_to_scale():
    cell = Cell("(1,1)", 0.1, "mse", (4.6e-3,), ("a",), 3.0e-3, None, "desk", ("clean",))
    assert published_cells.reading(1, cell, {"scale": (0.6, 0.4, 0.9)})[0] == "scale"
    assert published_cells.reading(1, cell, {"scale": (0.9, 0.8, 0.95)})[0] == "unexplained"
    status, why = published_cells.reading(1, cell, {"scale": (0.75, 0.3, 2.1)})
    assert status == "unexplained" and "none is shown" in why, "an interval so wide explains anything"
    classical = Cell("BM3D", 0.1, "mse", (4.6e-3,), ("a",), 3.0e-3, None, "desk", ())
    assert published_cells.reading(2, classical, {"scale": (0.6, 0.4, 0.9)})[0] == "unexplained"


def test_a_cell_without_a_run_is_missing():
    assert (
        published_cells.reading(1, Cell("(1,1)", 0.1, "mse", (), (), 3e-3, None, None), {"scale": None})[0] == "missing"
    )
