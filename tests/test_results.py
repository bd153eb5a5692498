"""The committed tables are what the committed records say, byte for byte."""

import importlib
import json
import re
import subprocess
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from cryobench.config.identity import PLACES
from cryobench.printed import named
from cryobench.report.plots import uri
from cryobench.runs.store import Store

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "results" / "rnap_ecoli-desk"
PAPERS_SIZE = ROOT / "results" / "rnap_ecoli-desk128"


def committed(pattern: str) -> list[Path]:
    """The files of results/ that git tracks; what a reader's own runs left there is theirs."""
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "results"]
    tracked = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(ROOT / name for name in tracked if PurePath(name).match(pattern))


TABLES = committed("results/*/tables/*.*")
FOLDERS = sorted({file.parents[1] for file in TABLES})
EXPERIMENTS = sorted(
    p.stem for p in (ROOT / "experiments").glob("*.py") if "def write(store" in p.read_text(encoding="utf-8")
)
EXPERIMENTS = [name for name in EXPERIMENTS if not name.startswith("fig")]


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """A results folder → its tables, made again from its records by every experiment that makes any.

    All folders stand side by side, as some tables look at those beside their own.
    """
    root = tmp_path_factory.mktemp("results")
    for folder in FOLDERS:
        (root / folder.name).mkdir()
        (root / folder.name / "runs").symlink_to(folder / "runs")

    def make(folder: Path) -> Path:
        made = root / folder.name
        if not (made / "tables").exists():
            wanted = {file.name for file in (folder / "tables").iterdir()}
            for module in EXPERIMENTS:
                if not wanted <= {file.name for file in (made / "tables").glob("*")}:
                    importlib.import_module(f"cryobench.experiments.{module}").write(Store(made))
        return made / "tables"

    return make


@pytest.mark.parametrize("page", committed("results/*/report.html"), ids=lambda file: file.parent.name)
def test_a_committed_report_shows_the_figures_that_lie_beside_it(page):
    """As they are now: `python -m cryobench report --results …` makes it again."""
    text, figures = page.read_text(encoding="utf-8"), page.parent / "figures"
    drawn = {file.stem: file for suffix in ("png", "svg") for file in sorted(figures.glob(f"*.{suffix}"))}
    older = [name for name, file in drawn.items() if uri(file.read_bytes(), file.suffix[1:]) not in text]
    assert drawn and not older


@pytest.mark.parametrize("table", TABLES, ids=lambda file: f"{file.parents[1].name}-{file.name}")
def test_a_committed_table_comes_out_of_the_committed_records(again, table):
    assert (again(table.parents[1]) / table.name).read_bytes() == table.read_bytes()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_committed_records_are_clean_and_of_no_machine(folder):
    records = Store(folder).all(task=None)
    assert records
    for record in records:
        assert record.done and record.environment["dirty"] is False, record.run_id
        text = str(record)
        assert "/home/" not in text and "/root/" not in text and "/tmp/" not in text


@pytest.mark.parametrize("file", committed("results/*/runs/*/model.safetensors"), ids=lambda f: f.parent.name)
def test_committed_weights_name_their_config_and_no_folder(file):
    with safe_open(file, "np") as opened:
        about = json.loads(opened.metadata()["cryobench"])
    assert about["run_id"] == file.parent.name and about["background"]
    assert "paths" not in about["config"] and not set(about["config"]["data"]) & set(PLACES["data"])


def test_no_method_beats_the_limit_and_none_loses_to_the_noisy_image():
    """Image by image on the same test images: a mean difference below zero by three standard errors would refute the limit."""
    records = [r for r in Store(COMMITTED).all() if r.name("noise") == "gaussian"]
    records = [r for r in records if not r.config["noise"]["clip"]]  # the limit is that of unclipped images

    def key(r):
        return r.snr, r.seed, r.data["key"]

    def mse(r):
        return np.array(r.per_image["mse"], dtype=float)

    def of(name):
        return {key(r): mse(r) for r in records if r.name("method") == name}

    limits, noisy, compared = of("bayes"), of("noisy"), 0
    for record in records:
        name, limit = record.name("method"), limits.get(key(record))
        if limit is None or name in ("oracle", "bayes", "noisy"):
            continue
        above = mse(record) - limit
        assert above.mean() > -3 * above.std() / len(above) ** 0.5, record.run_id
        assert mse(record).mean() <= 1.001 * noisy[key(record)].mean(), record.run_id  # σ set far too low: unchanged
        compared += 1
    assert compared >= 40


def rounded(value: float, printed: str) -> bool:
    """Whether a number was printed rightly, to as many decimals as it has."""
    mantissa, exponent, _ = printed.partition("e")
    kind = "e" if exponent else "f"
    return float(printed) == float(f"{value:.{len(mantissa.partition('.')[2])}{kind}}")


def test_the_readmes_table_is_that_of_the_records():
    table = pd.concat([pd.read_csv(PAPERS_SIZE / f"tables/table{number}.csv") for number in (1, 2)])
    table["row"] = table["row"].replace("(1,1)", "(1,1)-GAN + ℓ1, ResNet")
    table = table.drop_duplicates(["row", "snr", "metric"]).set_index(["row", "snr", "metric"])
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    head, lines, unit = text.index("| MSE in 10⁻³, mean(standard deviation over seeds)"), 0, 1e-3
    for line in text[head:].split("\n\n")[0].splitlines()[2:]:
        label, *cells, paper = (cell.strip() for cell in line.strip("|").split("|"))
        row = next(name for name in table.index.levels[0] if label.strip("`").startswith(named(name)))
        for snr, value, times in ((0.1, *cells[:2]), (0.05, *cells[2:])):
            mse = table.loc[row, snr, "mse"]
            mean, _, spread = value.rstrip(")").partition("(")
            assert rounded(mse["mean"] / unit, mean), line
            assert rounded(mse["spread"] / unit, spread) if spread else mse["n_seeds"] == 1, line
            assert rounded(table.loc[row, snr, "times_linear"]["mean"], times), line
            if paper:
                assert rounded(mse["paper"] / unit, paper.split(", ")[0 if snr == 0.1 else 1]), line
        lines += 1
    assert lines >= 8


@pytest.mark.parametrize("path", committed("results/*/tables/*.md"), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_what_a_verdict_is_stands_before_the_first(path):
    """A reader meets the rule, then what was decided by it."""
    text = path.read_text("utf-8")
    for word in ("agrees", "holds", "reversed", "equivalent", "undecided", "better", "worse"):
        if (first := re.search(rf"\| {word}\b", text)) and (told := re.search(rf"\*{word}\*|\b{word}:", text)):
            assert told.start() < first.start(), word
