"""Recorded particles as pairs: against RELION's own projections, a simulated set read back, and closed forms."""

import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
import starfile
from conftest import ASPIRE, SHARED, needs

from cryobench.data.io.relion import write_split
from cryobench.data.io.star import read_star
from cryobench.data.listed import ctf_of
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.poses import shift_phases
from cryobench.data.recorded import Particles
from cryobench.errors import InputError
from cryobench.noise.background import outside_circle
from cryobench.noise.ctf import through
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.recorded import Recorded

RELION = SHARED / "relion"
MAPS = [f"conformation_{k}.mrc" for k in range(1, 6)]


def relative(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.fixture(scope="module")
def simulated(cache, tmp_path_factory):
    """A simulated set, its noisy images, and the folder (with a space and an ä) to which they were written."""
    pairs = open_pairs(Phantom(image_size=32, n_train=24, n_test=1), cache)
    noisy = pairs.images("train", Gaussian(0.1), 3)
    folder = tmp_path_factory.mktemp("written") / "my pärticles"
    write_split(folder, pairs, "train", noisy)
    return pairs, noisy, folder


def particles(folder, **settings) -> Particles:
    given = {
        "image_size": 32,
        "n_train": 16,
        "n_test": 8,
        "star": "train.star",
        "maps": MAPS,
        "ctf": False,
        "shuffle": False,
    }
    return Particles(**given | {"data_dir": str(folder)} | settings)


def test_a_simulated_set_comes_back_as_it_was(simulated, cache):
    pairs, noisy, folder = simulated
    again = open_pairs(particles(folder, normalise="none"), cache)
    for split, rows in (("train", slice(0, 16)), ("test", slice(16, 24))):
        images = again.images(split, Recorded(), seed=0)
        assert relative(images.clean(), pairs.train.clean[rows]) < 1e-3
        assert relative(images.noisy(), noisy.noisy(rows)) < 1e-3
        assert relative(images.rotations, pairs.train.rotations[rows]) < 1e-6
        np.testing.assert_array_equal(images.labels, pairs.train.labels[rows])
    assert again.pixel_size == pytest.approx(pairs.pixel_size) and relative(again.volumes, pairs.volumes) < 1e-6


def rewritten(folder: Path, new: Path, change) -> Path:
    """The written set in a new folder with its images changed: image (L, L) and its number → image."""
    new.mkdir()
    for name in ("train.star", *MAPS):
        (new / name).write_bytes((folder / name).read_bytes())
    images = mrcfile.read(folder / "train.mrcs")
    with mrcfile.new(new / "train.mrcs", np.stack([change(image, i) for i, image in enumerate(images)])) as file:
        file.voxel_size = 6.4
    return new


def test_background_normalisation_undoes_each_images_own_gain_level_and_sign(simulated, cache, tmp_path):
    *_, folder = simulated
    rng = np.random.default_rng(0)
    gain, level = rng.uniform(0.5, 3, 24), rng.normal(0, 5, 24)
    other = rewritten(folder, tmp_path / "other", lambda image, i: np.float32(-gain[i] * image + level[i]))
    one = open_pairs(particles(folder), cache)
    two = open_pairs(particles(other, contrast="dark"), cache)
    assert relative(two.train.noisy, one.train.noisy) < 1e-4
    with pytest.raises(InputError, match="contrast"):
        open_pairs(particles(other, contrast="white"), cache)


def test_background_normalised_images_are_a_noisy_picture_of_the_clean_ones(simulated, cache):
    *_, folder = simulated
    pairs = open_pairs(particles(folder), cache)
    clean, noisy = pairs.train.clean, pairs.train.noisy
    assert clean.min() == 0 and clean.max() == 1
    slope = sum(np.polyfit(c.ravel(), n.ravel(), 1)[0] for c, n in zip(clean, noisy, strict=True)) / len(clean)
    assert slope == pytest.approx(1, abs=0.1)
    assert (clean.var((1, 2)) / (noisy - clean).var((1, 2))).mean() == pytest.approx(0.1, rel=0.3)


@needs(RELION / "rln_proj_65.mrcs", f"{ASPIRE}, rln_proj_65.star, and clean70SRibosome_vol_65p.mrc")
@pytest.mark.parametrize("shift", [(0, 0), (3, -2)])
def test_relions_own_projections_are_reproduced(tmp_path, cache, shift):
    """Odd boxes, RELION's centre, and an origin in Å: the particle lies at the centre minus the origin."""
    star = starfile.read(RELION / "rln_proj_65.star").assign(
        rlnOriginXAngst=2.0 * shift[0], rlnOriginYAngst=2.0 * shift[1]
    )
    starfile.write({"particles": star}, tmp_path / "shifted.star")
    images = np.roll(mrcfile.read(RELION / "rln_proj_65.mrcs"), (-shift[1], -shift[0]), axis=(1, 2))
    mrcfile.write(tmp_path / "rln_proj_65.mrcs", images)
    data = Particles(
        image_size=64,
        n_train=4,
        n_test=1,
        star="shifted.star",
        maps=[str(next(RELION.glob("*vol*.mrc")))],
        ctf=False,
        pixel_size_angstrom=2.0,
        data_dir=str(tmp_path),
    )
    pairs = open_pairs(data, cache)
    for part in (pairs.train, pairs.test):
        for clean, relion in zip(part.clean, part.noisy, strict=True):
            assert np.corrcoef(clean.ravel(), relion.ravel())[0, 1] >= 0.999


def test_shifts_are_those_of_real_space():
    image = scipy.ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(32, 32)), 2, mode="wrap")
    shifted = np.fft.irfft2(np.fft.rfft2(image) * shift_phases(np.array([[1.5, -3.25]]), 32)[0])
    expected = scipy.ndimage.shift(image, (-3.25, 1.5), order=5, mode="grid-wrap")  # (y, x)
    assert np.corrcoef(shifted.ravel(), expected.ravel())[0, 1] > 0.9999


def relion_ctf(u, v, angle, voltage, aberration, contrast, phase, size, pixel):
    """RELION's formula, written out."""
    volts = voltage * 1e3
    wavelength = 12.2643247 / np.sqrt(volts * (1 + volts * 0.978466e-6))
    y, x = np.fft.fftfreq(size, pixel)[:, None], np.fft.rfftfreq(size, pixel)[None]
    square, direction = x**2 + y**2, np.arctan2(y, x) - np.radians(angle)
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(2 * direction)
    return -np.sin(
        -np.pi * wavelength * defocus * square
        + np.pi / 2 * aberration * 1e7 * wavelength**3 * square**2
        - np.radians(phase)
        - np.arctan(contrast / np.sqrt(1 - contrast**2))
    )


def test_the_ctf_is_relions(tmp_path):
    values = [[21000.0, 20300.0, 37.0, 300.0, 2.7, 0.1, 20.0], [9000.0, 12000.0, -70.0, 200.0, 1.4, 0.07, 0.0]]
    names = [
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
        "rlnVoltage",
        "rlnSphericalAberration",
        "rlnAmplitudeContrast",
        "rlnPhaseShift",
    ]
    table = pd.DataFrame(values, columns=names).assign(rlnImageName=["1@a.mrcs", "2@a.mrcs"])
    starfile.write({"": table}, tmp_path / "old.star")  # RELION 3.0: one block
    ctf = ctf_of(read_star(tmp_path / "old.star"), 1.4)[:2].transfer(64)
    for one, row in zip(ctf, values, strict=True):
        np.testing.assert_allclose(one, relion_ctf(*row, 64, 1.4), atol=5e-3)
    assert ctf[0, 0, 0] > 0


def test_projections_go_through_the_ctf(simulated, cache, tmp_path):
    """With and without it they differ by that factor in Fourier space, on the scale of the projection."""
    *_, folder = simulated
    new = rewritten(folder, tmp_path / "ctf", lambda image, i: image)
    blocks = starfile.read(new / "train.star")
    row = (15000.0, 14000.0, 30.0)
    blocks["particles"] = blocks["particles"].assign(
        **dict(zip(("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"), row, strict=True))
    )
    starfile.write(blocks, new / "train.star", overwrite=True)
    (with_ctf,), (without,) = (
        open_pairs(particles(new, n_train=1, ctf=ctf), cache).train.clean for ctf in (True, False)
    )
    factor = relion_ctf(*row, 300.0, 2.7, 0.1, 0.0, 32, 6.4)
    expected = np.fft.irfft2(np.fft.rfft2(without) * factor)
    assert np.corrcoef(expected.ravel(), with_ctf.ravel())[0, 1] > 0.999


def test_corrected_references_are_without_the_ctf_that_methods_are_told_of(simulated, cache, tmp_path):
    """Noise-free images seen through it: what is recorded is the reference through the CTF told, level and scale alike."""
    pairs, _, folder = simulated
    row = (15000.0, 14000.0, 30.0)
    factor = relion_ctf(*row, 300.0, 2.7, 0.1, 0.0, 32, 6.4)

    def seen(_, i):
        clean = pairs.train.clean[i] - pairs.train.clean[i, 0, 0]
        return np.fft.irfft2(np.fft.rfft2(clean) * factor).astype(np.float32)

    new = rewritten(folder, tmp_path / "seen", seen)
    blocks = starfile.read(new / "train.star")
    names = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
    blocks["particles"] = blocks["particles"].assign(**dict(zip(names, row, strict=True)))
    starfile.write(blocks, new / "train.star", overwrite=True)
    train = open_pairs(particles(new, ctf=True, reference="corrected"), cache).images("train", Recorded(), seed=0)
    told = train.only({"clean", "ctf"})
    assert relative(told.clean(), pairs.train.clean[:16]) < 1e-3
    expected = through(told.clean(), told.ctf().transfer(32))
    centred = train.noisy() - train.noisy().mean(axis=(1, 2), keepdims=True)
    for image, wanted in zip(centred, expected, strict=True):  # each is divided by its own deviation in the corners
        assert np.corrcoef(image.ravel(), wanted.ravel())[0, 1] > 0.995
    outside = outside_circle(32)
    np.testing.assert_allclose(
        train.noisy()[:, outside].mean(axis=1), 0.1 * told.clean()[:, outside].mean(axis=1), atol=0.02
    )
    assert train.has_ctf
    plain = open_pairs(particles(new, ctf=True), cache).images("train", Recorded(), seed=0)
    assert not plain.has_ctf
    with pytest.raises(InputError, match=r"data\.reference=corrected"):
        plain.only({"ctf"}).ctf()
    with pytest.raises(InputError, match=r"data\.ctf=true"):
        particles(new, ctf=False, reference="corrected")


def test_crop_and_resampling_keep_the_centre_and_set_the_pixel_size(simulated, cache):
    *_, folder = simulated
    pairs = open_pairs(particles(folder, crop=24, image_size=16, normalise="none"), cache)
    assert pairs.pixel_size == pytest.approx(6.4 * 24 / 16) and pairs.volumes.shape == (5, 16, 16, 16)
    whole = open_pairs(particles(folder, normalise="none"), cache)
    y, x = np.mgrid[:16, :16] - 8
    for small, large in zip(pairs.train.clean, whole.train.clean, strict=True):
        at = scipy.ndimage.map_coordinates(large, 16 + 1.5 * np.stack([y, x]), order=3)
        assert np.corrcoef(at.ravel(), small.ravel())[0, 1] > 0.99


def test_shuffled_splits_share_no_particle_and_depend_on_the_seed(simulated):
    *_, folder = simulated
    train, test = particles(folder, shuffle=True).rows()
    assert not set(train) & set(test) and len(train) == 16 and len(test) == 8
    assert not np.array_equal(train, particles(folder, shuffle=True, seed=1).rows()[0])


def test_a_run_on_particles_takes_the_images_as_recorded(simulated, cli):
    *_, folder = simulated
    maps = ",".join(MAPS)
    status, out, err = cli(
        "data=particles",
        "data.star=train.star",
        f"data.maps=[{maps}]",
        f"paths.data='{folder}'",
        "data.ctf=false",
        "data.n_train=16",
        "data.n_test=8",
        "method=nlm",
    )
    assert status == 0 and "noise recorded" in out, err
    status, _, err = cli("noise=recorded", "method=noisy")
    assert status == 2 and "data=particles" in err


def test_a_sweep_over_particles_without_a_pixel_size_stops_before_its_runs(simulated, cli, tmp_path):
    *_, folder = simulated
    new = rewritten(folder, tmp_path / "none", lambda image, i: image)
    blocks = starfile.read(new / "train.star")
    starfile.write(
        {**blocks, "optics": blocks["optics"].drop(columns="rlnImagePixelSize")}, new / "train.star", overwrite=True
    )
    for name in ("train.mrcs", *MAPS):
        with mrcfile.open(new / name, "r+") as file:
            file.voxel_size = 0
    words = [
        "data=particles",
        "data.star=train.star",
        f"data.maps=[{','.join(MAPS)}]",
        f"paths.data={new}",
        "data.ctf=false",
        "data.n_train=16",
        "data.n_test=8",
        "method=noisy,nlm",
    ]
    status, _, err = cli(*words)
    assert status == 2 and len(err.strip().splitlines()) == 1 and "data.pixel_size_angstrom" in err, err
    assert not list(tmp_path.rglob("record.json")) and not list(tmp_path.rglob("runs/.*"))
    assert cli(*words, "data.pixel_size_angstrom=6.4")[0] == 0


def test_unusable_particles_are_all_named_before_they_are_used(simulated, cache, tmp_path):
    *_, folder = simulated

    def change(image, i):
        return np.full_like(image, {3: 1, 9: np.nan, 20: np.inf}[i]) if i in (3, 9, 20) else image

    with pytest.raises(
        InputError, match=r"image 10,21 \(lines 38, 49\), one value around the particle in image 4 \(line"
    ):
        open_pairs(particles(rewritten(folder, tmp_path / "bad", change)), cache)


def test_a_map_with_its_axes_in_another_order_gives_the_same_images(simulated, cache, tmp_path):
    *_, folder = simulated
    new = rewritten(folder, tmp_path / "axes", lambda image, i: image)
    for name in MAPS:
        with mrcfile.open(new / name, "r+") as file:
            file.set_data(np.ascontiguousarray(mrcfile.read(folder / name).transpose(1, 0, 2)))  # sections y, rows z
            file.header.mapc, file.header.mapr, file.header.maps = 1, 3, 2
    one, other = (open_pairs(particles(place), cache) for place in (folder, new))
    np.testing.assert_array_equal(one.train.clean, other.train.clean)


def test_a_particle_that_a_list_has_twice_is_refused(simulated, cli, tmp_path):
    """As joined lists have it: by whatever path, it could stand among training and test particles."""
    *_, folder = simulated
    new = rewritten(folder, tmp_path / "twice", lambda image, i: image)
    shutil.copy(new / "train.mrcs", tmp_path / "elsewhere.mrcs")
    (new / "train.mrcs").unlink()
    (new / "train.mrcs").symlink_to(tmp_path / "elsewhere.mrcs")
    text = (new / "train.star").read_text()
    (new / "train.star").write_text(text.replace("000007@train.mrcs", f"000003@{tmp_path / 'elsewhere.mrcs'}"))
    words = ["data=particles", f"paths.data={new}", "data.star=train.star", f"data.maps=[{','.join(MAPS)}]"]
    status, _, err = cli(*words, "data.ctf=false", "data.n_train=16", "data.n_test=8", "method=noisy")
    assert status == 2 and "expected each particle once" in err and "image 7 (line" in err and err.count("\n") == 1, err


def test_two_data_sets_with_the_same_names_are_two_runs(simulated, cli, tmp_path):
    """RELION's lists are all called run_data.star: what the files hold decides, and files replaced under their names count."""
    *_, folder = simulated
    one = rewritten(folder, tmp_path / "one", lambda image, i: image)
    two = rewritten(folder, tmp_path / "two", lambda image, i: image[::-1].copy())
    words = [
        "data=particles",
        "data.star=train.star",
        f"data.maps=[{','.join(MAPS)}]",
        "data.ctf=false",
        "data.n_train=16",
        "data.n_test=8",
        "method=noisy",
        "paths.results=same",
        "data.normalise=none",
    ]

    def run(place) -> tuple[str, bool]:
        status, out, err = cli(*words, f"paths.data={place}")
        assert status == 0, err
        return out[out.index("record: ") :].split()[1], "done before" in out

    first, second = run(one), run(two)
    assert first[0] != second[0] and not first[1] and not second[1]
    assert run(one) == (first[0], True)
    copied = shutil.copytree(one, tmp_path / "copied")
    assert run(copied) == (first[0], True), "the same content elsewhere is the same data"
    seen = {first[0], second[0]}
    for name in ("train.mrcs", MAPS[0], "train.star"):
        content = bytearray((one / name).read_bytes())
        content[-100 if name != "train.star" else content.index(b"@train.mrcs\t") + 18] ^= 1  # a digit of an angle
        (one / name).write_bytes(content)
        record, before = run(one)
        assert record not in seen and not before, name
        seen.add(record)


def wrong(folder, tmp_path, name, table=None, optics=None):
    """The written set with another .star file."""
    new = rewritten(folder, tmp_path / name, lambda image, i: image)
    blocks = starfile.read(new / "train.star")
    blocks = {
        "optics": (optics or (lambda t: t))(blocks["optics"]),
        "particles": (table or (lambda t: t))(blocks["particles"]),
    }
    starfile.write(blocks, new / "train.star", overwrite=True)
    return new


def test_wrong_input_is_named_in_one_line(simulated, cache, tmp_path):
    *_, folder = simulated

    def refused(data_of, *words):
        with pytest.raises(InputError) as error:
            open_pairs(data_of(), cache)
        assert "\n" not in str(error.value) and all(word in str(error.value) for word in words), error.value

    refused(lambda: particles(folder, ctf=True), "rlnDefocusU", "data.ctf=false")
    refused(lambda: particles(folder, n_train=100), "expected 108 particles", "got 24")
    refused(lambda: particles(folder, maps=MAPS[:2]), "rlnClassNumber")
    refused(lambda: particles(folder, star="no.star"), "no.star")
    refused(lambda: particles(folder, crop=64), "cut 64 pixels out of 32")
    refused(lambda: particles(folder, contrast="grey"), "data.contrast", "grey")
    beyond = wrong(
        folder, tmp_path, "beyond", lambda t: t.assign(rlnImageName=[f"{i + 2:06d}@train.mrcs" for i in range(24)])
    )
    refused(lambda: particles(beyond), "up to 24", "got 25")
    angles = wrong(folder, tmp_path, "angles", lambda t: t.drop(columns="rlnAngleTilt"))
    refused(lambda: particles(angles), "expected a column rlnAngleTilt")
    moved = wrong(
        folder,
        tmp_path,
        "moved",
        lambda t: t.assign(rlnImageName=t.rlnImageName.str.replace("train.mrcs", "gone.mrcs")),
    )
    refused(lambda: particles(moved), "gone.mrcs")
    zero = wrong(folder, tmp_path, "zero", lambda t: t.assign(rlnImageName=[f"{i:06d}@train.mrcs" for i in range(24)]))
    refused(lambda: particles(zero), "counted from 1")
    sizes = wrong(folder, tmp_path, "sizes", optics=lambda t: t.assign(rlnImagePixelSize=3.2))
    refused(lambda: particles(sizes), "one pixel size", "3.2", "6.4")
    for name, volume, voxel, words in (
        ("small", 16, 6.4, ["32³", "16³"]),
        ("fine", 32, 2.0, ["one pixel size", "2 Å"]),
    ):
        new = rewritten(folder, tmp_path / name, lambda image, i: image)
        with mrcfile.new(new / MAPS[0], np.ones((volume,) * 3, np.float32), overwrite=True) as file:
            file.voxel_size = voxel
        refused(lambda new=new: particles(new), *words)
    groups = wrong(folder, tmp_path, "groups", lambda t: t.assign(rlnOpticsGroup=7))
    refused(lambda: particles(groups), "optics groups", "7")


@needs(SHARED / "particles" / "sample.mrcs", f"{ASPIRE}, and sample_particles_relion31.star")
def test_the_real_worlds_star_file_is_read():
    folder = SHARED / "particles"
    star = read_star(folder / "sample_particles_relion31.star")
    assert len(star) == 17 and star.pixel_size == pytest.approx(1.4) and star.size == 200
    np.testing.assert_array_equal(star.read(np.array([16, 0])), mrcfile.read(folder / "sample.mrcs")[[16, 0]])
    np.testing.assert_array_equal(ctf_of(star, 1.0).values[[0, 16], 3], [300, 200])  # by optics group
    assert star.origins(1.4)[0] == pytest.approx([0.1996 / 1.4] * 2)


@pytest.mark.parametrize("size", [0, -1, float("inf"), float("nan")])
def test_a_pixel_size_is_a_number_above_0(size):
    with pytest.raises(InputError, match=r"data\.pixel_size_angstrom: expected a number of Å above 0"):
        Particles(image_size=16, n_train=1, n_test=1, star="a.star", maps=["a.mrc"], pixel_size_angstrom=size)
