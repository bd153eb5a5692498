"""A molecule of which one structure is known, its clamp swung open as a rigid body about a hinge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryobench.checks import at_least, refuse
from cryobench.data.dataset import DataSet
from cryobench.data.molecules.density import Atoms, density
from cryobench.data.molecules.fetch import SOURCE, content_sha256, find_structure, given_by_path
from cryobench.data.molecules.structures import in_ranges, read_structure
from cryobench.errors import InputError


@dataclass(kw_only=True)
class Hinged(DataSet):
    """One structure and its clamp at equally spaced angles; the last label is the structure itself, 0 the most open.

    structure: a PDB id, or the path of a .cif or .pdb file (.gz too).
    chains: the chains that belong to the molecule; all else in the file (DNA, RNA, σ) is left out.
    clamp: chain → list of [first, last] residues.
    hinge, axis: a point (Å, in the file's coordinates) and the direction, of any length, of the line about which the clamp
        turns; by the right-hand rule it closes. What joins clamp and core is not mended: bonds at the hinge stretch.
    opening: degrees between label 0 and the structure; conformations: how many.
    data_dir, source, sha256: as for `Rnap`.
    """

    structure: str
    chains: list[str]
    clamp: dict[str, list[list[int]]]
    hinge: list[float]
    axis: list[float]
    opening: float = 20.0
    conformations: int = 5
    data_dir: str | None = None
    source: str = SOURCE
    sha256: dict[str, str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("data", at_least(self, 1, "conformations"))
        for name in ("hinge", "axis"):
            if len(getattr(self, name)) != 3:
                raise InputError(f"data.{name}: expected three numbers x, y, z, got {getattr(self, name)}")
        if not np.any(self.axis):
            raise InputError(f"data.axis: expected a direction, got {self.axis}")

    def check(self) -> None:
        """Raise InputError for a structure that no molecule can be made of."""
        self.molecules()

    def volumes(self) -> np.ndarray:
        """(k, L, L, L) float32: the density of each conformation, see `DataSet.volumes`."""
        return np.stack([density(atoms, self.image_size, self.box) for atoms in self.molecules()])

    def molecules(self) -> list[Atoms]:
        """The atoms of each conformation; all share the core's place."""
        from scipy.spatial.transform import Rotation

        atoms = read_structure(self.file(), list(self.chains))
        clamp = in_ranges(atoms, self.clamp)
        axis = np.array(self.axis, float) / np.linalg.norm(self.axis)
        frames = []
        for angle in np.linspace(-self.opening, 0.0, self.conformations):
            frame = atoms.positions.copy()
            frame[clamp] = (
                Rotation.from_rotvec(angle * axis, degrees=True).apply(frame[clamp] - self.hinge) + self.hinge
            )
            frames.append(frame)
        centre = np.mean(frames, axis=(0, 1))
        return [Atoms(frame - centre, atoms.elements) for frame in frames]

    def file(self) -> Path:
        """The structure's file, downloaded if need be."""
        return find_structure(self.structure, self.data_dir, self.source, (self.sha256 or {}).get(self.structure))

    def given_files(self) -> list[Path]:
        """The structure, where it is given as a path."""
        return given_by_path(self.structure)

    def volume_key(self) -> dict:
        """As for any data set, with the content of the file in place of its name."""
        own = super().volume_key()
        del own["sha256"]
        return {**own, "structure": content_sha256(self.file())}
