"""A map, clean images and denoised ones are no recorded particles: a verb that judges by their noise says so and ends."""

import mrcfile
import numpy as np
import pytest

from cryobench.data.io.stack import Stack
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.errors import InputError
from cryobench.noise.gaussian import Gaussian
from cryobench.particles import verdict
from cryobench.particles.chosen import refuse_noiseless
from cryobench.particles.recorrupted import Agreement

A_MAP = "map.mrc: a cube, by its header a map; its 32 sections are taken for images"


@pytest.fixture(scope="module")
def pairs(cache):
    return open_pairs(Phantom(image_size=32, n_train=32, n_test=1), cache)


def written(path, images, volume):
    with mrcfile.new(path, np.asarray(images, np.float32), overwrite=True) as file:
        (file.set_volume if volume else file.set_image_stack)()
    return Stack(path)


@pytest.fixture
def a_map(pairs, tmp_path):
    """As a program writes it: noise in the least digits of its corners."""
    volume = pairs.volumes[0]
    noise = np.random.default_rng(0).normal(size=volume.shape)
    return written(tmp_path / "map.mrc", volume + 1e-4 * volume.std() * noise, volume=True)


def test_trust_and_compare_judge_no_map(cli, a_map, tmp_path):
    for words in (
        ["trust", "map.mrc", "method=nlm", "-o", "o.png"],
        ["compare", "map.mrc", "method=nlm", "-o", "o.png"],
    ):
        status, out, err = cli(*words)
        first, last = err.strip().splitlines()
        assert status == 2 and not out and A_MAP in first and not (tmp_path / "o.png").exists()
        assert "map.mrc: expected noise around the particles, got next to none" in last
        assert last.endswith("a map, or denoised images? Give the images as they were recorded")


def test_denoise_says_that_a_map_is_taken_for_images(cli, a_map):
    status, _, err = cli("denoise", "map.mrc", "method=noisy", "-o", "o.mrcs")
    assert status == 0 and A_MAP in err


@pytest.mark.parametrize(("ispg", "mz", "told"), [(1, 32, True), (0, 32, True), (1, 1, True), (0, 1, False)])
def test_a_cube_is_a_map_by_either_of_its_headers_words(cli, a_map, ispg, mz, told):
    """RELION's maps have ISPG 0 up to version 5.0, and MZ = NZ; its image stacks have MZ 1."""
    with mrcfile.open(a_map.path, "r+", permissive=True) as file:
        file.header.ispg, file.header.mz = ispg, mz
    assert (A_MAP in cli("denoise", "map.mrc", "method=noisy", "-o", "o.mrcs")[2]) is told


def test_as_many_images_as_another_number_of_pixels_are_a_stack_whatever_the_header(cli, pairs, tmp_path):
    written(tmp_path / "map.mrc", pairs.images("train", Gaussian(0.1), 0).noisy()[:30], volume=True)
    assert "cube" not in cli("denoise", "map.mrc", "method=noisy", "-o", "o.mrcs")[2]


def test_what_has_noise_around_its_particles_passes(pairs, tmp_path):
    """Recorded images, and averages of some hundred of them; not clean ones."""
    for snr in (0.01, 0.1, 30.0):
        stack = written(tmp_path / "a.mrcs", pairs.images("train", Gaussian(snr), 0).noisy(), volume=False)
        refuse_noiseless(stack, np.arange(32))
    stack = written(tmp_path / "a.mrcs", pairs.images("train", Gaussian(1e5), 0).noisy(), volume=False)
    with pytest.raises(InputError, match="expected noise around the particles"):
        refuse_noiseless(stack, np.arange(32))


def test_what_is_left_out_is_no_nan_where_rings_have_no_noise():
    agreement = Agreement(*(np.ones(3),) * 3, 3, True, True, np.array([1.0, np.nan, 2.0]), None)
    assert verdict.remaining(agreement) == (1 * 1.0 + 3 * 2.0) / 4
