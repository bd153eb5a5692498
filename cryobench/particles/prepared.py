"""Images of a stack as a method takes them.

Each image is resampled to the size that the method knows, and brought to the background that it knows (mean and deviation
outside the inscribed circle). A method that learns from the stack itself is fitted to them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryobench.data.images import NoisyImages
from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack, resample, same_pixel_size
from cryobench.data.io.unusable import faults, refuse
from cryobench.data.poses import Poses
from cryobench.errors import InputError
from cryobench.noise.background import border_sigma, outside_circle
from cryobench.noise.ctf import Ctf
from cryobench.noise.recorded import Recorded
from cryobench.particles.chosen import LEAVE_OUT, evenly
from cryobench.particles.few import refuse_few
from cryobench.particles.model import Model

FITTED = 4000  # images of a stack that a method is fitted on, evenly spaced: as many as a desk-scale run has


class OfStack(Recorded):
    """Images as recorded, which stand where simulated ones have clean ones: σ is what their corners tell."""

    def sigma(self, clean: np.ndarray) -> np.ndarray:
        """(n, L, L), the images themselves → (n,)."""
        return border_sigma(clean)


@dataclass
class Prepared:
    """Images of a stack as a method takes them, read when asked for: an array (n, L, L), as far as NoisyImages needs one.

    source: Stack or Listing; rows (n,) of it; size: L; background: (mean, deviation); contrast: "white" or "dark"; ctf, poses: of
    these rows, for a method that is told of them, else None.
    """

    source: Stack | Listing
    rows: np.ndarray
    size: int
    background: tuple[float, float]
    contrast: str = "white"
    ctf: Ctf | None = None
    poses: Poses | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, L, L), as an array has it."""
        return len(self.rows), self.size, self.size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index) -> np.ndarray:
        return self.take(index)[0]

    def take(self, index) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The images (b, L, L), and the gain and level (b, 1, 1) that bring each back: image·gain + level."""
        rows = self.rows[index]
        images = self.source.raw(rows)
        refuse(self.source, rows, faults(images), LEAVE_OUT)
        images = resample(self.flipped_back(images, index), self.size)
        outside = images[:, outside_circle(self.size)].astype(np.float64)
        deviation = outside.std(axis=1)
        sign = -1.0 if self.contrast == "dark" else 1.0
        mean, spread = self.background
        gain = sign * deviation / spread
        level = outside.mean(axis=1) - gain * mean
        gain, level = gain[:, None, None], level[:, None, None]
        return ((images - level) / gain).astype(np.float32), gain, level

    def flipped_back(self, images: np.ndarray, index) -> np.ndarray:
        """Images at these positions, in the source's size, with phases as the microscope left them, for a method that is told of
        the CTF; or, of such ones, as the source has them."""
        return images if self.ctf is None else self.ctf[index].at(self.source.pixel_size or 1.0).as_before(images)

    def as_training(self, positions: np.ndarray | None = None) -> NoisyImages:
        """At most FITTED of them (or of those at `positions`), evenly spaced, for a method fitted on the stack itself."""
        positions = np.arange(len(self)) if positions is None else positions
        kept = positions[evenly(len(positions), FITTED)]
        ctf = None if self.ctf is None else self.ctf[kept]
        poses = None if self.poses is None else self.poses[kept]
        few = Prepared(self.source, self.rows[kept], self.size, self.background, self.contrast, ctf, poses)
        return NoisyImages(
            "train",
            clean=few,
            labels=np.zeros(len(few), np.int64),
            rotations=None if poses is None else poses.rotations,
            volumes=None,
            pixel_size=self.source.pixel_size or 1.0,
            noise=OfStack(),
            seed=0,
            recorded=few,
            optics=ctf,
            displaced=None if poses is None else poses.displaced,
        )

    def hints(self, block: slice) -> dict[str, Any]:
        """What a method is told of these images."""
        told = {"ctf": self.ctf, "poses": self.poses}
        return {name: value[block] for name, value in told.items() if value is not None}


def prepare(
    model: Model,
    source: Stack | Listing,
    rows: np.ndarray,
    contrast: str,
    say=lambda text: None,
    ctf: Ctf | None = None,
) -> Prepared:
    """The chosen images as `model` takes them; says what is done to them. `fit_to` fits it where it wants to be."""
    size = model.image_size or source.size
    poses = None
    if model.fits_stack and model.method.side_information & {"rotations", "poses"}:
        if not isinstance(source, Listing):
            raise InputError(
                f"{source.path}: expected a .star or .cs file with the poses of its particles, which "
                f"{model.config['method']['name']} is told, got a stack alone"
            )
        poses = source.take(rows).poses(source.pixel_size)
        # RELION's centre of odd images is one pixel further than L//2.
        poses = Poses(poses.rotations, poses.displaced + source.size % 2).resampled(size / source.size)
    prepared = Prepared(source, rows, size, model.background or (0.0, 1.0), contrast, ctf, poses)
    if size != source.size:
        say(
            f"images of {source.size} px are resampled to {size} px, as in training, and back{lost_detail(source, size)}"
        )
    if (
        model.pixel_size
        and source.pixel_size
        and not same_pixel_size(source.pixel_size * source.size / size, model.pixel_size)
    ):
        say(
            f"then {source.pixel_size * source.size / size:.3g} Å/px, where training had {model.pixel_size:.3g}: particles look "
            "larger or smaller than those it knows"
        )
    return prepared


def lost_detail(source: Stack | Listing, size: int) -> str:
    """What is lost where images become smaller than they were: all beyond the Nyquist frequency of `size` px; else nothing."""
    if size >= source.size:
        return ""
    finest = 2 * source.size / size * (source.pixel_size or 1.0)
    return f": detail finer than {finest:.3g} {'Å' if source.pixel_size else 'px'} is lost"


def fit_to(
    model: Model,
    prepared: Prepared,
    positions: np.ndarray | None = None,
    say=lambda text: None,
    workdir: Path | None = None,
    progress: bool = False,
) -> None:
    """Fit a method that learns from the stack itself to these of its images (all if None); others are left as they are.

    workdir: where a method that can keeps what it has so far, and goes on from.
    """
    if not model.learns_from_stack:
        return
    refuse_few(model, prepared.source.path, len(prepared) if positions is None else len(positions))
    model.method.setting = replace(model.method.setting, workdir=workdir, progress=progress)
    train = prepared.as_training(positions)
    say(f"{model.config['method']['name']} learns from {len(train)} of these images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # ASPIRE's, from few images
        model.method.fit(train.only(model.method.side_information))


def sigma_hint(model: Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """σ of images (b, L, L) by their corners, for a method that is told it; nothing for others."""
    return {"sigma": border_sigma(images)} if "sigma" in model.method.side_information else {}
