"""The groups that make no object but set sizes and switches: trainer, protocol and scale. Their fields are their schema.

As with the groups that a class is built from, a key that is not here is refused, and so is a value of another type. Where a
switch reaches a method through `${protocol.…}` or `${scale.…}`, which values it may have is that method's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from cryobench.config.identity import FULL
from cryobench.errors import InputError, MissingPackage

ACCELERATORS = ("cpu", "gpu", "cuda", "mps", "auto")
LOGGERS = ("none", "csv", "tensorboard")
TENSORBOARDS = ("tensorboard", "tensorboardX")  # Lightning writes with either
PRECISIONS = (FULL, "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")


def refuse(group: str, wrong: dict[str, str]) -> None:
    """Raise InputError, in one line, if anything is wrong: key → what was expected, and what came."""
    if wrong:
        raise InputError("; ".join(f"{group}.{key}: {text}" for key, text in wrong.items()))


def at_least(least: int, settings: Mapping[str, int | None]) -> dict[str, str]:
    """Of these whole numbers, those below `least`, with what was expected; None is never wrong."""
    return {
        key: f"expected a whole number of at least {least}, got {value}"
        for key, value in settings.items()
        if value is not None and value < least
    }


def above_zero(settings: Mapping[str, float | None]) -> dict[str, str]:
    """Of these numbers, those that are not above 0, with what was expected; None is never wrong."""
    return {
        key: f"expected a number above 0, got {value:g}"
        for key, value in settings.items()
        if value is not None and value <= 0
    }


@dataclass(frozen=True)
class Trainer:
    """Where a run works and with how much of the machine. Of these, only the precision decides a result.

    threads: of torch in one run, None for torch's choice; workers: processes of a classical method, None for all cores;
    checkpoint_minutes: between two checkpoints within an epoch; time_limit: minutes that a run may take, None for no limit;
    side_by_side: runs of a sweep at once, None for one on each idle core, or GPU; logger: whether training curves are written
    step by step, too. Raises InputError, MissingPackage for a logger whose package is not installed.
    """

    accelerator: str = "cpu"
    devices: int = 1
    precision: str = FULL
    strategy: str = "auto"
    threads: int | None = None
    workers: int | None = None
    checkpoint_minutes: float = 10.0
    time_limit: float | None = None
    side_by_side: int | None = None
    logger: str = "none"

    def __post_init__(self) -> None:
        numbers = ("devices", "threads", "workers", "side_by_side")
        wrong = at_least(1, {name: getattr(self, name) for name in numbers}) | above_zero(
            {"time_limit": self.time_limit}
        )
        for name, known in (("accelerator", ACCELERATORS), ("precision", PRECISIONS), ("logger", LOGGERS)):
            if getattr(self, name) not in known:
                wrong[name] = f"expected one of {', '.join(known)}, got {getattr(self, name)}"
        if self.devices > 1 and self.strategy not in ("auto", "ddp"):
            wrong["strategy"] = f"expected auto or ddp for several devices, got {self.strategy}"
        if self.checkpoint_minutes < 0:
            wrong["checkpoint_minutes"] = f"expected a number of at least 0, got {self.checkpoint_minutes:g}"
        refuse("trainer", wrong)
        if self.logger == "tensorboard" and not any(map(find_spec, TENSORBOARDS)):
            raise MissingPackage(
                "trainer.logger=tensorboard: expected the package tensorboard, which is installed apart, got none; "
                "pip install tensorboard"
            )


@dataclass(frozen=True)
class Protocol:
    """One reading of the paper, switch by switch (docs/protocol.md). Raises InputError."""

    name: str
    clip: bool
    score_map: str
    lipschitz: str
    batch_norm: str
    batch_size: int
    checkpoint: str
    ssim_range: float
    bm3d_sigma: str
    ksvd_coding: str
    ksvd_atoms: int

    def __post_init__(self) -> None:
        numbers = {"batch_size": self.batch_size, "ksvd_atoms": self.ksvd_atoms}
        refuse("protocol", at_least(1, numbers) | above_zero({"ssim_range": self.ssim_range}))


@dataclass(frozen=True)
class Scale:
    """How big. A scale of one's own may leave out what its runs don't use (None here). Raises InputError.

    image_size in px; width: channels of a net's first layer; size: of tasks without images, the share of the published
    dimension, sample and steps.
    """

    name: str
    image_size: int
    n_train: int
    n_test: int
    width: int | None = None
    epochs: int | None = None
    size: float | None = None

    def __post_init__(self) -> None:
        numbers = ("image_size", "n_train", "n_test", "width", "epochs")
        wrong = at_least(1, {name: getattr(self, name) for name in numbers})
        refuse("scale", wrong | above_zero({"size": self.size}))


SETTINGS = {"trainer": Trainer, "protocol": Protocol, "scale": Scale}
