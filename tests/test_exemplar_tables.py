"""What is made of the exemplar sweeps' records: made-up records with known means."""

import csv

import pytest
from cryobench.experiments import fig_exemplars, table_molecules, table_robustness

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.config.sweep import plan
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables.frame import frame


def put(store: Store, mse: float, *overrides: str, seed: int = 0, **more) -> None:
    config = resolve(compose([*overrides, f"seed={seed}"]))
    metrics = {name: {"mean": mse, "std": 0.0} for name in ("mse", "psnr", "ssim")}
    name = run_id(config)
    store.begin(name)
    data = {"train": config["data"]["n_train"]}
    store.finish(name, Record(name, "done", config, seed, metrics=metrics, data=data, **more))


def test_curves_hold_each_number_of_images_and_nothing_else(tmp_path):
    store = Store(tmp_path / "phantom-desk")
    for seed, mse in ((0, 2e-3), (1, 4e-3)):
        put(store, mse, "method=exemplar", "scale=desk", "data.n_train=500", seed=seed)
    put(store, 1e-3, "method=exemplar", "scale=desk")
    put(store, 9.0, "method=exemplar", "scale=desk", "method.tau=1")
    put(store, 5e-4, "method=bayes", "scale=desk")
    put(store, 8e-3, "method=autoencoder", "method.net=conv", "scale=desk", "data.n_train=500", "method.epochs=48")
    put(store, 9.0, "method=autoencoder", "method.net=conv", "scale=desk", "data.n_train=500", "method.epochs=6")
    curves = fig_exemplars.curves(frame(store.all()), 0.1)
    assert {method: [(n, sorted(values)) for n, values in points] for method, points in curves.items()} == {
        "exemplar": [(500, [2e-3, 4e-3]), (4000, [1e-3])],
        "l2-Autoencoder": [(500, [8e-3])],
    }
    assert all(path.stat().st_size > 1000 for path in fig_exemplars.write(store))


def test_the_default_scale_shares_its_runs_with_table_2():
    jobs = {job.row: job for job in plan(["+sweep=exemplars", "scale=desk", "noise.snr=0.1"]).jobs}
    for row in ("exemplar", "CWF", "l2-Autoencoder"):
        (shared,) = plan(["+sweep=methods", "scale=desk", "noise.snr=0.1", f"row={row}"]).jobs
        assert jobs[f"{row} 4000"].run_id == shared.run_id


def test_other_molecules_stand_in_one_table_each_against_its_own_limit(tmp_path):
    for data, factor in (("phantom", 1.0), ("rnap_ecoli", 2.0)):
        store = Store(tmp_path / f"{data}-smoke")
        put(store, 1e-3 * factor, f"data={data}", "method=bayes")
        for seed in (0, 1):
            put(store, 3e-3 * factor * (1 + seed), f"data={data}", "method=exemplar", seed=seed)
    put(Store(tmp_path / "phantom-desk"), 1.0, "method=exemplar", "scale=desk")
    files = {path.suffix: path for path in table_molecules.write(Store(tmp_path / "phantom-smoke"))}
    text = files[".md"].read_text()
    assert text.index("## phantom") < text.index("## rnap_ecoli") and text.count("## ") == 2
    assert "| exemplar | 4.50e-3(2.12e-3) | – | 4.50 | – |" in text
    assert "| exemplar | 9.00e-3(4.24e-3) | – | 4.50 | – |" in text
    with open(files[".csv"], newline="") as file:
        means = {(r["data"], r["row"], r["snr"], r["metric"]): r["mean"] for r in csv.DictReader(file)}
    assert float(means["rnap_ecoli", "exemplar", "0.1", "times_bayes"]) == pytest.approx(4.5)
    assert float(means["rnap_ecoli", "Bayes limit", "0.1", "mse"]) == pytest.approx(2e-3)


def test_settings_that_came_later_leave_run_ids_alone_at_their_defaults():
    plain, *others = (
        run_id(resolve(compose(["method=exemplar", *more])))
        for more in (
            [],
            ["method.sigma_factor=1"],
            ["method.shift=0"],
            ["data.train_conformations=null"],
            ["method.sigma_factor=2"],
            ["method.shift=1"],
            ["data.train_conformations=[0,1]"],
        )
    )
    assert set(others[:3]) == {plain} and len({plain, *others[3:]}) == 4
    config = resolve(compose(["method=exemplar"]))
    for group, names in (("method", ("sigma_factor", "shift")), ("data", ("train_conformations",))):
        config[group] = {key: value for key, value in config[group].items() if key not in names}
    assert run_id(config) == plain, "as records written before have it"


def test_a_conformation_can_be_kept_from_training_and_its_images_are_counted(cli, tmp_path):
    import json

    status, _, err = cli(
        "method=exemplar",
        "data.n_train=60",
        "data.n_test=12",
        "data.train_conformations=[1]",
        "paths.results=out",
        "trainer.threads=1",
    )
    assert status == 0, err
    (path,) = (tmp_path / "out/runs").glob("*/record.json")
    record = json.loads(path.read_text())
    assert record["data"]["train"] < 30 and record["analysis"]["views"]["unseen"] > 3
    assert record["analysis"]["views"]["mse_unseen"] > 0
    assert set(record["method"]["per_image"]["conformation"]) == {1}
    assert 0 < record["analysis"]["posterior"]["within_one"] < 1
    assert "data.train_conformations" in cli("method=noisy", "data.train_conformations=[7]")[2]


def test_rows_of_robustness_stand_beside_their_own_method(tmp_path):
    store = Store(tmp_path)
    put(store, 1e-3, "method=exemplar", analysis={"posterior": {"within_one": 0.6, "accuracy": 0.5}})
    put(store, 2e-3, "method=exemplar", "noise=microscope", "noise.shift=4", analysis={})
    put(store, 4e-3, "method=cwf")
    put(store, 8e-3, "method=cwf", "noise.clip=true")
    put(store, 5e-4, "method=bayes")
    put(store, 3e-3, "method=exemplar", "data.train_conformations=[0,1,2,3]", analysis={"views": {"mse_unseen": 9e-3}})
    files = {path.suffix: path.read_text() for path in table_robustness.write(store)}
    assert "| exemplar | 1.00e-3(–) | 1.00 | 2.00 | 0.60 | 0.50 | – | 1 |" in files[".md"]
    assert "| exemplar, up to 4 px off centre | 2.00e-3(–) | 2.00 | 4.00 |" in files[".md"]
    assert "| exemplar, closed conformation unseen | 3.00e-3(–) | 3.00 | 6.00 | – | – | 9.00e-3 | 1 |" in files[".md"]
    assert "| CWF, clipped | 8.00e-3(–) | 2.00 | 16.0 |" in files[".md"]
    assert r"CWF, clipped & 8.00e-3(--) & 2.00" in files[".tex"] and files[".csv"].count("\n") == 6


def test_the_sweep_over_molecules_ends_in_its_table(cli, tmp_path):
    small = ("data.n_train=36", "data.n_test=6", "noise.snr=0.1", "paths.results=out")
    status, _, err = cli("+sweep=molecules", "data=phantom", "row=exemplar", *small)
    assert status == 0, err
    lines = list(csv.DictReader((tmp_path / "out/tables/table_molecules.csv").open(encoding="utf-8")))
    assert {"exemplar"} == {line["row"] for line in lines if line["mean"]}
