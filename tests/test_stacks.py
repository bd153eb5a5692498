"""Stacks as people give them to the verbs: which images, which method, which file, and what is never written over."""

import os
import shutil
import subprocess
import sys

import mrcfile
import numpy as np
import pytest
from conftest import PATIENCE
from matplotlib.figure import Figure
from test_cs_files import save, table
from test_recorded import MAPS, particles, simulated, wrong  # noqa: F401 (a fixture)

from cryobench.data.io.images import open_listing
from cryobench.data.io.relion import write_stack
from cryobench.data.io.stack import Stack
from cryobench.errors import BadImages, InputError, Note
from cryobench.noise.background import outside_circle
from cryobench.particles.chosen import chosen_rows

L = 32


@pytest.fixture
def stack(tmp_path):
    """12 images of noise in s.mrcs."""
    images = np.random.default_rng(0).normal(size=(12, L, L)).astype(np.float32)
    mrcfile.write(tmp_path / "s.mrcs", images, voxel_size=3)
    return images


def star_of(path, names):
    """A .star file of these images."""
    head = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnImagePixelSize #2\n"
    path.write_text(head + "".join(f"{name} 3.0\n" for name in names))
    return path


@pytest.mark.parametrize(
    ("text", "rows"),
    [("5-", range(4, 9)), ("1-2, 9-", [0, 1, 8]), ("9-", [8]), ("3,1", [2, 0]), (" 2 - 3 ", [1, 2]), ("007", [6])],
)
def test_images_are_numbers_ranges_and_what_is_from_one_on(text, rows):
    np.testing.assert_array_equal(chosen_rows(text, 9), list(rows))


@pytest.mark.parametrize(
    "text",
    ["²", "-5", "5--", "1-2-3", "٣", "1_0", "", ",", "1,", "0", "10", "10-", "3-2", "9" * 5000, "1-3,3", "+1", "1.0"],
)
def test_other_words_for_images_are_refused(text):
    with pytest.raises(InputError, match=r"^--images: expected"):
        chosen_rows(text, 9)


def test_a_method_given_twice_is_refused_as_in_a_run(cli, stack):
    for verb in (["denoise", "s.mrcs", "-o", "o.mrcs"], ["trust", "s.mrcs", "-o", "o.png"]):
        status, _, err = cli(*verb, "method=nlm", "method=cwf")
        assert status == 2 and err == "cryobench: method: expected one choice, got nlm and cwf\n"
    for verb in (["data"], ["compare", "s.mrcs", "method=nlm"]):
        status, _, err = cli(*verb, "data=phantom", "data=rnap")
        assert status == 2 and err == "cryobench: data: expected one choice, got phantom and rnap\n"
    status, _, err = cli("denoise", "s.mrcs", "method=nlm", "-o", "o.mrcs", "--images", "11-")
    assert status == 0 and len(mrcfile.read("o.mrcs")) == 2, err


def test_a_path_with_an_equals_sign_is_a_stack_where_there_is_one(cli, stack, tmp_path):
    (tmp_path / "run=1").mkdir()
    for name in ("a=b.mrcs", "run=1/s.mrcs"):
        shutil.copy("s.mrcs", name)
        assert cli("trust", name, "method=nlm", "-o", "t.png", "--force")[0] == 0
        assert cli("compare", name, "method=nlm", "-o", "c.png", "--force")[0] == 0
    status, _, err = cli("trust", "no=b.mrcs", "method=nlm", "-o", "new.png")
    assert status == 2 and err.count("\n") == 1


def test_a_particle_listed_twice_is_refused_in_a_run(simulated, tmp_path):  # noqa: F811
    *_, folder = simulated
    names = [f"{1 if i == 20 else i + 1:06d}@train.mrcs" for i in range(24)]
    twice = wrong(folder, tmp_path, "twice", lambda t: t.assign(rlnImageName=names))
    with pytest.raises(InputError, match=r"each particle once.*image 21 \(line \d+\)"):
        particles(twice).rows()
        particles(twice).check()
    (tmp_path / "linked").mkdir()
    names[20] = "000001@other.mrcs"
    linked = wrong(folder, tmp_path, "again", lambda t: t.assign(rlnImageName=names))
    (linked / "other.mrcs").symlink_to("train.mrcs")
    with pytest.raises(InputError, match=r"each particle once.*image 21 "):
        particles(linked).check()


def test_a_particle_listed_twice_is_said_where_a_method_is_judged(cli, stack, tmp_path):
    star_of(tmp_path / "s.star", ["1@s.mrcs", "2@s.mrcs", "1@s.mrcs", *(f"{i}@s.mrcs" for i in range(3, 13))])
    status, _, err = cli("trust", "s.star", "method=nlm", "-o", "t.png")
    assert status == 0 and "listed before, too: image 3 (line 8)" in err, err
    status, _, err = cli("trust", "s.star", "method=nlm", "-o", "u.png", "--images", "1-2,4-")
    assert status == 0 and "listed before" not in err


def test_no_stack_that_a_star_file_lists_is_written_over(cli, stack, tmp_path):
    """Whichever of its images are asked for; stacks that are not there are no hindrance."""
    shutil.copy("s.mrcs", "b.mrcs")
    before = (tmp_path / "b.mrcs").read_bytes()
    star_of(tmp_path / "two.star", [f"{i}@{name}.mrcs" for name in ("s", "b", "gone") for i in range(1, 7)])
    words = ("denoise", "two.star", "--images", "1-6", "method=nlm", "--force")
    status, _, err = cli(*words, "-o", "b.mrcs")
    assert status == 2 and "expected another file than the input, got b.mrcs" in err
    assert (tmp_path / "b.mrcs").read_bytes() == before
    assert cli(*words, "-o", "o.mrcs")[0] == 0


def test_no_stack_that_a_cs_file_lists_is_written_over(cli, stack, tmp_path):
    shutil.copy("s.mrcs", "b.mrcs")
    listed = table()
    listed["blob/path"], listed["blob/idx"] = [b">s.mrcs"] * 6 + [b"b.mrcs"] * 6, list(range(6)) * 2
    save(tmp_path / "two.cs", listed)
    status, _, err = cli("denoise", "two.cs", "--images", "1-6", "method=nlm", "--force", "-o", "b.mrcs")
    assert status == 2 and "expected another file than the input, got b.mrcs" in err


def test_a_picture_is_written_over_by_force_alone(cli, tmp_path):
    (tmp_path / "p.png").write_text("mine")
    words = ("data", "data.n_train=4", "data.n_test=4", "--picture", "p.png")
    status, _, err = cli(*words)
    assert status == 2 and "--force" in err and (tmp_path / "p.png").read_text() == "mine"
    assert cli(*words, "--force")[0] == 0 and (tmp_path / "p.png").read_bytes()[1:4] == b"PNG"
    (tmp_path / "f.png").mkdir()
    status, _, err = cli(*words[:-1], "f.png", "--force")
    assert status == 2 and "f.png, which is a folder" in err


def test_without_its_picture_there_is_no_stack_either(cli, stack, tmp_path, monkeypatch):
    (tmp_path / "f.png").mkdir()
    star_of(tmp_path / "s.star", [f"{i}@s.mrcs" for i in range(1, 13)])
    before = sorted(path.name for path in tmp_path.iterdir())
    for words in (("denoise", "s.star", "-o", "o.mrcs", "--picture", "f.png"), ("trust", "s.mrcs", "-o", "f.png")):
        status, _, err = cli(*words, "method=nlm", "--force")
        assert status == 2 and "f.png, which is a folder" in err and err.count("\n") == 1, err
    full = OSError(28, "No space left on device", "p.png")
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: exec("raise full", {"full": full}))
    for words in (("denoise", "s.star", "-o", "o.mrcs", "--picture", "p.png"), ("trust", "s.mrcs", "-o", "p.png")):
        status, _, err = cli(*words, "method=nlm")
        assert status == 2 and "cryobench: p.png: expected a place to write to, got 'No space left" in err, err
        assert ".part" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_images_too_small_to_show_a_particle_are_refused(cli, tmp_path, size):
    mrcfile.write(tmp_path / "s.mrcs", np.random.default_rng(0).normal(size=(12, size, size)).astype(np.float32))
    for verb in (["denoise", "-o", "o.mrcs"], ["trust", "-o", "o.png"], ["compare", "-o", "o.png"]):
        status, _, err = cli(verb[0], "s.mrcs", "method=nlm", *verb[1:])
        assert status == 2 and f"8 px or more, which a particle and noise around it need, got {size} px" in err


@pytest.mark.parametrize("name", ["a$\\frac$.mrcs", "a$b$.mrcs", os.fsdecode(b"caf\xe9.mrcs")])
def test_a_files_name_is_no_formula_and_may_be_any_bytes(cli, stack, tmp_path, name):
    shutil.copy("s.mrcs", name)
    status, _, err = cli("trust", name, "method=nlm", "-o", "t.png")
    assert status == 0 and (tmp_path / "t.png").is_file(), err
    status, _, err = cli("denoise", name, "method=nlm", "-o", f"o{name}", "--picture", "p.png")
    assert status == 0, err
    status, _, err = cli("compare", name, "method=nlm", "-o", "c.png")
    assert status == 0, err


@pytest.mark.parametrize("ending", ["star", "cs"])
def test_what_is_written_beside_a_list_names_a_stack_of_any_bytes(cli, stack, tmp_path, ending):
    name = os.fsdecode(b"caf\xe9.mrcs")
    star_of(tmp_path / "s.star", [f"{i}@s.mrcs" for i in range(1, 13)])
    save(tmp_path / "s.cs", table(stack="s.mrcs"))
    status, _, err = cli("denoise", f"s.{ending}", "method=nlm", "-o", name)
    assert status == 0, err
    again = open_listing((tmp_path / name).with_suffix(f".{ending}"))
    np.testing.assert_array_equal(again.read(np.arange(12)), mrcfile.read(tmp_path / name))


@pytest.mark.parametrize("name", ["a\nb.mrcs", "'a' \"b\" c.mrcs"])
def test_a_name_that_a_star_file_cannot_hold_is_refused_before_any_work(cli, stack, tmp_path, name):
    star_of(tmp_path / "s.star", [f"{i}@s.mrcs" for i in range(1, 13)])
    status, _, err = cli("denoise", "s.star", "method=nlm", "-o", name)
    assert status == 2 and "name that can stand in a .star file" in err and err.count("\n") == 1, err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a b.mrcs", "' \".mrcs", "a'b.mrcs", '"a".mrcs'])
def test_other_names_are_read_again(cli, stack, tmp_path, name):
    star_of(tmp_path / "s.star", [f"{i}@s.mrcs" for i in range(1, 13)])
    assert cli("denoise", "s.star", "method=nlm", "-o", name)[0] == 0
    assert len(open_listing((tmp_path / name).with_suffix(".star")).read(np.arange(12))) == 12


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_error(tmp_path, stack, closed):
    command = f"{sys.executable} -m cryobench denoise s.mrcs method=nlm -o o.mrcs --picture p.png {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done.stderr
    assert mrcfile.validate(tmp_path / "o.mrcs") and (tmp_path / "p.png").read_bytes()[1:4] == b"PNG"


def test_another_pixel_size_than_the_files_have_is_said(simulated, cache):  # noqa: F811
    *_, folder = simulated
    with pytest.warns(Note) as said:
        data = particles(folder, pixel_size_angstrom=3.2)
        data.check()
    texts = {str(one.message) for one in said}
    assert sum("3.2 Å per voxel as given" in text for text in texts) == len(MAPS), texts
    assert sum("3.2 Å per pixel as given" in text for text in texts) == 1
    assert data.pixel_size == 3.2


def test_another_box_than_the_list_says_is_said(stack, tmp_path):
    star_of(tmp_path / "s.star", [f"{i}@s.mrcs" for i in range(1, 13)])
    text = (tmp_path / "s.star").read_text().replace("_rlnImagePixelSize #2", "_rlnImageSize #2").replace(" 3.0", " 64")
    (tmp_path / "s.star").write_text(text)
    with pytest.warns(Note, match=r"it says 64 px, where the images of .*s.mrcs have 32, for image 1-12"):
        assert open_listing(tmp_path / "s.star").size == L
    listed = table(stack="s.mrcs")
    listed["blob/shape"][4, 1] = 48
    with pytest.warns(Note, match="it says .* for image 5: "):
        assert open_listing(save(tmp_path / "s.cs", listed)).size == L


@pytest.mark.parametrize(("edge", "word"), [(-96, "-96"), (np.nan, "nan"), (0, None)])
def test_a_cell_that_is_none_is_said_and_an_unknown_one_is_not(stack, tmp_path, recwarn, edge, word):
    with mrcfile.open(tmp_path / "s.mrcs", "r+") as file:
        for axis in "xyz":
            file.header.cella[axis] = edge
    assert Stack(tmp_path / "s.mrcs").pixel_size is None
    texts = [str(one.message) for one in recwarn if issubclass(one.category, Note)]
    assert len(texts) == (word is not None) and all(f"edge of {word} Å" in text for text in texts), texts


@pytest.mark.parametrize("number", [-5, 3, 11, 999])
def test_a_header_has_at_most_ten_labels(cli, stack, tmp_path, number):
    with mrcfile.open(tmp_path / "s.mrcs", "r+") as file:
        file.header.nlabl = number
    assert cli("denoise", "s.mrcs", "method=nlm", "-o", "o.mrcs")[0] == 0
    with mrcfile.open(tmp_path / "o.mrcs") as file:
        assert file.header.nlabl == min(max(number, 0), 10)


def test_an_error_names_the_folder_that_was_asked_for(tmp_path):
    images, rotations = np.zeros((3, 16, 16), np.float32), np.tile(np.eye(3), (7, 1, 1))
    with pytest.raises(InputError, match=r"out/particles\.mrcs: expected 7 images, got 3") as error:
        write_stack(tmp_path / "out", [images], rotations, np.zeros(7, int), 3.2)
    assert "/.out." not in str(error.value)


@pytest.mark.parametrize("size", ["0", "0.001", "1e4", "nan", "-1"])
def test_a_pixel_size_is_one_that_images_have(cli, stack, size):
    status, _, err = cli("denoise", "s.mrcs", "method=nlm", "-o", "o.mrcs", "--pixel-size", size)
    assert status == 2 and "from 0.01 to 1000" in err


def test_a_folder_is_no_model(cli, stack, tmp_path):
    (tmp_path / "folder").mkdir()
    status, _, err = cli("denoise", "s.mrcs", "--model", "folder", "-o", "o.mrcs")
    assert status == 2 and "got folder, which is a folder" in err


@pytest.mark.parametrize("listed", [False, True])
def test_trust_counts_images_as_denoise_does(cli, stack, tmp_path, monkeypatch, listed):
    """Image 4 is the second of those chosen, and refused by the method."""
    from cryobench.baselines.nlm import NLM

    def refuse(self, noisy, **hints):
        if (second := np.flatnonzero(np.isclose(noisy[:, 0, 0], bad))).size:
            raise BadImages(second, "too odd")
        return noisy

    star_of(tmp_path / "s.star", [f"{i}@s.mrcs" for i in range(1, 13)])
    file = "s.star" if listed else "s.mrcs"
    outside = outside_circle(L)
    bad = ((stack[3] - stack[3][outside].mean()) / stack[3][outside].std())[0, 0]
    monkeypatch.setattr(NLM, "denoise", refuse)
    for verb in (("denoise", "-o", "o.mrcs"), ("trust", "-o", "o.png")):
        status, _, err = cli(verb[0], file, "method=nlm", "--images", "3-10", *verb[1:])
        assert status == 2 and f"{file}: image 4{' (line 9)' if listed else ''}: too odd" in err, err
