"""Two atomic structures of one molecule → conformations between them, the clamp turning at equally spaced angles.

The shared atoms are matched, the cores superposed, and the clamp's rigid motion from open to closed is found: rotation
R about centroids c_o → c_c. With e what the motion leaves over, conformation t in [0, 1] has its clamp at
    x(t) = Rᵗ (x_o − c_o + t R⁻¹e) + (1 − t) c_o + t c_c,
which is the open structure at 0 and the closed one at 1; core atoms go straight.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryobench.errors import InputError

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

FARTHEST = 1e5  # Å from the origin; also not NaN
KEEP = 0.5  # share of the atoms, those that fit best, from which a rigid motion is found
STEPS = 100  # at most: each lowers the trimmed sum of squares, so the choice of atoms settles, but for rounding


@dataclass(frozen=True)
class Structure:
    """Heavy atoms: names (n,) as (chain, residue number with insertion code, residue name, atom name), chains (n,),
    residues (n,) numbers, elements (n,) symbols, positions (n, 3) float64 in Å."""

    names: list[tuple[str, str, str, str]]
    chains: np.ndarray
    residues: np.ndarray
    elements: np.ndarray
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index) -> Structure:
        """The atoms at `index`, in that order."""
        names = [self.names[i] for i in index]
        return Structure(names, self.chains[index], self.residues[index], self.elements[index], self.positions[index])


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if its name ends in .gz. Raises InputError if it can't be read."""
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"expected a readable structure file, got '{reason}' for {path}; fetch it again") from error


def read_structure(path: Path, chains: list[str] | None = None) -> Structure:
    """First model of a .cif or .pdb file (or .gz of it), only `chains` if given: heavy atoms, first location, no water.

    Raises InputError for a file that is missing, cut short, not a structure, or without one of the chains.
    """
    import gemmi

    # What is no ASCII (in a title, say) would become two bytes, and shift the columns of a PDB file.
    text = re.sub(rb"[\x80-\xff]", b"?", read_bytes(path)).decode("ascii")
    if _is_cut_short(text):
        raise InputError(f"expected a whole structure file, got one cut short: {path}; fetch it again")
    try:
        structure = gemmi.read_structure_string(text)
        model = structure[0]
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"expected atoms in mmCIF or PDB format, got '{reason}' for {path}; fetch it again") from error
    if structure.input_format == gemmi.CoorFormat.Pdb and (wrong := _without_coordinates(text)):
        some = ", ".join(map(str, wrong[:5])) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise InputError(
            f"{path}: expected numbers in columns 31 to 54 of every atom, got others in line {some}; fetch it again"
        )
    rows = {}
    for chain in model:
        if chains is not None and chain.name not in chains:
            continue
        for residue in chain:
            for atom in residue if not residue.is_water() else ():
                name = (chain.name, str(residue.seqid), residue.name, atom.name)
                if not atom.element.is_hydrogen and name not in rows:
                    rows[name] = (residue.seqid.num, atom.element.name, atom.pos.tolist())
    chain_names = np.array([name[0] for name in rows])
    missing = sorted(set(chains or ()) - set(chain_names))
    if missing or not rows:
        raise InputError(
            f"expected atoms in {'chain ' + ', '.join(missing) if missing else 'the first model'}, "
            f"got none in {path}; see data.chains"
        )
    residues, elements, positions = zip(*rows.values(), strict=True)
    lost = [" ".join(name) for name, place in zip(rows, positions, strict=True) if not np.abs(place).max() < FARTHEST]
    if lost:
        raise InputError(
            f"{path}: expected coordinates of less than {FARTHEST:g} Å for every atom, got others for "
            f"{', '.join(lost[:5])}{f' and {len(lost) - 5} more' if len(lost) > 5 else ''}"
        )
    return Structure(list(rows), chain_names, np.array(residues), np.array(elements), np.array(positions))


def _without_coordinates(text: str) -> list[int]:
    """The lines, from 1, of a PDB file's atoms whose x, y or z is no number; gemmi would take 0, or what begins as one."""
    return [
        count
        for count, line in enumerate(text.splitlines(), 1)
        if line.startswith(("ATOM  ", "HETATM")) and not all(_is_number(line[k : k + 8]) for k in (30, 38, 46))
    ]


def _is_number(field: str) -> bool:
    """NaN and infinity count as numbers here: they are refused with the atom's name."""
    try:
        return "_" not in field and float(field) is not None
    except ValueError:
        return False


def _is_cut_short(text: str) -> bool:
    """Files from the PDB say where they end: mmCIF with a '#' line as between all its tables, PDB with END."""
    lines = text.rstrip().splitlines() or [""]
    if lines[0].startswith("data_"):
        return lines[1:2] != [] and lines[1].startswith("#") and not lines[-1].startswith("#")
    return lines[0].startswith("HEADER") and not lines[-1].startswith("END")


def shared_atoms(one: Structure, other: Structure) -> tuple[Structure, Structure]:
    """The atoms that both have, in the same order. Raises InputError if that is less than half of the smaller one."""
    place = {name: i for i, name in enumerate(other.names)}
    index = [i for i, name in enumerate(one.names) if name in place]
    enough = min(len(one), len(other)) / 2
    if len(index) < enough:
        raise InputError(
            f"expected two structures of one molecule with at least {enough:.0f} atoms in common (same "
            f"chain, residue and atom name), got {len(index)}; see data.chains"
        )
    return one.take(index), other.take([place[one.names[i]] for i in index])


@dataclass(frozen=True)
class RigidMotion:
    """x → R (x − source) + target, with positions in Å."""

    rotation: Rotation
    source: np.ndarray
    target: np.ndarray

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        return self.rotation.apply(positions - self.source) + self.target

    @property
    def degrees(self) -> float:
        """The angle of the rotation."""
        return float(np.degrees(self.rotation.magnitude()))


def superpose(moving: np.ndarray, fixed: np.ndarray, keep: float = KEEP) -> RigidMotion:
    """The rigid motion that lays most of `moving` (n, 3) onto `fixed` (n, 3): least trimmed squares (Rousseeuw 1984).

    The least-squares motion (Kabsch 1976) of the share `keep` of atoms that fit best; loops and domains that move on
    their own have no say. keep=1 is plain least squares.
    """
    from scipy.spatial.transform import Rotation

    chosen = np.arange(len(moving))
    for _ in range(STEPS):
        source, target = moving[chosen].mean(axis=0), fixed[chosen].mean(axis=0)
        rotation, _ = Rotation.align_vectors(fixed[chosen] - target, moving[chosen] - source)
        motion = RigidMotion(rotation, source, target)
        distance = np.linalg.norm(motion(moving) - fixed, axis=1)
        before, chosen = chosen, np.sort(np.argsort(distance, kind="stable")[: max(3, round(keep * len(moving)))])
        if np.array_equal(before, chosen):
            break
    return motion


@dataclass(frozen=True)
class ClampMotion:
    """Two matched, superposed structures and how the clamp goes from one to the other.

    open, closed: (n, 3) Å; clamp: (n,) bool; motion: the clamp's rigid motion from open to closed.
    """

    open: np.ndarray
    closed: np.ndarray
    clamp: np.ndarray
    motion: RigidMotion

    def conformations(self, k: int) -> np.ndarray:
        """(k, n, 3) positions in Å from open to closed, the clamp's rotation angle equally spaced."""
        motion, rigid = self.motion, self.open[self.clamp]
        left_over = motion.rotation.inv().apply(self.closed[self.clamp] - motion(rigid))
        frames = []
        for t in np.linspace(0.0, 1.0, k):
            frame = (1 - t) * self.open + t * self.closed
            turned = (motion.rotation**t).apply(rigid - motion.source + t * left_over)
            frame[self.clamp] = turned + (1 - t) * motion.source + t * motion.target
            frames.append(frame)
        return np.stack(frames)


def in_ranges(atoms: Structure, clamp: dict[str, list]) -> np.ndarray:
    """Which atoms belong to the clamp, chain → list of [first, last] residues: (n,) bool.

    Raises InputError if clamp or core, the other atoms, is empty.
    """
    inside = np.zeros(len(atoms), bool)
    for chain, ranges in clamp.items():
        for first, last in ranges:
            inside |= (atoms.chains == chain) & (atoms.residues >= first) & (atoms.residues <= last)
    for part, count in (("clamp", inside.sum()), ("core", (~inside).sum())):
        if count < 3:
            raise InputError(f"expected atoms in the {part}, got {count}; see data.clamp")
    return inside


def clamp_motion(open_: Structure, closed: Structure, clamp: dict[str, list]) -> ClampMotion:
    """Superpose the cores of two matched structures and find the motion of their clamp.

    clamp: chain → list of [first, last] residues that belong to it. Raises InputError if clamp or core is empty.
    """
    inside = in_ranges(open_, clamp)
    core = superpose(closed.positions[~inside], open_.positions[~inside])
    laid = core(closed.positions)
    return ClampMotion(open_.positions, laid, inside, superpose(open_.positions[inside], laid[inside]))
