"""cryoSPARC's .cs files: fields and units against closed forms and RELION's matrix, images, and what is written back."""

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_recorded import MAPS, particles, relative, simulated  # noqa: F401 (a fixture)

from cryobench.data.io.cs import read_cs
from cryobench.data.io.images import open_images
from cryobench.data.listed import ctf_of
from cryobench.data.pairs import open_pairs
from cryobench.errors import InputError

L, N = 32, 12
KINDS = [
    ("uid", "<u8"),
    ("blob/path", "S40"),
    ("blob/idx", "<u4"),
    ("blob/shape", "<u4", (2,)),
    ("blob/psize_A", "<f4"),
    ("blob/sign", "<f4"),
    ("ctf/accel_kv", "<f4"),
    ("ctf/cs_mm", "<f4"),
    ("ctf/amp_contrast", "<f4"),
    ("ctf/df1_A", "<f4"),
    ("ctf/df2_A", "<f4"),
    ("ctf/df_angle_rad", "<f4"),
    ("ctf/phase_shift_rad", "<f4"),
    ("alignments3D/pose", "<f4", (3,)),
    ("alignments3D/shift", "<f4", (2,)),
    ("alignments3D/psize_A", "<f4"),
    ("alignments3D/class", "<u4"),
]


def table(n=N, stack=">J7/extract/particles.mrcs") -> np.ndarray:
    rng = np.random.default_rng(0)
    made = np.zeros(n, KINDS)
    made["uid"] = rng.integers(2**60, size=n)
    made["blob/path"], made["blob/idx"], made["blob/shape"] = stack.encode(), np.arange(n)[::-1], L
    made["blob/psize_A"], made["blob/sign"], made["alignments3D/psize_A"] = 1.5, 1, 3
    for name, value in (("accel_kv", 300), ("cs_mm", 2.7), ("amp_contrast", 0.1), ("df1_A", 2e4), ("df2_A", 1.9e4)):
        made[f"ctf/{name}"] = value
    made["ctf/df_angle_rad"], made["ctf/phase_shift_rad"] = np.pi / 6, np.pi / 2
    made["alignments3D/pose"] = Rotation.random(n, rng=rng).as_rotvec()
    made["alignments3D/shift"] = rng.normal(size=(n, 2))
    return made


def save(path, array, **options):
    with open(path, "wb") as file:
        np.save(file, array, **options)
    return path


@pytest.fixture
def project(tmp_path):
    """A cryoSPARC project: J7/extract holds the stack, J8 the .cs file of a refinement."""
    images = np.random.default_rng(1).normal(size=(N, L, L)).astype(np.float32)
    (tmp_path / "J7" / "extract").mkdir(parents=True)
    (tmp_path / "J8").mkdir()
    mrcfile.write(tmp_path / "J7" / "extract" / "particles.mrcs", images, voxel_size=1.5)
    return save(tmp_path / "J8" / "particles.cs", table()), images


def test_images_come_in_the_rows_order_from_the_projects_folders(project):
    path, images = project
    source = open_images(path)
    np.testing.assert_array_equal(source.read(np.arange(N)), images[::-1])
    np.testing.assert_array_equal(source.take(np.array([2, 0])).read(np.array([0])), images[[-3]])
    assert source.pixel_size == 1.5 and source.size == L and source.named(np.array([0, 1, 4])) == "image 1-2,5"


def relions_matrix(rot, tilt, psi):
    """RELION's Euler_angles2matrix, written out."""
    (ca, cb, cg), (sa, sb, sg) = (f(np.radians([rot, tilt, psi])) for f in (np.cos, np.sin))
    return np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )


def test_poses_are_those_that_csparc2star_writes(project):
    """Rodrigues' formula with the sign of the cross product turned, as pyem's expmap, is RELION's matrix."""
    source = read_cs(project[0])
    angles = [source.column(name) for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")]
    for *euler, pose in zip(*angles, table()["alignments3D/pose"].astype(float), strict=True):
        angle = np.linalg.norm(pose)
        x, y, z = pose / angle
        cross = np.array([[0, z, -y], [-z, 0, x], [y, -x, 0]])
        matrix = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        np.testing.assert_allclose(relions_matrix(*euler), matrix, atol=1e-6)


def test_units_are_relions(project):
    source = read_cs(project[0])
    assert source.column("rlnDefocusAngle")[0] == pytest.approx(30) and source.column("rlnPhaseShift")[
        0
    ] == pytest.approx(90)
    assert source.column("rlnClassNumber")[0] == 1 and source.column("rlnVoltage")[0] == 300
    np.testing.assert_allclose(source.origins(1.5), 2 * table()["alignments3D/shift"], rtol=1e-6)
    np.testing.assert_allclose(ctf_of(source, 1.5).values[0], [2e4, 1.9e4, 30, 300, 2.7, 0.1, 90], rtol=1e-6)
    assert source.column("rlnAngleRot").shape == (N,) and source.column("rlnHelicalTubeID", 4.0)[0] == 4


def test_as_data_it_gives_the_same_pairs_as_a_star_file(simulated, cache):  # noqa: F811
    pairs, _, folder = simulated
    listed = table(24, ">train.mrcs")
    listed["blob/idx"], listed["blob/psize_A"], listed["alignments3D/shift"] = np.arange(24), pairs.pixel_size, 0
    listed["alignments3D/pose"] = Rotation.from_matrix(pairs.train.rotations).as_rotvec()
    listed["alignments3D/class"] = pairs.train.labels
    save(folder / "train.cs", listed)
    ours, theirs = (open_pairs(particles(folder, star=name, maps=MAPS), cache) for name in ("train.cs", "train.star"))
    assert (
        relative(ours.train.clean, theirs.train.clean) < 1e-4 and relative(ours.train.noisy, theirs.train.noisy) < 1e-4
    )
    np.testing.assert_array_equal(ours.train.labels, theirs.train.labels)


def test_denoised_images_come_with_a_cs_file_that_points_to_them(cli, project, tmp_path):
    status, out, err = cli(
        "denoise",
        str(project[0]),
        "method=nlm",
        "-o",
        "a_rather_long_name_for_a_stack_of_particles.mrcs",
        "--images",
        "2-5,9",
    )
    assert status == 0 and "particles.cs" in out, err
    written = np.load(tmp_path / "a_rather_long_name_for_a_stack_of_particles.cs", allow_pickle=False)
    before = table()[[1, 2, 3, 4, 8]]
    assert set(written["blob/path"]) == {b"a_rather_long_name_for_a_stack_of_particles.mrcs"}
    assert written["blob/idx"].tolist() == [0, 1, 2, 3, 4]
    for name in set(before.dtype.names) - {"blob/path", "blob/idx"}:
        np.testing.assert_array_equal(written[name], before[name])
    assert open_images(tmp_path / "a_rather_long_name_for_a_stack_of_particles.cs").read(np.arange(5)).shape == (
        5,
        L,
        L,
    )


def test_the_sign_says_which_contrast(cli, project, tmp_path):
    path, images = project
    mrcfile.write(tmp_path / "J7" / "extract" / "dark.mrcs", -images, voxel_size=1.5)
    dark = table(stack=">J7/extract/dark.mrcs")
    dark["blob/sign"] = -1
    save(tmp_path / "J8" / "dark.cs", dark)
    assert cli("denoise", str(path), "method=nlm", "-o", "a.mrcs")[0] == 0
    status, _, err = cli("denoise", "J8/dark.cs", "method=nlm", "-o", "b.mrcs")
    assert status == 0 and "darker than the ice" in err
    np.testing.assert_allclose(mrcfile.read("b.mrcs"), -mrcfile.read("a.mrcs"), atol=1e-5)
    dark["blob/sign"][3] = 1
    save(tmp_path / "J8" / "dark.cs", dark)
    status, _, err = cli("denoise", "J8/dark.cs", "method=nlm", "-o", "c.mrcs")
    assert status == 2 and "one sign" in err and len(err.strip().splitlines()) == 1


def renamed(array, old, new):
    array.dtype.names = [new if name == old else name for name in array.dtype.names]
    return array


def changed(name, rows, value):
    array = table()
    array[name][rows] = value
    return array


REFUSED = {
    "packed": (b"\x94CSDAT" + bytes(100), ["packed", "cryosparc-tools", "csparc2star.py"]),
    "a table of text": (b"uid,path\n1,a.mrcs\n", ["cryoSPARC 2"]),
    "no field names": (np.zeros((3, 4)), ["table of particles", "(3, 4)"]),
    "a passthrough file": (
        renamed(table(), "blob/path", "location/micrograph_path"),
        ["blob/path", "passthrough", "csparc2star.py"],
    ),
    "none": (table()[:0], ["table of particles"]),
    "images beyond": (changed("blob/idx", 3, N), ["image 4", f"up to {N}"]),
    "two pixel sizes": (changed("blob/psize_A", slice(0, 5), 2), ["one pixel size", "--images 1-5"]),
    "no pixel size": (changed("blob/psize_A", 2, np.nan), ["blob/psize_A", "nan", "image 3"]),
    "no path": (changed("blob/path", 6, b""), ["blob/path", "image 7"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_one_line(cli, project, what):
    path, _ = project
    content, words = REFUSED[what]
    path.write_bytes(content) if isinstance(content, bytes) else save(path, content)
    status, out, err = cli("denoise", str(path), "method=nlm", "-o", "out.mrcs")
    assert status == 2 and not out and len(err.strip().splitlines()) == 1, err
    assert all(word in err for word in words), err


def test_a_pose_of_another_name_names_the_converter(project):
    path, _ = project
    save(path, renamed(table(), "alignments3D/pose", "alignments_class_0/pose"))
    with pytest.raises(InputError, match=r"alignments3D/pose.*csparc2star\.py"):
        read_cs(path).column("rlnAngleRot")
