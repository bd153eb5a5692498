"""The committed tables are what the committed records say, byte for byte."""

import importlib
from pathlib import Path

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
