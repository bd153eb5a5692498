"""What every data set is: volumes of a few conformations, and how many images to make of them.

A data set is a dataclass of its own settings (they are its config schema), one Python file, and one yaml that names it
in `_target_`. What is made of it, and kept on disk, is in cryobench.data.pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cryobench.checks import at_least, one_of, refuse
from cryobench.errors import InputError
from cryobench.source import code_of

if TYPE_CHECKING:
    from cryobench.noise.ctf import Ctf

# Raised whenever the same settings would give other volumes or images than before.
FORMAT = 1
# Settings that say how many images are drawn, or where files lie; the volumes do not depend on them.
NOT_THE_VOLUMES = ("n_train", "n_test", "seed", "test_view", "train_conformations", "data_dir", "source", "content")


@dataclass
class DataSet(ABC):
    """Settings common to all data sets.

    image_size: L in pixels, a multiple of 8 from 16 on (the networks halve an image three times).
    n_train, n_test: how many pairs.
    seed: decides conformations and orientations; independent of a run's own seed.
    box: edge of the simulated volume in Å; the pixel size is box / image_size.
    test_view: "random" (test images from uniformly drawn views, as training images always are) or "motion" (all from the
        one view, in-plane angle included, in which the conformations differ most: they differ in nothing else).
    train_conformations: the labels that training images may have, of those that are made; None for all.
    content: sha256 of the files that are given by path, filled in when a config is read; None where there are none. It is
        part of a run's identity, and what is opened later must still be that.
    recorded: whether a microscope recorded the images; else they are simulated from the volumes, as many as are asked for.
    """

    recorded: ClassVar[bool] = False
    code: ClassVar[list[list[str]]] = []

    image_size: int
    n_train: int
    n_test: int
    seed: int = 0
    box: float = 204.8
    test_view: str = field(default="random", kw_only=True)
    train_conformations: list[int] | None = field(default=None, kw_only=True, metadata={"later": True})
    content: str | None = field(default=None, kw_only=True, metadata={"later": True})

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        cls.code = code_of(cls)  # as it is loaded: its file may be edited while this process goes on

    def __post_init__(self) -> None:
        if self.image_size < 16 or self.image_size % 8:
            raise InputError(
                f"data.image_size: expected a multiple of 8, at least 16, got {self.image_size}; "
                f"try {max(16, round(self.image_size / 8) * 8)}"
            )
        views = one_of(self, test_view=("random", "motion"))
        refuse("data", at_least(self, 1, "n_train", "n_test"), at_least(self, 0, "seed"), views)
        if not 0 < self.box < 1e5:
            raise InputError(f"data.box: expected the edge of the volume in Å, got {self.box}; the default is 204.8")

    @property
    def pixel_size(self) -> float:
        """Å per pixel of the images and per voxel of the volumes."""
        return self.box / self.image_size

    @abstractmethod
    def volumes(self) -> np.ndarray:
        """(k, L, L, L) float32, indexed zyx, one scattering density for each conformation, centred on voxel L//2."""

    def check(self) -> None:  # noqa: B027 (a data set without files of its own has nothing to check)
        """Raise InputError for files that are not as they should be; called before a sweep, so it takes no long."""

    def given_files(self) -> list[Path]:
        """The files that settings name by a path, whose content is part of what a run is. Raises InputError without them."""
        return []

    def optics(self, split: str) -> Ctf | None:
        """The CTFs that recorded images of "train" or "test" were seen through, and their clean images were not; else None."""
        return None

    def displaced(self, split: str) -> np.ndarray | None:
        """How far the particles of recorded images of "train" or "test" lie off the centre, (n, 2) as data.poses has it; None of
        simulated ones, which noise alone moves."""
        return None

    @property
    def bytes_per_pair(self) -> int:
        """Room that a pair needs on disk."""
        return 4 * self.image_size**2

    def write_pairs(self, folder: Path, volumes: np.ndarray, advance: Callable[[int], None]) -> None:
        """Write SPLIT_clean.npy, SPLIT_labels.npy and SPLIT_rotations.npy of both splits; `advance` counts images done.

        Simulated from `volumes`; a data set that has its images from elsewhere says here how.
        """
        from cryobench.data.simulate import simulate

        simulate(
            folder,
            volumes,
            {"train": self.n_train, "test": self.n_test},
            size=self.image_size,
            seed=self.seed,
            one_view=self.test_view == "motion",
            advance=advance,
        )

    def volume_key(self) -> dict:
        """Everything that decides the volumes, JSON-able: of a class of somebody's own its code, too."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_THE_VOLUMES}
        return {"data": type(self).__name__, "format": FORMAT, **own, **self.code_key()}

    def code_key(self) -> dict:
        """Which class this is, by module, name and file, of one that is not cryobench's: others may be called the same, and what
        it makes changes with its file."""
        return {"code": self.code} if self.code else {}

    def key(self) -> dict:
        """Everything that decides the clean images, JSON-able; no paths, nothing of the machine."""
        view = {} if self.test_view == "random" else {"test_view": self.test_view}
        return {**self.volume_key(), "n_train": self.n_train, "n_test": self.n_test, "seed": self.seed, **view}

    @staticmethod
    def plainest(settings: dict) -> dict:
        """Random test views go without saying, so that a run's id is what it was before there was a choice."""
        return {name: value for name, value in settings.items() if (name, value) != ("test_view", "random")}
