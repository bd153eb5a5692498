"""The denoising autoencoder: a generator trained on pairs by ℓ1 or ℓ2 alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryobench.checks import one_of, refuse
from cryobench.methods.learned.trained import Trained

if TYPE_CHECKING:
    from cryobench.methods.learned.modules.autoencoder import AutoencoderModule


@dataclass
class Autoencoder(Trained):
    """min over G of E‖x − G(y)‖, by ℓ1 or squared ℓ2.

    loss: "l1" or "l2".
    """

    loss: str = "l2"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("method", one_of(self, loss=("l1", "l2")))

    def module(self, image_size: int) -> AutoencoderModule:
        from cryobench.methods.learned.modules.autoencoder import AutoencoderModule

        return AutoencoderModule(self, image_size)
