"""A written stack is read back by mrcfile and starfile, and its angles project its volumes to its images."""

import mrcfile
import numpy as np
import pytest
import scipy.ndimage
import starfile

from cryobench.data.images import NoisyImages
from cryobench.data.io import relion as particles
from cryobench.data.io.images import open_listing
from cryobench.data.io.relion import write_split, write_stack
from cryobench.data.pairs import Pairs, Split
from cryobench.data.project import project
from cryobench.data.rotations import random_rotations, rotations_from_euler
from cryobench.data.simulate import rescale
from cryobench.errors import InputError
from cryobench.noise.microscope import Microscope

L, N, PIXEL = 16, 7, 3.2


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    rng = np.random.default_rng(0)
    grid = np.stack(np.mgrid[:L, :L, :L], axis=-1) - L // 2
    volumes = np.stack(
        [sum(np.exp(-((grid - c) ** 2).sum(-1) / 4) for c in rng.uniform(-4, 4, (6, 3))) for _ in range(3)]
    ).astype(np.float32)
    rotations, labels = random_rotations(N, rng), rng.integers(3, size=N)
    clean = np.stack([project(volumes[k], r[None])[0] for k, r in zip(labels, rotations, strict=True)])
    split = Split(rescale(clean), labels, rotations)
    return Pairs(split, split, volumes, PIXEL, "key", tmp_path_factory.mktemp("pairs"))


def test_other_software_reads_the_same(pairs, tmp_path):
    star = write_split(tmp_path / "new" / "out", pairs, "train")
    assert star == tmp_path / "new" / "out" / "train.star"
    tables = starfile.read(star)
    optics, table = tables["optics"], tables["particles"]
    assert optics.rlnImagePixelSize[0] == pytest.approx(PIXEL) and optics.rlnImageSize[0] == L
    np.testing.assert_array_equal(table.rlnClassNumber, pairs.train.labels + 1)
    with mrcfile.open(star.parent / "train.mrcs") as stack:
        assert stack.is_image_stack() and stack.data.dtype == np.float32
        assert float(stack.voxel_size.x) == pytest.approx(PIXEL)
        assert float(stack.header.dmax) == pytest.approx(1) and float(stack.header.dmin) == 0
        np.testing.assert_array_equal(stack.data, pairs.train.clean)
        images = stack.data.copy()
    assert mrcfile.validate(star.parent / "train.mrcs")

    rotations = rotations_from_euler(table.rlnAngleRot, table.rlnAngleTilt, table.rlnAnglePsi)
    for row, rotation in zip(table.itertuples(), rotations, strict=True):
        number, name = row.rlnImageName.split("@")
        assert name == "train.mrcs"
        with mrcfile.open(star.parent / f"conformation_{row.rlnClassNumber}.mrc") as file:
            assert file.is_volume() and float(file.voxel_size.z) == pytest.approx(PIXEL)
            again = rescale(project(file.data, rotation[None]))[0]
        np.testing.assert_allclose(images[int(number) - 1], again, atol=1e-3)


def refused(call, folder, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), caught.value
    assert not folder.exists()


def test_nothing_is_left_of_what_can_not_be_written(pairs, tmp_path, monkeypatch):
    out, part = tmp_path / "out", pairs.train
    meta = (part.rotations, part.labels, PIXEL)
    refused(lambda: write_stack(out, [part.clean[:3]], *meta), out, "expected 7 images", "got 3")
    refused(lambda: write_stack(out, [part.clean, part.clean], *meta), out, "expected 7 images")
    refused(lambda: write_stack(out, [part.clean[:3], part.clean[3:, :8, :8]], *meta), out, "another size")
    refused(lambda: write_stack(out, [part.clean], part.rotations, part.labels[:2], PIXEL), out, "7 and 2")
    (tmp_path / "file").write_text("")
    inside = tmp_path / "file" / "out"
    refused(lambda: write_stack(inside, [part.clean], *meta), inside, "write elsewhere")
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(particles.shutil, "disk_usage", lambda path: usage)
    refused(lambda: write_stack(out, [part.clean], *meta), out, "GB free")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_never_writes_over(pairs, tmp_path):
    write_split(tmp_path / "out", pairs, "test")
    before = (tmp_path / "out" / "test.mrcs").read_bytes()
    with pytest.raises(InputError, match="exists"):
        write_split(tmp_path / "out", pairs, "test")
    assert (tmp_path / "out" / "test.mrcs").read_bytes() == before


def test_blocks_may_be_any_size(pairs, tmp_path):
    part = pairs.train
    write_stack(tmp_path / "out", (part.clean[i : i + 2] for i in range(0, N, 2)), part.rotations, part.labels, PIXEL)
    np.testing.assert_array_equal(mrcfile.read(tmp_path / "out" / "particles.mrcs"), part.clean)
    assert not list((tmp_path / "out").glob("*.mrc"))


def test_shifted_particles_are_written_with_the_origins_that_put_them_back(pairs, tmp_path):
    """Read again, and by the signs: moving each image by its origin, as RELION does, gives the one in the centre."""
    noise = Microscope(1e9, shift=3.0, train=True)
    noisy = NoisyImages(
        "train", pairs.train.clean, pairs.train.labels, pairs.train.rotations, pairs.volumes, PIXEL, noise, 0
    )
    star = open_listing(write_split(tmp_path / "out", pairs, "train", noisy))
    off = noisy.poses().displaced
    assert np.abs(off).max() > 1
    np.testing.assert_allclose(star.origins(PIXEL), -off, atol=1e-4)
    np.testing.assert_allclose(star.poses(PIXEL).displaced, off, atol=1e-4)
    for image, (x, y), centred in zip(star.raw(np.arange(N)), star.origins(PIXEL), pairs.train.clean, strict=True):
        back = scipy.ndimage.fourier_shift(np.fft.fft2(image), (y, x))
        np.testing.assert_allclose(np.fft.ifft2(back).real, centred, atol=0.02)
    still = open_listing(write_split(tmp_path / "clean", pairs, "train"))
    assert not still.origins(PIXEL).any()
