"""One structure with a hinged clamp: it turns in equal steps about the given line, and the core rests."""

from pathlib import Path

import gemmi
import numpy as np
import pytest
from conftest import RCSB, SHARED, needs

from cryobench.config.compose import build, compose, resolve
from cryobench.data.molecules.hinged import Hinged
from cryobench.data.molecules.structures import RigidMotion, superpose
from cryobench.errors import InputError

REAL = SHARED / "structures"


def write_pdb(path: Path) -> np.ndarray:
    """60 residues of chain A at random places; returns their positions."""
    positions = np.random.default_rng(0).uniform(-30, 30, (60, 3)).round(3)
    structure = gemmi.read_pdb_string(
        "\n".join(
            f"ATOM  {i:5d}  CA  ALA A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00           C"
            for i, (x, y, z) in enumerate(positions, start=1)
        )
        + "\nEND\n"
    )
    structure.write_pdb(str(path))
    return positions


@pytest.fixture(scope="module")
def molecule(tmp_path_factory):
    path = tmp_path_factory.mktemp("pdb") / "one.pdb"
    positions = write_pdb(path)
    settings = {
        "image_size": 16,
        "n_train": 4,
        "n_test": 2,
        "structure": str(path),
        "chains": ["A"],
        "clamp": {"A": [[41, 60]]},
        "hinge": [5.0, 1.0, -2.0],
        "axis": [0.0, 3.0, 4.0],
    }
    return Hinged(**settings), positions, settings


def test_the_clamp_turns_in_equal_steps_about_the_line_and_ends_as_deposited(molecule):
    hinged, positions, _ = molecule
    frames = [atoms.positions for atoms in hinged.molecules()]
    shift = frames[-1][0] - positions[0]
    np.testing.assert_allclose(frames[-1], positions + shift, atol=1e-9)
    for k, frame in enumerate(frames):
        np.testing.assert_allclose(frame[:40], positions[:40] + shift, atol=1e-9)
        motion: RigidMotion = superpose(frame[40:], positions[40:] + shift, keep=1)
        assert motion.degrees == pytest.approx(20 - 5 * k, abs=1e-6)
        if k < 4:  # it closes by the right-hand rule, and points of the line stay
            axis = motion.rotation.as_rotvec(degrees=True) / motion.degrees
            np.testing.assert_allclose(axis, [0, 0.6, 0.8], atol=1e-6)
            on_line = np.array([[5.0, 1.0, -2.0], [5.0, 7.0, 6.0]]) + shift
            np.testing.assert_allclose(motion(on_line), on_line, atol=1e-6)
    assert np.abs(np.mean(frames, axis=(0, 1))).max() < 1e-9


def test_its_key_names_the_content_of_the_file_and_not_its_place(molecule, tmp_path):
    hinged, _, settings = molecule
    write_pdb(tmp_path / "two.pdb")
    assert Hinged(**{**settings, "structure": str(tmp_path / "two.pdb")}).key() == hinged.key()
    assert Hinged(**{**settings, "opening": 10.0}).key() != hinged.key()


@pytest.mark.parametrize("wrong", [{"axis": [0.0, 0.0, 0.0]}, {"hinge": [1.0]}, {"conformations": 0}])
def test_settings_that_cant_be_used_are_named(molecule, wrong):
    with pytest.raises(InputError, match=f"data.{next(iter(wrong))}"):
        Hinged(**{**molecule[2], **wrong})


@needs(REAL / "5uh6.pdb", RCSB)
def test_the_clamp_of_5uh6_swings_away_from_the_other_pincer_and_clears_the_core():
    """E. coli's β′ 283 and β 182 face each other over the cleft; 358 and 178 are their places in M. tuberculosis."""
    from scipy.spatial import cKDTree

    from cryobench.data.molecules.structures import in_ranges, read_structure

    hinged = build(resolve(compose(["data=rnap_mtb", f"paths.data={REAL}"])), "data")
    atoms, frames = read_structure(hinged.file(), hinged.chains), hinged.molecules()
    clamp = in_ranges(atoms, hinged.clamp)
    assert len(atoms) == 22072 and 0.15 < clamp.mean() < 0.2
    ends = [atoms.names.index(name) for name in (("D", "358", "ILE", "CA"), ("C", "178", "GLN", "CA"))]
    cleft = [np.linalg.norm(np.subtract(*frame.positions[ends])) for frame in frames]
    assert (np.diff(cleft) < -2).all() and cleft[-1] == pytest.approx(54.8, abs=0.1)
    for frame in frames:
        near, _ = cKDTree(frame.positions[~clamp]).query(frame.positions[clamp])
        assert (near < 2).sum() < 50
