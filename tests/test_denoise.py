"""A stack in, a denoised stack out: order, size, scale and header kept, whatever the size, and nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
from conftest import ASPIRE, PATIENCE, SHARED, TINY, needs

from cryobench import figure
from cryobench.config.compose import compose, resolve
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.methods.posterior.abinitio import AbInitio
from cryobench.noise.background import border_sigma
from cryobench.noise.ctf import through
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope
from cryobench.particles.export import export_weights
from cryobench.particles.model import from_run

REAL = SHARED / "particles"
PIXEL = 6.4


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """A tiny autoencoder's results folder, its run id, and its exported file."""
    from cryobench.cli.main import main

    results = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))  # main() puts the folder there
        patch.setenv("CRYOBENCH_CACHE", str(cache))
        assert main(["method=autoencoder", f"paths.results={results}", f"paths.cache={cache}", *TINY]) == 0
        (folder,) = (results / "runs").glob("[!.]*")
        assert main(["export", folder.name, "--results", str(results), "-o", str(results / "model.safetensors")]) == 0
    return results, folder.name, results / "model.safetensors"


@pytest.fixture(scope="module")
def images(cache):
    """Noisy images of the phantom, (24, 32, 32), and clean ones."""
    test = open_pairs(Phantom(image_size=32, n_train=24, n_test=1), cache).images("train", Gaussian(0.1), 3)
    return test.noisy(), test.clean()


def write(path, data, *, volume=False, labels=(), pixel=PIXEL):
    with mrcfile.new(path, data, overwrite=True) as file:
        (file.set_volume if volume else file.set_image_stack)()
        file.voxel_size = pixel
        for label in labels:
            file.add_label(label)
        file.header.origin.x = 3.5
    return path


def test_a_run_denoises_a_stack_whose_scale_and_header_stay(cli, images, trained, tmp_path):
    """The gain and level of each image are its own: images·a + b come out as denoised·a + b."""
    results, run, _ = trained
    noisy, clean = images
    write(tmp_path / "in.mrcs", noisy, volume=True, labels=["made by a test"])
    write(tmp_path / "other.mrcs", np.float32(7 * noisy - 40))
    for name in ("in", "other"):
        status, out, err = cli(
            "denoise", f"{name}.mrcs", "--run", run, "--results", str(results), "-o", f"{name}-out.mrcs"
        )
        assert status == 0 and f"written: {name}-out.mrcs" in out, err
    first, second = mrcfile.read("in-out.mrcs"), mrcfile.read("other-out.mrcs")
    np.testing.assert_allclose((second + 40) / 7, first, atol=1e-4)
    assert ((first - clean) ** 2).mean() < 0.5 * ((noisy - clean) ** 2).mean()
    assert mrcfile.validate("in-out.mrcs")
    with mrcfile.open("in-out.mrcs") as file:
        assert file.is_volume() and float(file.voxel_size.x) == pytest.approx(PIXEL) and file.header.origin.x == 3.5
        assert any("made by a test" in label for label in file.get_labels())
        assert file.header.dmax == first.max() and file.header.dmean == pytest.approx(first.mean(), abs=1e-5)
    with mrcfile.open("other-out.mrcs") as file:
        assert file.is_image_stack()
    assert not list(tmp_path.glob(".*"))


def test_an_exported_file_does_the_same_as_its_run(cli, images, trained, tmp_path):
    results, run, model = trained
    write(tmp_path / "in.mrcs", images[0])
    assert cli("denoise", "in.mrcs", "--run", run, "--results", str(results), "-o", "a.mrcs")[0] == 0
    assert cli("denoise", "in.mrcs", "--model", str(model), "-o", "b.mrcs")[0] == 0
    np.testing.assert_array_equal(mrcfile.read("a.mrcs"), mrcfile.read("b.mrcs"))
    assert cli("export", run, "--results", str(results), "-o", str(model))[0] == 2, "never written over"


def test_an_exported_file_holds_no_folder_of_the_machine_that_wrote_it(trained, tmp_path):
    results, run, _ = trained
    made = from_run(run, results, [])
    made.config["data"]["data_dir"] = "/private/structures"
    made.config["paths"]["cache"] = "/private/cache"
    file = export_weights(made, tmp_path / "out.safetensors", force=False)
    assert b"/private" not in file.read_bytes()


def test_a_star_file_of_several_stacks_in_the_projects_folders(cli, images, trained, tmp_path):
    """RELION's way: paths relative to the project, the star file in a folder of it; names with spaces and umlauts."""
    noisy, _ = images
    (tmp_path / "Extract" / "job 007").mkdir(parents=True)
    (tmp_path / "Refine").mkdir()
    write(tmp_path / "Extract" / "job 007" / "eins.mrcs", noisy[:10])
    write(tmp_path / "Extract" / "job 007" / "zwölf.mrcs", noisy[10:])
    order = np.random.default_rng(0).permutation(24)
    names = [
        f"{i + 1:06d}@Extract/job 007/eins.mrcs" if i < 10 else f"{i - 9:06d}@Extract/job 007/zwölf.mrcs" for i in order
    ]
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnImagePixelSize": [PIXEL], "rlnNote": ["a b"]})
    table = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1, "rlnAngleRot": np.arange(24.0)})
    starfile.write({"optics": optics, "particles": table}, tmp_path / "Refine" / "run data.star")
    status, out, err = cli(
        "denoise", "Refine/run data.star", "--model", str(trained[2]), "-o", "out.mrcs", "--images", "3-5,20"
    )
    assert status == 0 and "written: out.star" in out, err
    blocks = starfile.read(tmp_path / "out.star")
    assert list(blocks["particles"].rlnImageName) == [f"{i:06d}@out.mrcs" for i in range(1, 5)]
    assert list(blocks["particles"].rlnAngleRot) == [2, 3, 4, 19] and blocks["optics"].rlnNote[0] == "a b"
    write(tmp_path / "straight.mrcs", noisy[order[[2, 3, 4, 19]]])
    cli("denoise", "straight.mrcs", "--model", str(trained[2]), "-o", "straight-out.mrcs")
    np.testing.assert_array_equal(mrcfile.read("straight-out.mrcs"), mrcfile.read("out.mrcs"))


@pytest.mark.parametrize("method", ["cwf", "nlm", "ksvd"])
def test_a_method_without_training_is_fitted_on_the_stack(cli, images, tmp_path, method):
    noisy, clean = images
    write(tmp_path / "in.mrcs", np.float32(50 * noisy + 8))
    status, _, err = cli("denoise", "in.mrcs", f"method={method}", "-o", "out.mrcs")
    assert status == 0, err
    denoised = (mrcfile.read("out.mrcs") - 8) / 50
    assert ((denoised - clean) ** 2).mean() < 0.5 * ((noisy - clean) ** 2).mean()


METHODS = sorted(p.stem for p in (Path(__file__).parents[1] / "conf" / "method").glob("[!_]*.yaml"))
REFUSED = "has to be trained", "needs the clean image itself", "expected a .star or .cs file", "pip install"


@pytest.mark.trains
@pytest.mark.parametrize("name", METHODS)
def test_each_method_takes_a_stack_or_is_refused_in_one_line(cli, images, tmp_path, name):
    """Told the true σ and spectrum in its settings, which a stack has not, it goes by the corners of the images."""
    settings = resolve(compose([f"method={name}"]))["method"]
    known = [f"method.{key}=known" for key in ("sigma", "whiten") if key in settings]
    quick = [word for word in ("method.starts=1", "method.max_draws=256") if word[7:].partition("=")[0] in settings]
    write(tmp_path / "in.mrcs", images[0][:8])
    status, _, err = cli("denoise", "in.mrcs", f"method={name}", "scale=smoke", *known, *quick, "-o", "out.mrcs")
    assert "Traceback" not in err
    if status == 0:
        assert np.isfinite(mrcfile.read("out.mrcs")).all()
    else:
        assert status == 2 and any(words in err for words in REFUSED), err
        assert len(err.strip().splitlines()) == 1 and not (tmp_path / "out.mrcs").exists(), err


@pytest.mark.trains
def test_the_limit_is_told_the_sigma_of_the_corners(cli, images, tmp_path):
    """`bayes` has no setting for σ: it denoises well as soon as it is told one, by `denoise` and by `trust`."""
    noisy, clean = images
    write(tmp_path / "in.mrcs", noisy)
    quick = ("method=bayes", "scale=smoke", "method.max_draws=256")
    status, _, err = cli("denoise", "in.mrcs", *quick, "-o", "out.mrcs")
    assert status == 0, err
    assert ((mrcfile.read("out.mrcs") - clean) ** 2).mean() < 0.25 * ((noisy - clean) ** 2).mean()
    status, out, err = cli("trust", "in.mrcs", *quick, "-o", "out.png", "--number", "6")
    assert status == 0 and out.startswith(("Yes: ", "No: ")), err


OWN = """
import numpy as np
from cryobench.methods.base import Denoiser


class Told(Denoiser):
    side_information = frozenset({told})

    def fit(self, train):
        self.level = train.sigma() if "sigma" in self.side_information else train.spectrum()

    def denoise(self, noisy, **hints):
        assert np.allclose(self.level, hints["sigma"])
        return noisy / hints["sigma"][:, None, None].astype(np.float32)
"""


@pytest.mark.parametrize("told", ["sigma", "spectrum"])
def test_a_method_of_ones_own_is_told_sigma_by_the_corners_and_no_spectrum(cli, images, tmp_path, monkeypatch, told):
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "told.yaml").write_text("name: told\n_target_: told.Told\n")
    (tmp_path / "told.py").write_text(OWN.replace("{told}", '{"' + told + '"}'))
    write(tmp_path / "in.mrcs", images[0] * np.arange(1, 25, dtype=np.float32)[:, None, None])
    try:
        status, _, err = cli("denoise", "in.mrcs", "--config-dir", "conf", "method=told", "-o", "out.mrcs")
    finally:
        sys.modules.pop("told", None)
    if told == "spectrum":
        assert status == 2 and "true power spectrum of the noise" in err and len(err.strip().splitlines()) == 1, err
        return
    assert status == 0, err
    corners = border_sigma(mrcfile.read("in.mrcs"))
    np.testing.assert_allclose(border_sigma(mrcfile.read("out.mrcs")), corners, rtol=1e-4)


def test_another_size_is_resampled_and_said(cli, images, trained, tmp_path):
    from cryobench.data.io.stack import resample

    noisy, clean = images
    write(tmp_path / "in.mrcs", resample(noisy, 50), pixel=PIXEL * 32 / 50)
    status, _, err = cli("denoise", "in.mrcs", "--model", str(trained[2]), "-o", "out.mrcs")
    assert status == 0 and "50 px are resampled to 32 px" in err and "Å/px" not in err
    out = mrcfile.read("out.mrcs")
    assert out.shape == (24, 50, 50)
    assert ((resample(out, 32) - clean) ** 2).mean() < 0.5 * ((noisy - clean) ** 2).mean()


def test_dark_molecules_come_back_dark(cli, images, trained, tmp_path):
    noisy, _ = images
    write(tmp_path / "in.mrcs", noisy)
    write(tmp_path / "dark.mrcs", -noisy)
    cli("denoise", "in.mrcs", "--model", str(trained[2]), "-o", "a.mrcs")
    cli("denoise", "dark.mrcs", "--model", str(trained[2]), "-o", "b.mrcs", "--contrast", "dark")
    np.testing.assert_allclose(mrcfile.read("b.mrcs"), -mrcfile.read("a.mrcs"), atol=1e-5)


def bad_stacks(folder, noisy):
    """name → (how to make the file, words of the error)"""
    nan = noisy.copy()
    nan[5, 3, 3] = np.nan
    flat = noisy.copy()
    flat[4] = 1

    def cut(path):
        write(path, noisy)
        os.truncate(path, 5000)

    def empty(path):
        write(path, noisy)
        with open(path, "r+b") as file:  # nz = 0, and nothing after the header
            file.seek(8)
            file.write(b"\0\0\0\0")
            file.truncate(1024)

    def mode(path):
        write(path, noisy)
        with open(path, "r+b") as file:
            file.seek(12)
            file.write((77).to_bytes(4, "little"))

    return {
        "missing": (lambda path: None, ["there is none"]),
        "truncated": (cut, ["whole MRC file", "5000 bytes"]),
        "text": (lambda path: path.write_text("no stack at all"), ["whole MRC file"]),
        "mode": (mode, ["whole MRC file", "77"]),
        "complex": (lambda path: mrcfile.write(path, noisy.astype(np.complex64)), ["real numbers", "complex numbers"]),
        "empty": (empty, ["empty stack"]),
        "oblong": (lambda path: write(path, noisy[:, :, :20]), ["square", "20 × 32"]),
        "nan": (lambda path: write(path, nan), ["image 6", "NaN"]),
        "flat": (lambda path: write(path, flat), ["image 5", "--images"]),
    }


@pytest.mark.parametrize("what", ["missing", "truncated", "text", "mode", "complex", "empty", "oblong", "nan", "flat"])
def test_a_bad_stack_is_one_line_and_leaves_nothing(cli, images, trained, tmp_path, what):
    make, words = bad_stacks(tmp_path, images[0])[what]
    make(tmp_path / "bad.mrcs")
    before = sorted(p.name for p in tmp_path.iterdir())
    status, out, err = cli("denoise", "bad.mrcs", "--model", str(trained[2]), "-o", "out.mrcs")
    assert status == 2 and not out and len(err.strip().splitlines()) == 1, err
    for word in words:
        assert word in err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "in.mrcs", "--force"], ["another file than the input"]),
        (["-o", "there.mrcs"], ["there.mrcs, which exists", "--force"]),
        (["-o", "out.png"], [".mrcs"]),
        (["-o", "nowhere/out.mrcs"], ["does not exist"]),
        (["-o", "out.mrcs", "--images", "20-30"], ["within 1 to 24", "20-30"]),
        (["-o", "out.mrcs", "--images", "x"], ["1-200"]),
        (["-o", "out.mrcs", "--contrast", "grey"], ["white or dark"]),
        (["-o", "out.mrcs", "method=cwf"], ["one of --run"]),
    ],
)
def test_a_mistake_on_the_command_line_leaves_all_as_it_was(cli, images, trained, tmp_path, arguments, words):
    write(tmp_path / "in.mrcs", images[0])
    (tmp_path / "there.mrcs").write_text("mine")
    before = (tmp_path / "in.mrcs").read_bytes()
    status, _, err = cli("denoise", "in.mrcs", *arguments, "--model", str(trained[2]))
    assert status == 2 and all(word in err for word in words), err
    assert (tmp_path / "there.mrcs").read_text() == "mine" and (tmp_path / "in.mrcs").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mrcs", "there.mrcs"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "gan-0", "--results", "."], ["--run", "gan-0"]),
        (["--model", "in.mrcs"], ["written by cryobench export"]),
        (["--model", "no.safetensors"], ["--model", "there is none: no.safetensors\n"]),
        (["method=gan"], ["trained", "--run"]),
        (["method=oracle"], ["clean image itself"]),
        (["method=cwff"], ["method", "cwf"]),
        ([], ["one of --run"]),
    ],
)
def test_a_method_that_is_not_there_is_named(cli, images, tmp_path, arguments, words):
    write(tmp_path / "in.mrcs", images[0])
    status, _, err = cli("denoise", "in.mrcs", *arguments, "-o", "out.mrcs")
    assert status == 2 and len(err.strip().splitlines()) == 1 and all(word in err for word in words), err


def test_onnx_computes_the_same(cli, images, trained, tmp_path):
    reference = pytest.importorskip("onnx.reference", reason="onnx is not installed (pip install onnx onnxscript)")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (pip install onnx onnxscript)")
    import torch

    from cryobench.particles.model import from_file

    results, run, model = trained
    status, _, err = cli("export", run, "--results", str(results), "--onnx", "-o", "net.onnx")
    assert status == 0, err
    batch = images[0][:5, None]
    (out,) = reference.ReferenceEvaluator("net.onnx").run(None, {"noisy": batch})
    with torch.no_grad():
        expected = from_file(model, []).method.generator(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.slow
def test_twenty_gibibytes_need_little_memory(images, trained, cache, tmp_path):
    """A sparse file: the first and the last 200 images are there, what is between reads as zeros and is never read."""
    size, n = 256, 81920
    with open(tmp_path / "huge.mrcs", "wb") as file:
        write(tmp_path / "head.mrcs", np.zeros((1, size, size), np.float32))
        file.write((tmp_path / "head.mrcs").read_bytes()[:1024])
        file.seek(8)
        file.write(n.to_bytes(4, "little"))
        block = np.random.default_rng(0).normal(size=(200, size, size)).astype("<f4")
        for start in (0, n - 200):
            file.seek(1024 + 4 * start * size**2)
            file.write(block.tobytes())
    if (tmp_path / "huge.mrcs").stat().st_blocks * 512 > 2**30:
        pytest.skip("no sparse files here (set TMPDIR to a file system that has them, as ext4 or xfs)")
    assert (tmp_path / "huge.mrcs").stat().st_size == 20 * 2**30 + 1024
    # VmHWM is this program's own peak; what getrusage says goes back to the process that it was forked from.
    code = (
        "import sys; from cryobench.cli.main import main; status = main(sys.argv[1:]); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))); sys.exit(status)"
    )
    arguments = ["huge.mrcs", "--model", str(trained[2]), "-o", "out.mrcs", "--images", "1-200,81721-81920"]
    done = subprocess.run(
        [sys.executable, "-c", code, "denoise", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "CRYOBENCH_CACHE": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 2 * 2**20, "KiB"
    with mrcfile.mmap(tmp_path / "out.mrcs") as file:
        assert file.data.shape == (400, size, size)
        np.testing.assert_array_equal(file.data[:200], file.data[200:])


@needs(REAL / "sample.mrcs", f"{ASPIRE}, and sample_particles_relion31.star")
def test_real_particles(cli, trained, tmp_path):
    status, _, err = cli(
        "denoise", str(REAL / "sample_particles_relion31.star"), "--model", str(trained[2]), "-o", "out.mrcs"
    )
    assert status == 0, err
    assert mrcfile.validate("out.mrcs")
    with mrcfile.open("out.mrcs") as out, mrcfile.open(REAL / "sample.mrcs") as before:
        assert out.data.shape == before.data.shape and float(out.voxel_size.x) == pytest.approx(1.4), (
            "as the star file says"
        )
        corners = np.s_[:, :20, :20]  # each image's own level and scale
        assert np.abs(out.data[corners].mean((1, 2)) - before.data[corners].mean((1, 2))).max() < 0.3
    assert list(starfile.read(tmp_path / "out.star")["particles"].rlnImageName)[16] == "000017@out.mrcs"
    assert "are left aside: autoencoder is not told" in err
    written, given = (starfile.read(file) for file in ("out.star", REAL / "sample_particles_relion31.star"))
    kept = [name for name in given["particles"] if name != "rlnImageName"]  # CTF, angles and all
    pd.testing.assert_frame_equal(written["particles"][kept], given["particles"][kept])
    pd.testing.assert_frame_equal(written["optics"], given["optics"])


@pytest.fixture(scope="module")
def defocused(cache, tmp_path_factory):
    """A stack of 300 particles seen through their CTFs, its star file, and the clean images."""
    from cryobench.data.io.relion import write_split

    pairs = open_pairs(Phantom(image_size=32, n_train=300, n_test=1), cache)
    images = pairs.images("train", Microscope(0.5, ctf=True, train=True), 3)
    folder = tmp_path_factory.mktemp("defocused") / "set"
    write_split(folder, pairs, "train", images)
    return folder / "train.star", images.clean(), images.ctf()


def test_images_seen_through_ctfs_are_written_with_them(defocused):
    from cryobench.data.io.star import read_star
    from cryobench.data.listed import ctf_of

    star, _, ctf = defocused
    np.testing.assert_allclose(ctf_of(read_star(star), PIXEL).values, ctf.values, rtol=1e-6)
    assert len(np.unique(ctf.values[:, 0])) > 200


def test_a_method_is_told_of_the_ctf_in_the_star_file_and_it_is_said_what_its_images_are(cli, defocused, tmp_path):
    star, clean, ctf = defocused
    out, said = {}, {}
    for name, extra in (("told", []), ("applied", ["--ctf", "applied"]), ("none", ["--ctf", "none"])):
        status, _, said[name] = cli("denoise", str(star), "method=cwf", "-o", f"{name}.mrcs", *extra)
        assert status == 0, said[name]
        out[name] = mrcfile.read(f"{name}.mrcs")
        written, given = (starfile.read(path)["particles"] for path in (f"{name}.star", star))
        pd.testing.assert_frame_equal(written.drop(columns="rlnImageName"), given.drop(columns="rlnImageName"))
    assert "corrected" in said["told"] and "--ctf applied" in said["told"] and "left aside" in said["none"]
    assert "have it" in said["applied"]

    def distance(images):
        centred = images - images.mean(axis=(1, 2), keepdims=True)
        wanted = clean - clean.mean(axis=(1, 2), keepdims=True)
        return ((centred - wanted) ** 2).sum() / (wanted**2).sum()

    assert distance(out["told"]) < 0.7 * distance(out["none"])
    applied = through(out["told"], ctf.transfer(32))
    for one, other in zip(applied, out["applied"], strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999


def test_ab_initio_is_told_of_the_ctfs_in_the_star_file_in_its_fit_and_after(cli, defocused, tmp_path, monkeypatch):
    star, _, ctf = defocused
    told = []
    monkeypatch.setattr(AbInitio, "fit", lambda self, train: told.append(train.ctf().values))
    monkeypatch.setattr(AbInitio, "denoise", lambda self, noisy, ctf: (told.append(ctf.values), noisy)[1])
    status, _, said = cli("denoise", str(star), "method=abinitio", "--images", "1-20", "-o", "told.mrcs")
    assert status == 0 and "abinitio is told of each image's CTF" in said
    np.testing.assert_allclose(told[0], ctf.values[:20], rtol=1e-6)
    np.testing.assert_allclose(np.concatenate(told[1:]), ctf.values[:20], rtol=1e-6)


def test_a_fit_to_a_stack_that_was_stopped_goes_on(cli, images, tmp_path, monkeypatch):
    write(tmp_path / "in.mrcs", images[0][:40])
    words = ["denoise", "in.mrcs", "method=abinitio", "method.starts=1", "method.largest=16", "-o", "out.mrcs"]
    with monkeypatch.context() as patch:
        save = AbInitio.save
        patch.setattr(AbInitio, "save", lambda self: (save(self), exec("raise KeyboardInterrupt"))[0])
        status, _, err = cli(*words)
    assert err.strip().endswith("the same command goes on where this one stopped"), err
    assert status == 130 and (tmp_path / ".out.mrcs.fit").is_dir() and not (tmp_path / "out.mrcs").exists()
    monkeypatch.setattr(AbInitio, "begin", lambda *_: pytest.fail("began anew"))
    status, _, _ = cli(*words)
    assert status == 0 and (tmp_path / "out.mrcs").is_file()
    assert [path.name for path in tmp_path.glob(".*")] == [], "what was kept for it is gone"


def test_what_cant_be_told_of_the_ctf_is_named(cli, defocused, images, tmp_path):
    star, _, _ = defocused
    status, _, err = cli("denoise", str(star), "method=nlm", "-o", "out.mrcs", "--ctf", "corrected")
    assert status == 2 and "got nlm" in err and "cwf" in err and err.count("\n") == 1
    status, _, err = cli("denoise", str(star), "method=nlm", "-o", "out.mrcs", "--images", "1-4")
    assert status == 0 and "left aside: nlm" in err
    write(tmp_path / "in.mrcs", images[0])
    status, _, err = cli("denoise", "in.mrcs", "method=cwf", "-o", "new.mrcs", "--ctf", "corrected")
    assert status == 2 and "rlnDefocusU" in err and "--ctf none" in err
    status, _, err = cli("denoise", str(star), "method=cwf", "-o", "new.mrcs", "--ctf", "yes")
    assert status == 2 and "expected corrected, applied, none, got yes" in err


@pytest.mark.parametrize("kind", ["mrcs", "star"])
def test_a_picture_shows_images_as_recorded_and_denoised(cli, images, tmp_path, monkeypatch, kind):
    """Those that are in the files, at most eight, evenly spaced; with a scale bar where the pixel size is known."""
    noisy, shown = images[0], []
    write(tmp_path / "in.mrcs", noisy, pixel=PIXEL)
    starfile.write(pd.DataFrame({"rlnImageName": [f"{i + 1}@in.mrcs" for i in range(24)]}), tmp_path / "in.star")
    pairs = figure.pairs
    monkeypatch.setattr(figure, "pairs", lambda *given: shown.append(given) or pairs(*given))
    status, out, err = cli(
        "denoise", f"in.{kind}", "method=nlm", "-o", "out.mrcs", "--images", "3-24", "--picture", "look.png"
    )
    assert status == 0 and "written: look.png" in out and (tmp_path / "look.png").read_bytes()[:4] == b"\x89PNG", err
    ((recorded, denoised, names, _, pixel_size),) = shown
    rows = [0, 3, 6, 9, 12, 15, 18, 21]
    np.testing.assert_array_equal(recorded, noisy[2:][rows])
    np.testing.assert_array_equal(denoised, mrcfile.read("out.mrcs")[rows])
    assert len(names) == 8 and pixel_size == pytest.approx(PIXEL)
    before = (tmp_path / "look.png").read_bytes()
    status, out, err = cli("denoise", f"in.{kind}", "method=nlm", "-o", "new.mrcs", "--picture", "look.png")
    assert status == 2 and "look.png, which exists" in err and not (tmp_path / "new.mrcs").exists()
    assert (tmp_path / "look.png").read_bytes() == before
    status, out, err = cli("denoise", f"in.{kind}", "method=nlm", "-o", "new.mrcs", "--picture", "look.jpg")
    assert status == 2 and "ends in .png" in err and not list(tmp_path.glob("new*"))


def test_a_stack_too_small_for_a_method_is_named_without_what_nobody_typed(cli, images, defocused, tmp_path):
    star = str(defocused[0])
    status, _, err = cli("denoise", star, "method=refined", "--images", "1-5", "-o", "out.mrcs")
    words = f"{star}: expected 8 images or more, which method=refined needs, got 5"
    assert status == 2 and words in err and len(err.strip().splitlines()) == 1, err
    status, _, err = cli("trust", star, "method=refined", "--images", "1-10", "-o", "out.png")
    assert status == 2 and "16 images or more, since method=refined needs 8 and is judged on others, got 10" in err, err
    write(tmp_path / "one.mrcs", images[0][:1])
    status, _, err = cli("denoise", "one.mrcs", "method=cwf", "-o", "out.mrcs")
    assert status == 2 and "one.mrcs: expected 2 images or more, which method=cwf needs, got 1" in err, err
    assert not list(tmp_path.glob("out*"))
