"""Robust estimation as tasks of a run: one sample (robust_estimation), or two grids of them (robust_rates)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from cryobench.errors import InputError
from cryobench.robust.settings import Settings


@dataclass(frozen=True)
class RobustEstimation(Settings):
    """The errors of every estimator on one contaminated sample; the record holds them in "results", a list of one."""

    accelerators: ClassVar = ("cpu",)  # its nets have a few hundred weights

    def samples(self) -> list[Settings]:
        """The settings of each sample that the task looks at: one."""
        return [self]

    def run(self, config: dict, folder: Path, progress: bool) -> dict:
        """The part of the record that is this task's; everything random follows from the run's seed."""
        import torch

        from cryobench.robust.estimation import robust_estimation

        if config["trainer"]["threads"]:
            torch.set_num_threads(config["trainer"]["threads"])
        return {"results": [robust_estimation(one, config["seed"], progress) for one in self.samples()]}


@dataclass(frozen=True)
class RobustRates(RobustEstimation):
    """The same along ε, at n, and along n, at ε: what slopes are fitted to, one result for each point in "results".

    epsilons: shares, at the sample size n; ns: sample sizes, at the share epsilon. Raises InputError for a point that
    can't be.
    """

    epsilons: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2)
    ns: tuple[int, ...] = (500, 1000, 3000, 10_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epsilons or not self.ns:
            raise InputError("epsilons and ns: expected at least one value of each, got none")
        self.samples()

    def samples(self) -> list[Settings]:
        """The settings of each sample: along ε at n, then along n at ε."""
        shared = {name: getattr(self, name) for name in Settings.__dataclass_fields__}
        one = Settings(**shared)
        return [replace(one, epsilon=value) for value in self.epsilons] + [replace(one, n=value) for value in self.ns]
