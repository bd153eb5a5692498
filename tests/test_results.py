"""The committed tables are what the committed records say, byte for byte."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from cryobench.record import Store

COMMITTED = Path(__file__).parents[1] / "results" / "rnap_ecoli-desk"


@pytest.mark.parametrize("name", sorted(p.stem for p in (COMMITTED / "tables").glob("*.md")))
def test_a_committed_table_comes_out_of_the_committed_records(tmp_path, name):
    (tmp_path / "runs").symlink_to(COMMITTED / "runs")
    written = importlib.import_module(f"cryobench.experiments.{name}").write(Store(tmp_path))
    assert written
    for file in written:
        assert file.read_bytes() == (COMMITTED / "tables" / file.name).read_bytes(), file.name


def test_committed_records_are_clean_and_of_no_machine():
    records = Store(COMMITTED).all()
    assert len(records) >= 16
    for record in records:
        assert record["status"] == "done" and record["environment"]["dirty"] is False, record["run_id"]
        text = str(record)
        assert "/home/" not in text and "/root/" not in text and "/tmp/" not in text


def test_no_method_beats_the_limit_and_none_loses_to_the_noisy_image():
    """Image by image on the same test images: a mean difference below zero by three standard errors would refute the limit."""
    records = [r for r in Store(COMMITTED).all() if r["config"].get("noise", {}).get("name") == "gaussian"]
    records = [r for r in records if not r["config"]["noise"]["clip"]]  # the limit is that of unclipped images

    def key(r):
        return r["config"]["noise"]["snr"], r["seed"], r["data"]["key"]

    def mse(r):
        return np.array(r["per_image"]["mse"], dtype=float)

    def of(name):
        return {key(r): mse(r) for r in records if r["config"]["method"]["name"] == name}

    limits, noisy, compared = of("bayes"), of("noisy"), 0
    for record in records:
        name, limit = record["config"]["method"]["name"], limits.get(key(record))
        if limit is None or name in ("oracle", "bayes", "noisy"):
            continue
        above = mse(record) - limit
        assert above.mean() > -3 * above.std() / len(above) ** 0.5, record["run_id"]
        assert mse(record).mean() <= 1.001 * noisy[key(record)].mean(), record["run_id"]  # σ set far too low: unchanged
        compared += 1
    assert compared >= 40
