"""Images that would spoil a result: each kind is found, all are named in one line before any work, and none is cried wolf at."""

import mrcfile
import numpy as np
import pytest

from cryobench.data.io import unusable as kinds
from cryobench.data.io.stack import Stack
from cryobench.data.io.unusable import faults, unusable
from cryobench.noise.background import outside_circle

L = 32
y, x = np.mgrid[:L, :L] - L / 2


def particles(n=9, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, L, L)) + 2 * np.exp(-(x**2 + y**2) / 40)).astype(np.float32)


def nan(image):
    image[3, 4] = np.nan


def blank(image):
    image[:] = 7


def flat_around(image):
    image[outside_circle(L)] = 0


def softly_masked(image):
    image[x**2 + y**2 > (0.55 * L) ** 2] = 0


def constant_edge(image):
    image[:, -3:] = image.mean()


def hot_pixel(image):
    image[16, 16] = 1e6


def hot_corner(image):
    image[0, 1] = 1e6


def too_strong(image):
    image *= 1
    image[8:24, 8:24] *= 30


SPOILT = {
    nan: kinds.NOT_FINITE,
    blank: kinds.FLAT,
    flat_around: kinds.FLAT,
    softly_masked: kinds.MASKED,
    constant_edge: kinds.EDGE,
    hot_pixel: kinds.HEAVY,
    hot_corner: kinds.HEAVY,
    too_strong: kinds.HEAVY,
}


def found(images, tmp_path, **options) -> dict[str, list[int]]:
    mrcfile.write(tmp_path / "x.mrcs", images, overwrite=True)
    stack = Stack(tmp_path / "x.mrcs")
    said = unusable(stack, np.arange(len(images)), **options)
    return {kind: np.flatnonzero(wrong).tolist() for kind, wrong in said.items() if wrong.any()}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_each_kind_is_found_in_the_image_that_has_it(tmp_path, spoil):
    images = particles()
    spoil(images[5])
    assert found(images, tmp_path, heavy=True) == {SPOILT[spoil]: [5]}


def test_good_images_are_left_alone(tmp_path):
    """Whatever their level, their strength within a factor of three, and when they are integers."""
    rng = np.random.default_rng(1)
    images = particles(40) * rng.uniform(0.5, 1.5, 40)[:, None, None] + rng.normal(0, 50, 40)[:, None, None]
    assert not found(images.astype(np.float32), tmp_path, heavy=True)
    assert not found(np.rint(4 * images).astype(np.int16), tmp_path, heavy=True)


def test_one_image_outweighs_others_only_where_a_method_is_fitted_on_them(tmp_path):
    images = particles()
    hot_pixel(images[2])
    assert not found(images, tmp_path)
    assert found(images, tmp_path, heavy=True) == {kinds.HEAVY: [2]}


def test_kinds_do_not_overlap():
    images = particles(3)
    nan(images[0])
    blank(images[1])
    assert np.sum(list(faults(images).values()), axis=0).tolist() == [1, 1, 0]


def test_all_are_named_at_once_and_skip_bad_leaves_them_out(cli, tmp_path):
    images = particles(12)
    for row, spoil in enumerate((nan, blank, softly_masked, constant_edge, hot_pixel)):
        spoil(images[2 * row])
    mrcfile.write(tmp_path / "in.mrcs", images, voxel_size=3)
    for verb in (("denoise", "-o", "out.mrcs"), ("trust", "-o", "out.png")):
        status, out, err = cli(verb[0], "in.mrcs", "method=cwf", *verb[1:])
        assert status == 2 and not out and len(err.strip().splitlines()) == 1
        for number, kind in zip(
            (1, 3, 5, 7, 9), (kinds.NOT_FINITE, kinds.FLAT, kinds.MASKED, kinds.EDGE, kinds.HEAVY), strict=True
        ):
            assert f"{kind} in image {number}" in err, err
        assert "--skip-bad" in err
    status, _, err = cli("denoise", "in.mrcs", "method=cwf", "-o", "out.mrcs", "--skip-bad")
    assert status == 0 and err.count("in image") == 5, err
    mrcfile.write(tmp_path / "good.mrcs", images[[1, 3, 5, 7, 9, 10, 11]], voxel_size=3)
    assert cli("denoise", "good.mrcs", "method=cwf", "-o", "same.mrcs")[0] == 0
    np.testing.assert_array_equal(mrcfile.read("out.mrcs"), mrcfile.read("same.mrcs"))


def test_cwf_on_too_few_images_is_told_before_and_after(cli, tmp_path):
    """A covariance of 32 px has blocks of 16 functions."""
    mrcfile.write(tmp_path / "few.mrcs", particles(15), voxel_size=3)
    mrcfile.write(tmp_path / "many.mrcs", particles(16), voxel_size=3)
    status, _, err = cli("denoise", "few.mrcs", "method=cwf", "-o", "a.mrcs")
    lines = err.strip().splitlines()
    assert status == 0 and lines[0].startswith("15 images are too few for cwf, which at 32 px needs 16 or more: "), err
    assert "more particles or class averages" in lines[0] and lines[1].startswith("cwf learns from 15"), (
        "before the fit"
    )
    assert lines[-1] == "a.mrcs is not to be trusted: cwf had 15 of 16 images."
    status, out, err = cli("trust", "few.mrcs", "method=cwf", "-o", "a.png")
    said = "7 images (half of the 15, as it is judged on the other half) are too few for cwf, which at 32 px needs 16 or more"
    assert status == 0 and f"{said}, so 32 in the stack: " in err and "too few for cwf" not in out, err
    assert "- too few images: 7 of the 16 that a fit needs (half of the 15" in out
    _, _, err = cli("trust", "few.mrcs", "method=cwf", "--number", "5", "-o", "b.png")  # on one fold
    assert "10 images (the rest of the 15, as it is judged on 5) are too few" in err and "so 21 in the stack" in err, (
        err
    )
    status, _, err = cli("denoise", "many.mrcs", "method=cwf", "-o", "b.mrcs")
    assert status == 0 and "too few" not in err
