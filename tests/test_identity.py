"""A run's id, and the class that a record is built with, don't depend on where code lies."""

import json
import re
import sys
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.utils import get_class

from cryobench.cli.main import main
from cryobench.config import identity
from cryobench.config.compose import compose, resolve
from cryobench.config.identity import BUILT, FIRST_PLACES, at_present, run_id, searching, shipped_targets, target_of
from cryobench.errors import InputError
from cryobench.tables import frame

ROOT = Path(__file__).parents[1]
RECORDS = sorted((ROOT / "results").glob("*/runs/*/record.json"))


def test_every_committed_record_has_the_id_that_its_settings_give_today():
    wrong, configs = [], [json.loads(path.read_text(encoding="utf-8"))["config"] for path in RECORDS]
    for path, config in zip(RECORDS, configs, strict=True):
        if run_id(at_present(config)) != path.parent.name:
            wrong.append(path.parent.name)
    assert len(RECORDS) > 500 and not wrong


def test_every_shipped_name_names_a_class_that_is_there():
    for group in BUILT:
        folder = resources.files("cryobench.conf") / group
        names = {p.name[:-5] for p in folder.iterdir() if p.name.endswith(".yaml") and p.name[0] != "_"}
        outside = {"given"} if group == "method" else set()  # has records, and can't be chosen
        assert set(shipped_targets(group)) == names | outside
        assert all(isinstance(get_class(target), type) for target in shipped_targets(group).values())
        assert set(FIRST_PLACES[group]) <= set(shipped_targets(group))


def moved(monkeypatch, group: str, name: str, module: str, cls: type) -> str:
    """A class stands in another module from now on, and the yaml of a shipped name, new or not, says so."""
    place = f"{module}.{cls.__name__}"
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{cls.__name__: cls}))
    targets = {g: shipped_targets(g) for g in BUILT}
    targets[group] = {**targets[group], name: place}
    monkeypatch.setattr(identity, "shipped_targets", targets.__getitem__)
    return place


def test_a_class_that_moves_leaves_the_id_alone(monkeypatch):
    config = resolve(compose(["method=nlm"]))
    before = run_id(config)
    place = moved(monkeypatch, "method", "nlm", "cryobench.elsewhere", get_class(config["method"]["_target_"]))
    at_its_place = at_present(config)
    assert (
        at_its_place["method"]["_target_"] == place != config["method"]["_target_"] and run_id(at_its_place) == before
    )


def test_a_new_name_stands_for_itself_wherever_its_class_lies(monkeypatch):
    """As NLM would if it came today: under another place it keeps its id, under another name it doesn't."""
    config = resolve(compose(["method=nlm"]))
    cls, ids = get_class(config["method"]["_target_"]), set()
    for module in ("cryobench.here", "cryobench.there"):
        place = moved(monkeypatch, "method", "new", module, cls)
        ids.add(run_id({**config, "method": {**config["method"], "name": "new", "_target_": place}}))
    assert len(ids) == 1 and ids != {run_id(config)}


def test_a_class_of_ours_under_a_users_name_is_stable_too(monkeypatch):
    config = resolve(compose(["method=nlm", "method.name=gentle"]))
    before = run_id(config)
    place = moved(monkeypatch, "method", "nlm", "cryobench.there", get_class(config["method"]["_target_"]))
    assert run_id({**config, "method": {**config["method"], "_target_": place}}) == before


def test_a_class_of_ones_own_is_known_by_name_and_place():
    """Two people's `blur` are two methods."""
    config = resolve(compose(["method=noisy"]))
    ids = set()
    for name, target in (("blur", "pathlib.Path"), ("blur", "datetime.date"), ("soft", "pathlib.Path")):
        ids.add(run_id({**config, "method": {"name": name, "_target_": target}}))
    assert len(ids) == 3


def test_a_shipped_name_for_another_class_is_refused():
    with pytest.raises(
        InputError, match=r"method: expected .*\.NLM under the name nlm, got .*\.Noisy; .*method\.name="
    ):
        resolve(compose(["method=nlm", f"method._target_={shipped_targets('method')['noisy']}"]))


def test_a_strangers_target_is_never_imported(tmp_path, monkeypatch):
    """A record or a model file names what it likes; only yamls that are here say which class that is."""
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = resolve(compose(["method=nlm"]))
    shipped = at_present({**config, "method": {"name": "nlm", "_target_": "evil.Denoiser"}})
    assert shipped["method"]["_target_"] == shipped_targets("method")["nlm"]
    with pytest.raises(InputError, match=r"method=evil: expected one of .*autoencoder, .*, or one of your own"):
        at_present({**config, "method": {"name": "evil", "_target_": "evil.Denoiser"}})
    assert "evil" not in sys.modules


def test_own_yamls_are_found_by_their_name_with_what_they_inherit(tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "a.yaml").write_text("name: blur\n_target_: mine.Blur\n")
    (tmp_path / "method" / "b.yaml").write_text("defaults: [gan]\nname: gentle\nlr: 1e-4\n")
    (tmp_path / "method" / "c.yaml").write_text("defaults: [a, c]\nname: soft\n")
    (tmp_path / "method" / "nameless.yaml").write_text("_target_: mine.Sharp\n")
    with searching([tmp_path]):
        targets = [target_of("method", name) for name in ("blur", "gentle", "soft", "sharp", "gan")]
    gan = shipped_targets("method")["gan"]
    assert targets == ["mine.Blur", gan, "mine.Blur", "mine.Sharp", gan]
    with pytest.raises(InputError):
        target_of("method", "blur")


def test_a_broken_yaml_of_ones_own_is_named_in_one_line(tmp_path, capsys):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "a.yaml").write_text("name: [\n")
    (tmp_path / "method" / "b.yaml").write_text("nothing\n: - x\n")
    with searching([tmp_path]), pytest.raises(InputError) as told:
        target_of("method", "mine")
    assert "\n" not in str(told.value)
    for name in "ab":
        assert re.search(rf"{name}\.yaml, line \d: expected key: value, got", str(told.value)), "all that are broken"


def test_a_broken_yaml_of_ones_own_is_of_no_matter_to_others(tmp_path):
    (tmp_path / "method").mkdir()
    for stem, text in {"a": "name: [", "b": "defaults:", "c": "method: gan", "d": "_target_:\nname: empty"}.items():
        (tmp_path / "method" / f"{stem}.yaml").write_text(f"{text}\n")
    (tmp_path / "method" / "sharp.yaml").write_text("defaults: [blur, ../../out]\n_target_: mine.Sharp\nname: sharp\n")
    (tmp_path / "method" / "blur.yaml").write_text(
        "_target_: mine.Blur\nname: blur\nwidth: 3\nsteps: ${scale.n_test}\n"
    )
    around = {name: resolve(compose([]))[name] for name in ("data", "noise", "protocol", "scale")}
    with searching([tmp_path / "empty", tmp_path]):
        assert target_of("method", "blur") == "mine.Blur" and target_of("method", "sharp") == "mine.Sharp"
        assert target_of("method", "gan") == shipped_targets("method")["gan"]
        with pytest.raises(InputError, match=r"a\.yaml, line"):
            target_of("method", "empty")
        record = {**around, "method": {"name": "blur", "width": 4, "steps": around["scale"]["n_test"]}}
        assert frame.deviations(record) == frame.deviations(record | {"method": {"name": "blur"}}) | {"method.width": 4}


def test_a_verb_takes_methods_of_ones_own_too(tmp_path, monkeypatch, capsys):
    """`plan` of a method whose yaml is in --config-dir, which stands before or after the verb."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # main() puts the folder there
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "gentle.yaml").write_text("defaults: [noisy]\nname: gentle\n")
    for words in (["--config-dir", "conf", "plan"], ["plan", "--config-dir=conf"]):
        monkeypatch.chdir(tmp_path)
        assert main([*words, "method=gentle"]) == 0
        assert "gentle SNR 0.1 seed 0" in capsys.readouterr().out
