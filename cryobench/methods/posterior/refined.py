"""Noisy images of known pose, as a refinement leaves them: a map of each half of them, and the posterior means under it.

The last step of `AbInitio`, without the search for poses. Each half's map is Σ w a T(y − h b) over Σ w a² T² and what the
signal-to-noise ratio of the halves asks for (half_maps.py), images in their poses; the scale a and level b of each are found
between rounds (at_pose.py). An image is then

    x̂(y) = Σ_R p(R | y, V) E[a P_R V + b | R, y]        pose=search
    x̂(y) = E[a P_R V + b | R, y] at the given R          pose=given

by the map of the half that it was not in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from cryobench.checks import at_least, one_of, refuse
from cryobench.data.images import NoisyImages
from cryobench.data.io.stack import resample
from cryobench.errors import note
from cryobench.methods.base import Found, check_images
from cryobench.methods.posterior.from_stack import FIRST, FirstLook, FromStack, agreed_shells

if TYPE_CHECKING:
    from cryobench.data.poses import Poses
    from cryobench.methods.posterior.half_maps import HalfMaps
    from cryobench.methods.posterior.pose_mixture import Contrast

BEYOND = 2  # shells that a map keeps beyond the last in which the halves agree
FEW = 4  # shells in which halves agree, below which there is no more than a blob


@dataclass
class Refined(FromStack):
    """pose: "search" (every pose is possible, weighed by the image) or "given" (its own, which is told for images that are
    denoised, too); rounds: how often maps are made. Else the settings of `FromStack`; `shift` is for the search alone, in the fit
    particles are where they are said to be.
    """

    pose: str = "search"
    rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse("method", one_of(self, pose=("search", "given")), at_least(self, 1, "rounds"))

    @property
    def side_information(self) -> frozenset[str]:
        """The poses of training images, with pose="given" of those that are denoised, too, beside what `FromStack` uses."""
        return super().side_information | {"rotations"} | ({"poses"} if self.pose == "given" else set())

    def fit(self, train: NoisyImages) -> None:
        """Make maps of the halves of the training images.

        report: resolution in Å where the halves' FSC falls below 0.143, fsc, contrast. Raises InputError for fewer than 8 images,
        and where their poses are not known.
        """
        from cryobench.methods.posterior.pose_mixture import Contrast
        from cryobench.methods.posterior.structure import Structure

        look = self.look_at(train)
        poses = self.images.poses()
        contrast, maps = Contrast(0.01, look.level, 1e-2 * float(np.mean(look.sigma**2))), None
        with Progress(disable=not self.setting.progress) as shown:
            task = shown.add_task("maps", total=self.rounds * len(look))
            for _ in range(self.rounds):
                maps, contrast = self.round(look, poses, maps, contrast, lambda done: shown.advance(task, done))
        assert maps is not None  # rounds ≥ 1
        agreed = agreed_shells(maps.fsc)
        whole = Structure(maps, contrast, rotations=poses.rotations, shifts=poses.displaced[:, ::-1] / self.size)
        self.use(whole.resized(min(max(2 * (agreed + BEYOND), FIRST), maps.size)))
        self.found = Found(self.structure.maps.both.cpu().numpy(), poses.rotations, fsc=maps.fsc.cpu().numpy())
        self.report.update(
            resolution=self.resolution(maps.fsc),
            fsc=[round(float(value), 4) for value in maps.fsc],
            contrast=vars(contrast),
        )
        if agreed < FEW:
            note(
                f"refined: maps of two halves of {len(look)} images agree to no more than {self.resolution(maps.fsc):g} Å: they "
                "are too few, or these are not their poses; denoised images show no more than a blob"
            )
        del self.images

    def round(
        self, look: FirstLook, poses: Poses, before: HalfMaps | None, contrast: Contrast, advance: Callable[[int], None]
    ) -> tuple[HalfMaps, Contrast]:
        """Maps of the halves, each image with the scale and level that it has under the map of its half before; and the contrast
        with which images are likeliest, the mean scale 1."""
        from cryobench.data.project import Projector
        from cryobench.methods.posterior.at_pose import Centred, likeliest
        from cryobench.methods.posterior.half_maps import Samples, from_samples

        size = min(self.largest or self.size, self.size) // 2 * 2
        projectors = [None, None] if before is None else [Projector(one) for one in before.halves]
        samples, found = [Samples(size, self.device) for _ in (0, 1)], []
        for part in self.batches():
            for half in (0, 1):
                rows = part[look.halves[part] == half]
                noisy = self.whitened(self.images.noisy(rows))
                images = Centred.of(noisy, self.seen_through(rows), look.sigma[rows], poses[rows], size)
                under = images.under(projectors[half], contrast)
                samples[half].add(*images.inserted(under, contrast), poses.rotations[rows])
                found.append(under)
            advance(len(part))
        scale, after = (1.0, contrast) if before is None else likeliest(found, contrast)
        maps = from_samples([one.both() for one in samples], shared=0)
        return maps.times(scale), after

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) float32 → posterior means (n, L, L) float32, without frequencies beyond those of the map.

        Raises NotFitted before a fit, InputError for another L than that of the fit, BadImages for NaN or Inf.
        """
        if self.pose == "search":
            return super().denoise(noisy, **hints)
        from cryobench.data.project import Projector
        from cryobench.methods.posterior.at_pose import Centred

        self.from_fit("structure")
        check_images(noisy, self.size)
        images, ctf, poses, maps = self.whitened(noisy), hints.get("ctf"), hints["poses"], self.structure.maps
        sigma, transfers = self.noise_level(images, hints), self.transfers(ctf, len(noisy), self.size)
        projectors = {None: Projector(maps.both), 0: Projector(maps.halves[1]), 1: Projector(maps.halves[0])}
        means = np.empty_like(noisy)
        for i, half in enumerate(self.halves.of(noisy)):
            one = slice(i, i + 1)
            seen = None if transfers is None else transfers[one]
            centred = Centred.of(images[one], seen, sigma[one], poses[one], maps.size)
            means[one] = resample(centred.mean(projectors[half], self.structure.contrast), self.size)
        return self.as_asked(means, ctf)
