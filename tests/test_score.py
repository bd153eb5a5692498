"""Images that were denoised elsewhere: what a stranger's tool is given, what is refused, and that its row is that of a run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryobench.cli.main import main
from cryobench.errors import InputError, Note
from cryobench.evaluation.order import TURNED, check_order
from cryobench.methods.given import TITLE, Given
from cryobench.runs import outside
from cryobench.runs.denoising import Images
from cryobench.runs.store import Store
from cryobench.tables import frame

SMALL = ("data.n_train=30", "data.n_test=12")
# A script that imports nothing of ours, as somebody would write it.
STRANGER = """
import json, mrcfile
from scipy.ndimage import gaussian_filter
about = json.load(open("ds/data.json"))
noisy = mrcfile.read("ds/test.mrcs")
assert noisy.shape == (about["images"], about["image_size"], about["image_size"])
mrcfile.write("denoised.mrcs", gaussian_filter(noisy, (0, 1.5, 1.5)))
"""
BLUR = """
from dataclasses import dataclass
from scipy.ndimage import gaussian_filter
from cryobench.methods.base import Denoiser

@dataclass
class Blur(Denoiser):
    width: float = 1.5
    def denoise(self, noisy):
        return gaussian_filter(noisy, (0, self.width, self.width))
"""


@pytest.fixture(scope="module")
def written(cache, tmp_path_factory):
    """A folder with noisy test images, written by the verb data, and what they are."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYOBENCH_CACHE", str(cache))
        patch.setattr(sys, "path", list(sys.path))
        patch.chdir(folder)
        assert main(["data", *SMALL, "noise.snr=0.2", "--noisy", "-o", "ds"]) == 0
    return folder / "ds"


@pytest.fixture
def ds(cli, written, tmp_path):
    """A copy of it where one stands."""
    return shutil.copytree(written, tmp_path / "ds")


def denoise(folder, change=lambda images: images, name="denoised.mrcs"):
    noisy = mrcfile.read(folder / "test.mrcs")
    mrcfile.write(
        folder.parent / name, change(gaussian_filter(noisy, (0, 1.5, 1.5))).astype(np.float32), overwrite=True
    )
    return name


def test_a_strangers_row_is_that_of_the_same_filter_run_as_a_method(cli, tmp_path, ds):
    subprocess.run([sys.executable, "-c", STRANGER], cwd=tmp_path, check=True)
    status, out, err = cli(
        "score", "denoised.mrcs", "--data", "ds", "--name", "My tool", "--used", "sigma", "--results", "r"
    )
    assert status == 0 and "My tool" in out, err
    command = re.search("beside other methods: python -m cryobench (.*)", out)[1]
    (tmp_path / "mine_scored.py").write_text(BLUR)
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "blur.yaml").write_text("name: blur\n_target_: mine_scored.Blur\nwidth: 1.5\n")
    assert cli("--config-dir", "conf", "method=blur", *SMALL, "noise.snr=0.2", "paths.results=r")[0] == 0
    given, own = (
        next(r for r in Store(tmp_path / "r").all() if r.name("method") == name) for name in ("given", "blur")
    )
    for kind in ("metrics", "noisy_metrics"):
        for name, value in getattr(own, kind).items():
            assert getattr(given, kind)[name] == pytest.approx(value, rel=1e-6), name
    for name, values in own.per_image.items():
        np.testing.assert_allclose(given.per_image[name], values, rtol=1e-6)
    assert given.data == own.data and given.analysis == own.analysis and given.realised_snr == own.realised_snr
    assert given.side_information == ["sigma"] and given.images_per_s is None
    # compare shows it, marked; so do Table 2 and the report with its gallery.
    status, out, err = cli("--config-dir", "conf", "compare", *SMALL, "noise.snr=0.2", "--results", "r", "--no-run")
    assert status == 0 and "| My tool (given from outside, told sigma) |" in out
    assert "noise.snr=0.2" in command and command.endswith("--results r")
    status, out, err = cli("--config-dir", "conf", *shlex.split(command), "--no-run")
    assert status == 0 and "| My tool (given from outside, told sigma) |" in out and "| blur |" in out, err
    runs = frame.frame(Store(tmp_path / "r").all())
    assert list(frame.outside(runs)) == ["My tool (given from outside, told sigma)"]


def test_table_2_and_the_gallery_have_a_row_for_it(cli, tmp_path):
    status, out, _ = cli("data", *SMALL, "--noisy", "-o", "ds")
    files = sorted(path.name for path in Path("ds").iterdir())
    assert status == 0 and {"README.txt", "data.json", "test.mrcs", "test.star", "conformation_1.mrc"} <= set(files)
    assert f"written: ds ({', '.join(files)})" in out
    denoise(tmp_path / "ds")
    assert cli("score", "denoised.mrcs", "--data", "ds", "--name", "My tool")[0] == 0
    assert cli("method=noisy", *SMALL)[0] == 0
    _, out, _ = cli("table", "2", "--results", "results/phantom-quick")
    row = next(line for line in out.splitlines() if line.startswith("| My tool (given from outside) |"))
    (record,) = (r for r in Store(tmp_path / "results" / "phantom-quick").all() if r.given)
    mantissa, power = f"{record.mean('mse'):.2e}".split("e")
    assert f"{mantissa}e{int(power)}" in row
    assert "My tool (given from outside)" in (tmp_path / "results/phantom-quick/tables/table2.tex").read_text("utf-8")
    assert cli("report", "--results", "results/phantom-quick")[0] == 0
    page = (tmp_path / "results/phantom-quick/report.html").read_text("utf-8")
    assert '"name":"My tool (given from outside)"' in page, "in the gallery"


def test_what_a_tool_may_need_stands_beside_the_stack(cli, ds):
    about = json.loads((ds / "data.json").read_text(encoding="utf-8"))
    images = mrcfile.read(ds / "test.mrcs")
    assert (about["images"], about["image_size"], about["snr"]) == (12, 32, 0.2) and about["pixel_size"] == 6.4
    assert "/" not in json.dumps(about["config"]), "folders of one machine"
    # The noise has the deviation that it says: against the clean images, which the same command writes without --noisy.
    assert cli("data", *SMALL, "noise.snr=0.2", "-o", "clean")[0] == 0
    noise = images - mrcfile.read(ds.parent / "clean" / "test.mrcs")
    np.testing.assert_allclose(noise.std(axis=(1, 2)), about["sigma"], rtol=0.1)
    import hashlib

    assert hashlib.sha256(images.astype("<f4").tobytes()).hexdigest() == about["sha256"]
    status, _, err = cli("score", "clean/test.mrcs", "--data", "clean", "--name", "x")
    assert status == 2 and "expected noisy test images" in err and "noisy False" in err


def test_the_same_images_are_scored_once_and_others_need_another_name(cli, tmp_path, ds):
    denoise(ds)
    words = ("score", "denoised.mrcs", "--data", "ds", "--name", "My tool", "--results", "r")
    assert cli(*words)[0] == 0
    (record,) = (tmp_path / "r" / "runs").glob("[!.]*/record.json")
    before = record.read_bytes()
    status, out, _ = cli(*words)
    assert status == 0 and "scored before" in out and record.read_bytes() == before
    denoise(ds, lambda images: images * 0.9)
    status, _, err = cli(*words)
    assert status == 2 and "expected a name that has no other images here, got My tool" in err
    assert record.read_bytes() == before
    assert cli(*words, "--force")[0] == 0 and record.read_bytes() != before


def wrong_stacks() -> dict:
    return {
        "fewer": (lambda x: x[:-1], "expected 12 images of 32 × 32 px, as in ds, got 11"),
        "smaller": (lambda x: x[:, 4:-4, 4:-4], "got 12 of 24 × 24"),
        "reversed": (lambda x: x[::-1], "expected the order of the noisy images, got another: 1 of yours fits 12"),
        "shifted": (lambda x: np.roll(x, 1, axis=0), "expected the order of the noisy images"),
        "three": (
            lambda x: x[[0, 5, 2, 3, 4, 9, 6, 7, 8, 1, 10, 11]],
            "2 of yours fits 6, 6 of yours fits 10, 10 of yours fits 2",
        ),
        "inverted": (lambda x: 1 - x, "expected images that lie as the noisy ones do, got them of inverted contrast"),
        "mirrored": (lambda x: x[:, :, ::-1], "got them mirrored left to right"),
        "transposed": (lambda x: x.swapaxes(1, 2), "got them transposed (rows for columns)"),
        "not finite": (
            lambda x: np.where(np.arange(12)[:, None, None] == 4, np.nan, x),
            "image 5; make its pixels finite, or put the noisy image there, since all 12",
        ),
    }


@pytest.mark.parametrize(("change", "expected"), wrong_stacks().values(), ids=wrong_stacks())
def test_a_stack_that_is_not_of_these_images_is_refused(cli, tmp_path, ds, change, expected):
    denoise(ds, change)
    status, _, err = cli("score", "denoised.mrcs", "--data", "ds", "--name", "My tool", "--results", "r")
    assert status == 2 and expected in err and err.count("\n") == 1, err
    assert not list((tmp_path / "r").glob("runs/[!.]*"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda noisy: noisy, False),
        (lambda noisy: gaussian_filter(noisy, (0, 1, 1)), False),
        (lambda noisy: 0.9 * gaussian_filter(noisy, (0, 2, 2)) + 0.01, False),
        (lambda noisy: (noisy - noisy.mean()) / noisy.std(), True),
        (lambda noisy: 255 * gaussian_filter(noisy, (0, 1.5, 1.5)), True),
        (lambda noisy: gaussian_filter(noisy, (0, 1.5, 1.5)) + 1, True),
        (lambda noisy: 0.2 * gaussian_filter(noisy, (0, 2, 2)), True),
    ],
    ids=["noisy", "denoised", "nearly", "normalised noisy", "8 bits", "shifted", "darker"],
)
def test_a_grey_scale_that_fits_is_not_doubted(ds, tmp_path, change, told):
    noisy = mrcfile.read(ds / "test.mrcs")
    clean = Images.of(outside.config_of(outside.read_about(ds), "x", [], [], "x")).clean
    assert bool(outside.scale_lost(clean, change(noisy))) is told


def change_about(folder, change) -> None:
    about = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    change(about)
    (folder / "data.json").write_text(json.dumps(about), encoding="utf-8")


def test_a_data_set_is_known_by_its_content(cli, tmp_path, ds):
    denoise(ds)
    words = ("score", "denoised.mrcs", "--name", "My tool", "--results", "r")
    shutil.copytree(ds, tmp_path / "other")
    change_about(tmp_path / "other", lambda about: about["config"]["noise"].update(snr=0.1))  # easier than it was
    status, _, err = cli(*words, "--data", "other")
    assert status == 2 and "expected the images that the settings in other/data.json give, got others" in err
    shutil.copytree(ds, tmp_path / "drawn")
    with mrcfile.open(tmp_path / "drawn" / "test.mrcs", "r+") as file:
        file.data[3, 5, 5] += 1
    status, _, err = cli(*words, "--data", "drawn")
    assert status == 2 and "expected the images that were written, got others in drawn/test.mrcs" in err
    # Rounding of another machine is none of that: a stack whose pixels differ in their last digits, with its own digest.
    shutil.copytree(ds, tmp_path / "rounded")
    with mrcfile.open(tmp_path / "rounded" / "test.mrcs", "r+") as file:
        file.data[...] = np.nextafter(file.data, np.float32(9))
        changed = np.array(file.data)
    import hashlib

    change_about(tmp_path / "rounded", lambda about: about.update(sha256=hashlib.sha256(changed.tobytes()).hexdigest()))
    assert cli(*words, "--data", "rounded")[0] == 0
    (ds / "test.mrcs").unlink()  # not needed once it is denoised
    assert cli(*words, "--data", "ds")[0] == 0


def test_a_lost_grey_scale_and_an_order_that_cannot_be_known_are_said(cli, ds):
    denoise(ds, lambda images: (images - images.mean()) / images.std())
    status, _, err = cli("score", "denoised.mrcs", "--data", "ds", "--name", "Normalised", "--results", "r")
    assert status == 0 and "does the tool normalise images? Bring them to the grey scale of the noisy images" in err
    named = re.search(r"with --force; or remove (\S+), which every comparison shows", err)[1]
    assert (Path(named) / "record.json").is_file()
    denoise(ds, lambda images: np.tile(images.mean(axis=0), (12, 1, 1)))
    status, _, err = cli("score", "denoised.mrcs", "--data", "ds", "--name", "Mean", "--results", "r")
    assert status == 0 and "their order could not be checked" in err


def test_the_order_is_found_whatever_the_noise_and_never_by_chance():
    """Images of pure noise that has nothing to do with the noisy ones are in no order, so none may be found."""
    rng = np.random.default_rng(0)
    clean = gaussian_filter(rng.normal(size=(40, 32, 32)), (0, 3, 3))
    noisy = clean + rng.normal(size=clean.shape) * clean.std() * np.sqrt(10)
    blurred = gaussian_filter(noisy, (0, 2, 2))
    check_order(noisy, blurred, clean, "in order")
    for order in (rng.permutation(40), np.roll(np.arange(40), 1)):
        with pytest.raises(InputError, match="got another"):
            check_order(noisy, blurred[order], clean, "shuffled")
    for seed in range(1, 21):  # 0 made the images
        with pytest.warns(Note, match="could not be checked"):
            check_order(noisy, np.random.default_rng(seed).normal(size=noisy.shape), clean, "unrelated")


@pytest.mark.parametrize("snr", [1.0, 0.1])
def test_single_images_out_of_order_are_named_and_none_where_all_are_in_theirs(snr):
    """Of a filter that keeps some of the noise, of the clean images, which keep none, and of the noisy ones."""
    rng = np.random.default_rng(1)
    clean = gaussian_filter(rng.normal(size=(200, 32, 32)), (0, 3, 3))
    noisy = clean + rng.normal(size=clean.shape) * clean.std() / np.sqrt(snr)
    blurred = gaussian_filter(noisy, (0, 2, 2))
    for denoised in (blurred, clean, noisy):
        with warnings.catch_warnings():
            warnings.simplefilter("error", Note)
            check_order(noisy, denoised, clean, "in order")
    order = np.arange(200)
    order[[3, 150]] = order[[150, 3]]
    for denoised in (blurred, clean, noisy):
        with pytest.raises(InputError, match=r"got another: 4 of yours fits 151, 151 of yours fits 4, … \(2 of 200\)"):
            check_order(noisy, denoised[order], clean, "swapped")
    order[100:] = rng.permutation(order[100:])
    with pytest.raises(InputError, match="got another"):
        check_order(noisy, blurred[order], clean, "half shuffled")


def test_images_that_are_turned_or_inverted_are_called_so():
    rng = np.random.default_rng(2)
    clean = gaussian_filter(rng.normal(size=(40, 32, 32)), (0, 3, 3))
    noisy = clean + rng.normal(size=clean.shape) * clean.std() * np.sqrt(10)
    blurred = gaussian_filter(noisy, (0, 2, 2))
    for name, turn in TURNED:
        for sign, contrast in ((1, ""), (-1, "of inverted contrast")):
            got = " and ".join(filter(None, (name, contrast)))
            if got:
                with pytest.raises(InputError, match=re.escape(f"got them {got}; undo")):
                    check_order(noisy, sign * turn(blurred), clean, "turned")


@pytest.mark.parametrize(
    "title", ["", " x", "a|b", "a_b", "<b>", "50 %", "\\input{x}", "x\ny", "${oc.env:HOME}", "x" * 61, "../x"]
)
def test_a_name_can_stand_in_any_table(title):
    if title == "../x":  # harmless: it is no part of a path
        assert TITLE.fullmatch("a/b (v1.2+c), d-e: f")
        return
    with pytest.raises(InputError, match="--name"):
        Given(title)


def test_words_for_what_was_used_are_those_of_a_denoiser(cli, ds):
    denoise(ds)
    status, _, err = cli("score", "denoised.mrcs", "--data", "ds", "--name", "x", "--used", "sigma,clena,sgima")
    assert status == 2 and "got clena, sgima" in err and err.count("\n") == 1


POISON = {
    "a class": lambda c: c["data"].update(_target_="subprocess.Popen", args=["touch", "pwned"]),
    "a module": lambda c: c["noise"].update(name="evil", _target_="evil.Thing"),
    "a reference": lambda c: c["noise"].update(snr="${oc.env:HOME}"),
    "a path for a name": lambda c: c["scale"].update(name="../../out"),
    "no number": lambda c: c["protocol"].update(ssim_range="x"),
    "no mapping": lambda c: c.update(data=3),
    "another task": lambda c: c.update(task={"name": "robust_rates"}),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_data_json_from_elsewhere_runs_nothing(cli, tmp_path, ds, poison):
    (tmp_path / "evil.py").write_text("open('pwned', 'w')\nclass Thing: pass\n")
    denoise(ds)
    change_about(ds, lambda about: poison(about["config"]))
    status, _, err = cli("score", "denoised.mrcs", "--data", "ds", "--name", "x", "--results", "r")
    assert not (tmp_path / "pwned").exists()
    assert status == 2 and err.count("\n") == 1, err


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', "\x00"])
def test_a_folder_that_is_none_of_ours_is_told(cli, tmp_path, content):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.json").write_text(content)
    status, _, err = cli("score", "x.mrcs", "--data", "other", "--name", "x")
    assert status == 2 and "--data: expected a folder that `python -m cryobench data" in err and err.count("\n") == 1
    status, _, err = cli("score", "x.mrcs", "--data", "nowhere", "--name", "x")
    assert status == 2 and "nowhere/data.json" in err


def test_what_was_given_cannot_be_run_again(cli, tmp_path, ds):
    denoise(ds)
    assert cli("score", "denoised.mrcs", "--data", "ds", "--name", "x", "--results", "r")[0] == 0
    (name,) = (p.name for p in (tmp_path / "r" / "runs").glob("[!.]*"))
    status, _, err = cli("denoise", "ds/test.mrcs", "--run", name, "--results", "r", "-o", "out.mrcs")
    assert status == 2 and "there is nothing here to run" in err.splitlines()[-1] and "Traceback" not in err
