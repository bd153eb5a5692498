"""Records: whole or not at all, one process a run, a damaged one counts as none."""

import json
import threading
from types import SimpleNamespace

import pytest
from conftest import TINY
from cryobench.baselines.controls import Noisy

from cryobench.config.compose import compose, resolve
from cryobench.config.sweep import plan
from cryobench.errors import InputError
from cryobench.launch.progress import Sweep
from cryobench.noise.gaussian import Gaussian
from cryobench.runs import denoising
from cryobench.runs.record import to_json
from cryobench.runs.store import Store


def test_a_record_is_plain_json_with_numbers_on_one_line():
    record = {"a": [1.5, -2e-9, None, 3], "b": {"c": ["x", "y"], "d": []}, "e": "[\n 1 ]"}
    text = to_json(record)
    assert json.loads(text) == record and "[1.5, -2e-09, null, 3]" in text
    with pytest.raises(ValueError, match="Out of range"):
        to_json({"a": float("nan")})


def test_a_run_appears_when_it_is_whole(tmp_path):
    store = Store(tmp_path)
    work = store.begin("gan-1")
    (work / "per_image.csv").write_text("index\n")
    (work / "checkpoints").mkdir()
    assert store.read("gan-1") is None and store.all() == []
    final = store.finish("gan-1", {"run_id": "gan-1", "status": "done"})
    assert sorted(p.name for p in final.iterdir()) == ["per_image.csv", "record.json"] and not work.exists()
    assert store.finished("gan-1") and len(store.all()) == 1


def test_a_failed_run_is_not_finished_and_a_later_one_takes_its_place(tmp_path):
    store = Store(tmp_path)
    store.begin("gan-1")
    store.finish("gan-1", {"run_id": "gan-1", "status": "failed", "error": "loss became nan"})
    assert not store.finished("gan-1")
    store.begin("gan-1")
    store.finish("gan-1", {"run_id": "gan-1", "status": "done"})
    assert store.finished("gan-1") and len(list(store.runs.iterdir())) == 1


@pytest.mark.parametrize("damage", ["", '{"status": "do', "\0\0\0"])
def test_a_half_written_record_counts_as_none_and_the_run_is_done_again(cli, tmp_path, damage):
    cli("method=noisy", *TINY)
    (file,) = tmp_path.rglob("record.json")
    whole = json.loads(file.read_text())
    file.write_text(damage)
    assert Store(tmp_path / "results" / "phantom-smoke").all() == []
    status, out, err = cli("method=noisy", *TINY)
    assert status == 0 and not err and "done before" not in out
    assert json.loads(file.read_text())["metrics"] == whole["metrics"]


def test_one_process_holds_a_run(tmp_path):
    store = Store(tmp_path)
    with store.claim("gan-1") as mine:
        with Store(tmp_path).claim("gan-1") as other, store.claim("gan-2") as another:
            assert (mine, other, another) == (True, False, True)
    with store.claim("gan-1") as again:
        assert again
    assert list(store.runs.iterdir()) == []


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
        store.finish(job.run_id, {"status": "done"})
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
    assert status == 0 and not err and not list(runs.glob(".*"))


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
