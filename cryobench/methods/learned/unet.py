"""A U-Net trained to come near the limit, alone or on top of the exemplars' posterior mean.

With guide=exemplar the net is shown the noisy image and, beside it, the posterior means over the training exemplars
(`exemplar.py`) at half, once and twice their τ, and learns what to add to the middle one. While it trains, each image is
left out of its own posterior: with itself among the exemplars the guide would be right, and the net would learn to
trust it. With guide=none it is shown the noisy image alone.

Each training image gets new noise in each of `draws` epochs, then the same again, and in each epoch one of the grid's
eight symmetries. At test time the net's answers to all eight are turned back and averaged.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rich.progress import track

from cryobench.checks import at_least, one_of, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.files import replacing
from cryobench.methods.learned.symmetries import COUNT, turned, turned_back
from cryobench.methods.learned.trained import Trained, validation_part
from cryobench.methods.posterior.exemplar import Exemplar

if TYPE_CHECKING:
    import torch

    from cryobench.methods.learned.modules.unet import UNetModule
    from cryobench.noise.ctf import Ctf

WIDTHS = (0.5, 1.0, 2.0)  # of the guide's posteriors, times the exemplars' own τ
BATCH = 256  # images whose guides are made at a time
COMMITTED = 128  # px of the largest images whose U-Nets are committed: their guides keep their last digits
MIDDLE = 2  # the input's channel that the net adds to: the noisy image comes first


@dataclass
class UNet(Trained):
    """guide: "exemplar" or "none"; draws: of noise for each training image; weight_decay: of AdamW."""

    nets: ClassVar[tuple[str, ...]] = ("unet",)
    ctf_inputs: ClassVar[tuple[str, ...]] = ("none", "flip")
    checkpoints: ClassVar[tuple[str, ...]] = ("validation", "last")
    prepares: ClassVar[bool] = True
    pairs_repeat: ClassVar[bool] = False
    net: str = field(default="unet", init=False)
    batch_norm: str = field(default="eval", init=False)  # there is none

    guide: str = "exemplar"
    draws: int = 3
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("method", one_of(self, guide=("exemplar", "none")), at_least(self, 1, "draws"))
        exemplars_ctf = "none" if self.ctf_input == "none" else "corrected"
        self.exemplar = Exemplar(ctf=exemplars_ctf) if self.guide == "exemplar" else None

    @property
    def side_information(self) -> frozenset[str]:
        draws = {"draws"} if self.draws > 1 else set()
        return super().side_information | (self.exemplar.side_information if self.exemplar else set()) | draws

    def module(self, image_size: int) -> UNetModule:
        from cryobench.methods.learned.modules.unet import UNetModule

        return UNetModule(self, image_size)

    @property
    def channels(self) -> int:
        return 1 + (len(WIDTHS) if self.exemplar else 0)

    def build_generator(self, image_size: int) -> torch.nn.Module:
        from cryobench.methods.learned.nets import unet

        base = MIDDLE if self.exemplar else None
        return unet.build(self.width, image_size, seed=self.setting.seed, inputs=self.channels, base=base)

    def fit_in_folder(self, train: NoisyImages) -> None:
        """Guides of all training images first, under each draw of noise, where the exemplars are to guide; then as any net."""
        if not self.exemplar:
            return super().fit_in_folder(train)
        self.exemplar.setting = self.setting
        self.exemplar.folded = train.image_size > COMMITTED
        self.exemplar.fit(train)
        self.exemplars = train.indices
        folder = self.folder / "guides"
        folder.mkdir(parents=True, exist_ok=True)
        self.guides = [
            self._guides(self.exemplar, train, draw, folder / f"draw_{draw}.npy") for draw in range(self.draws)
        ]
        held = np.arange(len(train) - validation_part(len(train)), len(train))
        middle = self.guides[0][held, MIDDLE - 1].astype(np.float32)
        self.report["guide"] = {name: self.exemplar.report[name] for name in ("tau", "components", "angles")}
        self.report["guide_val_mse"] = float(np.mean((middle - train.clean(held)) ** 2))
        super().fit_in_folder(train)
        del self.guides
        shutil.rmtree(folder)

    def _guides(self, exemplar: Exemplar, train: NoisyImages, draw: int, path: Path) -> np.ndarray:
        """(n, len(WIDTHS), L, L) float16, memory-mapped: the guides of all training images under one draw of noise."""
        if not path.exists():  # else an ended run left it
            guides = np.empty((len(train), len(WIDTHS), train.image_size, train.image_size), np.float16)
            starts = track(
                range(0, len(train), BATCH),
                f"guides, draw {draw + 1} of {self.draws}",
                disable=not self.setting.progress,
            )
            for start in starts:
                some = np.arange(start, min(start + BATCH, len(train)))
                hints = train.hints(exemplar.side_information, some)
                guides[some] = exemplar.widened(train.noisy(some, draw), WIDTHS, leave_out=some, **hints)
            with replacing(path) as part, open(part, "wb") as file:
                np.save(file, guides)
        return np.load(path, mmap_mode="r")

    def pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """New noise in each of `draws` epochs, and a symmetry that no image meets twice under the same noise (of eight)."""
        inputs, clean = self._shown(images, index, epoch % self.draws)
        which = (images.indices[index] + 3 * (epoch % self.draws) + epoch // self.draws) % COUNT
        for symmetry in range(COUNT):
            chosen = which == symmetry
            inputs[chosen], clean[chosen] = turned(inputs[chosen], symmetry), turned(clean[chosen], symmetry)
        return inputs, clean

    def held_pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The images that choose the checkpoint: unturned, under the noise that they have."""
        return self._shown(images, index, draw=0)

    def _shown(self, images: NoisyImages, index: np.ndarray, draw: int) -> tuple[np.ndarray, np.ndarray]:
        """(b, channels, L, L) and (b, 1, L, L) float32."""
        noisy = self.with_ctf(images.noisy(index, draw), images.hints(self.side_information, index).get("ctf"))
        inputs, clean = noisy[:, None], np.array(images.clean(index)[:, None])
        if self.exemplar:
            guides = self.guides[draw][np.searchsorted(self.exemplars, images.indices[index])]
            inputs = np.concatenate([inputs, guides.astype(np.float32)], axis=1)
        return inputs, clean

    def inputs(self, noisy: np.ndarray, ctf: Ctf | None = None) -> torch.Tensor:
        """The noisy images, and beside them what the exemplars' posteriors say of them if they are the guide."""
        import torch

        channels = self.with_ctf(noisy, ctf)[:, None]
        if self.exemplar:
            hints: dict[str, Any] = {} if ctf is None else {"ctf": ctf}
            channels = np.concatenate([channels, self.exemplar.widened(noisy, WIDTHS, **hints)], axis=1)
        return torch.from_numpy(channels)

    def answer(self, net: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """The mean of the net's answers to all eight symmetries of `inputs`, each turned back."""
        import torch

        answers = [turned_back(net(turned(inputs, symmetry)), symmetry) for symmetry in range(COUNT)]
        return torch.stack(answers).mean(dim=0)

    def load_weights(self, weights: dict, image_size: int) -> None:
        """Without a guide as for any net. Raises InputError with one, which needs the training images."""
        if self.exemplar:
            raise InputError(
                "method.guide: the weights of a net guided by exemplars are not enough, it needs the "
                "training images; fit it again, or train one with method.guide=none"
            )
        super().load_weights(weights, image_size)
