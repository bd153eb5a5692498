"""The groups that make no object but set sizes and switches: trainer, protocol and scale. Their fields are their schema.

As with the groups that a class is built from, a key that is not here is refused, and so is a value of another type. Where a
switch reaches a method through `${protocol.…}` or `${scale.…}`, which values it may have is that method's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from cryobench.checks import above_zero, at_least, one_of, refuse
from cryobench.config.identity import BUILT, FULL
from cryobench.errors import MissingPackage

ACCELERATORS = ("cpu", "gpu", "cuda", "mps", "auto")
LOGGERS = ("none", "csv", "tensorboard")
TENSORBOARDS = ("tensorboard", "tensorboardX")  # Lightning writes with either
PRECISIONS = (FULL, "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")


@dataclass(frozen=True)
class Trainer:
    """Where a run works and with how much of the machine. Of these, only the precision decides a result.

    cuda_graphs: on one GPU, autoencoders and GANs record a training step once and then start its kernels together;
    threads: of torch in one run, None for one in a sweep and one on each idle core in a run alone; workers: processes of a
    classical method, None for all cores;
    checkpoint_minutes: between two checkpoints within an epoch; time_limit: minutes that a run may take, None for no limit;
    side_by_side: runs of a sweep at once, None for one on each idle core, or GPU; logger: whether training curves are written
    step by step, too. Raises InputError, MissingPackage for a logger whose package is not installed.
    """

    accelerator: str = "cpu"
    devices: int = 1
    precision: str = FULL
    strategy: str = "auto"
    cuda_graphs: bool = True
    threads: int | None = None
    workers: int | None = None
    checkpoint_minutes: float = 10.0
    time_limit: float | None = None
    side_by_side: int | None = None
    logger: str = "none"

    def __post_init__(self) -> None:
        alone = self.devices <= 1 or self.strategy in ("auto", "ddp")
        refuse(
            "trainer",
            at_least(self, 1, "devices", "threads", "workers", "side_by_side"),
            above_zero(self, "time_limit"),
            at_least(self, 0, "checkpoint_minutes"),
            one_of(self, accelerator=ACCELERATORS, precision=PRECISIONS, logger=LOGGERS),
            {} if alone else {"strategy": f"expected auto or ddp for several devices, got {self.strategy}"},
        )
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
        refuse("protocol", at_least(self, 1, "batch_size", "ksvd_atoms"), above_zero(self, "ssim_range"))


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
        numbers = at_least(self, 1, "image_size", "n_train", "n_test", "width", "epochs")
        refuse("scale", numbers, above_zero(self, "size"))


SETTINGS = {"trainer": Trainer, "protocol": Protocol, "scale": Scale}
GROUPS = (*BUILT, *SETTINGS)  # the groups of a config that denoises
