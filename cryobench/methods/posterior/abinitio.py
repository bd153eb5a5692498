"""From noisy images alone: the structure that they imply is found, and each image becomes its posterior mean under it.

Nothing is known but that the images are projections of one volume from unknown directions, with noise (and each with a scale
and a level of its own, pose_mixture.py). Two halves of the images are kept apart. Each finds a coarse map from random blobs by
expectation–maximisation, its likelihood flattened at first (annealing), the likeliest of several starts going on; the second
half's map is turned onto the first's, and that the two agree is the proof that there is a structure. Then maps and images
grow in size as long as the halves agree at the rim of what they hold (structure.py, half_maps.py).

    x̂(y) = Σ_R p(R | y, V) E[a P_R V + b | R, y]

An image that was in the fit is denoised by the map of the half that it was not in. Told of the CTFs (method.ctf), views are
compared with images as each sees them, and the maps are without (seen.py); noise that is not white is whitened in both.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from cryobench.checks import at_least, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError, note
from cryobench.methods.base import Found, WithSigma, check_images
from cryobench.methods.imaging import Imaging
from cryobench.methods.posterior.halves import Halves

if TYPE_CHECKING:
    import torch

    from cryobench.methods.posterior.band import Band
    from cryobench.methods.posterior.structure import Structure

FIRST = 16  # px of the first maps
ANNEALING = (4.0, 3.0, 2.25, 1.7, 1.3, 1.0, 1.0, 1.0)  # of the first maps; the likelihood is taken to the power 1/heat
STAGE = (1.3, 1.0)
FINE = (1.0, 1.0)  # of the last maps, with finer poses
# CTFs take most of the lowest frequencies away, where a map begins, and the less images tell the shorter are the steps of
# expectation–maximisation: there are more of them in small maps, where they cost little.
SETTLING = (1.0,) * 16  # after the annealing of the first maps
SMALL, SMALL_STAGE = 32, (1.0,) * 5  # px up to which a stage has these
GROWTH = 1.33  # from stage to stage
SHARED = 5  # shells that both halves share, in maps of any size, so that they stay in one frame
AGREE = 0.143  # FSC of half maps (Rosenthal & Henderson 2003)
FOUND = 0.5  # FSC of the first shells that the halves do not share, in the first stage where there are any
COARSE = 24  # px up to which poses are searched everywhere
DARK = 0.01  # mean gain at frequency 0 below which images tell nothing of the level


@dataclass
class AbInitio(WithSigma, Imaging):
    """starts: random starts of each half; n_first: how many images of it those see.
    n_fit: how many training images to use, None for all.
    step, fine_step: how far the rim of an image moves between neighbouring views, in px of the stage's images; the finer one at
        the end of the fit and for denoising.
    largest: px that maps may grow to, None for that of the images.
    shift: how many px a particle may be off the centre; shifts of whole px of a stage's images are unknowns like the pose.
    """

    starts: int = 3
    n_first: int = 1000
    n_fit: int | None = None
    step: float = 2.5
    fine_step: float = 1.8
    largest: int | None = None
    shift: int = field(default=0, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_imaging()
        for name in ("starts", "n_first", "step", "fine_step"):
            if not getattr(self, name) > 0:
                raise InputError(f"method.{name}: expected a number above 0, got {getattr(self, name)}")
        refuse("method", at_least(self, 0, "shift"))
        for name, least in (("n_fit", 8), ("largest", FIRST)):
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise InputError(f"method.{name}: expected {least} or more, or null, got {getattr(self, name)}")

    def fit(self, train: NoisyImages) -> None:
        """Find the structure of the training images; goes on where a fit in the same folder was stopped.

        report: starts (half, log-likelihood an image), agreement (correlation of the halves' first maps), stages (size in px,
        step, views, FSC, log-likelihood an image), resolution in Å where the halves' FSC falls below 0.143, found. Raises
        InputError for fewer than 8 images.
        """
        from cryobench.methods.device import compute_device

        train = train.subset(slice(self.n_fit))
        if len(train) < 8:
            raise InputError(f"data.n_train: expected 8 images or more to find a structure, got {len(train)}")
        self.device = compute_device(self.setting.accelerator)
        self.images, self.size, self.pixel_size = train, train.image_size, train.pixel_size
        rows = [np.arange(start, min(start + 256, len(train))) for start in range(0, len(train), 256)]
        self.learn_spectrum(train)
        sigma, level, gain = np.empty(len(train)), 0.0, 0.0
        self.halves = Halves()
        self.shown: dict[str, np.ndarray] = {}
        for part in rows:
            noisy = train.noisy(part)
            self.halves.add(noisy, part)
            noisy, transfers = self.whitened(noisy), self.seen_through(part)
            sigma[part] = self.noise_level(noisy, train.hints(self.side_information, part))
            level += outside_mean(noisy) * len(part) / len(train)
            gain += (1.0 if transfers is None else float(transfers[:, 0, 0].mean())) * len(part) / len(train)
        if self.sees:  # the level of images without a CTF, if that lets one through
            level = level / gain if abs(gain) > DARK else 0.0
        halves = np.arange(len(train)) % 2
        with Progress(disable=not self.setting.progress) as shown:
            saved = self.saved()
            self.structure: Structure = self.begin(sigma, level, halves, shown) if saved is None else saved
            while (size := self.next_size()) is not None:
                heats = SMALL_STAGE if self.sees and size <= SMALL else STAGE
                self.structure = self.stage(size, self.step, heats, sigma, halves, shown)
                self.save()
            last = self.report["stages"][-1]
            if last["step"] != self.fine_step:
                self.structure = self.stage(last["size"], self.fine_step, FINE, sigma, halves, shown)
                self.save()
        del self.images
        self.conclude()

    def begin(self, sigma: np.ndarray, level: float, halves: np.ndarray, shown: Progress) -> Structure:
        """The halves' first maps, each from the likeliest of its starts, in one frame."""
        from cryobench.methods.posterior.align import align, moved_onto
        from cryobench.methods.posterior.half_maps import HalfMaps
        from cryobench.methods.posterior.structure import Structure, beginning, iterate, poses_of

        rng = np.random.default_rng([self.setting.seed, len(halves)])
        poses, first, tried = poses_of(FIRST, self.step, self.device), [], []
        heats = ANNEALING + SETTLING if self.sees else ANNEALING
        task = shown.add_task("first maps", total=2 * self.starts * len(heats))
        for half in (0, 1):
            rows = np.flatnonzero(halves == half)[: self.n_first]
            band = self.band(rows, sigma, FIRST)
            candidates = []
            for _ in range(self.starts):
                structure = beginning(band, level, rng)
                for heat in heats:
                    structure = iterate(structure, band, np.arange(len(rows)) % 2, poses, heat, None, local=False)
                    shown.advance(task)
                candidates.append(structure)
                tried.append({"half": half + 1, "log_likelihood": round(structure.log_likelihood, 3)})
            first.append(max(candidates, key=lambda structure: structure.log_likelihood))
        one, other = (structure.maps.both for structure in first)
        alignment = align(other, one)
        other = alignment(other)
        if self.shift:  # images leave a map's place as open as they leave its rotation
            other = moved_onto(other, one, math.ceil(self.shift * FIRST / self.size))
        self.report.update(starts=tried, agreement=round(alignment.correlation, 4), stages=[])
        self.show("first maps", (one + other) / 2)
        return Structure(HalfMaps((one, other), (one + other) / 2, first[0].maps.fsc), first[0].contrast)

    def stage(
        self, size: int, step: float, heats: tuple[float, ...], sigma: np.ndarray, halves: np.ndarray, shown: Progress
    ) -> Structure:
        """Iterations with maps of `size` px and views a `step` apart, at these temperatures."""
        from cryobench.methods.posterior.structure import iterate, poses_of

        structure, poses = self.structure, poses_of(size, step, self.device)
        band = self.band(np.arange(len(halves)), sigma, size, structure.shifts if size > COARSE else None)
        task = shown.add_task(f"{size} px", total=len(heats) * len(halves))
        for heat in heats:
            structure = iterate(
                structure,
                band,
                halves,
                poses,
                heat,
                SHARED,
                local=size > COARSE,
                advance=lambda done: shown.advance(task, done),
            )
        self.show(f"{size} px, steps of {step:g} px", structure.maps.both)
        self.report["stages"].append(
            {
                "size": size,
                "step": step,
                "views": len(poses.rotations),
                "log_likelihood": round(structure.log_likelihood, 3),
                "fsc": [round(float(value), 4) for value in structure.maps.fsc],
            }
        )
        return structure

    def show(self, stage: str, volume: torch.Tensor) -> None:
        """Keep a stage's map as it looks along z, y and x."""
        self.shown[stage] = np.stack([volume.sum(dim=axis).cpu().numpy() for axis in range(3)])

    def next_size(self) -> int | None:
        """The size of the next stage; None when the halves no longer agree at the rim of the last, or at the largest."""
        stages, largest = self.report["stages"], min(self.largest or self.size, self.size) // 2 * 2
        if not stages:
            return min(FIRST, largest)
        last = stages[-1]["size"]
        ended = last >= largest or stages[-1]["step"] == self.fine_step
        if ended or (last > FIRST and agreed_shells(stages[-1]["fsc"]) < last // 2 - 1):
            return None
        return min(int(last * GROWTH / 8 + 0.5) * 8 if last > FIRST else COARSE, largest)

    def conclude(self) -> None:
        """What the stages say, and one line where no structure was found."""
        from cryobench.methods.posterior.cross_fitted import CrossFitted

        stages = self.report["stages"]
        shells, edge = agreed_shells(stages[-1]["fsc"]), self.size * self.pixel_size
        unshared = next((stage["fsc"] for stage in stages if stage["size"] > 2 * SHARED + 6), None)
        agrees = unshared is not None and float(np.mean(unshared[SHARED + 1 : SHARED + 4])) > FOUND
        self.report.update(
            resolution=round(edge / max(shells, 1), 2), found=agrees, contrast=vars(self.structure.contrast)
        )
        maps = self.structure.maps
        self.found = Found(
            maps.both.cpu().numpy(), self.structure.rotations, tuple(self.shown.items()), maps.fsc.cpu().numpy()
        )
        self.crossed = CrossFitted(
            self.structure, self.size, self.step, self.fine_step, self.sees, self.shift / self.size, self.device
        )
        if not agrees:
            note(
                f"abinitio: no structure was found in {len(self.halves)} images, which are too few or show no one thing: maps "
                f"of two halves of them do not agree "
                f"beyond {edge / SHARED:.3g} Å; denoised images show no more than a blob"
            )

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → posterior means (n, L, L) float32, without frequencies beyond those of the map.

        Raises InputError for another L than that of the fit, BadImages for NaN or Inf.
        """
        check_images(noisy, self.size)
        images, ctf = self.whitened(noisy), hints.get("ctf")
        sigma, transfers = self.noise_level(images, hints), self.transfers(ctf, len(noisy), self.size)
        return self.as_asked(self.crossed.means(images, self.halves.of(noisy), sigma, transfers), ctf)

    @property
    def sees(self) -> bool:
        """Whether images are known to be seen through something."""
        return self.ctf != "none" or self.whitener is not None

    def seen_through(self, rows: np.ndarray) -> np.ndarray | None:
        """T of the training images at these positions, (b, L, L/2+1), or None."""
        return self.transfers(self.images.ctf(rows) if self.ctf != "none" else None, len(rows), self.size)

    def band(self, rows: np.ndarray, sigma: np.ndarray, size: int, shifts: np.ndarray | None = None) -> Band:
        """The training images at these positions, at `size` px; σ of all; shifts (n, 2) about which particles are looked for, in
        shares of the edge, None: everywhere."""
        from cryobench.methods.posterior.band import band_of, places

        near = shifts is not None
        where = shifts[rows] if shifts is not None else np.zeros((len(rows), 2))
        return band_of(
            lambda part: self.whitened(self.images.noisy(rows[part])),
            len(rows),
            self.size,
            sigma[rows],
            size,
            self.device,
            lambda part: self.seen_through(rows[part]),
            places(where, size, self.shift / self.size, near, self.device),
        )

    def leave(self, folder: Path) -> list[Path]:
        """map.mrc and those of the halves, half1.mrc and half2.mrc; fsc.csv, between the halves; poses.star, the likeliest
        pose of each training image as RELION reads it."""
        from cryobench.methods.posterior.kept import write

        return write(folder, self.structure, self.size, self.pixel_size)

    @property
    def fingerprint(self) -> str:
        """Which images a fit is of, seen through what, and with which settings."""
        settings = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.init]
        ctf = self.images.ctf().values.tobytes() if self.ctf != "none" else b""
        words = "\n".join([self.halves.fingerprint, f"seed={self.setting.seed}", *settings])
        return hashlib.blake2b(words.encode() + ctf, digest_size=8).hexdigest()

    def save(self) -> None:
        """Keep the stage that is done, for a fit that is stopped."""
        from cryobench.methods.posterior.kept import keep

        if self.setting.workdir is not None:
            keep(Path(self.setting.workdir), self.structure, self.report, self.fingerprint, self.shown)

    def saved(self) -> Structure | None:
        """The last stage that a stopped fit of the same images with the same settings kept, None without one."""
        from cryobench.methods.posterior.kept import kept

        if self.setting.workdir is None:
            return None
        found = kept(Path(self.setting.workdir), self.fingerprint, self.device)
        if found is None:
            return None
        structure, report, self.shown = found
        self.report.update(report)
        return structure


def outside_mean(images: np.ndarray) -> float:
    """The level of the background, outside the inscribed circle."""
    from cryobench.noise.background import outside_circle

    return float(images[:, outside_circle(images.shape[-1])].mean())


def agreed_shells(fsc: list[float]) -> int:
    """The last shell before the first in which the halves no longer agree."""
    below = [shell for shell, value in enumerate(fsc) if value < AGREE]
    return (below[0] if below else len(fsc)) - 1
