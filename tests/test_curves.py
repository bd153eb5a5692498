"""trainer.logger: training curves step by step, by Lightning's own loggers, beside the record and not part of what the run is."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import TINY

from cryobench.config import schema
from cryobench.errors import InputError, MissingPackage

WORDS = ["method=autoencoder", *TINY, "scale.epochs=2", "protocol.batch_size=7", "trainer.threads=1"]  # 2 × 4 steps


def folder(results: Path) -> Path:
    (found,) = results.glob("runs/autoencoder-*")
    return found


@pytest.mark.trains
def test_a_csv_has_every_step_and_the_numbers_of_the_records_curve(cli, tmp_path):
    assert cli(*WORDS, "trainer.logger=csv", "paths.results=with")[0] == 0
    run = folder(tmp_path / "with")
    with open(run / "curves" / "version_0" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    losses = [(int(row["step"]), float(row["loss"])) for row in rows if row.get("loss")]
    assert [step for step, _ in losses] == list(range(1, 9))
    curve = json.loads((run / "record.json").read_text())["method"]["curve"]
    for point, half in zip(curve, (losses[:4], losses[4:]), strict=True):
        assert point["loss"] == pytest.approx(sum(loss for _, loss in half) / 4, rel=1e-5)
    validation = [(int(row["step"]), float(row["val_mse"])) for row in rows if row.get("val_mse")]
    assert validation == [(4, pytest.approx(curve[0]["val_mse"])), (8, pytest.approx(curve[1]["val_mse"]))]

    assert cli(*WORDS, "paths.results=without")[0] == 0
    other = folder(tmp_path / "without")
    assert other.name == run.name and not (other / "curves").exists()
    assert (
        json.loads((other / "record.json").read_text())["metrics"]
        == json.loads((run / "record.json").read_text())["metrics"]
    )


@pytest.mark.trains
@pytest.mark.skipif(not any(map(find_spec, schema.TENSORBOARDS)), reason="missing tensorboard: pip install tensorboard")
def test_tensorboard_has_its_file(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("CRC32C_SW_MODE", "auto")  # which tensorboardX sets when it is loaded
    assert cli(*WORDS, "trainer.logger=tensorboard", "paths.results=with")[0] == 0
    assert list((folder(tmp_path / "with") / "curves" / "version_0").glob("events.out.tfevents.*"))


def test_without_its_package_tensorboard_is_one_line_before_anything_runs(cli, monkeypatch, tmp_path):
    monkeypatch.setattr(schema, "find_spec", lambda name: None)
    status, _, err = cli(*WORDS, "trainer.logger=tensorboard")
    assert status == 2 and "pip install tensorboard" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
    with pytest.raises(MissingPackage):
        schema.Trainer(logger="tensorboard")
    with pytest.raises(InputError, match=r"trainer\.logger: expected one of none, csv, tensorboard, got wandb"):
        schema.Trainer(logger="wandb")
