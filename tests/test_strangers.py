"""Files from elsewhere: model files and records that name what would harm, in every group, run nothing and import nothing."""

import copy
import json
import pickle
import shutil
import sys

import mrcfile
import numpy as np
import pytest
from conftest import TINY
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cryobench.particles.model import HEADER

MARK = "pwned"
TOUCH = {"_target_": "subprocess.Popen", "args": ["touch", MARK]}
PLACES = [
    TOUCH,
    {"_target_": "os.system", "command": f"touch {MARK}"},
    {"_target_": "builtins.exec", "object": f"open('{MARK}', 'w')"},
    {"_target_": "pathlib.Path.touch", "self": MARK},
    {"_target_": "evil.Thing"},
    {"_target_": "evil"},
    {"_target_": 7},
]
NAMES = ["subprocess.Popen", "evil", "../../evil", "a/b", "", "new\nline", None, 3, {"a": 1}, ["gan"], "${oc.env:HOME}"]
SETTINGS = [{"width": "much"}, {"width": "${oc.env:HOME}"}, {"args": ["touch", MARK]}, {"_args_": [MARK]},
            {"width": -1}, {"width": 10**30},
            {"epochs": {"_target_": "subprocess.Popen", "args": ["touch", MARK]}}, {"__class__": "x"}]  # fmt: skip


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """A results folder with a tiny trained run and a simple one; the run ids; the exported file of the first."""
    from cryobench.cli.main import main

    results = tmp_path_factory.mktemp("strangers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYOBENCH_CACHE", str(cache))
        patch.setenv("CRYOBENCH_SIDE_BY_SIDE", "1")
        assert main(["method=autoencoder,noisy", f"paths.results={results}", *TINY]) == 0
        (name,) = (p.name for p in (results / "runs").glob("autoencoder-*"))
        assert main(["export", name, "--results", str(results), "-o", str(results / "model.safetensors")]) == 0
    return results, name


@pytest.fixture
def own_folder(tmp_path):
    """A stack, and a module that would say that it was imported."""
    mrcfile.write(
        tmp_path / "in.mrcs", np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32), voxel_size=6.4
    )
    (tmp_path / "evil.py").write_text(f"open('{MARK}', 'w')\nclass Thing: pass\n")
    return tmp_path


def poisoned() -> dict[str, object]:
    """name → what it makes of a config."""

    def put(group, node):
        return lambda config: {**config, group: {**config[group], **node}}

    files = {}
    for group in ("task", "data", "noise", "method"):
        for place in PLACES:
            target = place["_target_"]
            files[f"{group}: {target} under its name"] = put(group, place)
            files[f"{group}: {target} alone"] = lambda config, g=group, p=place: {**config, g: dict(p)}
            files[f"{group}: {target} as a name"] = put(group, {**place, "name": str(target)})
        for name in NAMES:
            files[f"{group}: name {name!r}"] = put(group, {"name": name})
        files[f"{group}: no mapping"] = lambda config, g=group: {**config, g: [TOUCH]}
        files[f"{group}: nothing"] = lambda config, g=group: {k: v for k, v in config.items() if k != g}
    for setting in SETTINGS:
        files[f"method: {json.dumps(setting)}"] = put("method", setting)
    for group in ("protocol", "scale", "trainer"):
        for name in NAMES:
            files[f"{group}: name {name!r}"] = put(group, {"name": name})
    files["data: a place to load from"] = put("data", {"source": "http://example.com", "data_dir": "/etc"})
    files["seed"] = lambda config: {**config, "seed": "${oc.env:HOME}"}
    files["no mapping at all"] = lambda config: [config]
    return files


def harmless(cli, own_folder, *arguments, may_fail=False):
    """The command ends in a result or in one line (or in a failed run, where it does one), and nothing ran."""
    sys.modules.pop("evil", None)
    status, out, err = cli(*arguments)
    last = [line for line in err.strip().splitlines() if "to learn from" not in line]
    assert not (own_folder / MARK).exists() and "evil" not in sys.modules, "it ran"
    assert status in ((0, 1, 2) if may_fail else (0, 2)) and "Traceback" not in out + err, err
    assert status == 0 or may_fail or sum("expected" in line for line in last) >= 1, err
    return status


def header_of(file) -> dict:
    with safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()[HEADER])


@pytest.mark.parametrize("what", poisoned())
def test_a_poisoned_model_file_or_record_runs_nothing(cli, trained, own_folder, what):
    results, name = trained
    about = header_of(results / "model.safetensors")
    change = poisoned()[what]
    about["config"] = change(about["config"])
    save_file(load_file(results / "model.safetensors"), own_folder / "model.safetensors", {HEADER: json.dumps(about)})
    harmless(cli, own_folder, "denoise", "in.mrcs", "--model", "model.safetensors", "-o", "out.mrcs")

    record = json.loads((results / "runs" / name / "record.json").read_text())
    record["config"] = change(copy.deepcopy(record["config"]))
    folder = own_folder / "theirs" / "runs" / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record))
    save_file(load_file(results / "runs" / name / "model.safetensors"), folder / "model.safetensors")
    harmless(cli, own_folder, "denoise", "in.mrcs", "--run", name, "--results", "theirs", "-o", "out2.mrcs")
    for verb in (["table", "1"], ["table", "2"], ["runs"], ["runs", "seed=0"]):
        harmless(cli, own_folder, *verb, "--results", "theirs")
    for verb in (["runs", name], ["rerun", name, "-o", "again"]):
        harmless(cli, own_folder, *verb, "--results", "theirs", may_fail=True)
    assert not list(own_folder.rglob("again/runs/*/record.json")) or record["config"]["seed"] == 0


HEADERS = [{"run_id": None}, {"run_id": ["x"]}, {"image_size": "32"}, {"image_size": 10**9}, {"image_size": True},
           {"pixel_size": -1},
           {"pixel_size": "x"}, {"background": [0]}, {"background": [0, 0]}, {"background": "00"}, {"config": None}]  # fmt: skip


@pytest.mark.parametrize("change", HEADERS, ids=json.dumps)
def test_a_header_that_is_none_is_one_line(cli, trained, own_folder, change):
    results, _ = trained
    about = {**header_of(results / "model.safetensors"), **change}
    save_file(load_file(results / "model.safetensors"), own_folder / "model.safetensors", {HEADER: json.dumps(about)})
    assert harmless(cli, own_folder, "denoise", "in.mrcs", "--model", "model.safetensors", "-o", "out.mrcs") == 2


class Bomb:
    def __reduce__(self):
        return open, (MARK, "w")


def test_a_pickle_in_the_place_of_weights_is_not_loaded(cli, trained, own_folder):
    results, name = trained
    for file in (own_folder / "model.safetensors", own_folder / "theirs" / "runs" / name / "model.safetensors"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(Bomb()))
    (own_folder / "theirs" / "runs" / name / "record.json").write_bytes(
        (results / "runs" / name / "record.json").read_bytes()
    )
    (kept,) = (results / "runs").glob("noisy-*")  # the page shows its images
    shutil.copytree(kept, own_folder / "theirs" / "runs" / kept.name)
    for run in (name, kept.name):
        np.savez(own_folder / "theirs" / "runs" / run / "gallery.npz", denoised=np.array([Bomb()], dtype=object))
    for verb in SHOWING:
        assert harmless(cli, own_folder, *verb, "--results", "theirs") == 0
    assert harmless(cli, own_folder, "denoise", "in.mrcs", "--model", "model.safetensors", "-o", "out.mrcs") == 2
    assert harmless(cli, own_folder, "denoise", "in.mrcs", "--run", name, "--results", "theirs", "-o", "out.mrcs") == 2


SHOWING = (["report"], ["compare", *TINY, "--no-run", "-o", "compared"])  # what reads the images that a run kept


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_kept_images_that_were_cut_off_are_left_out_with_a_word(cli, trained, own_folder, share):
    results, _ = trained
    shutil.copytree(results / "runs", own_folder / "theirs" / "runs")
    (file,) = (own_folder / "theirs" / "runs").glob("noisy-*/gallery.npz")  # which the page shows, too
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    for verb in SHOWING:
        status, out, err = cli(*verb, "--results", "theirs")
        assert status == 0 and "gallery.npz: counts as none, since it holds no images" in err, out + err


ODD = {
    "environment.cpu": 5,
    "environment.gpu": ["a"],
    "environment.commit": 7,
    "environment.cores": "many",
    "data.pixel_size": "x",
    "data.key": {"a": 1},
    "images_per_s": "fast",
    "fit_s": [1],
    "config.data.n_test": "six",
    "config.data.image_size": -1,
    "config.data.n_train": None,
    "config.noise.snr": [0.1],
    "config.method.lam": "ten",
    "config.method.loss": None,  # which an autoencoder is called by
    "config.trainer.precision": {"a": 1},
    "per_image": {"psnr": [20.0]},
    "per_image.nmse": [0.5],
}


def test_records_with_something_else_in_a_place_that_is_shown_count_as_none(cli, trained, own_folder):
    """Each beside a whole one, which is shown."""
    results, name = trained
    runs = own_folder / "theirs" / "runs"
    shutil.copytree(results / "runs", runs)
    for number, (place, value) in enumerate(ODD.items(), start=1):
        record = json.loads((results / "runs" / name / "record.json").read_text())
        record |= {"seed": number, "run_id": f"odd-{number}"}
        *groups, last = place.split(".")
        node = record
        for group in groups:
            node = node[group]
        node[last] = value
        shutil.copytree(runs / name, runs / f"odd-{number}")
        (runs / f"odd-{number}" / "record.json").write_text(json.dumps(record))
    for verb in (*SHOWING, ["compare", "--tasks"], ["table", "2"], ["runs"]):
        status, out, err = cli(*verb, "--results", "theirs")
        assert status == (2 if "--tasks" in verb else 0) and "Traceback" not in out + err, out + err
        missed = [place for number, place in enumerate(ODD, start=1) if f"odd-{number}/record.json: counts" not in err]
        assert not missed, missed
    assert "odd-" not in (own_folder / "theirs" / "report.html").read_text(encoding="utf-8")


def test_weights_of_another_net_are_one_line(cli, trained, own_folder):
    results, _ = trained
    about = header_of(results / "model.safetensors")
    weights = load_file(results / "model.safetensors")
    few = dict(list(weights.items())[:1])
    save_file(few, own_folder / "model.safetensors", {HEADER: json.dumps(about)})
    assert harmless(cli, own_folder, "denoise", "in.mrcs", "--model", "model.safetensors", "-o", "out.mrcs") == 2
    about["config"]["method"]["width"] = 8
    save_file(weights, own_folder / "model.safetensors", {HEADER: json.dumps(about)})
    assert harmless(cli, own_folder, "denoise", "in.mrcs", "--model", "model.safetensors", "-o", "out.mrcs") == 2


def test_ones_own_method_is_used_where_ones_own_yaml_names_it(cli, trained, own_folder, monkeypatch):
    """A record may name it; the class is that of the yaml in --config-dir, never that of the record."""
    monkeypatch.syspath_prepend(str(own_folder))
    (own_folder / "minenow.py").write_text(
        "from dataclasses import dataclass\nfrom cryobench.methods.base import Denoiser\n@dataclass\n"
        "class Half(Denoiser):\n    share: float = 0.5\n    def denoise(self, noisy):\n        return self.share * noisy\n"
    )
    (own_folder / "conf" / "method").mkdir(parents=True)
    (own_folder / "conf" / "method" / "half.yaml").write_text("name: half\n_target_: minenow.Half\nshare: 0.25\n")
    assert cli("--config-dir", "conf", "method=half", "paths.results=res", *TINY)[0] == 0
    (file,) = (own_folder / "res").rglob("record.json")
    record = json.loads(file.read_text())
    record["config"]["method"]["_target_"] = "evil.Thing"
    file.write_text(json.dumps(record))
    words = ["denoise", "in.mrcs", "--run", record["run_id"], "--results", "res", "-o"]
    assert harmless(cli, own_folder, *words, "a.mrcs") == 2, "without the yaml"
    assert harmless(cli, own_folder, "--config-dir", "conf", *words, "b.mrcs") == 0
