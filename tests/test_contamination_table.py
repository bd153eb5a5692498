"""The contamination table and figure, from made-up records whose means are known."""

import csv
import io

import pytest
from cryobench.experiments import contamination

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.config.sweep import plan
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables.table import Cell


def test_the_sweep_has_each_clean_run_once_and_ends_in_the_table():
    planned = plan(["+sweep=contamination"])
    assert len(planned.jobs) == 6 * (1 + 3 * 3) and planned.writes == ["contamination"]
    clean = [job for job in planned.jobs if job.config["noise"]["name"] == "gaussian"]
    assert len(clean) == 6
    table1 = run_id(resolve(compose(["method=gan", "method.alpha=1", "method.beta=1", "scale=smoke"])))
    assert table1 in {job.run_id for job in clean}, "shared with Table 1"


def record(mse, seed, *overrides):
    config = resolve(compose([*overrides, f"seed={seed}"]))
    metrics = {name: {"mean": mse, "std": 0.0} for name in ("mse", "psnr", "ssim")}
    return Record(run_id(config), "done", config, seed, metrics=metrics)


@pytest.fixture
def store(tmp_path):
    """An ℓ2-autoencoder at 0, .1, .3 of type A, two seeds; and other runs that must stay out."""
    store = Store(tmp_path)
    method = ("method=autoencoder",)
    for seed in (0, 1):
        for share in (0, 0.1, 0.3):
            one = record(
                1e-3 * (1 + 10 * share) + 1e-4 * seed, seed, *method, "noise=contaminated", f"noise.share={share}"
            )
            store.begin(one.run_id)
            store.finish(one.run_id, one)
    other = ["noise=contaminated", "noise.share=0.1"]
    for odd in (
        [*method, *other, "method.lr=0.5"],
        [*method, *other, "noise.snr=0.05"],
        [*method, *other, "noise.unit=batch"],
        [*method, *other, "noise.type=B", "noise.clip=true"],
    ):
        one = record(0.9, 0, *odd)
        store.begin(one.run_id)
        store.finish(one.run_id, one)
    return store


def test_cells_are_means_over_seeds_of_the_runs_with_these_settings(store):
    files = contamination.write(store)
    text = next(file for file in files if file.suffix == ".md").read_text()
    assert "| ℓ2-Autoencoder | 1.05e-3(7.07e-5) | 2.05e-3(7.07e-5) | 4.05e-3(7.07e-5) | 2 |" in text
    assert "10 % of references (A)" in text and "20 % of references" not in text, (
        "a share that was not run is no column"
    )
    assert "| ℓ2-Autoencoder | 1.00 | 1.95 | 3.86 |" in text
    assert "## SNR 0.05" in text and "batch by batch" in text and "2 runs with other settings are left out" in text
    rows = list(csv.DictReader(io.StringIO(next(f for f in files if f.suffix == ".csv").read_text())))
    (cell,) = [
        r
        for r in rows
        if (r["row"], r["unit"], r["type"], r["share"], r["snr"], r["metric"])
        == ("l2-Autoencoder", "image", "A", "0.3", "0.1", "mse")
    ]
    assert float(cell["mean"]) == pytest.approx(4.05e-3) and cell["n_seeds"] == "2"
    assert float(cell["times_clean"]) == pytest.approx(4.05 / 1.05, rel=1e-3)
    tex = next(f for f in files if f.suffix == ".tex").read_text()
    assert "l2-Autoencoder & 1.05e-3(7.07e-5) & 2.05e-3(7.07e-5) & --" in tex
    assert all(file.stat().st_size > 5_000 for file in files if file.suffix == ".png")
    assert {f.name for f in files if f.suffix == ".svg"} >= {
        "contamination_snr0.1.svg",
        "contamination_snr0.1_batches.svg",
    }


def test_an_empty_store_says_so(tmp_path):
    (text,) = [f.read_text() for f in contamination.write(Store(tmp_path)) if f.suffix == ".md"]
    assert "No runs yet" in text


def test_a_type_that_was_not_run_has_no_mark_and_is_in_the_legend_all_the_same():
    """The first panel, of what suffers most, has A alone, the second A and B."""
    values = {("wgan", "A", 0.3): 2e-2, ("net", "A", 0.3): 4e-3, ("net", "B", 0.3): 4e-3}
    values |= {(row, kind, 0.0): 3e-3 for row in ("wgan", "net") for kind in "ABC"}
    grid = {
        (row, kind, share, "mse"): Cell(row, 0.1, "mse", (values[key],) if key in values else (), (), None, None, None)
        for row in ("wgan", "net")
        for kind in "ABC"
        for share in contamination.SHARES
        for key in [(row, kind, share)]
    }
    drawn = contamination.draw(grid, 0.1, "image", None)
    panels = [axis for axis in drawn.axes if axis.get_title()]
    assert [len(axis.get_legend_handles_labels()[1]) for axis in panels] == [1, 2]
    (legend,) = drawn.legends
    assert [text.get_text()[0] for text in legend.get_texts()] == ["A", "B"]


@pytest.mark.parametrize(("clean", "contaminated"), [(1, 1), (3, 3), (3, 1), (1, 3)])
def test_marks_of_one_seed_and_factors_of_unequal_numbers_of_seeds_are_told(clean, contaminated):
    """ "1 to 3 seeds" did not say which marks are one seed."""
    seeds = {("A", 0.0): clean, ("A", 0.3): contaminated}
    grid = {
        ("net", kind, share, "mse"): Cell(
            "net", 0.1, "mse", tuple(3e-3 + k / 1e4 for k in range(number)), (), None, None, None
        )
        for kind in "ABC"
        for share in contamination.SHARES
        for number in [seeds.get((kind, share), 0)]
    }
    sheet = contamination.draw(grid, 0.1, "image", None)
    (title,) = [axis.get_title() for axis in sheet.axes if axis.get_title()]
    said = sheet.get_suptitle()
    assert ("where there are several" in said) == (clean != contaminated)
    assert ("* (A)" in title) == ("*: of means over unequal numbers of seeds" in said) == (clean != contaminated)
    assert ("every mark is one seed" in said) == (clean == contaminated == 1)
    assert ("marks: means over 3 seeds; ticks: single seeds" in said) == (clean == contaminated == 3)
    assert ("marks: means over 1 to 3 seeds" in said) == (clean != contaminated)
