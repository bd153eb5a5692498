"""`runs` and `rerun`, and the command that a record keeps: it makes that run, and no other."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

import cryobench
from cryobench.cli.app import app
from cryobench.cli.main import main
from cryobench.config.command import as_command
from cryobench.config.sweep import plan
from cryobench.runs.damage import fault_of


def the(folder: Path, pattern: str = "results/*/runs/[!.]*/record.json") -> dict:
    (file,) = folder.glob(pattern)
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def four_runs(cache, tmp_path_factory) -> Path:
    """A folder with four runs of two methods in results/phantom-quick."""
    folder = tmp_path_factory.mktemp("four_runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYOBENCH_CACHE", str(cache))
        patch.setenv("CRYOBENCH_SIDE_BY_SIDE", "1")
        patch.setattr(sys, "path", list(sys.path))
        patch.chdir(folder)
        assert main(["method=noisy,mean_image", "seed=0,1", *TINY]) == 0
    return folder


@pytest.fixture
def made(cli, four_runs, tmp_path):
    """The command line, beside a copy of the four runs."""
    shutil.copytree(four_runs, tmp_path, dirs_exist_ok=True)
    return cli


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_runs_are_listed_and_chosen_by_their_settings(made):
    status, out, err = made("runs")
    assert status == 0 and len(lines(out)) == 5 and "4 of 4 runs in results/phantom-quick: 4 done, 0 failed" in err
    for words, n in (
        (["method=noisy"], 2),
        (["method=noisy,mean_image", "seed=1"], 2),
        (["seed=1", "method=noisy"], 1),
        (["noise.snr=0.1"], 4),
        (["noise.snr=0.2"], 0),
        (["status=failed"], 0),
        (["data=phantom", "seed=0"], 2),
        (["data.n_train=36"], 4),
    ):
        status, out, _ = made("runs", *words)
        assert status == 0 and len(lines(out)) == (n + 1 if n else 0), (words, out)
        assert all(line.split()[5:7] for line in lines(out))
    status, _, err = made("runs", "method.widht=3")
    assert status == 2 and "unknown setting method.widht" in err
    status, _, err = made("runs", "snr=0.1")
    assert status == 2 and "noise.snr" in err


def test_what_sets_runs_of_one_method_apart_stands_beside_them(cli):
    assert cli("method=nlm", "method.h=0.5,0.9", *TINY)[0] == 0
    out = cli("runs")[1]
    assert "method.h=0.5" in out and "method.h=0.9" in out and "method.patch" not in out


def test_one_run_is_shown_with_its_command_and_files(made, tmp_path):
    name = next(line.split()[0] for line in made("runs", "method=noisy", "seed=1")[1].splitlines() if "noisy-" in line)
    status, out, _ = made("runs", name)
    record = json.loads((tmp_path / "results/phantom-quick/runs" / name / "record.json").read_text())
    assert (
        status == 0
        and record["command"] in out
        and "strip.png" in out
        and "snr: 0.1" in out
        and "DENOISED" in out.upper()
    )
    for words, said in (
        ([name[:-1]], f"did you mean {name}?"),
        (["../../secret"], "expected a run of"),
        ([name, "seed=0"], "one RUN_ID"),
    ):
        status, _, err = made("runs", *words)
        assert status == 2 and said in err and len(lines(err)) == 1, err


def test_without_results_that_is_said(cli):
    for words in (["runs"], ["rerun", "noisy-1"]):
        status, _, err = cli(*words)
        assert status == 2 and "a run makes some of your own" in err


@pytest.mark.parametrize(
    "words",
    [
        ["method=gan", "method.alpha=1", "seed=3"],
        ["+sweep=alpha_beta", "scale=smoke", "row='(.5,-.5)','(0,0)'", "seed=2"],
        ["method=nlm,bm3d", "noise.snr=0.1,0.05", "trainer.threads=1", "paths.results=/somewhere", "hydra.sweep.dir=x"],
        ["data=rnap_mtb", "data.train_conformations=[0,1,3]", "method=noisy", "analysis=[clustering]"],
        ["task=robust_rates", "seed=0,1"],
    ],
)
def test_a_records_command_makes_that_run_and_no_other(words):
    jobs = plan(words).jobs
    for job in (jobs[0], jobs[-1]):
        command = shlex.split(job.command)
        assert command[:3] == ["python", "-m", "cryobench"] and not {"somewhere", "hydra"} & set(job.command.split("/"))
        (again,) = plan(command[3:], single=True).jobs
        assert again.run_id == job.run_id and again.command == job.command and again.row == job.row


def test_the_command_tells_of_folders_below_where_one_stands_alone(tmp_path, monkeypatch):
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path / "a b")
    place = f"hydra.searchpath=['file://{tmp_path}/a b/conf','file:///else/where']"
    assert as_command(["method=blur", "paths.cache=/x", place]) == "python -m cryobench --config-dir conf method=blur"
    assert (
        as_command(["row='(1,1)'", "data.star=my file"]) == """python -m cryobench "row='(1,1)'" 'data.star=my file'"""
    )


def test_each_run_of_a_sweep_keeps_a_command_of_its_own(made, tmp_path):
    commands = [json.loads(p.read_text())["command"] for p in tmp_path.glob("results/*/runs/*/record.json")]
    assert len(set(commands)) == 4
    for command in commands:
        (job,) = plan(shlex.split(command)[3:], single=True).jobs
        assert (tmp_path / "results/phantom-quick/runs" / job.run_id).is_dir()


@pytest.mark.trains
def test_a_run_is_done_again_with_the_settings_of_its_record_and_gives_the_same_numbers(cli, tmp_path):
    assert cli("method=autoencoder", "method.lr=0.005", "noise.snr=0.2", "seed=3", "trainer.threads=1", *TINY)[0] == 0
    before = the(tmp_path)
    for words, said in (
        (["method.lr=1"], "trainer and paths"),
        (["-o", "results/phantom-quick"], "another results folder"),
        (["trainer.precision=64-true"], "expected its own precision"),
    ):
        status, _, err = cli("rerun", before["run_id"], *words)
        assert status == 2 and len(lines(err)) == 1 and said in err, err
    status, out, err = cli("rerun", before["run_id"], "trainer.threads=1")
    assert status == 0 and "beside its record: mse" in out and out.count("the same") == len(before["metrics"]), (
        out + err
    )
    now = the(tmp_path, f"results/rerun/runs/{before['run_id']}/record.json")
    assert now["metrics"] == before["metrics"] and now["per_image"] == before["per_image"]
    assert now["command"] == f"python -m cryobench rerun {before['run_id']} trainer.threads=1"
    assert {**now["config"], "trainer": 0} == {**before["config"], "trainer": 0}
    assert the(tmp_path, "results/phantom-quick/runs/*/record.json") == before
    status, out, err = cli("rerun", before["run_id"], "trainer.threads=1")
    assert "done before" in out and f"has it from {now['started'][:10]}" in err and "-o another folder" in err, err


def test_numbers_that_differ_are_told(made, tmp_path):
    file = next(tmp_path.glob("results/phantom-quick/runs/noisy-*/record.json"))
    record = json.loads(file.read_text())
    record["metrics"]["mse"]["mean"] *= 1.01
    file.write_text(json.dumps(record))
    status, out, _ = made("rerun", record["run_id"])
    assert status == 1 and "(differs by 0.99 %)" in " ".join(out.split()) and out.count(", the same") == 4


def test_a_failed_run_is_done_again_in_its_place(made, tmp_path):
    file = next(tmp_path.glob("results/phantom-quick/runs/noisy-*/record.json"))
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "status": "failed", "error": "killed"}))
    assert made("rerun", record["run_id"])[0] == 0
    assert (
        json.loads(file.read_text())["metrics"] == record["metrics"] and not (tmp_path / "results" / "rerun").exists()
    )


def test_a_run_of_another_task_is_done_again(cli, tmp_path):
    tiny = [
        "task=robust_estimation",
        "task.p=5",
        "task.n=200",
        "task.steps=5",
        "task.widths=[4]",
        "task.compare=[mean]",
    ]
    assert cli(*tiny)[0] == 0
    before = the(tmp_path)
    status, _, err = cli("rerun", before["run_id"], "--results", "results/robust")
    assert status == 0, err
    errors = [
        [one["location"] for one in results]
        for results in (before["results"], the(tmp_path, "results/rerun/runs/*/record.json")["results"])
    ]
    assert errors[0] == errors[1]


def test_a_record_that_was_changed_is_another_run(made, tmp_path):
    file = next(tmp_path.glob("results/phantom-quick/runs/noisy-*/record.json"))
    record = json.loads(file.read_text())
    record["config"]["noise"]["snr"] = 0.5
    file.write_text(json.dumps(record))
    status, _, err = made("rerun", record["run_id"])
    assert status == 2 and "its record was changed" in err and not (tmp_path / "results" / "rerun").exists()


def test_what_a_terminal_would_obey_is_not_printed(made, tmp_path):
    """A record's text may come from anybody: no colour, no cursor, no writing from right to left."""
    file = next(tmp_path.glob("results/phantom-quick/runs/noisy-*/record.json"))
    record = json.loads(file.read_text())
    evil = "\x1b[2J\x1b]0;title\x07\u202egnp.exe\r\n[bold]x"
    record |= {"command": evil, "warnings": [evil], "started": evil, "status": "failed", "error": evil}
    record["config"]["protocol"]["bm3d_sigma"] = evil
    record["config"]["data"]["box"] = evil
    file.write_text(json.dumps(record))
    for words in (["runs"], ["runs", record["run_id"]]):
        status, out, err = made(*words)
        assert status == 0 and not set(out + err) & set("\x1b\x07\u202e\r"), words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", ["rm"]),
        ("started", 3),
        ("wall_s", "long"),
        ("warnings", [1]),
        ("knows", "clean"),
        ("error", {"a": 1}),
        ("environment", [1]),
    ],
)
@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_part_of_another_kind_makes_it_no_record(made, tmp_path, name, value, status):
    file = next(tmp_path.glob("results/phantom-quick/runs/noisy-*/record.json"))
    record = json.loads(file.read_text()) | {"status": status}
    assert fault_of(record) is None and fault_of({**record, name: value}).startswith(name)


def test_version_help_and_completion(cli):
    assert cli("--version")[1] == f"cryobench {cryobench.__version__}\n"
    assert cli("help") == cli("--help") and cli("help", "runs") == cli("runs", "--help")
    assert cli("help", "nothing")[0] == 2
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}

    def asked(words: str, **more) -> str:
        environment = {**os.environ, **more}
        done = subprocess.run(
            [sys.executable, "-m", "cryobench", *words.split()], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # a test has no shell above it
    assert "_CRYOBENCH_COMPLETE=complete_zsh cryobench" in asked("--show-completion zsh", **named)
    found = asked("", _CRYOBENCH_COMPLETE="complete_bash", COMP_WORDS="cryobench ", COMP_CWORD="1").split()
    assert set(found) == verbs
    found = asked("", _CRYOBENCH_COMPLETE="complete_bash", COMP_WORDS="cryobench denoise --", COMP_CWORD="2").split()
    assert {"--run", "--model", "--pixel-size"} <= set(found)
