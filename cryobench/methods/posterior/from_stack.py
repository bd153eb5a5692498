"""Methods that make a structure of a stack of noisy images, by which each becomes its posterior mean (cross_fitted.py).

What they have in common: the settings of that posterior, one look at all images before the fit, and what lies beside the record.
An image that was in the fit is denoised by the map of the half that it was not in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cryobench.checks import at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import WithSigma, check_images
from cryobench.methods.imaging import BATCH, Imaging
from cryobench.methods.posterior.halves import Halves

if TYPE_CHECKING:
    import torch

    from cryobench.methods.posterior.structure import Structure

FIRST = 16  # px of the smallest maps
FEWEST = 8  # images
AGREE = 0.143  # FSC of half maps (Rosenthal & Henderson 2003)
DARK = 0.01  # mean gain at frequency 0 below which images tell nothing of the level


@dataclass(frozen=True)
class FirstLook:
    """What one look at all images tells: σ of each, (n,); the level of the background, without a CTF; the half (n,), 0 or 1, that
    each is in."""

    sigma: np.ndarray
    level: float
    halves: np.ndarray

    def __len__(self) -> int:
        return len(self.sigma)


@dataclass
class FromStack(WithSigma, Imaging):
    """n_fit: how many training images to use, None for all.
    step, fine_step: how far the rim of an image moves between neighbouring views, in px of a search's images; the finer one in
        those of the map's size.
    largest: px that maps may grow to, None for that of the images.
    shift: how many px a particle may be off the centre.
    """

    least: ClassVar[int] = FEWEST

    n_fit: int | None = field(default=None, kw_only=True)
    step: float = field(default=2.5, kw_only=True)
    fine_step: float = field(default=1.8, kw_only=True)
    largest: int | None = field(default=None, kw_only=True)
    shift: int = field(default=0, kw_only=True, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_imaging()
        for name in ("step", "fine_step"):
            if not getattr(self, name) > 0:
                raise InputError(f"method.{name}: expected a number above 0, got {getattr(self, name)}")
        refuse("method", at_least(self, 0, "shift"))
        for name, least in (("n_fit", FEWEST), ("largest", FIRST)):
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise InputError(f"method.{name}: expected {least} or more, or null, got {getattr(self, name)}")

    def look_at(self, train: NoisyImages) -> FirstLook:
        """See all training images once, and remember which half each is in. Raises InputError for fewer than 8."""
        from cryobench.methods.device import compute_device

        train = train.subset(slice(self.n_fit))
        if len(train) < FEWEST:
            raise InputError(f"data.n_train: expected {FEWEST} images or more to make a map of, got {len(train)}")
        self.device = compute_device(self.setting.accelerator)
        self.images, self.size, self.pixel_size = train, train.image_size, train.pixel_size
        self.learn_spectrum(train)
        self.halves = Halves()
        sigma, level, gain = np.empty(len(train)), 0.0, 0.0
        for part in self.batches():
            noisy = train.noisy(part)
            self.halves.add(noisy, part)
            noisy, transfers = self.whitened(noisy), self.seen_through(part)
            sigma[part] = self.noise_level(noisy, train.hints(self.side_information, part))
            level += outside_mean(noisy) * len(part) / len(train)
            gain += (1.0 if transfers is None else float(transfers[:, 0, 0].mean())) * len(part) / len(train)
        if self.sees:  # the level of images without a CTF, if that lets one through
            level = level / gain if abs(gain) > DARK else 0.0
        return FirstLook(sigma, level, np.arange(len(train)) % 2)

    def batches(self) -> list[np.ndarray]:
        """Positions of the training images, as many at a time as are in memory together."""
        n = len(self.images)
        return [np.arange(start, min(start + BATCH, n)) for start in range(0, n, BATCH)]

    @property
    def sees(self) -> bool:
        """Whether images are known to be seen through something."""
        return self.ctf != "none" or self.whitener is not None

    def seen_through(self, rows: np.ndarray) -> np.ndarray | None:
        """T of the training images at these positions, (b, L, L/2+1), or None."""
        return self.transfers(self.images.ctf(rows) if self.ctf != "none" else None, len(rows), self.size)

    def use(self, structure: Structure) -> None:
        """Denoise by this structure from now on."""
        from cryobench.methods.posterior.cross_fitted import CrossFitted

        self.structure = structure
        self.crossed = CrossFitted(
            structure, self.size, self.step, self.fine_step, self.sees, self.shift / self.size, self.device
        )

    def resolution(self, fsc: list[float] | np.ndarray | torch.Tensor) -> float:
        """Å where the FSC between the halves falls below 0.143."""
        return round(self.size * self.pixel_size / max(agreed_shells(fsc), 1), 2)

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → posterior means (n, L, L) float32, without frequencies beyond those of the map.

        report["per_image"], where there are several: conformation, the most probable one (0 to K − 1, in the order of the maps),
        and conformation_probability. Raises NotFitted before a fit, InputError for another L than that of the fit, BadImages for
        NaN or Inf.
        """
        self.from_fit("crossed")
        check_images(noisy, self.size)
        images, ctf = self.whitened(noisy), hints.get("ctf")
        sigma, transfers = self.noise_level(images, hints), self.transfers(ctf, len(noisy), self.size)
        means, conformations = self.crossed.means(images, self.halves.of(noisy), sigma, transfers)
        if conformations.shape[1] > 1:
            self.report["per_image"] = {
                "conformation": conformations.argmax(axis=1).tolist(),
                "conformation_probability": conformations.max(axis=1).round(4).tolist(),
            }
        return self.as_asked(means, ctf)

    def leave(self, folder: Path) -> list[Path]:
        """map.mrc and those of the halves, half1.mrc and half2.mrc; map1.mrc to mapK.mrc, where there are K conformations;
        fsc.csv, between the halves; poses.star, the pose of each training image as RELION reads it."""
        from cryobench.methods.posterior.kept import write

        return write(folder, self.structure, self.size, self.pixel_size)


def outside_mean(images: np.ndarray) -> float:
    """The level of the background, outside the inscribed circle."""
    from cryobench.noise.background import outside_circle

    return float(images[:, outside_circle(images.shape[-1])].mean())


def agreed_shells(fsc) -> int:
    """The last shell before the first in which the halves no longer agree."""
    below = [shell for shell, value in enumerate(fsc) if value < AGREE]
    return (below[0] if below else len(fsc)) - 1
