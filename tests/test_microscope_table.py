"""What is made of the microscope sweep's records: made-up records with known errors."""

import csv
from functools import cache

import numpy as np
import pytest
from cryobench.experiments import table_microscope

from cryobench.config.sweep import plan
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame

IMAGES = 40
VARIANCE = np.linspace(0.02, 0.04, IMAGES)  # of the clean images


@cache
def jobs() -> dict:
    """(row, seed) → the run of the sweep."""
    return {(job.row, job.config["seed"]): job for job in plan(["+sweep=microscope", "seed=0,1,2"]).jobs}


def put(store: Store, nmse: float, row: str, seed: int, with_nmse: bool = True) -> None:
    """The record of one of the sweep's runs, whose images have this NMSE give or take what the seed does."""
    job = jobs()[row, seed]
    each = nmse * (1 + 0.01 * seed) * np.linspace(0.9, 1.1, IMAGES)
    per_image = {"mse": list(each * VARIANCE)} | ({"nmse": list(each)} if with_nmse else {})
    of_all = {"psnr": [20.0], "ssim": [0.5], **per_image}
    metrics = {name: {"mean": float(np.mean(values)), "std": 0.0} for name, values in of_all.items()}
    store.begin(job.run_id)
    store.finish(
        job.run_id,
        Record(job.run_id, "done", job.config, seed, metrics=metrics, per_image=per_image, data={"key": "same images"}),
    )


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for seed in range(3):
        put(store, 0.010, "Bayes limit, white", seed, with_nmse=False)
        put(store, 0.020, "exemplar, white", seed, with_nmse=False)
        put(store, 0.100, "CWF, white", seed)
        put(store, 0.040, "Bayes limit, CTF", seed)
        put(store, 0.320, "exemplar, CTF", seed)
        put(store, 0.200, "CWF, CTF", seed)
        put(store, 0.500, "CWF not told, CTF", seed)
        put(store, 0.050, "Bayes limit, CTF + coloured noise", seed)
        put(store, 0.250, "CWF, CTF + coloured noise + shifts", seed)
    return store


def test_every_setting_is_measured_by_its_own_limit_and_older_records_by_the_same_images(store):
    files = {path.suffix: path for path in table_microscope.write(store)}
    text = files[".md"].read_text()
    assert "| exemplar | 2.02e-2(2.00e-4), 2.00 × | 3.23e-1(3.20e-3), 8.00 × | – | – |" in text
    assert "| CWF | 1.01e-1(1.00e-3), 10.0 × | 2.02e-1(2.00e-3), 5.00 × | – | 2.53e-1(2.50e-3), 5.00 × |" in text
    with open(files[".csv"], newline="") as file:
        ranks = {(line["method"], line["setting"]): line["rank"] for line in csv.DictReader(file)}
    assert ranks["exemplar", "white"] == "1" and ranks["exemplar", "CTF"] == "2" and ranks["Bayes limit", "CTF"] == ""
    assert files[".png"].stat().st_size > 10_000 and r"\toprule" in files[".tex"].read_text()


def test_what_was_asked_for_is_answered_and_a_turned_order_is_named(store):
    text = next(path for path in table_microscope.write(store) if path.suffix == ".md").read_text()
    assert "half the NMSE of CWF that is not (CTF): yes (0.40, 0.40, 0.40 times; 3 seeds)." in text
    assert "within 1.5 times the limit that is told of it (CTF): no (8.00, 8.00, 8.00 times; 3 seeds)." in text
    assert "| exemplar below CWF | holds (−80 %) | reversed (+60 %) | not run | not run |" in text


def test_without_records_nothing_is_made_up(tmp_path):
    text = next(path for path in table_microscope.write(Store(tmp_path)) if path.suffix == ".md").read_text()
    assert text.count("not run.") == 3 and "e-" not in text.split("## What")[0]


def test_each_row_says_what_its_images_went_through_and_white_rows_are_those_of_table_2():
    first = [job for (_, seed), job in jobs().items() if seed == 0]
    assert len({job.run_id for job in first}) == len(first) == len(frame.sweep_rows("microscope"))
    for job in first:
        setting, noise = job.row.rpartition(", ")[2], job.config["noise"]
        assert setting in table_microscope.SETTINGS
        went = (noise["name"] == "microscope", noise.get("colour", 1) != 1, bool(noise.get("shift")))
        assert sum(went) == table_microscope.SETTINGS.index(setting), job.row
        assert noise.get("train", True) and noise.get("ctf", True)
    white = {job.row: job.run_id for job in first if job.row.endswith("white")}
    (shared,) = plan(["+sweep=methods", "noise.snr=0.1", "seed=0", "row=CWF"]).jobs
    assert white["CWF, white"] == shared.run_id
