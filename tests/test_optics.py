"""What a star or .cs file says of the microscope: used, refused, or said to be left aside."""

import mrcfile
import numpy as np
import pytest
import starfile
from test_cs_files import save, table
from test_denoise import defocused  # noqa: F401 (a fixture)

from cryobench.data.io.images import open_listing
from cryobench.data.io.relion import write_split
from cryobench.data.listed import ctf_of
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.recorded import Particles
from cryobench.errors import InputError, Note
from cryobench.noise.ctf import through
from cryobench.noise.microscope import Microscope

FLIPPED, PREMULTIPLIED = "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied"


def rewritten(star, new, optics=None, particles=None, images=None):
    """The star file's set in a new folder, with other values in some columns, and with other images."""
    new.mkdir()
    tables = starfile.read(star)
    for name, columns in (("optics", optics), ("particles", particles)):
        for column, value in (columns or {}).items():
            tables[name][column] = value
    starfile.write(tables, new / "set.star")
    with mrcfile.open(star.with_suffix(".mrcs")) as file:
        mrcfile.write(new / "train.mrcs", file.data if images is None else images, voxel_size=float(file.voxel_size.x))
    return new / "set.star"


@pytest.mark.parametrize("ctf", ["corrected", "applied"])
def test_flipped_phases_are_flipped_back(cli, defocused, tmp_path, ctf):  # noqa: F811
    """Flipped by the sign of the CTF's closed form, a stack gives what it gives without, and with the CTF left in what that is
    when it is flipped."""
    star, _, _ = defocused
    images = mrcfile.read(star.with_suffix(".mrcs"))
    transfer = ctf_of(open_listing(star), 6.4).transfer(32)
    flipped = through(images, np.sign(transfer))
    assert np.abs(flipped - images).max() > 1
    rewritten(star, tmp_path / "flipped", {FLIPPED: 1}, images=flipped)
    for name, given in (("raw", star), ("flipped", "flipped/set.star")):
        status, _, err = cli("denoise", str(given), "method=cwf", "-o", f"{name}.mrcs", "--ctf", ctf)
        assert status == 0 and ("flipped back" in err) == (name == "flipped"), err
    raw, other = mrcfile.read("raw.mrcs"), mrcfile.read("flipped.mrcs")
    expected = through(raw, np.sign(transfer)) if ctf == "applied" else raw
    # The corners' deviation, by which images are scaled, differs a little between the two.
    assert np.corrcoef(expected.ravel(), other.ravel())[0, 1] > 0.9999
    assert (np.corrcoef(raw.ravel(), other.ravel())[0, 1] < 0.999) == (ctf == "applied")


@pytest.fixture(scope="module")
def written(cache, tmp_path_factory):
    """Noise-free particles seen through their CTFs, with the maps that they are of."""
    pairs = open_pairs(Phantom(image_size=32, n_train=24, n_test=1), cache)
    folder = tmp_path_factory.mktemp("written") / "set"
    write_split(folder, pairs, "train", pairs.images("train", Microscope(1e9, ctf=True, train=True), 3))
    return folder / "train.star"


def test_pairs_of_flipped_particles_are_those_of_the_same_as_recorded(written, cache, tmp_path):
    """But for the corners, by which each is normalised; taken for particles as recorded, they are others."""
    maps = [str(path) for path in sorted(written.parent.glob("*.mrc"))]

    def noisy(star):
        sizes = {"image_size": 32, "n_train": 16, "n_test": 8}
        data = Particles(star=str(star), maps=maps, normalise="none", shuffle=False, **sizes)
        pairs = open_pairs(data, cache)
        return np.array(pairs.images("train", data_noise(), 0).noisy())

    def data_noise():
        from cryobench.noise.recorded import Recorded

        return Recorded()

    transfer = ctf_of(open_listing(written), 6.4).transfer(32)
    flipped = through(mrcfile.read(written.with_suffix(".mrcs")), np.sign(transfer))
    raw = noisy(written)
    told = noisy(rewritten(written, tmp_path / "told", {FLIPPED: 1}, images=flipped))
    untold = noisy(rewritten(written, tmp_path / "untold", images=flipped))
    assert np.abs(told - raw).max() < 1e-4 < 0.01 < np.abs(untold - raw).max()


def test_premultiplied_particles_are_refused_where_a_method_is_told_of_the_ctf(cli, defocused, tmp_path):  # noqa: F811
    star, _, _ = defocused
    given = str(rewritten(star, tmp_path / "new", {PREMULTIPLIED: 1, FLIPPED: 1}))
    status, _, err = cli("denoise", given, "method=cwf", "-o", "out.mrcs")
    assert status == 2 and all(
        word in err for word in (PREMULTIPLIED, "image 1-300", "--ctf none", "data.ctf=false")
    ), err
    assert err.count("\n") == 1 and not (tmp_path / "out.mrcs").exists()
    status, _, err = cli("denoise", given, "method=cwf", "-o", "out.mrcs", "--ctf", "none")
    assert status == 0 and "left aside" in err
    status, _, err = cli("trust", given, "method=cwf", "-o", "out.png", "--number", "40")
    assert status == 0 and PREMULTIPLIED in err and "left aside" in err
    with pytest.raises(InputError, match=PREMULTIPLIED):
        ctf_of(open_listing(given), 6.4)


WRONG = {
    "optics": {
        "rlnVoltage": [0, -300, 300000],
        "rlnAmplitudeContrast": [-0.1, 1.5],
        "rlnSphericalAberration": [-2.7, 100.1, 2.7e6],
    },
    "particles": {"rlnDefocusU": [2e6, -2e6, "nan"], "rlnDefocusV": [1e30], "rlnPhaseShift": [1e6]},
}
CASES = [(where, name, value) for where, columns in WRONG.items() for name, some in columns.items() for value in some]


@pytest.mark.parametrize(("where", "name", "value"), CASES)
def test_numbers_that_no_microscope_has_are_refused_rows_and_column_named(written, tmp_path, where, name, value):
    star = rewritten(written, tmp_path / "new", **{where: {name: value}})
    with pytest.raises(InputError) as error:
        ctf_of(open_listing(star), 6.4)
    assert name in str(error.value) and "image 1-24 (line" in str(error.value) and "\n" not in str(error.value)


def test_the_limits_of_what_a_microscope_has_are_taken(written, tmp_path, recwarn):
    edges = {"rlnVoltage": 100, "rlnAmplitudeContrast": 0.0, "rlnSphericalAberration": 0.0}
    ctf = ctf_of(open_listing(rewritten(written, tmp_path / "low", edges)), 6.4)
    assert np.isfinite(ctf.transfer(32)).all()
    ctf = ctf_of(open_listing(rewritten(written, tmp_path / "high", {"rlnAmplitudeContrast": 1.0})), 6.4)
    np.testing.assert_allclose(ctf.transfer(32)[:, 0, 0], 1, atol=1e-6)
    assert not [one for one in recwarn if issubclass(one.category, Note)]


@pytest.mark.parametrize(("value", "word"), [(2.1, "μm"), (-15000, "overfocus")])
def test_odd_defoci_are_used_with_a_word(written, tmp_path, value, word):
    star = rewritten(written, tmp_path / "new", particles={"rlnDefocusU": value, "rlnDefocusV": value})
    with pytest.warns(Note, match=word) as said:
        ctf = ctf_of(open_listing(star), 6.4)
    assert len(said) == 1 and "image 1-24" in str(said[0].message) and (ctf.values[:, 0] == value).all()


def test_what_is_not_made_use_of_is_said(written, tmp_path):
    nothing = {"rlnMagMat00": 1, "rlnMagMat01": 0, "rlnCtfBfactor": 0, "rlnCtfScalefactor": 1, "rlnOddZernike": "[0,0]"}
    something = {"rlnMagMat11": 1.01, "rlnBeamTiltX": 0.2, "rlnEvenZernike": "[0,0.5]"}
    star = rewritten(written, tmp_path / "new", nothing | something)
    with pytest.warns(Note) as said:
        ctf_of(open_listing(star), 6.4)
    (text,) = {str(one.message) for one in said}
    assert all(name in text for name in something) and not any(name in text for name in nothing), text


def test_what_is_not_made_use_of_in_a_cs_file_is_said(tmp_path, recwarn):
    before = table()
    more = [("ctf/anisomag", "<f4", (4,)), ("ctf/bfactor", "<f4"), ("ctf/scale", "<f4"), ("ctf/tilt_A", "<f4", (2,))]
    after = np.zeros(len(before), before.dtype.descr + more)
    for name in before.dtype.names:
        after[name] = before[name]
    after["ctf/scale"] = 1
    ctf_of(open_listing(save(tmp_path / "nothing.cs", after)), 1.5)
    assert not [one for one in recwarn if issubclass(one.category, Note)]
    after["ctf/scale"][3], after["ctf/anisomag"][:, 1] = 0.5, 0.01
    with pytest.warns(Note, match="ideal microscope: ctf/anisomag, ctf/scale$"):
        ctf_of(open_listing(save(tmp_path / "something.cs", after)), 1.5)
    after["ctf/accel_kv"] = 3e5
    with pytest.raises(InputError, match="ctf/accel_kv, got 300000 for image 1-12"):
        ctf_of(open_listing(save(tmp_path / "wrong.cs", after)), 1.5)
