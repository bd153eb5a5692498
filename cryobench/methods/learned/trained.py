"""What all learned denoisers share: settings, what a net is shown, the choice of a checkpoint, weights in and out.

A learned denoiser has two files: its settings beside this one, which load no torch, so that a config can be read at once;
and in modules/ how its net is trained. training.py leads from images to weights.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cryobench.checks import above_zero, one_of, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Denoiser, check_images
from cryobench.methods.device import compute_device, single_precision
from cryobench.methods.imaging import given
from cryobench.methods.learned.nets import NETS

if TYPE_CHECKING:
    import torch

    from cryobench.methods.learned.modules.denoising import DenoisingModule
    from cryobench.noise.ctf import Ctf

BATCH_AT_TEST = 50  # fixed, so that batch norm in training mode sees the same batches on every machine


def validation_part(n: int) -> int:
    """How many of n training images, the last ones, choose the checkpoint: a twentieth, at least 8, at most 500."""
    return min(max(n // 20, 8), 500)


def same_pairs(images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """(noisy, clean) of these images, the same in every epoch: the paper's pairs are fixed."""
    return images.noisy(index), images.clean(index)


@dataclass
class Trained(Denoiser):
    """A net trained on pairs of clean and noisy images.

    net: "resnet", "conv" or "deep" (256 px); width: channels d of the first stage; epochs, batch_size, lr: of the
        generator's Adam;
    checkpoint: "validation" (the epoch with the lowest MSE on the validation part), "last", or "five_best" (the five
        epochs with the lowest MSE on the training images, each scored, as the paper's brackets most likely were made);
    batch_norm: "eval" (running statistics at test time), "train" (each test batch's own, as the released code), or
        "precise" (statistics estimated anew over training images before each validation, see precise.py);
    ctf_input: what the net is shown of images with a CTF, to make clean images without of: "none" (the image, and nothing of
        the CTF), "flip" (the image with the sign of every frequency put right), or "channel" (the image, and beside it the CTF
        as a second image, frequency 0 at its centre).
    """

    net: str = field(default="resnet", kw_only=True)
    width: int = field(default=64, kw_only=True)
    epochs: int = field(default=20, kw_only=True)
    batch_size: int = field(default=20, kw_only=True)
    lr: float = field(default=1e-2, kw_only=True)
    checkpoint: str = field(default="validation", kw_only=True)
    batch_norm: str = field(default="eval", kw_only=True)
    ctf_input: str = field(default="none", kw_only=True, metadata={"later": True})

    def __post_init__(self) -> None:
        self.generator: torch.nn.Module | None = None
        self.also: list[dict] = []  # the generator's weights after the other epochs chosen
        norms = ("eval", "train", "precise")
        choices = one_of(self, checkpoint=self.checkpoints, batch_norm=norms, net=self.nets, ctf_input=self.ctf_inputs)
        refuse("method", above_zero(self, "width", "epochs", "batch_size", "lr"), choices)

    @property
    def side_information(self) -> frozenset[str]:
        """The clean images, and the CTFs where the net is shown something of them."""
        return frozenset({"clean"} if self.ctf_input == "none" else {"clean", "ctf"})

    @property
    def channels(self) -> int:
        """How many images the net is shown of each particle."""
        return 2 if self.ctf_input == "channel" else 1

    nets: ClassVar[tuple[str, ...]] = NETS
    checkpoints: ClassVar[tuple[str, ...]] = ("validation", "last", "five_best")
    ctf_inputs: ClassVar[tuple[str, ...]] = ("none", "flip", "channel")
    prepares: ClassVar[bool] = False  # a fit does more with an image than train on it
    pairs_repeat: ClassVar[bool] = True  # `pairs` are the same in every epoch

    @abstractmethod
    def module(self, image_size: int) -> DenoisingModule:
        """The Lightning module to be trained, its weights drawn from the run's seed."""

    def build_generator(self, image_size: int) -> torch.nn.Module:
        """The net that denoises, its weights drawn from the seed. Raises InputError for an image size that it does not take."""
        from cryobench.methods.learned.nets.build import build

        width, seed, inputs = self.width, self.setting.seed, self.channels
        return build(self.net, "generator", width=width, image_size=image_size, seed=seed, inputs=inputs)

    def fit(self, train: NoisyImages) -> None:
        """Train on pairs (n, L, L); a fit that was ended goes on from the checkpoints in `setting.workdir`.

        Raises InputError for too few images or a batch size that the devices can't share, NotFinite for a loss that is
        not finite, Stopped where the process is told to end.
        """
        with self.own_folder():
            self.fit_in_folder(train)

    @contextlib.contextmanager
    def own_folder(self) -> Iterator[None]:
        """Where the setting names no folder, a temporary one in its place for this fit, which no other fit can find."""
        given = self.setting
        if given.workdir is not None:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="cryobench-") as folder:
            self.setting = replace(given, workdir=Path(folder))
            try:
                yield
            finally:
                self.setting = given

    @property
    def folder(self) -> Path:
        """The folder of this fit (`own_folder`)."""
        assert self.setting.workdir is not None
        return self.setting.workdir

    def fit_in_folder(self, train: NoisyImages) -> None:
        """What `fit` does once there is a folder for checkpoints."""
        held = validation_part(len(train))
        if len(train) - held < self.batch_size:
            raise InputError(
                f"data.n_train: expected at least batch_size + validation = {self.batch_size + held} images, "
                f"got {len(train)}; give more, or a smaller method.batch_size"
            )
        devices = self.setting.devices
        if self.batch_size % devices or held < devices:
            raise InputError(
                f"method.batch_size: expected a multiple of trainer.devices={devices}, among which a batch is divided, "
                f"got {self.batch_size}"
            )
        from cryobench.methods.learned import training

        training.fit(self, train)

    def chosen_epochs(self, curve: list[dict]) -> list[int]:
        """The epochs, counted from 1, whose weights are wanted if training ends with this curve; the best first."""
        if self.checkpoint == "last":
            return [curve[-1]["epoch"]]
        if self.checkpoint == "five_best":
            return [point["epoch"] for point in sorted(curve, key=lambda point: point["train_mse"])[:5]]
        return [min(curve, key=lambda point: point["val_mse"])["epoch"]]

    def pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """What the net is shown, and is to make of it, at these positions in this epoch (counted from 0).

        Both are (b, L, L), or (b, channels, L, L), float32.
        A pure function of its arguments and the run's seed, so that a training that was ended goes on as it would have.
        """
        noisy, clean = same_pairs(images, index, epoch)
        return self.with_ctf(noisy, images.hints(self.side_information, index).get("ctf")), clean

    def held_pairs(self, images: NoisyImages, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The same for the images that choose the checkpoint."""
        return Trained.pairs(self, images, index, epoch)

    def with_ctf(self, noisy: np.ndarray, ctf: Ctf | None) -> np.ndarray:
        """Images (b, L, L) as `ctf_input` wants them shown: (b, L, L), or (b, 2, L, L) with their CTFs."""
        if self.ctf_input == "none":
            return noisy
        if self.ctf_input == "channel":
            return np.stack([noisy, given(ctf).centred(noisy.shape[-1])], axis=1)
        from cryobench.noise.ctf import phase_flipped

        return phase_flipped(noisy, given(ctf).transfer(noisy.shape[-1]))

    @property
    def net_in_place(self) -> torch.nn.Module:
        """The net that was trained or loaded. Raises InputError before either."""
        return self.from_fit("generator")

    def variants(self) -> Iterator[Trained]:
        """With checkpoint=five_best, one denoiser for each epoch chosen, lowest training MSE first; else itself alone."""
        yield self
        for weights in self.also:
            other = copy.copy(self)
            other.generator = copy.deepcopy(self.net_in_place)
            other.generator.load_state_dict(weights)
            yield other

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → (n, L, L) float32, BATCH_AT_TEST images at a time.

        Raises InputError for a wrong shape, BadImages for NaN or Inf.
        """
        import torch

        check_images(noisy)
        device = compute_device(self.setting.accelerator)
        net = self.net_in_place.to(device).train(self.batch_norm == "train")
        before = {name: value.clone() for name, value in net.state_dict().items()}
        out = np.empty_like(noisy, dtype=np.float32)
        with torch.no_grad(), single_precision():
            for start in range(0, len(noisy), BATCH_AT_TEST):
                chunk = slice(start, start + BATCH_AT_TEST)
                ctf = hints["ctf"][chunk] if "ctf" in hints else None
                shown = self.inputs(noisy[chunk].astype(np.float32, copy=False), ctf)
                predicted = self.answer(net, shown.to(device))
                out[chunk] = predicted[:, 0].float().cpu().numpy()
        net.load_state_dict(before)  # batch norm in training mode moves its running statistics
        net.eval()
        return out

    def inputs(self, noisy: np.ndarray, ctf: Ctf | None = None) -> torch.Tensor:
        """What a net is shown of noisy images at test time, (b, L, L) float32 → (b, channels, L, L)."""
        from cryobench.methods.learned.batches import as_batch

        return as_batch(self.with_ctf(noisy, ctf))

    def answer(self, net: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """What a net makes of `inputs`, on their device: (b, channels, L, L) → denoised (b, 1, L, L)."""
        return net(inputs)

    def weights(self) -> dict:
        """The generator's weights by name, for safetensors."""
        return {name: value.contiguous() for name, value in self.net_in_place.state_dict().items()}

    def load_weights(self, weights: dict, image_size: int) -> None:
        """Take the generator's weights from `weights()` of an equal method. Raises InputError if they don't fit."""
        self.generator = self.build_generator(image_size)
        try:
            self.generator.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                f"weights: expected those of net {self.net}, width {self.width}; {error}".split("\n")[0]
            ) from None
        self.generator.eval()
