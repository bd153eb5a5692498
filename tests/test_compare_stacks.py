"""Methods on one stack: the one recommended is the one with the lowest true NMSE, none where none can be trusted."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import scipy.ndimage
from conftest import needs

from cryobench import figure
from cryobench.data.io.stack import Stack
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.errors import Stopped
from cryobench.evaluation.metrics import nmse
from cryobench.methods.base import Denoiser
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope
from cryobench.particles import compare
from cryobench.particles.model import Model, from_file
from cryobench.particles.prepared import lost_detail

GAN = Path(__file__).parents[1] / "results/rnap_ecoli-desk/runs/gan-5afb16153176/model.safetensors"


class Blur(Denoiser):
    def __init__(self, width):
        self.width = width

    def denoise(self, noisy, **hints):
        return scipy.ndimage.gaussian_filter(noisy, (0, self.width, self.width))


class Broken(Denoiser):
    def denoise(self, noisy, **hints):
        raise ArithmeticError("no luck")


def ready(methods: dict):
    return {
        name: lambda name=name, method=method: Model(name, method, {"method": {"name": name}, "data": {}})
        for name, method in methods.items()
    }


@pytest.fixture(scope="module")
def phantom(cache):
    return open_pairs(Phantom(image_size=32, n_train=300, n_test=1), cache)


def stack_of(images, folder) -> Stack:
    mrcfile.write(folder / "x.mrcs", images, voxel_size=6.4, overwrite=True)
    return Stack(folder / "x.mrcs")


@pytest.mark.parametrize("noise", [Gaussian(0.3), Microscope(5.0, ctf=True, box=204.8)], ids=["white", "ctf"])
def test_the_lowest_true_nmse_is_recommended(phantom, tmp_path, noise):
    """Of five blurs, the right width; with a CTF the truth is what the microscope makes of the particle."""
    images = phantom.images("train", noise, 0)
    clean = np.array(images.clean())
    if isinstance(noise, Microscope):  # test images have the CTF
        images = SimpleNamespace(noisy=lambda: noise.add(clean, np.arange(300), seed=0, split="test"))
        still = Microscope(1e9, ctf=True, box=204.8)
        truth = still.add(clean, np.arange(300), seed=0, split="test")
    else:
        truth = clean
    noisy = images.noisy()
    blurs = {f"blur-{width}": Blur(width) for width in (0.3, 0.8, 1.5, 3.0, 6.0)}
    errors = {name: float(np.mean(nmse(truth, blur.denoise(noisy)))) for name, blur in blurs.items()}
    lines = compare.compare(ready(blurs), stack_of(noisy, tmp_path), np.arange(300), "white", 300)
    text = compare.recommendation(lines)
    assert text.startswith(f"Recommended: {min(errors, key=errors.get)}, "), (text, errors)


def test_one_that_fails_is_named_and_the_others_go_on(phantom, tmp_path):
    noisy = phantom.images("train", Gaussian(0.3), 0).noisy()
    said = []
    methods = ready({"broken": Broken(), "blur": Blur(1.5)})
    lines = compare.compare(methods, stack_of(noisy, tmp_path), np.arange(300), "white", 200, said.append)
    assert lines[0].answers is None and "no luck" in lines[0].error
    assert any(
        re.fullmatch(
            r"broken failed: ArithmeticError: no luck \(test_compare_stacks\.py, line \d+\); \d+ s; 1 left", text
        )
        for text in said
    ), said
    text = compare.to_markdown(lines)
    assert text.startswith("Recommended: blur, ") and "the only one that can be trusted" in text
    assert "| broken | failed: ArithmeticError: no luck (test_compare_stacks.py, line " in text


def test_none_is_recommended_on_pure_noise(tmp_path):
    white = np.random.default_rng(0).normal(size=(100, 32, 32)).astype(np.float32)
    methods = ready({"a": Blur(1), "b": Blur(3)})
    lines = compare.compare(methods, stack_of(white, tmp_path), np.arange(100), "white", 100)
    assert compare.recommendation(lines).startswith("Recommended: none, since nothing")


def test_none_is_recommended_where_a_flat_image_would_be_nearer(phantom, tmp_path):
    """The images as they are agree with the particles, and are mostly noise."""
    noisy = phantom.images("train", Gaussian(0.3), 0).noisy()
    lines = compare.compare(ready({"as it is": Blur(0)}), stack_of(noisy, tmp_path), np.arange(300), "white", 300)
    assert compare.trusted(lines[0]) and "flat" in compare.recommendation(lines)


def test_two_that_do_the_same_are_both_named(phantom, tmp_path):
    noisy = phantom.images("train", Gaussian(0.3), 0).noisy()
    methods = ready({"one": Blur(1.5), "other": Blur(1.5), "worse": Blur(5)})
    lines = compare.compare(methods, stack_of(noisy, tmp_path), np.arange(300), "white", 200)
    text = compare.recommendation(lines)
    assert "other does not lose significantly more" in text and "worse" not in text


def test_the_verb_on_a_stack(cli, phantom, tmp_path, monkeypatch):
    noisy, feet = phantom.images("train", Gaussian(0.3), 0).noisy(), []
    monkeypatch.setattr(figure, "note", lambda sheet, words: feet.append(words))
    stack_of(noisy, tmp_path)
    status, out, err = cli("compare", "x.mrcs", "method=noisy,nlm", "--number", "100", "-o", "c.png")
    assert status == 0 and out.startswith("Recommended: ") and "| nlm |" in out and "nlm (2 of 2)" in err, err
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG" and feet[0].startswith(f"x.mrcs, {noisy.shape[-1]} px")
    status, out, err = cli("compare", "x.mrcs", "method=gan,nlm", "-o", "d.png", "--number", "50")
    assert status == 1 and "gan failed: method=gan has to be trained" in err and "| nlm |" in out
    for arguments, words in (
        (("x.mrcs", "-o", "e.png"), "method=cwf,nlm,bm3d"),
        (("x.mrcs", "method=nlm", "-o", "c.png"), "--force"),
        (("x.mrcs", "method=nlm", "-o", "c.pdf"), ".png"),
        (("x.mrcs", "method=nlm,cwf", "method.patch=3", "-o", "e.png"), "cwf: unknown key method.patch"),
        (("x.mrcs", "method=nlm,cwf", "metod.h=3", "-o", "e.png"), "nlm: unknown key metod.h"),
        (("x.mrcs", "method=nlm,cwff", "-o", "e.png"), "cwff"),
    ):
        status, _, err = cli("compare", *arguments)
        assert status == 2 and words in err and len(err.strip().splitlines()) == 1, err


@needs(GAN, "git lfs, or a whole checkout, has it")
def test_a_file_is_called_by_its_title_and_two_of_one_title_by_their_names_too(cli, phantom, tmp_path):
    stack_of(phantom.images("train", Gaussian(0.3), 0).noisy()[:20], tmp_path)
    shutil.copy(GAN, tmp_path / "model.safetensors")
    shutil.copy(GAN, tmp_path / "again.safetensors")
    title = from_file(GAN, []).title
    assert list(compare.models([], [], ["model.safetensors"])) == [title] and "GAN" in title
    both = list(compare.models(["nlm"], [], ["model.safetensors", "again.safetensors"]))
    assert both == ["nlm", f"{title} (model.safetensors)", f"{title} (again.safetensors)"]
    status, out, err = cli("compare", "x.mrcs", "--model", "model.safetensors", "-o", "c.png")
    assert status == 0 and f"| {title} |" in out and f"{title} (1 of 1)" in err, err
    assert "32 px are resampled to 64 px, as in training, and back\n" in err, "nothing is lost where images get larger"
    (tmp_path / "none.safetensors").write_bytes(b"x")
    status, out, err = cli("compare", "x.mrcs", "method=nlm", "--model", "none.safetensors", "-o", "d.png")
    assert status == 2 and not out and "written by cryobench export, got none.safetensors" in err, err
    assert len(err.strip().splitlines()) == 1, "before any work"


def test_a_run_in_the_place_of_a_setting_is_told_how_it_is_compared(cli, phantom, tmp_path):
    stack_of(phantom.images("train", Gaussian(0.3), 0).noisy()[:20], tmp_path)
    for words in (("--run", "gan-5afb16153176"), ("gan-5afb16153176", "method=nlm")):
        status, out, err = cli("compare", "x.mrcs", *words)
        assert status == 2 and not out and len(err.strip().splitlines()) == 1, err
        assert "cryobench export gan-5afb16153176 -o net.safetensors, then --model net.safetensors" in err


def test_options_of_the_other_kind_of_comparison_are_refused_all_at_once(cli, tmp_path):
    words = ("--model", "no.safetensors", "--contrast", "purple", "--images", "1-99999", "--number", "200", "--force")
    status, _, err = cli("compare", "data=phantom", "scale=smoke", "--no-run", *words)
    assert status == 2 and err.count("\n") == 1 and "without a stack" in err
    assert all(word in err for word in words if word.startswith("--")) and "--no-run" not in err
    status, _, err = cli("compare", "--tasks", "--skip-bad")
    assert status == 2 and "an option of the other kind: --skip-bad\n" in err
    status, _, err = cli("compare", "no.star", "method=nlm", "--tasks", "--no-run", "--results", "elsewhere", "--force")
    assert status == 2 and err.count("\n") == 1 and "options for a stack with no.star" in err
    assert all(word in err for word in ("--tasks", "--no-run", "--results")) and "--force" not in err


def test_what_columns_mean_stands_behind_the_table(phantom, tmp_path):
    noisy = phantom.images("train", Gaussian(0.3), 0).noisy()
    lines = compare.compare(ready({"blur": Blur(1.5)}), stack_of(noisy, tmp_path), np.arange(300), "white", 100)
    table, meaning = compare.to_markdown(lines).rsplit("\n\n", 1)
    head = next(line for line in table.splitlines() if line.startswith("| method"))
    for column in (cell.strip().partition(" (")[0] for cell in head.strip("|").split("|")):
        assert column == "method" or column in meaning.lower(), column


@pytest.mark.parametrize(
    ("pixel_size", "size", "words"),
    [
        (3.0, 64, ": detail finer than 18.8 Å is lost"),
        (None, 64, ": detail finer than 6.25 px is lost"),
        (3.0, 200, ""),
        (3.0, 300, ""),
    ],
)
def test_detail_is_lost_only_where_images_become_smaller(pixel_size, size, words):
    """200 px resampled to 64 px hold what lies below the Nyquist frequency of 64 px: twice 200/64 old pixels."""
    assert lost_detail(SimpleNamespace(size=200, pixel_size=pixel_size), size) == words


def test_a_method_that_is_done_is_said_before_the_next_one_begins(phantom, tmp_path):
    noisy, said, before = phantom.images("train", Gaussian(0.3), 0).noisy(), [], []

    def second():
        before.extend(said)
        return ready({"second": Blur(0.5)})["second"]()

    methods = {**ready({"first": Blur(1.5)}), "second": second}
    compare.compare(methods, stack_of(noisy, tmp_path), np.arange(300), "white", 100, said.append)
    done = r"first: yes, to [\d.]+ Å; lost \d+ ± \d+ %; \d+ s; 1 left"
    assert any(re.fullmatch(done, text) for text in before), before
    assert re.fullmatch(r"second: (yes, to [\d.]+ Å|no); lost \d+ ± \d+ %; \d+ s", said[-1]), said


def test_what_is_done_is_said_where_it_is_stopped_and_that_it_begins_anew(cli, phantom, tmp_path, monkeypatch):
    """Of two methods the first is done when SIGTERM or Ctrl-C comes, of which the second makes an error of its own."""
    stack_of(phantom.images("train", Gaussian(0.3), 0).noisy(), tmp_path)
    ask = compare.ask
    for stop, status in ((Stopped, 143), (KeyboardInterrupt, 130)):

        def asked(model, *rest, stop=stop):
            if model.name == "nlm":
                try:
                    raise stop
                finally:
                    raise RuntimeError("cannot join thread before it is started")
            return ask(model, *rest)

        monkeypatch.setattr(compare, "ask", asked)
        got, out, err = cli("compare", "x.mrcs", "method=noisy,nlm", "--number", "50", "-o", "c.png")
        lines = err.strip().splitlines()
        assert got == status and not out and any(line.startswith("noisy: ") for line in lines), err
        assert lines[-1].endswith("; the same command begins anew") and not list(tmp_path.glob("*c.png*"))
