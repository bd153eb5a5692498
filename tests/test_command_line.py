"""What people type, and what they get: exit status, one readable line, nothing damaged."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from conftest import TINY

from cryobench.cli.app import app
from cryobench.cli.main import help_text
from cryobench.launch import workers


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_a_run_leaves_its_metrics_its_picture_and_its_record(cli, tmp_path):
    status, out, err = cli(*TINY)
    assert status == 0 and not err
    for word in ("noisy", "denoised", "oracle", "strip.png", "record.json"):
        assert word in out
    (folder,) = (tmp_path / "results" / "phantom-quick" / "runs").glob("[!.]*")
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "done" and record["run_id"] == folder.name and record["seed"] == 0
    assert {"mse", "psnr", "ssim", "nmse", "ssim_range2"} == set(record["metrics"])
    means = {name: values["mean"] for name, values in record["metrics"].items()}
    assert means["mse"] > 0 and means["ssim"] < means["ssim_range2"], "a wider data range flatters SSIM"
    assert record["config"]["method"]["name"] == "gan" and "paths" not in record["config"]
    assert record["realised_snr"] == pytest.approx(0.1, rel=0.1)
    assert len(record["method"]["curve"]) == 1 and record["environment"]["versions"]["torch"]
    assert {"wall_s", "images_per_s", "error", "peak_memory_mib", "warnings"} <= set(record)
    header, *rows = (folder / "per_image.csv").read_text().splitlines()
    assert header == "index,mse,psnr,ssim,nmse" and len(rows) == 6
    assert (folder / "model.safetensors").exists() and (folder / "strip.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(folder.parent.glob(".*")), "nothing unfinished is left"


def test_a_finished_run_is_not_run_again(cli, tmp_path):
    cli("method=noisy", *TINY)
    (record,) = (tmp_path / "results" / "phantom-quick" / "runs").glob("*/record.json")
    before = record.stat().st_mtime_ns
    status, out, _ = cli("method=noisy", *TINY)
    assert status == 0 and "done before" in out and record.stat().st_mtime_ns == before


WRONG = {
    "misspelt key": (["method.lamda=3"], ["method.lamda", "did you mean lam"]),
    "misspelt key with plus": (["+method.lamda=3"], ["method.lamda", "did you mean lam"]),
    "unknown key": (["+colour=red"], ["colour", "expected one of"]),
    "misspelt key without a dot": (["method=nlm", "sede=1"], ["unknown key sede", "did you mean seed"]),
    "several keys without a dot": (
        ["sede=1", "method=nlm", "lamb=3"],
        ["unknown keys sede, lamb", "did you mean seed"],
    ),
    "a sweep without its plus": (["sweep=alpha_beta"], ["unknown key sweep", "did you mean +sweep="]),
    "a key within a setting": (
        ["data=rnap_ecoli", "data.clamp={A:[[1,20]]}"],
        ["unknown key data.clamp.A:", "(data.clamp: C, D)", "+data.clamp="],
    ),
    "a misspelt key in a sweep": (["+sweep=alpha_beta", "seeds=0,1"], ["unknown key seeds", "did you mean seed"]),
    "a key without its group": (["snr=0.05"], ["unknown key snr", "did you mean noise.snr"]),
    "a method's key without its group": (["method=gan", "width=2"], ["unknown key width", "did you mean method.width"]),
    "a misspelt group": (["trainr=gpu"], ["unknown key trainr", "did you mean trainer"]),
    "a misspelt key of a verb": (["plan", "metod=nlm"], ["unknown key metod", "did you mean method"]),
    "unknown method": (["method=gann"], ["method", "expected one of", "gan"]),
    "unknown verb": (["tabel", "1"], ["tabel", "table"]),
    "unknown sweep": (["+sweep=alpha"], ["sweep", "alpha_beta"]),
    "unknown row": (["+sweep=alpha_beta", "row=x"], ["row", "(1,1)", "got x"]),
    "SNR of 0": (["noise.snr=0"], ["noise.snr", "above 0", "got 0"]),
    "not a number": (["method.alpha=much"], ["method.alpha", "expected a number, got", "much"]),
    "neither true nor false": (["noise.clip=perhaps"], ["noise.clip", "expected true or false, got", "perhaps"]),
    "not an override": (["method.alpha=["], ["expected overrides like key=value, got method.alpha=[;", "in quotes"]),
    "a home folder unquoted": (["data.maps=[~/m.mrc]"], ["got data.maps=[~/m.mrc];", "'data.maps=["]),
    "a comma at the end": (["method=nlm", "seed=0,"], ["got seed=0,;", "both sides of each comma", "seed=0,1,2"]),
    "a list with a space in it": (["seed=0,", "1"], ["got seed=0,;", "one word"]),
    "two commas": (["seed=0,,1"], ["got seed=0,,1;", "both sides of each comma"]),
    "a comma at a list's beginning": (["data.maps=[,a.mrc]"], ["got data.maps=[,a.mrc];", "both sides of each comma"]),
    "image size": (["data.image_size=30"], ["data.image_size", "multiple of 8", "30"]),
    "too small for the net": (["data.image_size=16"], ["at least 32", "16"]),
    "too few images": (["data.n_train=12"], ["data.n_train", "12"]),
    "unknown net": (["method.net=vgg"], ["method.net", "resnet, conv, deep", "vgg"]),
    "negative seed": (["seed=-1"], ["seed", "-1"]),
    "unknown option": (["--verbos"], ["--verbos", "--help"]),
    "config folder": (["--config-dir", "nowhere"], ["--config-dir", "nowhere"]),
    "missing structure": (["data=rnap_ecoli", "data.open=no.cif"], ["no.cif"]),
    "no such results": (["table", "1", "--results", "nowhere"], ["--results", "nowhere"]),
    "no group": (["method=null"], ["onfig group"]),
    "infinite": (["method.lam=inf"], ["method.lam", "finite"]),
    "no device": (["trainer.devices=0"], ["trainer.devices", "at least 1", "got 0"]),
    "a batch that can't be divided": (["trainer.devices=3", "method.batch_size=10"], ["method.batch_size", "got 10"]),
    "strategy": (["trainer.devices=2", "trainer.strategy=fsdp"], ["trainer.strategy", "auto or ddp", "fsdp"]),
    "not a number of threads": (
        ["trainer.threads=abc"],
        ["trainer.threads", "expected a whole number or null, got", "abc"],
    ),
    "not a number of runs": (
        ["trainer.side_by_side=abc", "-m"],
        ["trainer.side_by_side", "expected a whole number or null, got", "abc"],
    ),
    "three wrong settings of a trainer": (
        ["trainer.threads=0", "trainer.accelerator=tpu", "trainer.precision=half"],
        ["trainer.threads", "trainer.accelerator", "trainer.precision", "got half"],
    ),
    "three wrong settings of a method": (
        ["method.width=0", "method.lr=-1", "method.checkpoint=best"],
        ["method.width", "method.lr", "above 0, got -1", "method.checkpoint", "got best"],
    ),
    "misspelt setting of another method than the default": (
        ["method=nlm", "method.sigma_factr=2"],
        ["method.sigma_factr", "patch", "did you mean sigma_factor"],
    ),
    "misspelt size": (["scale.widht=9"], ["scale.widht", "did you mean width"]),
    "misspelt size with plus": (["+scale.widht=9"], ["scale.widht", "did you mean width"]),
    "misspelt switch with plus": (["+protocol.clipp=true"], ["protocol.clipp", "did you mean clip"]),
    "a batch of a word": (
        ["protocol.batch_size=many"],
        ["protocol.batch_size", "expected a whole number, got", "many"],
    ),
    "no width": (["scale.width=0"], ["scale.width", "at least 1", "got 0"]),
    "a task without code for a GPU": (
        ["task=robust_estimation", "trainer=gpu"],
        ["trainer.accelerator", "expected cpu for task=robust_estimation", "got gpu"],
    ),
    "glob": (["method=glob(no*)"], ["method", "list of values", "glob(no*)"]),
    "glob of no group": (["seed=glob(*)"], ["seed", "list of values"]),
    "two sweeps": (["+sweep=alpha_beta", "+sweep=lambda"], ["sweep", "one choice", "alpha_beta and lambda"]),
    "two methods in a sweep": (
        ["method=noisy,oracle", "method=nlm"],
        ["method", "one choice", "noisy and oracle and nlm"],
    ),
    "a method before the stack": (
        ["denoise", "method=nlm", "a.star", "-o", "x.mrcs"],
        ["denoise: expected the stack first, as a.star method=nlm, got method=nlm"],
    ),
    "a method without a stack": (
        ["denoise", "method=nlm", "-o", "x.mrcs"],
        ["as particles.star method=nlm, got method=nlm"],
    ),
    "trust's method before the stack": (
        ["trust", "method=nlm", "a.mrcs", "-o", "x.png"],
        ["as a.mrcs method=nlm, got"],
    ),
    "compare's methods before the stack": (["compare", "method=nlm,cwf", "a.mrcs"], ["as a.mrcs method=nlm,cwf, got"]),
    "score without images": (
        ["score", "paths.cache=c", "--data", "d", "--name", "n"],
        ["score: expected the denoised images first, as denoised.mrcs paths.cache=c, got paths.cache=c"],
    ),
    "a misspelt group before a dot": (["nosie.snr=0.1"], ["unknown key nosie.snr", "did you mean noise.snr?"]),
    "a misspelt group and key": (["nosie.snrr=0.1"], ["unknown key nosie.snrr", "did you mean noise.snr?"]),
    "a misspelt group in a sweep": (["nosie.snr=0.1,0.2"], ["unknown key nosie.snr", "did you mean noise.snr?"]),
    "a misspelt group of a verb": (["plan", "nosie.snr=0.1"], ["unknown key nosie.snr", "did you mean noise.snr?"]),
    "a misspelt group taken away": (["~nosie.snr"], ["unknown key nosie.snr", "did you mean noise.snr?"]),
    "a group that is nothing like one": (
        ["xyzzy.snr=1"],
        ["unknown key xyzzy.snr: it is not in the config (top level: "],
    ),
    "a misspelt table": (["table", "tabel1"], ["expected one of 1, 2, 3", "got tabel1; did you mean 1?"]),
    "a misspelt name of a table": (["table", "pgan"], ["got pgan; did you mean pggan?"]),
    "a misspelt figure": (["figure", "fgi2"], ["expected one of 1, 2, 3, 4", "got fgi2; did you mean 2?"]),
    "a figure with its kind": (["figure", "figure3"], ["got figure3; did you mean 3?"]),
    "no such table": (["table", "7", "--results", "."], ["expected one of 1, 2, 3, claims", ", pggan, ", "got 7"]),
    "no such figure": (["figure", "7", "--results", "."], ["expected one of 1, 2, 3, 4, exemplars", "got 7"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_gets_one_line_and_status_2(cli, tmp_path, what):
    arguments, words = WRONG[what]
    status, out, err = cli(*arguments)
    assert status == 2, err
    assert len(lines(err)) == 1 and "Traceback" not in err and not out
    for word in words:
        assert word in err
    assert not list(tmp_path.rglob("record.json")) and not list(tmp_path.rglob("runs/.*"))


def test_results_that_cant_be_written_are_named(cli, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    status, _, err = cli("method=noisy", *TINY)
    assert status == 2 and len(lines(err)) == 1 and "paths.results=DIR" in err
    assert (tmp_path / "results").read_text() == "a file where a folder should be"


def test_help_teaches_every_group_and_verb(cli):
    status, out, _ = cli("--help")
    assert status == 0 and out.strip() == help_text()
    for word in ("+sweep=alpha_beta", "rnap_ecoli", "wgan_gp", "table", "Exit status"):
        assert word in out


def test_what_stands_above_the_verbs_is_true_of_each(cli):
    heading = help_text().split("\n  python -m cryobench compare ")[0].splitlines()[-1]
    assert heading.startswith("Verbs") and "without any training" not in heading
    for name, verb in typer.main.get_command(app).commands.items():
        options = {
            option
            for one in verb.get_params(verb.make_context(name, [], resilient_parsing=True))
            for option in one.opts
        }
        assert set(re.findall(r"--[a-z]+", heading)) <= options, name


def test_cfg_prints_a_config_that_yaml_reads_and_runs_nothing(cli, tmp_path):
    import yaml

    status, out, _ = cli("--cfg", "method.lam=3")
    assert status == 0 and yaml.safe_load(out)["method"]["lam"] == 3.0
    assert not (tmp_path / "results").exists()


def test_a_finished_run_says_that_the_code_of_ones_own_has_changed_since(cli, tmp_path):
    source = (
        "from dataclasses import dataclass\nfrom cryobench.methods.base import Denoiser\n@dataclass\n"
        "class Share(Denoiser):\n    share: float = 0.5\n    def denoise(self, noisy):\n        return self.share * noisy\n"
    )
    (tmp_path / "shared_part.py").write_text(source)
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf/method/share.yaml").write_text("name: share\n_target_: shared_part.Share\nshare: 0.25\n")
    alone = ["--config-dir", "conf", "method=share", *TINY]
    assert cli(*alone)[0] == 0
    (file,) = (tmp_path / "results").rglob("record.json")
    own = json.loads(file.read_text())["environment"]["own_code"]
    assert own == {"method": {"file": "shared_part.py", "sha256": hashlib.sha256(source.encode()).hexdigest()}}
    before = cli(*alone)[1]
    (tmp_path / "shared_part.py").write_text(source + "# other\n")
    status, out, _ = cli(*alone)
    told = [line for line in out.splitlines() if "shared_part.py has changed since" in line]
    assert status == 0 and len(told) == 1 and f"rerun {file.parent.name}" in told[0] and "has changed" not in before
    out = cli(*alone, "-m", "seed=0,1")[1]
    assert out.count("shared_part.py has changed since") == 1


def test_a_denoiser_of_the_users_own_in_the_folder_they_stand_in(cli, tmp_path):
    """One Python file, one yaml, --config-dir; test_installation.py does what README says, in processes of their own."""
    (tmp_path / "my_blur.py").write_text(
        "from dataclasses import dataclass\n"
        "from scipy.ndimage import gaussian_filter\n"
        "from cryobench.methods.base import Denoiser\n"
        "@dataclass\n"
        "class Blur(Denoiser):\n"
        "    width: float = 1.5\n"
        "    def denoise(self, noisy):\n"
        "        return gaussian_filter(noisy, (0, self.width, self.width))\n"
    )
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "blur.yaml").write_text("name: blur\n_target_: my_blur.Blur\nwidth: 2\n")
    status, _, err = cli("--config-dir", "conf", "method=blur", *TINY)
    assert status == 0, err
    (file,) = (tmp_path / "results").rglob("record.json")
    record = json.loads(file.read_text())
    assert record["config"]["method"]["width"] == 2.0
    assert record["metrics"]["mse"]["mean"] < 0.5 * record["noisy_metrics"]["mse"]["mean"]


def test_a_sweep_into_a_folder_that_cant_be_written_is_one_line(cli, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    status, _, err = cli("method=noisy,oracle", *TINY)
    assert status == 2 and len(lines(err)) == 1 and "Traceback" not in err


def python(folder, *arguments, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cryobench", *arguments],
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_without_greek_gets_what_it_can_show(cache, tmp_path, encoding):
    done = python(tmp_path, "--help", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and not done.stderr and rb"(\u03b1,\u03b2)-GAN" in done.stdout
    done = python(tmp_path, "method=noisy", f"paths.cache={cache}", *TINY, PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and not done.stderr and b"record.json" in done.stdout, done.stderr
    done = python(tmp_path, "table", "1", "--results", "results/phantom-quick", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and b"Traceback" not in done.stderr and b"# Table 1" in done.stdout, done.stderr
    assert "α" in (tmp_path / "results/phantom-quick/tables/table1.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_output_that_nobody_takes_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = python(tmp_path, "--help", stdout=full)
    assert done.returncode == 2 and b"No space left" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_tilde_is_the_home_folder(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, words in (("res", "paths.results=~/res"), ("quoted", "paths.results='~/quoted'")):
        assert cli("method=noisy", words, *TINY)[0] == 0
        assert list((tmp_path / "home" / name).rglob("record.json")) and not (tmp_path / "~").exists()
    status, _, _ = cli("table", "1", "--results=~/res")
    assert status == 0 and (tmp_path / "home" / "res" / "tables" / "table1.md").exists()


def test_figures_are_made_by_the_papers_number_as_tables_are(cli, tmp_path):
    """Figure 2 has two parts; of a number that no figure has, the names are told."""
    assert cli("+sweep=methods", "row=noisy,oracle", "noise.snr=0.1", *TINY)[0] == 0
    status, _, err = cli("figure", "2", "--results", "results/phantom-smoke")
    written = {line.rpartition("/")[2] for line in err.splitlines() if line.startswith("written:")}
    assert status == 0 and {"fig2_gallery_snr0.1.png", "fig2_gallery_snr0.1.svg"} <= written
    status, _, err = cli("figure", "9", "--results", "results/phantom-smoke")
    assert status == 2 and "expected one of 1, 2, 3, 4, exemplars" in err and "got 9" in err


@pytest.mark.parametrize(("load", "threads"), [(0.0, 4), (2.6, 1), (9.0, 1)])
def test_a_run_alone_leaves_busy_cores_to_others(monkeypatch, load, threads):
    """Threads that wait for each other on busy cores took four times the processor time of one; who says how many gets them."""
    monkeypatch.setattr(workers, "cores", lambda: 4)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    trainer = {"threads": None, "accelerator": "cpu", "devices": 1}
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert workers.threads_alone(trainer) == threads
    assert workers.threads_alone({**trainer, "threads": 2}) == 2
    assert workers.threads_alone({**trainer, "accelerator": "gpu"}) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert workers.threads_alone(trainer) == 3


def test_the_record_of_a_run_alone_says_how_many_threads_it_had(cli, tmp_path):
    assert cli("method=noisy", *TINY)[0] == 0
    (record,) = (json.loads(p.read_text()) for p in tmp_path.rglob("record.json"))
    assert record["config"]["trainer"]["threads"] == 1


VERBS = {command.name: command for command in typer.main.get_command(app).commands.values()}
NEEDY = [name for name, verb in VERBS.items() if any(one.required for one in verb.params)]


@pytest.mark.parametrize("verb", NEEDY)
def test_what_a_verb_lacks_comes_with_an_example_that_has_it(cli, verb):
    status, out, err = cli(verb)
    assert status == 2 and not out and len(lines(err)) == 1 and err.startswith("cryobench: Missing "), err
    command = re.search(r"an example: (.*); see --help", err)[1]
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "cryobench", verb]
    VERBS[verb].make_context(verb, words[4:])  # raises for what is missing or unknown
    shown = " ".join(cli(verb, "--help")[1].split())
    assert command in shown


@pytest.mark.parametrize("verb", ["denoise", "trust", "compare"])
def test_help_of_a_verb_on_a_stack_has_an_example(cli, verb):
    status, out, _ = cli(verb, "--help")
    (example,) = (line.strip() for line in out.splitlines() if f"python -m cryobench {verb} particles.star" in line)
    assert status == 0 and "method=" in example and " -o " in example
