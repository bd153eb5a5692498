"""The verb compare: whose records stand side by side, their numbers and verdicts, and what is run for them."""

import copy
import csv
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cryobench.cli import missing
from cryobench.config.compose import compose, resolve
from cryobench.config.hydra import parsed
from cryobench.config.sweep import Job, plan
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import comparison, comparison_text, frame, table
from cryobench.tables import limits as limits_of
from cryobench.tables.comparison_text import ranges

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SMALL = ("data.n_train=30", "data.n_test=5")


@cache
def planned(*words: str) -> Job:
    (job,) = plan(list(words)).jobs
    return job


def record(words: list[str], mse: list[float], told=(), nmse: bool = True, **fields) -> Record:
    """A finished run of these overrides, with this MSE of each image; the clean images' variances are 0.1, 0.2, …"""
    job = copy.deepcopy(planned(*words))
    variances = 0.1 * np.arange(1, len(mse) + 1)
    per_image = {"mse": mse} | ({"nmse": list(np.divide(mse, variances))} if nmse else {})
    metrics = {name: {"mean": float(np.mean(values)), "std": 0.0} for name, values in per_image.items()}
    metrics |= {name: {"mean": 1.0, "std": 0.0} for name in ("psnr", "ssim")}
    return Record(
        job.run_id,
        "done",
        job.config,
        job.config["seed"],
        metrics=metrics,
        per_image=per_image,
        side_information=list(told),
        data={"key": f"{job.config['data']['n_train']}"},
        images_per_s=4.0,
        fit_s=7.0,
        **fields,
    )


def config(*words: str) -> dict:
    return resolve(compose(list(words)))


def seeds(words: list[str], values: list[float], **fields) -> list[Record]:
    return [record([*words, f"seed={seed}"], [value, value + 0.01], **fields) for seed, value in enumerate(values)]


def test_only_runs_under_the_same_conditions_stand_side_by_side():
    mine = record(["method=nlm"], [0.1, 0.2])
    others = [
        record(words, [0.1, 0.2])
        for words in (
            ["method=cwf", "noise.snr=0.05"],
            ["method=cwf", "data.n_train=32"],
            ["method=cwf", "noise.clip=true"],
            ["method=cwf", "protocol=released"],
            ["method=cwf", "scale=desk"],
            ["method=cwf", "data.seed=1"],
            ["method=cwf", "noise=contaminated"],
        )
    ]
    beside = [record(words, [0.3, 0.2]) for words in (["method=cwf"], ["method=nlm", "method.sigma=known"])]
    failed = replace(record(["method=bm3d"], [0.1, 0.1]), status="failed")
    truth = record(["method=oracle"], [0.0, 0.0], told=["truth"])
    found = comparison.compare([mine, *others, *beside, failed, truth], config())
    assert [line.name for line in found.lines] == ["nlm", "cwf", "nlm sigma=known"]
    assert found.answer == {0: truth} and found.where == "phantom, quick scale, SNR 0.1"
    for other in others:
        (only,) = comparison.compare([mine, other], other.config).lines
        assert list(only.records.values()) == [other]
    where = comparison.compare(others[-1:], others[-1].config).where
    assert where.endswith("noise.name=contaminated, noise.share=0.1, noise.type=A")


@pytest.mark.parametrize(
    "words",
    [
        ["noise.snr=1", "data.n_test=300"],
        ["noise=contaminated", "noise.share=0.3", "protocol=released", "scale=smoke"],
        ["protocol.clip=true", "data.conformations=3", "+data.train_conformations=[0,2]"],
        ["noise=microscope", "noise.ctf=true", "noise.shift=2", "noise.train=true", "data.seed=1"],
        ["data=rnap_ecoli", "data.clamp={C:[[1322,1340]],D:[[1,330]]}"],
    ],
)
def test_a_records_conditions_can_be_typed(words):
    wanted = config(*words)
    assert comparison.key_of(config(*comparison.overrides_of(wanted))) == comparison.key_of(wanted)


def test_a_text_is_typed_so_that_hydra_reads_that_text():
    for value in (
        "described",
        "true",
        "1",
        "a 'map', of \\ two.mrc",
        ["~/x.mrc", "y,z"],
        [0, 2],
        1e-9,
        None,
        False,
        "",
        "a=b",
        "a\\",
        "\\\\'",
        "a\\b",
        {"C": [[1, 20], [30, 40]], "D": {"x": None, "y": "a, b"}},
        {"a b": 1.5, "c:d,e": True, "{f}": "", "g\\(h)": []},
        {},
    ):
        (read,) = parsed([f"key={comparison.typed(value)}"])
        assert read.value() == value or list(map(str, read.value())) == value, value


def test_a_run_that_differs_in_its_analyses_alone_is_no_second_one():
    first = record(["method=nlm"], [0.1, 0.2], started="2026-01-01")
    again = record(["method=nlm", "analysis=[clustering]"], [0.1, 0.2], started="2026-01-02")
    for records in ([again, first], [first, again]):
        (line,) = comparison.compare(records, config(), [again.run_id]).lines
        assert list(line.records.values()) == [first], "the earliest, as in every table"
        assert line.asked, "which is what was asked about, too"


def test_multiples_of_the_limits_are_taken_seed_by_seed_on_the_same_noisy_images():
    wiener = seeds(["method=wiener"], [0.1, 0.2])
    mine = seeds(["method=nlm"], [0.3, 0.8, 0.5])
    (line,) = (one for one in comparison.compare([*wiener, *mine], config()).lines if one.name == "nlm")
    means = [np.mean([value, value + 0.01]) for value in (0.1, 0.2, 0.3, 0.8, 0.5)]
    expected = [
        means[2] / means[0],
        means[3] / means[1],
        means[4] / np.mean(means[:2]),
    ]  # seed 2 has no limit of its own
    assert line.cells["times_linear"] == pytest.approx((np.mean(expected), np.std(expected, ddof=1)))
    assert "times_bayes" not in line.cells and line.cells["image_s"][0] == 0.25 and line.cells["training_s"][0] == 7
    # Contaminated pairs are training pairs: the test images are the same. Clipped ones are not.
    spoilt = record(["method=nlm", "noise=contaminated", "seed=1"], [0.8, 0.81])
    (there,) = comparison.compare([*wiener, spoilt], spoilt.config).lines
    assert there.cells["times_linear"][0] == pytest.approx(means[3] / means[1])
    clipped = record(["method=nlm", "noise.clip=true", "seed=1"], [0.8, 0.81])
    (there,) = comparison.compare([*wiener, clipped], clipped.config).lines
    assert "times_linear" not in there.cells
    # A limit with other settings than the shipped ones is none.
    odd = record(["method=wiener", "method.sigma=known", "seed=1"], [0.01, 0.02])
    rows = {one.name: one for one in comparison.compare([*wiener, odd, *mine], config()).lines}
    assert rows["nlm"].cells["times_linear"] == line.cells["times_linear"]


def test_the_nmse_of_a_record_from_before_it_is_found_by_the_variances_of_the_same_images():
    new, old = record(["method=cwf"], [0.1, 0.2]), record(["method=nlm"], [0.3, 0.1], nmse=False)
    rows = {one.name: one for one in comparison.compare([new, old], config()).lines}
    assert rows["nlm"].cells["nmse"][0] == pytest.approx((0.3 / 0.1 + 0.1 / 0.2) / 2)
    (alone,) = comparison.compare([old], config()).lines
    assert "nmse" not in alone.cells


def test_the_clean_image_itself_tells_no_variance_and_hides_none():
    """The oracle's MSE and NMSE are 0; of an image that one record refused another knows it."""
    truth = record(["method=oracle"], [0.0, 0.0], told=["truth"])
    new, old = record(["method=cwf"], [0.1, 0.2]), record(["method=nlm"], [0.3, 0.1], nmse=False)
    refusing = record(["method=bm3d"], [0.1, 0.2])
    refusing.per_image["mse"], refusing.per_image["nmse"] = [None, 0.2], [None, 1.0]
    for records in ([truth, refusing, new, old], [old, new, refusing, truth]):
        rows = {one.name: one for one in comparison.compare(records, config()).lines}
        assert rows["nlm"].cells["nmse"][0] == pytest.approx((0.3 / 0.1 + 0.1 / 0.2) / 2)
    for records in ([truth, old], [truth, refusing, old]):  # of the first image nobody tells
        rows = {one.name: one for one in comparison.compare(records, config()).lines}
        assert "nmse" not in rows["nlm"].cells


def test_methods_that_differ_in_one_setting_of_many_are_two_rows():
    """Ten settings before it fill a line."""
    both = []
    for width in (8, 24):
        for seed in range(3):
            one = record(["method=gan", f"method.width={width}", f"seed={seed}"], [0.1 * width, 0.2])
            one.config["method"] |= {f"setting_{k}": "long enough" for k in range(10)}
            both.append(one)
    found = comparison.compare(both, config())
    assert [list(line.records.values()) for line in found.lines] == [both[:3], both[3:]]
    names = [line.name for line in found.lines]
    assert names[0] != names[1] and all(len(name) <= comparison.LONGEST for name in names)
    said = comparison_text.to_markdown([found])
    assert all(f"| {name} |" in said for name in names)


def test_what_a_row_does_not_name_is_told_where_others_of_its_method_name_it():
    words = ["data=phantom", "scale=smoke", *SMALL]
    rows = [["method=gan"], ["method=gan", "method.alpha=0.25"], ["method=gan", "method.epochs=7"], ["method=noisy"]]
    one = comparison.compare([record([*words, *row], [1.0, 2.0]) for row in rows], config(*words))
    names = [line.name for line in one.lines]
    assert sorted(names) == ["gan", "gan alpha=0.25", "gan epochs=7", "noisy"]
    usual = config(*words, "method=gan")["method"]
    expected = f"(gan: alpha={usual['alpha']:g} epochs={usual['epochs']})"
    (told,) = [note for note in comparison_text.notes(one) if "does not name" in note]
    assert told == f"Settings that a row does not name are the usual ones {expected}."
    alone = comparison.compare([record([*words, "method=gan"], [1.0, 2.0])], config(*words))
    assert not [note for note in comparison_text.notes(alone) if "does not name" in note]


def test_other_conditions_are_other_words_and_other_pictures():
    """However many settings stand before the one in which they differ."""
    from cryobench.cli.compare import file_name

    where = []
    for last in (1, 2):
        one = config("noise=microscope", "noise.ctf=true", "data.n_test=300")
        one["data"] |= {f"setting_{k}": "long" for k in range(12)} | {"the_last": last}
        where.append(comparison.compare([], one))
    first, second = where
    assert comparison.key_of(first.config) != comparison.key_of(second.config)
    assert first.where != second.where and max(len(one.where) for one in where) <= comparison.LONGEST
    assert file_name(first) != file_name(second) and len(file_name(first)) <= 84
    assert comparison.one_line("a|b") != comparison.one_line("a¦b"), "what had to be changed is told apart, too"


def test_verdicts_need_three_seeds_and_say_so():
    many = seeds(["method=cwf"], [0.1, 0.101, 0.099]) + seeds(["method=noisy"], [0.9, 0.91, 0.9])
    two, three = seeds(["method=nlm"], [0.3, 0.301]), seeds(["method=nlm"], [0.3, 0.301, 0.299])
    found = comparison.compare([*many, *two], config(), [two[0].run_id])
    said = comparison_text.to_markdown([found])
    assert "**nlm**: no verdict against cwf, noisy: 3 seeds are needed, and it has 2." in said
    assert "Too few seeds for a verdict: 2." in said and comparison_text.verdict_cells(found, 1)[0] == "too few seeds"
    found = comparison.compare([*many, *three], config(), [three[0].run_id])
    said = comparison_text.to_markdown([found])
    assert "**nlm**: significantly better than noisy; significantly worse than cwf." in said
    lines = list(csv.DictReader(comparison_text.verdicts_csv([found]).splitlines()))
    assert {(line["method"], line["than"], line["mse"]) for line in lines} == {
        ("cwf", "nlm", "lower"),
        ("nlm", "noisy", "lower"),
    }
    every = comparison.compare([*many, *three], config())  # asked about none: between all
    assert [comparison_text.verdict_cells(every, place)[0] for place in range(3)] == ["2–3", "3", "–"]


def test_ranges():
    assert ranges([9, 3, 4, 5]) == "3–5, 9" and ranges([]) == "–" and ranges([1, 2]) == "1–2"


def test_text_of_a_record_is_shown_and_nothing_else(tmp_path):
    """A strange setting stays one cell of the markdown, and is escaped in the page."""
    from cryobench.report import comparison as report

    strange = record(["method=nlm"], [0.1, 0.2])
    strange.config["method"]["patch"] = "<script>alert(1)</script>|x\n# y"
    found = comparison.compare([strange], config())
    (line,) = (line for line in comparison_text.to_markdown([found]).splitlines() if line.startswith("| 1"))
    assert line.count("|") == len(comparison_text.HEAD) + 1
    assert "<script>" not in report.page([found], {}) and "&lt;script&gt;" in report.page([found], {})


def readme_recipe(folder: Path, module: str, change: tuple[str, str] = ("", "")) -> list[str]:
    """README's own denoiser and its yaml, written into a folder; returns the option that names it.

    module: a name of its own, since all tests of a process share what is imported.
    """
    text = README.split("## A method of your own, in ten lines")[1]
    python, yaml = (re.search(rf"```{kind}\n(.*?)```", text, re.S)[1] for kind in ("python", "yaml"))
    (folder / "conf" / "method").mkdir(parents=True)
    (folder / f"{module}.py").write_text(python.replace(*change), encoding="utf-8")
    (folder / "conf" / "method" / "blur.yaml").write_text(yaml.replace("mine.", f"{module}."), encoding="utf-8")
    return ["--config-dir", "conf"]


@pytest.fixture
def quick_references(monkeypatch):
    monkeypatch.setattr(missing, "REFERENCES", ("wiener",))  # the Bayes limit takes tens of seconds


def test_a_method_of_ones_own_stands_among_others_with_verdicts(cli, tmp_path, quick_references):
    own = readme_recipe(tmp_path, "mine_compared")
    assert cli(*own, "method=blur", "method.width=1,2", "seed=0,1", *SMALL)[0] == 0
    status, out, err = cli(*own, "compare", *SMALL)
    assert status == 0, err
    folder = tmp_path / "results" / "phantom-quick" / "compare"
    assert (folder / "compare.md").read_text(encoding="utf-8").strip() == out.strip()
    rows = list(csv.DictReader((folder / "compare.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["method"] for row in rows} == {"blur width=1", "blur width=2", "wiener"}
    assert "too few seeds" in out and "2 runs are missing" in err and all(row["times_linear"] for row in rows)
    assert {file.suffix for file in folder.iterdir()} == {".md", ".csv", ".html", ".png"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    status, out, err = cli(*own, "compare", "method=blur", "method.width=1,2", "seed=0,1,2", *SMALL, "-o", "page.html")
    assert status == 0 and "2 runs are missing and are done now (blur" in err and "significantly better than" in out
    assert "too few" not in out.lower() and "data:image/png;base64," in (tmp_path / "page.html").read_text(
        encoding="utf-8"
    )
    assert all(path.stat().st_mtime_ns == made for path, made in before.items()), "a finished run was run again"


def test_what_is_not_asked_for_and_takes_long_is_left_to_be_asked_for(cli, tmp_path):
    (tmp_path / "out").mkdir()
    store = Store(tmp_path / "out")
    slow = [
        record(["method=bayes", *SMALL], [0.1] * 5, wall_s=900.0),
        record(["method=noisy", *SMALL], [1.0] * 5),
        record(["method=noisy", "seed=1", *SMALL], [1.0] * 5),
        record(["method=wiener", "seed=0", *SMALL], [0.2] * 5),
        record(["method=wiener", "seed=1", *SMALL], [0.2] * 5),
    ]
    for one in slow:
        store.begin(one.run_id)
        store.finish(one.run_id, one)
    status, out, err = cli("compare", *SMALL, "--results", "out")
    assert status == 0 and "method=bayes seed=0,1" in err and "| 1 | bayes |" in out
    assert "without bayes for some seeds: it is not asked for, and it takes about 15 min; python -m" in err
    assert len(store.all()) == len(slow)


def test_nothing_is_simulated_for_what_nobody_asked_for(cli, tmp_path):
    """Thousands of images that are not in the cache: what there is is compared."""
    around = ("scale=desk", "data.seed=77")
    one = record(["method=cwf", *around], [0.1] * 5)
    store = Store(tmp_path / "out")
    store.begin(one.run_id)
    store.finish(one.run_id, one)
    status, out, err = cli("compare", *around, "--results", "out")
    assert status == 0 and "| 1 | cwf |" in out and len(store.all()) == 1
    assert all(f"without {name} for some seeds" in err for name in missing.REFERENCES)
    assert err.count("its images are not simulated yet; python -m cryobench ") == len(missing.REFERENCES)


def test_a_limit_of_unknown_cost_is_not_called_slow(monkeypatch):
    """Images enough that measuring a method is worth it, and at hand; no finished run and no bench.json."""
    monkeypatch.setattr(missing, "simulated", lambda config: True)
    jobs = [planned(f"method={name}", "data.n_train=4000", "data.n_test=500") for name in ("wiener", "noisy")]
    assert missing.not_quick("wiener", jobs[:1]) == "what it costs here isn't known"
    assert missing.not_quick("noisy", jobs[1:]) == ""
    few = planned("method=wiener", *SMALL)
    assert missing.not_quick("wiener", [few]) == ""


def test_a_comparison_that_is_written_over_another_says_so(cli, tmp_path):
    store = Store(tmp_path / "out")
    (one,) = seeds(["method=nlm", *SMALL], [0.1])
    store.begin(one.run_id)
    store.finish(one.run_id, one)
    for words, before in (
        ((), []),
        (("-o", "c.csv"), []),
        ((), ["compare.md", "compare.csv", "verdicts.csv", "compare.html"]),
        (("-o", "c.csv"), ["c.csv"]),
    ):
        status, _, err = cli("compare", *SMALL, "--results", "out", "--no-run", *words)
        over = [line.rpartition("/")[2].split()[-1] for line in err.splitlines() if line.startswith("written over: ")]
        assert status == 0 and over == before and err.count("written") == (1 if words else 4), err


def test_a_run_that_fails_is_named_and_leaves_the_others_theirs(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(missing, "REFERENCES", ())
    own = readme_recipe(tmp_path, "mine_broken", ("(0, self.width", "('x', self.width"))
    one = record(["method=noisy", *SMALL], [1.0] * 5)
    store = Store(tmp_path / "results" / "phantom-quick")
    store.begin(one.run_id)
    store.finish(one.run_id, one)
    status, out, err = cli(*own, "compare", "method=blur", *SMALL)
    assert (
        status == 1 and re.search(r"blur SNR 0.1 seed 0 \[blur-\w+\] failed: .*; log: ", err) and "| 1 | noisy |" in out
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    {
        "a stack": (["particles.star"], "expected methods to compare, as method=cwf,nlm,bm3d"),
        "no such method": (["method=blurr"], "method: expected one of"),
        "no images": (["task=robust_estimation"], "expected runs that denoise, got task=robust_estimation"),
        "no runs": (["--no-run"], "expected finished runs of phantom, quick scale, SNR 0.1"),
    }.values(),
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_one_line(cli, words, expected):
    status, _, err = cli("compare", *words)
    assert status == 2 and expected in err and err.count("\n") == 1, err


def test_a_folder_with_spaces_and_quotes_is_a_folder(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(missing, "REFERENCES", ())
    assert cli("compare", "method=noisy", *SMALL, "--results", "my 'own' results, all")[0] == 0
    assert (tmp_path / "my 'own' results, all" / "compare" / "compare.md").exists()


def test_times_of_methods_are_plain_numbers():
    """Minutes of training stand beside the microseconds of a filter that learns nothing."""
    both = [record(["method=gan"], [0.1, 0.2]), record(["method=nlm"], [0.3, 0.1])]
    found = comparison.compare(
        [replace(one, fit_s=s) for one, s in zip(both, (1409.3, 3.38e-5), strict=True)], config()
    )
    place = comparison_text.HEAD.index("training s")
    assert [comparison_text.cells(found, row)[place] for row in (0, 1)] == ["1409", "0"]


def test_a_limit_that_was_repeated_is_its_earliest_run_in_every_table():
    mine = record(["method=nlm"], [0.3, 0.3])
    first = record(["method=wiener"], [0.1, 0.1], started="2026-01-01")
    again = record(["method=wiener", "analysis=[clustering]"], [0.2, 0.2], started="2026-01-02")
    for limits in ([first, again], [again, first]):
        rows = {one.name: one for one in comparison.compare([*limits, mine], config()).lines}
        assert rows["nlm"].cells["times_linear"][0] == pytest.approx(3)
        assert rows["wiener"].cells["mse"][0] == pytest.approx(0.1)
        wanted = {"Non-local means": {"method.name": "nlm"}}
        cells, _ = table.cells(frame.frame([*limits, mine]), wanted, None, (0.1,), ("mse",))
        assert cells[0].times("linear")[0] == pytest.approx(3)
        assert limits_of.limit(frame.frame([*limits, mine]), "linear")(0.1) == pytest.approx(0.1)
