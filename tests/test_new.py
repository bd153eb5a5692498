"""`new NAME`: what it writes works as it is, and nothing is written over or shadowed."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryobench.cli.new import class_name, template


def written(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    }


@pytest.fixture
def forgotten():
    """Modules that the test imports from its folder are forgotten after it."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.removeprefix("test_").startswith("begun_"):
            del sys.modules[name]


@pytest.mark.trains
@pytest.mark.parametrize("kind", ["filter", "net", "noise2noise"])
def test_what_it_writes_passes_its_own_test(cli, tmp_path, forgotten, kind):
    name = f"begun_{kind}"
    flags = [] if kind == "filter" else [f"--{kind}"]
    status, out, err = cli("new", name, *flags)
    files = {f"{name}.py", f"conf/method/{name}.yaml", f"test_{name}.py"}
    assert status == 0 and written(tmp_path) == files, err
    assert out.count("written: ") == 3 and f"--config-dir conf method={name}" in out
    test = importlib.import_module(f"test_{name}")
    tests = [getattr(test, one) for one in dir(test) if one.startswith("test_")]
    assert len(tests) == 2
    for one in tests:
        one()
    made = getattr(importlib.import_module(name), f"Begun{kind.capitalize()}")
    assert made().side_information == {"filter": set(), "net": {"clean"}, "noise2noise": {"draws"}}[kind]
    before = {file: (tmp_path / file).read_bytes() for file in files}
    status, _, err = cli("new", name)
    assert status == 2 and f"got {name}.py, conf/method/{name}.yaml, test_{name}.py, which exist" in err
    assert before == {file: (tmp_path / file).read_bytes() for file in files}


def test_the_test_that_it_writes_sees_a_promise_broken_and_a_key_misspelt(cli, tmp_path, forgotten):
    assert cli("new", "begun_broken")[0] == 0
    source, settings = tmp_path / "begun_broken.py", tmp_path / "conf" / "method" / "begun_broken.yaml"
    source.write_text(source.read_text().replace("return gaussian_filter(", "return 20 * gaussian_filter("))
    settings.write_text(settings.read_text().replace("width: 1.5", "widht: 1.5"))
    test = importlib.import_module("test_begun_broken")
    with pytest.raises(ValueError, match="above the noisy"):
        test.test_it_keeps_its_promises()
    with pytest.raises(AssertionError):
        test.test_its_yaml_has_its_settings()


@pytest.mark.trains
def test_a_net_begun_is_another_for_each_seed_and_its_settings_reach_it(cli, tmp_path, forgotten):
    assert cli("new", "begun_again", "--net")[0] == 0
    made = importlib.import_module("begun_again").BegunAgain
    from cryobench.methods.base import Setting

    nets = []
    for seed in (0, 0, 1):
        method = made(depth=4, width=8)
        method.setting = Setting(seed=seed)
        nets.append(method.build_generator(32))
    first, same, other = ([p.detach().numpy() for p in net.parameters()] for net in nets)
    assert all(map(np.array_equal, first, same)) and not all(map(np.array_equal, first, other))
    assert sum(one.ndim == 4 for one in first) == 4
    with pytest.raises(ValueError, match=r"method\.depth"):
        made(depth=1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gan", "a method of cryobench"),
        ("torch", "no module has"),
        ("json", "no module has"),
        ("my-net", "letters, digits"),
        ("2nets", "letters, digits"),
        ("class", "letters, digits"),
        ("../up", "letters, digits"),
        ("a.b", "letters, digits"),
        ("on", "yaml takes for text"),
        ("__", "letters, digits"),
        ("filtré", "letters, digits"),
    ],
)
def test_a_name_that_cant_be_is_one_line(cli, tmp_path, name, words):
    status, _, err = cli("new", name)
    assert status == 2 and words in err and len(err.strip().splitlines()) == 1, err
    assert not written(tmp_path)


def test_two_kinds_at_once_and_a_checkouts_own_folder_are_refused(cli, tmp_path, monkeypatch):
    status, _, err = cli("new", "begun_twice", "--net", "--noise2noise")
    assert status == 2 and "got both" in err and not written(tmp_path)
    root = Path(__file__).parents[1]
    monkeypatch.chdir(root)
    status, _, err = cli("new", "begun_here")
    assert status == 2 and "a folder of your own" in err and not (root / "begun_here.py").exists()


def test_the_class_has_a_name_that_nothing_else_in_the_file_has():
    text = template("net.py")
    assert class_name("my_net", text) == "MyNet"
    for name in ("training", "trained", "dn_cnn", "tensor", "DnCNN", "none", "_9", "true"):
        found = class_name(name, text)
        assert found.isidentifier() and f" {found}" not in text and found not in ("None", "True")


@pytest.mark.parametrize("kind", ["filter", "net", "noise2noise"])
def test_a_templates_yaml_has_every_setting_that_is_the_methods_own(kind):
    settings = yaml.safe_load(template(f"{kind}.yaml"))
    own = {"filter": {"width"}, "net": {"depth"}, "noise2noise": {"depth", "draws"}}[kind]
    trained = {"width", "epochs", "batch_size", "lr", "checkpoint", "batch_norm"} if kind != "filter" else set()
    assert set(settings) == {"name", "_target_"} | own | trained
