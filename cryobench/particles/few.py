"""Stacks that are too small for the method that is fitted on them: refused, or said before the fit and remembered after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryobench.errors import InputError
from cryobench.particles.model import Model

if TYPE_CHECKING:
    from cryobench.particles.denoise import Prepared

HALVES = 2  # of a stack that a method is fitted on and judged on in turn


@dataclass(frozen=True)
class TooFew:
    """name: the method's; number: images that it is fitted on; need: from how many on that is worth having, at `size` px;
    total: of the stack, where the method is fitted on halves of it in turn, else None."""

    name: str
    number: int
    need: int
    size: int
    total: int | None = None

    @classmethod
    def of(cls, model: Model, prepared: Prepared, number: int, total: int | None = None) -> TooFew | None:
        """None where this many are enough, or nothing is known of it."""
        need = model.method.fewest(prepared.size) if model.learns_from_stack else None
        if need is None or number >= need:
            return None
        return cls(named(model), number, need, prepared.size, total)

    @property
    def half(self) -> str:
        """Where the number comes from, if it is not that of the stack."""
        return "" if self.total is None else f" (half of the {self.total}, as it is judged on the other half)"

    @property
    def before(self) -> str:
        """What will come of it, and what to do, for before the fit."""
        stack = "" if self.total is None else f", so {HALVES * self.need} in the stack"
        return (
            f"{self.number} images{self.half} are too few for {self.name}, which at {self.size} px needs {self.need} or more"
            f"{stack}: rings and noise of its own will come out. Give it more particles or class averages, or take a method that "
            "learns nothing from the stack (method=nlm, method=bm3d)."
        )

    def after(self, file: str) -> str:
        """A reminder."""
        return f"{file} is not to be trusted: {self.name} had {self.number} of {self.need} images."


def named(model: Model) -> str:
    """A model's method, as one types it."""
    return model.config["method"]["name"]


def refuse_few(model: Model, path: Path, number: int, total: int | None = None) -> None:
    """Raise InputError where a method can't be fitted on so many images of a file; total: as in TooFew."""
    least = model.method.least if model.learns_from_stack else 0
    if number >= least:
        return
    needs = f"{least} images or more, which method={named(model)} needs"
    if total is not None:
        needs = f"{HALVES * least} images or more, since method={named(model)} needs {least} and is judged on others"
    raise InputError(f"{path}: expected {needs}, got {number if total is None else total}")
