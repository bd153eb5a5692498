"""Tables: whose records enter which cell, and how a cell is printed."""

from dataclasses import replace

import pytest

from cryobench.config.compose import compose, resolve
from cryobench.config.sweep import plan
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, printed, table, text


def record(row: str, sweep: str = "alpha_beta", *overrides: str, mse: float = 0.01, **more) -> Record:
    """A finished record of one row, as its own plan describes it."""
    job = plan([f"+sweep={sweep}", f'row="{row}"', "noise.snr=0.1", "seed=0", *overrides]).jobs[0]
    metrics = {name: {"mean": mse, "std": 0.0} for name in ("mse", "psnr", "ssim")}
    return Record(
        job.run_id, **{"status": "done", "config": job.config, "seed": job.config["seed"], "metrics": metrics, **more}
    )


def cells(records: list[Record], sweep: str = "alpha_beta", number: int = 1) -> tuple[list[table.Cell], list[str]]:
    return table.cells(frame.frame(records), frame.sweep_rows(sweep), number, (0.1,), ("mse",))


def cell(records: list[Record], row: str = "(1,1)") -> tuple[table.Cell, list[str]]:
    computed, notes = cells(records)
    return next(c for c in computed if c.row == row), notes


@pytest.mark.parametrize("sweep", ["alpha_beta", "methods", "gap", "lambda", "pggan", "stability", "clustering"])
def test_every_row_finds_the_runs_that_it_stands_for(sweep):
    jobs = plan([f"+sweep={sweep}"]).jobs
    rows = frame.sweep_rows(sweep)
    assert {job.row for job in jobs} == set(rows)
    for job in jobs:
        swept = {"noise.clip": job.config["noise"]["clip"]}
        if "test_view" in job.config["data"]:
            swept["data.test_view"] = job.config["data"]["test_view"]
        record = Record(job.run_id, "done", job.config, job.config["seed"])
        assert len(frame.usual(frame.frame([record]), {**rows[job.row], **swept})) == 1, (
            job.row,
            frame.deviations(job.config),
        )


def test_seeds_are_averaged_and_spread_and_a_missing_one_is_counted_out():
    status = ("done", "done", "failed")
    three = [record("(1,1)", "alpha_beta", f"seed={s}", mse=0.01 * (1 + s), status=status[s]) for s in range(3)]
    computed, _ = cell(three)
    assert computed.mean == pytest.approx(0.015) and len(computed.values) == 2
    assert computed.spread == pytest.approx(0.00707, rel=1e-3)
    assert cell(three[:1])[0].spread is None


@pytest.mark.parametrize(
    "other",
    [
        "method.lr=0.001",
        "data.n_train=500",
        "scale=desk",
        "data=phantom data.opening=30",
        "protocol=released",
        "noise.clip=true",
        "trainer.precision=bf16-mixed",
    ],
)
def test_runs_with_other_settings_never_enter_a_mean(other):
    plain, strange = record("(1,1)", mse=0.01), record("(1,1)", "alpha_beta", *other.split(), "seed=1", mse=9.0)
    for records in ([plain, strange], [strange, plain]):
        computed, notes = cell(records)
        assert len(computed.values) == 1 and notes
    alone, notes = cell([strange])
    assert alone.values == (9.0,), "and where they are all there is, they are shown, with a note of what they are"
    assert other == "scale=desk" or notes[0].startswith("Settings other than the shipped ones")
    assert alone.scale == ("desk" if other == "scale=desk" else "smoke, other settings"), "which no verdict compares"


def test_a_trial_of_another_scale_setting_does_not_hide_a_run_that_it_does_not_change():
    trial = record("Non-local means", "methods", "scale.epochs=1")
    assert trial.run_id == record("Non-local means", "methods").run_id
    assert len(frame.usual(frame.frame([trial]), frame.sweep_rows("methods")["Non-local means"])) == 1


def test_one_seed_counts_once_and_a_later_run_of_it_changes_no_number():
    """As one that looked at its images more closely, or ran on another machine."""
    first = replace(record("(1,1)", mse=0.01), started="2026-01-01T00:00:00+00:00")
    later = replace(
        record("(1,1)", "alpha_beta", "analysis=[clustering]", mse=0.02), started="2026-01-02T00:00:00+00:00"
    )
    assert first.run_id != later.run_id
    for records in ([first, later], [later, first]):
        assert cell(records)[0].values == (0.01,)


@pytest.mark.parametrize(("scale", "verdict"), [("smoke", "not comparable (scale smoke)"), ("paper", "too few seeds")])
def test_a_verdict_needs_the_papers_scale_and_three_seeds(scale, verdict):
    assert cell([record("(1,1)", "alpha_beta", f"scale={scale}")])[0].verdict == verdict


def test_three_seeds_at_the_papers_scale_are_compared():
    near = [record("(1,1)", "alpha_beta", "scale=paper", f"seed={s}", mse=2.99e-3 + s * 1e-5) for s in range(3)]
    far = [record("(1,1)", "alpha_beta", "scale=paper", f"seed={s}", mse=1e-3 + s * 1e-5) for s in range(3)]
    assert (cell(near)[0].verdict, cell(far)[0].verdict) == ("agrees", "better")
    assert cell([])[0].verdict == "missing"


def test_numbers_are_printed_as_the_paper_prints_them():
    assert text.formatted("mse", 2.99e-3, 3.51e-5) == "2.99e-3(3.51e-5)"
    assert text.formatted("psnr", 25.3, 0.05) == "25.30(0.05)"
    assert text.formatted("ssim", 0.82, None) == "0.82(–)"
    assert text.formatted("mse", None, None) == "–"


def test_every_text_of_a_table_has_the_multiple_of_the_limit_and_latex_a_rule_above_the_controls():
    errors = {"CWF": 0.02, "noisy": 0.3, "Bayes limit": 0.005}
    records = [record(row, "methods", mse=mse) for row, mse in errors.items()]
    computed, _ = cells(records, "methods", 2)
    computed = [cell for cell in computed if cell.row in errors]
    assert "CWF,0.1,times_bayes,4,,1,,,not published" in layout.to_csv(computed).splitlines()
    unlimited, _ = cells(records[:2], "methods", 2)
    assert "times_bayes" not in layout.to_csv(unlimited)
    body = layout.to_tex(computed, "T", "Method", "t").split(r"\midrule")
    assert (
        "CWF & 2.00e-2(--) & 4.00" in body[1] and "noisy" in body[2] and "Bayes limit & 5.00e-3(--) & 1.00" in body[2]
    )
    assert "| CWF | 2.00e-2(–) | 4.00¹ |" in layout.to_markdown(computed, "T", "Method", [])


def test_the_side_information_of_a_table_is_explained_below_it():
    records = [record("CWF", "methods"), record("exemplar", "methods", side_information=["labels", "clean"])]
    page = layout.to_markdown(cells(records, "methods", 2)[0], "T", "Method", [])
    assert "| labels, clean |" in page
    assert "*clean*, clean training images; *labels*, the conformation of each training image." in page
    assert "*sigma*" not in page


def test_a_multiple_of_the_limit_is_that_of_its_own_seed():
    """Two seeds at twice their own limits are at 2, whatever the noise does to these; a seed without one has their mean."""
    limits = [record("Bayes limit", "methods", f"seed={s}", mse=mse) for s, mse in ((0, 0.004), (1, 0.006))]
    rows = [record("CWF", "methods", f"seed={s}", mse=mse) for s, mse in ((0, 0.008), (1, 0.012), (2, 0.01))]

    def times(some):
        return next(c for c in cells([*limits, *some], "methods", 2)[0] if c.row == "CWF").times()

    assert times(rows[:1]) == (pytest.approx(2), None)
    assert times(rows[:2]) == times(rows) == (pytest.approx(2), pytest.approx(0))


def test_the_linear_limit_and_nmse_stand_where_records_have_them():
    def nmse(value):
        return {name: {"mean": value, "std": 0.0} for name in ("mse", "psnr", "ssim", "nmse")}

    old = [record(row, "methods", mse=mse) for row, mse in (("CWF", 0.02), ("Bayes limit", 0.005))]
    linear = record("Linear limit", "methods", metrics=nmse(0.01))
    other = record("Linear limit", "methods", "data.n_train=60", metrics=nmse(9.0))
    runs, rows = frame.frame([*old, linear, other]), frame.sweep_rows("methods")
    computed, _ = table.cells(runs, rows, 2, (0.1,), ("mse", "nmse"))
    lines = layout.to_csv(computed).splitlines()
    assert "CWF,0.1,times_bayes,4,,1,,,not published" in lines and "CWF,0.1,times_linear,2,,1,,,not published" in lines
    assert "Linear limit,0.1,nmse,0.01,,1,,,not published" in lines and sum(",nmse," in line for line in lines) == 1
    text_ = layout.to_markdown(computed, "T", "Method", [])
    assert (
        "| Method | MSE | × Bayes 0.1 | × linear 0.1 | seeds |" in text_
        and "| CWF | 2.00e-2(–) | 4.00¹ | 2.00¹ | 1 |" in text_
    )
    assert r"$\times$ limit & $\times$ linear" in layout.to_tex(computed, "T", "Method", "t")
    elsewhere = record("Linear limit", "methods", "scale=desk", metrics=nmse(5.0))
    computed, _ = table.cells(frame.frame([*old, linear, elsewhere]), rows, 2, (0.1,), ("mse",))
    assert next(cell for cell in computed if cell.row == "CWF").times("linear") == (2.0, None), "of its own images"
    before = layout.to_markdown(table.cells(frame.frame(old), rows, 2, (0.1,), ("mse", "nmse"))[0], "T", "Method", [])
    assert "linear 0.1" not in before


@pytest.mark.parametrize("setting", ["+data.train_conformations=[0]", "data.crop=60", "data.image_size=48"])
def test_particles_with_other_settings_never_enter_a_mean(setting):
    """Whether the yaml has the setting or not; and recorded noise, which has no SNR, stops no table."""
    overrides = ["data=particles", "data.star=a.star", "data.maps=[a.mrc]", "method=nlm"]
    wanted = {"method.name": "nlm", "noise.name": "recorded", "data.star": "a.star", "data.maps": ["a.mrc"]}
    plain, strange = (resolve(compose([*overrides, *more])) for more in ([], [setting]))
    metrics = {name: {"mean": 0.01, "std": 0.0} for name in ("mse", "psnr", "ssim")}
    runs = frame.frame(
        [Record(str(n), "done", config, n, metrics=metrics) for n, config in enumerate((plain, strange))]
    )
    chosen = frame.chosen(runs, {"nlm": wanted})
    assert list(chosen.runs["run_id"]) == ["0"] and setting.strip("+").partition("=")[0] in chosen.left_out
    assert not chosen.variant and chosen.notes == [chosen.left_out]
    alone = frame.chosen(runs[1:], {"nlm": wanted})
    assert setting.strip("+").partition("=")[0] in alone.variant and alone.notes == [alone.settings]
    assert cells([*runs["record"], record("(1,1)")])[0][0].values == (0.01,)


def test_the_papers_own_numbers_are_printed_as_it_prints_them():
    for number in (1, 2, 3):
        for (row, snr, metric), (value, spread) in table.printed(number).items():
            same = table.Cell(row, snr, metric, (float(value),), ("a",), None, None, None)
            assert printed.like(same, value, spread) == f"{value}(–)"
            assert printed.as_many(float(spread), spread) == spread


@pytest.mark.parametrize(("number", "rows", "columns"), [(1, 8, 6), (2, 9, 4), (3, 8, 3)])
def test_a_table_as_printed_has_the_papers_rows_and_columns_and_no_others(cli, tmp_path, number, rows, columns):
    sweep, row, name = {1: ("alpha_beta", "(1,1)", "(1,1)"), 2: ("methods", "CWF", "CWF"), 3: ("lambda", "10", "10")}[
        number
    ]
    one = record(row, sweep, mse=0.01234)
    store = Store(tmp_path / "out")
    store.begin(one.run_id)
    store.finish(one.run_id, one)
    status, out, err = cli("table", str(number), "--as-printed", "--results", "out")
    assert status == 0, err
    head, _, *lines = (line for line in out.splitlines() if line.startswith("|"))
    assert len(lines) == rows and all(line.count("|") == columns + 2 for line in (head, *lines))
    (line,) = (line for line in lines if line.startswith(f"| {name} |"))
    assert line.split("|")[2].strip() == ("1.2e-2(–)" if number == 2 else "1.23e-2(–)")
    assert {file.name for file in (tmp_path / "out/tables").iterdir()} == {
        f"table{number}_as_printed.{suffix}" for suffix in ("md", "tex")
    }


def test_images_that_a_method_refused_are_told_below_the_table():
    refused = record("(1,1)", bad_images={"3": "expected finite pixels, got NaN or Inf", "7": "constant"})
    assert "(1,1), SNR 0.1, seed 0: 2 (image 3, 7; expected finite pixels" in " ".join(cell([refused])[1])
    assert not cell([record("(1,1)", bad_images={})])[1]


def test_the_papers_numbers_are_all_there():
    assert len(table.published(1)) == 48 and len(table.published(2)) == 36 and len(table.published(3)) == 24
