"""Records: whole or not at all, one process a run, a damaged one counts as none."""

import contextlib
import fcntl
import json
import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TINY
from cryobench.baselines.controls import Noisy

from cryobench.config.compose import compose, resolve
from cryobench.config.sweep import plan
from cryobench.errors import InputError
from cryobench.launch.progress import Sweep
from cryobench.noise.gaussian import Gaussian
from cryobench.runs import denoising, environment
from cryobench.runs.record import Record, read_record, to_json
from cryobench.runs.store import Store


def test_a_record_is_plain_json_with_numbers_on_one_line():
    record = {
        "a": [1.5, -2e-9, None, 3],
        "b": {"c": ["x", "y"], "d": []},
        "e": "[\n 1 ]",
        "f": ["[ 1 2 ]", True, []],
        "g": [[1, 2], [3]],
    }
    text = to_json(record)
    assert json.loads(text) == record and "[1.5, -2e-09, null, 3]" in text
    assert '"[ 1 2 ]"' in text and "[1, 2],\n" in text
    with pytest.raises(ValueError, match="Out of range"):
        to_json({"a": float("nan")})


RECORDS = sorted((Path(__file__).parents[1] / "results").glob("*/runs/*/record.json"))


def test_every_committed_record_is_read_and_would_be_written_as_it_is():
    """Whatever it is of: nothing is lost, what came later is added at its default, and one field has another name now."""
    for file in RECORDS:
        text = file.read_text(encoding="utf-8")
        before, after = json.loads(text), read_record(file).document()
        assert to_json(before) == text, file
        before = {{"knows": "side_information"}.get(key, key): value for key, value in before.items()}
        assert {key: after.get(key) for key in before} == before, file
        assert all(not after[key] for key in after.keys() - before.keys()), file


def made_up(status: str, **more) -> Record:
    """A record of a run of noisy images, with what a reader asks for."""
    config = resolve(compose(["method=noisy"]))
    metrics = {name: {"mean": 0.1, "std": 0.0} for name in ("mse", "psnr", "ssim")} if status == "done" else {}
    return Record("gan-1", status, config, metrics=metrics, **more)


def test_an_old_record_and_a_newer_one_are_read(tmp_path):
    """Old: what it lacks or has as null is at its default; newer: what isn't known here is kept."""
    old = {
        "run_id": "gan-1",
        "status": "failed",
        "error": "killed",
        "seed": 0,
        "metrics": None,
        "wall_s": None,
        "config": made_up("failed").config,
        "added_later": {"x": 1},
    }
    (tmp_path / "record.json").write_text(json.dumps(old))
    record = read_record(tmp_path / "record.json")
    assert (record.run_id, record.done, record.mean("mse"), record.wall_s) == ("gan-1", False, None, None)
    assert record.side_information == [] and record.method == {} and record.document()["added_later"] == {"x": 1}


def test_a_module_that_git_does_not_know_makes_a_record_dirty(tmp_path, monkeypatch):
    """As `git status` would say of the package; notes elsewhere in the checkout and new results do not."""
    code = tmp_path / "cryobench" / "runs" / "environment.py"
    for folder in (code.parent, tmp_path / "conf", tmp_path / "results"):
        folder.mkdir(parents=True)
    code.write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(environment, "__file__", str(code))
    monkeypatch.setattr(environment.resources, "files", lambda name: tmp_path / name.removeprefix("cryobench."))
    for other in ("notes.txt", "results/record.json"):
        (tmp_path / other).write_text("")
    assert environment.code_version()["dirty"] is False
    for new in (code.parent / "mine.py", tmp_path / "conf" / "mine.yaml"):
        new.write_text("")
        assert environment.code_version()["dirty"] is True
        new.unlink()
    code.write_text("changed")
    assert environment.code_version()["dirty"] is True


def test_a_run_appears_when_it_is_whole(tmp_path):
    store = Store(tmp_path)
    work = store.begin("gan-1")
    (work / "per_image.csv").write_text("index\n")
    (work / "checkpoints").mkdir()
    assert store.read("gan-1") is None and store.all() == []
    final = store.finish("gan-1", made_up("done"))
    assert sorted(p.name for p in final.iterdir()) == ["per_image.csv", "record.json"] and not work.exists()
    assert store.finished("gan-1") and len(store.all()) == 1


def test_a_failed_run_is_not_finished_and_a_later_one_takes_its_place(tmp_path):
    store = Store(tmp_path)
    store.begin("gan-1")
    store.finish("gan-1", made_up("failed", error="loss became nan"))
    assert not store.finished("gan-1")
    store.begin("gan-1")
    store.finish("gan-1", made_up("done"))
    assert store.finished("gan-1") and len(list(store.runs.iterdir())) == 1


@pytest.mark.parametrize("damage", ["", '{"status": "do', "\0\0\0"])
def test_a_half_written_record_counts_as_none_and_the_run_is_done_again(cli, tmp_path, damage):
    cli("method=noisy", *TINY)
    (file,) = tmp_path.rglob("record.json")
    whole = json.loads(file.read_text())
    file.write_text(damage)
    assert Store(tmp_path / "results" / "phantom-quick").all() == []
    status, out, err = cli("method=noisy", *TINY)
    assert status == 0 and err.count("counts as none") == len(err.splitlines()) and "done before" not in out
    assert json.loads(file.read_text())["metrics"] == whole["metrics"]


def test_one_process_holds_a_run(tmp_path):
    store = Store(tmp_path)
    with store.claim("gan-1") as claimed:
        with Store(tmp_path).claim("gan-1") as other, store.claim("gan-2") as another:
            assert (claimed, other, another) == (True, False, True)
    with store.claim("gan-1") as again:
        assert again
    assert list(store.runs.iterdir()) == []


def test_one_process_holds_a_run_while_another_lets_go_of_it(tmp_path, monkeypatch):
    """The first removes its lock; others come between each two of its steps. The lowest filelock that is declared has to do."""
    first, second, third = (contextlib.ExitStack() for _ in range(3))
    store, flock, unlink = Store(tmp_path), fcntl.flock, os.unlink
    assert first.enter_context(store.claim("gan-1"))

    def once(step, done: list[bool], then):
        """A call of the system, before or after which another process does something, the first time."""

        def call(*words):
            if done:
                return step(*words)
            done.append(True)
            return then(lambda: step(*words))

        return call

    def opened_too_early(lock):  # it has opened the file; the first lets go; the second begins anew
        first.close()
        assert second.enter_context(store.claim("gan-1"))
        return lock()

    def removed(remove):  # the name is free, and the second still has its lock
        remove()
        assert third.enter_context(store.claim("gan-1"))

    with second, third:
        monkeypatch.setattr(fcntl, "flock", once(flock, [], opened_too_early))
        with store.claim("gan-1") as late:
            assert not late, "the file that it opened was removed; the second has the run"
        monkeypatch.setattr(os, "unlink", once(unlink, [], removed))
        second.close()
        with store.claim("gan-1") as late:
            assert not late, "what the second let go of was its own lock, not the third's"


def test_a_sweep_waits_for_runs_that_others_have(tmp_path):
    (job,) = plan(["method=noisy", f"paths.results={tmp_path}"]).jobs
    store, seen = Store(tmp_path), []
    with store.claim(job.run_id):
        waiting = threading.Thread(
            target=lambda: (Sweep([job]).wait_for_others(), seen.append(store.finished(job.run_id)))
        )
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        store.begin(job.run_id)
        store.finish(job.run_id, made_up("done"))
    waiting.join(30)
    assert seen == [True] and not store.held(job.run_id)


def test_what_a_killed_process_left_does_not_stop_a_run(cli, tmp_path):
    cli("method=noisy", *TINY)
    (file,) = tmp_path.rglob("record.json")
    name, runs = file.parent.name, file.parents[1]
    file.parent.rename(runs / f".{name}")  # as if killed just before the end
    (runs / f".{name}" / "record.json").write_text("{")
    (runs / f".{name}.lock").touch()
    status, _, err = cli("method=noisy", *TINY)
    assert status == 0 and err.count("counts as none") == len(err.splitlines()) and not list(runs.glob(".*"))


def test_a_folder_that_cant_be_written_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="expected a folder that can be written"):
        Store(tmp_path).begin("gan-1")


def test_images_per_second_are_those_of_denoising_alone(cache, tmp_path, monkeypatch):
    """By a clock that making noise moves by an hour, fitting by a minute and denoising by two seconds."""
    clock = [0.0]

    def taking(seconds, function):
        def call(*arguments, **named):
            clock[0] += seconds
            return function(*arguments, **named)

        return call

    monkeypatch.setattr(denoising, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(Gaussian, "add", taking(3600, Gaussian.add))
    monkeypatch.setattr(Noisy, "fit", taking(60, Noisy.fit))
    monkeypatch.setattr(Noisy, "denoise", taking(2, Noisy.denoise))
    record = denoising.work(resolve(compose(["method=noisy", *TINY, f"paths.cache={cache}"])), tmp_path, False)
    assert (record["images_per_s"], record["fit_s"]) == (6 / 2, 60)
