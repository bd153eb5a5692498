"""RNA polymerase with its clamp opening: conformations between two deposited structures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryobench.checks import at_least, refuse
from cryobench.data.dataset import DataSet
from cryobench.data.molecules.density import Atoms, density
from cryobench.data.molecules.fetch import SOURCE, content_sha256, find_structure, given_by_path
from cryobench.data.molecules.structures import ClampMotion, Structure, clamp_motion, read_structure, shared_atoms


@dataclass(kw_only=True)
class Rnap(DataSet):
    """A molecule between its open and its closed structure; label 0 is open, the last one closed.

    The ends are the deposited structures. Those between are geometry, not physics: loops that refold go straight, and
    where atoms pass one another on the way the density is up to twice as high (5UAG to 5TBZ: 1 % of residues).

    open, closed: PDB ids, or paths of .cif or .pdb files (.gz too).
    chains: the chains that belong to the molecule; all else in the files (DNA, RNA, σ, copies) is left out.
    clamp: chain → list of [first, last] residues.
    conformations: how many, at equally spaced clamp angles.
    data_dir: the folder where files are looked for first; source: where they are downloaded from.
    sha256: PDB id → sha256 of its file's content, for those that are known.
    """

    open: str
    closed: str
    chains: list[str]
    clamp: dict[str, list[list[int]]]
    conformations: int = 5
    data_dir: str | None = None
    source: str = SOURCE
    sha256: dict[str, str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("data", at_least(self, 2, "conformations"))

    def check(self) -> None:
        """Raise InputError for structures that no molecule can be made of."""
        self.molecule()

    def volumes(self) -> np.ndarray:
        """(k, L, L, L) float32: the density of each conformation, see `DataSet.volumes`."""
        atoms, motion = self.molecule()
        frames = motion.conformations(self.conformations)
        frames -= frames.mean(axis=(0, 1))  # one centre for all, so that the core stays where it is
        return np.stack([density(Atoms(frame, atoms.elements), self.image_size, self.box) for frame in frames])

    def molecule(self) -> tuple[Structure, ClampMotion]:
        """The atoms that both structures have (at their places in the open one), and the motion between the two."""
        open_, closed = (read_structure(path, list(self.chains)) for path in self.files())
        open_, closed = shared_atoms(open_, closed)
        return open_, clamp_motion(open_, closed, self.clamp)

    def files(self) -> tuple[Path, Path]:
        """The files of the open and the closed structure, downloaded if need be."""
        known = self.sha256 or {}
        open_, closed = (
            find_structure(name, self.data_dir, self.source, known.get(name)) for name in (self.open, self.closed)
        )
        return open_, closed

    def given_files(self) -> list[Path]:
        """The structures that are given as paths."""
        return given_by_path(self.open, self.closed)

    def volume_key(self) -> dict:
        """As for any data set, with the content of the files in place of their names."""
        open_, closed = (content_sha256(path) for path in self.files())
        own = super().volume_key()
        del own["sha256"]
        return {**own, "open": open_, "closed": closed}
