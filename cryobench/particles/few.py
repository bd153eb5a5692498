"""Stacks that are too small for the method that is fitted on them: refused, or said before the fit and remembered after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryobench.errors import InputError
from cryobench.particles.model import Model

if TYPE_CHECKING:
    from cryobench.particles.prepared import Prepared


@dataclass(frozen=True)
class Part:
    """Of a stack of `total` images the part that a method is fitted on, to be judged on `judged` others at a time."""

    total: int
    judged: int

    @property
    def is_half(self) -> bool:
        """Whether halves of the stack take turns."""
        return 2 * self.judged >= self.total

    def __str__(self) -> str:
        if self.is_half:
            return f" (half of the {self.total}, as it is judged on the other half)"
        return f" (the rest of the {self.total}, as it is judged on {self.judged})"

    def stack(self, need: int) -> int:
        """How many images the stack has to have, so that this part has `need` of them."""
        return 2 * need if self.is_half else need + self.judged


@dataclass(frozen=True)
class TooFew:
    """name: the method's; number: images that it is fitted on; need: from how many on that is worth having, at `size` px;
    part: of the stack, that they are, None for all of it."""

    name: str
    number: int
    need: int
    size: int
    part: Part | None = None

    @classmethod
    def of(cls, model: Model, prepared: Prepared, number: int, part: Part | None = None) -> TooFew | None:
        """None where this many are enough, or nothing is known of it."""
        need = model.method.fewest(prepared.size) if model.learns_from_stack else None
        if need is None or number >= need:
            return None
        return cls(named(model), number, need, prepared.size, part)

    @property
    def before(self) -> str:
        """What will come of it, and what to do, for before the fit."""
        stack = "" if self.part is None else f", so {self.part.stack(self.need)} in the stack"
        return (
            f"{self.number} images{self.part or ''} are too few for {self.name}, which at {self.size} px needs {self.need} or "
            f"more{stack}: rings and noise of its own will come out. Give it more particles or class averages, or take a method "
            "that learns nothing from the stack (method=nlm, method=bm3d)."
        )

    @property
    def beside(self) -> str:
        """The numbers alone."""
        return f"{self.number} of the {self.need} that a fit needs{self.part or ''}"

    def after(self, file: str) -> str:
        """A reminder."""
        return f"{file} is not to be trusted: {self.name} had {self.number} of {self.need} images."


def named(model: Model) -> str:
    """A model's method, as one types it."""
    return model.config["method"]["name"]


def refuse_few(model: Model, path: Path, number: int, part: Part | None = None) -> None:
    """Raise InputError where a method can't be fitted on so many images of a file; part: as in TooFew."""
    least = model.method.least if model.learns_from_stack else 0
    if number >= least:
        return
    if part is None:
        raise InputError(f"{path}: expected {least} images or more, which method={named(model)} needs, got {number}")
    why = f"method={named(model)} needs {least} and is judged on others"
    raise InputError(f"{path}: expected {part.stack(least)} images or more, since {why}, got {part.total}")
