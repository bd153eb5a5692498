"""Structures and the clamp's motion: planted rotations come back, and the real molecule has its known numbers."""

import gzip

import gemmi
import numpy as np
import pytest
import scipy.ndimage
import yaml
from conftest import RCSB, SHARED, needs
from scipy.spatial.transform import Rotation

from cryobench.data.molecules.rnap import Rnap
from cryobench.data.molecules.structures import Structure, clamp_motion, read_structure, shared_atoms, superpose
from cryobench.errors import InputError

REAL = SHARED / "structures"
ANGLE, AXIS = 12.0, np.array([1.0, 2.0, -1.0]) / np.sqrt(6)
CLAMP = {"B": [[1, 20]]}

PDB = """\
HEADER    TEST
ATOM      1  N   ALA A   1      11.000   2.000   3.000  1.00 20.00           N
ATOM      2  CA AALA A   1      12.000   2.000   3.000  0.60 20.00           C
ATOM      3  CA BALA A   1      19.000   2.000   3.000  0.40 20.00           C
ATOM      4  HA  ALA A   1      12.000   3.000   3.000  1.00 20.00           H
ATOM      5  CA  GLY A   1A     13.000   2.000   3.000  1.00 20.00           C
ATOM      6  CA  GLY B   7      14.000   2.000   3.000  1.00 20.00           C
HETATM    7  O   HOH A 101      15.000   2.000   3.000  1.00 20.00           O
HETATM    8 MG    MG A 201      16.000   2.000   3.000  1.00 20.00          MG
END
"""


def make(positions, *, chain_b=20, start=1) -> Structure:
    """A structure with one CA for each residue; the last `chain_b` of them are chain B."""
    n = len(positions)
    chains = np.array(["A"] * (n - chain_b) + ["B"] * chain_b)
    residues = np.r_[start : n - chain_b + start, 1 : chain_b + 1]
    names = [(c, str(r), "ALA", "CA") for c, r in zip(chains, residues, strict=True)]
    return Structure(names, chains, residues, np.full(n, "C"), np.asarray(positions, float))


@pytest.fixture(scope="module")
def planted():
    """An open molecule, and a closed one whose clamp (chain B) is turned and moved and which lies elsewhere."""
    rng = np.random.default_rng(0)
    open_ = rng.uniform(-40, 40, (120, 3))
    hinge = Rotation.from_rotvec(np.radians(ANGLE) * AXIS)
    closed = open_.copy()
    closed[100:] = hinge.apply(open_[100:] - [5, 0, 0]) + np.array([5, 1, 0])
    elsewhere = Rotation.from_euler("xyz", [30, 80, -60], degrees=True)
    return make(open_), make(elsewhere.apply(closed) + np.array([100, -20, 7])), closed


def test_planted_rotation_comes_back(planted):
    open_, closed, laid = planted
    motion = clamp_motion(open_, closed, CLAMP)
    assert motion.clamp.sum() == 20
    np.testing.assert_allclose(motion.closed, laid, atol=1e-6)
    np.testing.assert_allclose(motion.motion.rotation.as_rotvec(degrees=True), ANGLE * AXIS, atol=1e-6)


def test_conformations_go_from_open_to_closed_at_equal_angles(planted):
    open_, closed, laid = planted
    frames = clamp_motion(open_, closed, CLAMP).conformations(5)
    np.testing.assert_allclose(frames[0], open_.positions, atol=1e-6)
    np.testing.assert_allclose(frames[-1], laid, atol=1e-6)
    for k, frame in enumerate(frames):
        turn = superpose(frames[0][100:], frame[100:], keep=1)
        assert turn.degrees == pytest.approx(k * ANGLE / 4, abs=1e-4)
        np.testing.assert_allclose(frame[:100], open_.positions[:100], atol=1e-6)
        # A rigid clamp stays rigid on its way.
        np.testing.assert_allclose(turn(frames[0][100:]), frame[100:], atol=1e-5)


def test_what_is_not_rigid_is_blended(planted):
    open_, _, laid = planted
    rng = np.random.default_rng(1)
    bent = laid.copy()
    bent[110:] += rng.normal(0, 3, (10, 3))  # half of the clamp moves on its own
    bent[50:100] += rng.normal(0, 3, (50, 3))  # and half of the core
    motion = clamp_motion(open_, make(bent), CLAMP)
    assert motion.motion.degrees == pytest.approx(ANGLE, abs=0.1)  # the other half still tells
    frames = motion.conformations(3)
    np.testing.assert_allclose(frames[0], open_.positions, atol=1e-6)
    np.testing.assert_allclose(frames[-1], bent, atol=1e-6)
    np.testing.assert_allclose(frames[1][50:100], (frames[0] + frames[2])[50:100] / 2, atol=1e-6)


def test_plain_superposition_agrees_with_gemmi():
    rng = np.random.default_rng(2)
    fixed, moving = rng.normal(0, 10, (30, 3)), rng.normal(0, 10, (30, 3))
    theirs = gemmi.superpose_positions([gemmi.Position(*p) for p in fixed], [gemmi.Position(*p) for p in moving])
    ours = superpose(moving, fixed, keep=1)
    np.testing.assert_allclose(ours.rotation.as_matrix(), theirs.transform.mat.tolist(), atol=1e-6)
    rmsd = np.sqrt(((ours(moving) - fixed) ** 2).sum(axis=1).mean())
    assert rmsd == pytest.approx(theirs.rmsd, rel=1e-5)


def test_reading_keeps_heavy_atoms_of_the_first_location(tmp_path):
    path = tmp_path / "a.pdb"
    path.write_text(PDB)
    structure = read_structure(path)
    assert structure.names == [
        ("A", "1", "ALA", "N"),
        ("A", "1", "ALA", "CA"),
        ("A", "1A", "GLY", "CA"),
        ("A", "201", "MG", "MG"),
        ("B", "7", "GLY", "CA"),
    ]
    assert structure.elements.tolist() == ["N", "C", "C", "Mg", "C"]
    np.testing.assert_allclose(structure.positions[:, 0], [11, 12, 13, 16, 14])
    assert len(read_structure(path, ["B"])) == 1
    # The same atoms from mmCIF and from packed files.
    cif = gemmi.read_structure(str(path)).make_mmcif_document().as_string()
    (tmp_path / "a.cif.gz").write_bytes(gzip.compress(cif.encode()))
    assert read_structure(tmp_path / "a.cif.gz").names == structure.names


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), caught.value


def test_damaged_files_are_refused_in_one_line(tmp_path):
    whole = tmp_path / "whole.cif"
    document = gemmi.read_pdb_string(PDB).make_mmcif_document().as_string(gemmi.cif.Style.Pdbx)
    whole.write_text(document)
    assert len(read_structure(whole)) == 5
    cut = tmp_path / "cut.cif"
    for share in (0.5, 0.8):  # within a row of a table
        cut.write_text(document[: int(share * len(document))])
        refused(lambda: read_structure(cut), "cut.cif", "fetch it again")
    rows = document.splitlines(keepends=True)
    last = max(i for i, row in enumerate(rows) if row.startswith(("ATOM", "HETATM")))
    cut.write_text("".join(rows[:last]))  # between two rows: still well-formed mmCIF
    refused(lambda: read_structure(cut), "cut short")
    (tmp_path / "cut.pdb").write_text(PDB[: PDB.index("HETATM")])
    refused(lambda: read_structure(tmp_path / "cut.pdb"), "cut short")
    (tmp_path / "cut.cif.gz").write_bytes(gzip.compress(document.encode())[:-20])
    refused(lambda: read_structure(tmp_path / "cut.cif.gz"), "cut.cif.gz")
    (tmp_path / "page.cif").write_text("<html>not found</html>")
    refused(lambda: read_structure(tmp_path / "page.cif"), "page.cif")
    (tmp_path / "empty.cif").write_text("")
    refused(lambda: read_structure(tmp_path / "empty.cif"), "empty.cif")
    refused(lambda: read_structure(tmp_path / "missing.cif"), "missing.cif", "No such file")
    refused(lambda: read_structure(whole, ["A", "Z"]), "chain Z", "data.chains")


@pytest.mark.parametrize("value", ["********", "        ", "     abc", "  1.2.3 ", "    1_0 "])
@pytest.mark.parametrize("field", ["  13.000", "   2.000"])
def test_a_coordinate_that_is_no_number_is_not_taken_for_0(tmp_path, field, value):
    """gemmi reads the first three as 0 and the fourth as 1.2."""
    before, line, after = PDB.partition("ATOM      5  CA  GLY A   1A     13.000   2.000   3.000")
    (tmp_path / "a.pdb").write_text(before + line.replace(field, value) + after)
    refused(lambda: read_structure(tmp_path / "a.pdb"), "columns 31 to 54 of every atom", "line 6")


@pytest.mark.parametrize("value", ["     nan", "     inf", "1.0e9999"])
def test_coordinates_that_are_none_are_named(tmp_path, value):
    (tmp_path / "a.pdb").write_text(PDB.replace("  13.000", value))
    refused(lambda: read_structure(tmp_path / "a.pdb"), "coordinates", "A 1A GLY CA")


def test_structures_of_two_molecules_are_refused(planted):
    other = make(np.zeros((120, 3)), start=90)
    refused(lambda: shared_atoms(planted[0], other), "at least 60 atoms", "data.chains")
    refused(lambda: clamp_motion(planted[0], planted[1], {"Z": [[1, 9]]}), "clamp", "data.clamp")


def test_shared_atoms_are_in_the_same_order():
    one, other = make(np.arange(90).reshape(30, 3)), make(np.arange(90).reshape(30, 3))
    shuffled = other.take(np.random.default_rng(3).permutation(30)[:25])
    first, second = shared_atoms(one, shuffled)
    assert len(first) == 25 and first.names == second.names
    np.testing.assert_array_equal(first.positions, second.positions)


def write_pdb(path, structure):
    model = gemmi.Structure()
    model.add_model(gemmi.Model(1))
    for name in np.unique(structure.chains):
        chain = gemmi.Chain(str(name))
        for i in np.flatnonzero(structure.chains == name):
            residue, atom = gemmi.Residue(), gemmi.Atom()
            residue.name, residue.seqid = "ALA", gemmi.SeqId(str(structure.residues[i]))
            atom.name, atom.element, atom.pos = "CA", gemmi.Element("C"), gemmi.Position(*structure.positions[i])
            residue.add_atom(atom)
            chain.add_residue(residue)
        model[0].add_chain(chain)
    model.write_minimal_pdb(str(path))


def test_data_set_from_own_files(planted, tmp_path):
    settings = dict(image_size=16, n_train=2, n_test=2, chains=["A", "B"], clamp=CLAMP, conformations=3)
    keys = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        for name, structure in zip(("open.pdb", "closed.pdb"), planted[:2], strict=True):
            write_pdb(folder / name, structure)
        dataset = Rnap(
            open=str(folder / "open.pdb"), closed=str(folder / "closed.pdb"), data_dir=str(folder), **settings
        )
        keys.append(dataset.key())
    assert keys[0] == keys[1] and str(tmp_path) not in str(keys)  # what counts is in the files, not where they lie
    volumes = dataset.volumes()
    assert volumes.shape == (3, 16, 16, 16) and dataset.pixel_size == 12.8
    centre = np.mean([scipy.ndimage.center_of_mass(np.maximum(v, 0)) for v in volumes], axis=0)
    np.testing.assert_allclose(centre, 8, atol=0.1)
    swapped = Rnap(open=dataset.closed, closed=dataset.open, data_dir=None, **settings)
    assert swapped.key() != dataset.key()


def test_a_structure_given_by_its_path_is_what_it_holds(planted, cli, tmp_path):
    def ids() -> str:
        words = ["data=rnap_ecoli", "data.open=a.pdb", "data.closed=b.pdb"]
        status, out, err = cli("--cfg", *words)
        assert status == 0, err
        return yaml.safe_load(out)["data"]["content"]

    write_pdb(tmp_path / "a.pdb", planted[0])
    write_pdb(tmp_path / "b.pdb", planted[1])
    first = ids()
    assert ids() == first
    (tmp_path / "b.pdb").write_text((tmp_path / "b.pdb").read_text().replace("ALA", "GLY"))
    assert ids() != first
    status, out, _ = cli("--cfg", "data=rnap_ecoli")
    assert status == 0 and "content" not in yaml.safe_load(out)["data"], "an entry of the PDB is known by its name"


@needs(REAL / "5UAG.cif", f"{RCSB}, and 5TBZ.cif")
def test_rna_polymerase_has_its_known_numbers():
    dataset = Rnap(
        image_size=16,
        n_train=2,
        n_test=2,
        open="5UAG",
        closed="5TBZ",
        chains=list("ABCD"),
        clamp={"C": [[1322, 1342]], "D": [[1, 330], [1330, 1407]]},
        data_dir=str(REAL),
    )
    atoms, motion = dataset.molecule()
    assert len(atoms) == 22318
    assert motion.motion.degrees == pytest.approx(9.9, abs=0.2)
    place = {name[:2]: i for i, name in enumerate(atoms.names) if name[3] == "CA"}
    tip, lobe = place["D", "283"], place["C", "182"]  # either side of the cleft: β′ and β
    cleft = [np.linalg.norm(frame[tip] - frame[lobe]) for frame in motion.conformations(5)]
    assert cleft[0] == pytest.approx(48.2, abs=0.05) and cleft[-1] == pytest.approx(42.6, abs=0.05)
    assert (np.diff(cleft) < -1).all()


@pytest.mark.parametrize(
    "settings",
    [("data=rnap_ecoli", "data.open=bad.pdb", "data.closed=bad.pdb"), ("data=rnap_mtb", "data.structure=bad.pdb")],
)
def test_a_structure_that_is_none_is_refused_once_before_a_sweep(cli, tmp_path, settings):
    (tmp_path / "bad.pdb").write_text("ATOM      1  CA  ALA A   1      xx.xxx\nEND\n")
    status, _, err = cli(*settings, "method=noisy", "seed=0,1", "scale=smoke")
    assert status == 2 and "bad.pdb" in err and len(err.strip().splitlines()) == 1, err
    assert not list(tmp_path.glob("results/*/runs/*/record.json"))
