"""Stacks as people give them to the verbs: which images, which method, which file, and what is never written over."""

import shutil

import mrcfile
import numpy as np
import pytest
from test_recorded import particles, simulated, wrong  # noqa: F401 (a fixture)

from cryobench.errors import InputError
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
