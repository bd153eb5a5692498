"""Images denoised by their posterior under a structure's maps, each by a map that it was no part of (cross-fitting).

    x̂(y) = Σ_R p(R | y, V) E[a P_R V + b | R, y]

V is the map of the half of the images that y is not in; of both, where y was in neither. Poses are searched everywhere in small
images first, and then in those of the map's size around the views that were likely there. Where there are several conformations,
the sum is over them, too (conformations.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from cryobench.data.io.stack import resample
from cryobench.methods.posterior.band import Band, Places, band_of, places
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.pose_mixture import PoseMixture
from cryobench.methods.posterior.structure import Structure, likely_views, mixture_of, poses_of, shifts_of

COARSE = 24  # px at which the views are found that are worth a closer look


@dataclass
class CrossFitted:
    """Of images of L = `length` px.

    step, fine_step: how far the rim of an image moves between neighbouring views, in px, in small images and in those of the
    map's size; seen: whether images were seen through something (seen.py); reach: how far particles may be off the centre, as a
    share of the edge.
    """

    structure: Structure
    length: int
    step: float
    fine_step: float
    seen: bool
    reach: float
    device: torch.device | str
    mixtures: dict[int | None, tuple[PoseMixture, PoseMixture, torch.Tensor]] = field(default_factory=dict)

    def means(
        self, images: np.ndarray, halves: list[int | None], sigma: np.ndarray, transfers: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means (n, L, L) float32 of images (n, L, L) that were seen through T (n, L, L/2+1), σ (n,), and the
        probabilities (n, K) of their conformations; halves: which one each was in, None for neither."""
        size, out = self.structure.maps.size, np.empty(images.shape, np.float32)
        conformations = np.empty((len(images), len(self.structure.shares)))
        if not len(images):
            return out, conformations
        few = min(size, COARSE)
        where = places(np.zeros((len(images), 2)), few, self.reach, False, self.device)
        coarse, one = (
            self.band(images, sigma, transfers, few, where),
            torch.arange(len(images), device=self.device)[:, None],
        )
        likely = [self.glance(coarse.take(one[i]), half) for i, half in enumerate(halves)]
        where = places(np.concatenate([shift for _, shift in likely]), size, self.reach, size > few, self.device)
        fine = self.band(images, sigma, transfers, size, where)
        for i, (views, _) in enumerate(likely):
            mean, probability = self.mixture(halves[i])[1].of(views).mean(fine.take(one[i]))
            out[i] = resample(mean.cpu().numpy(), self.length)[0]
            conformations[i] = probability.view(conformations.shape[1], -1).sum(dim=1).cpu().numpy()
        return out, conformations

    def band(
        self, images: np.ndarray, sigma: np.ndarray, transfers: np.ndarray | None, size: int, where: Places | None
    ) -> Band:
        """The images at `size` px."""
        return band_of(
            lambda rows: images[rows],
            len(images),
            self.length,
            sigma,
            size,
            self.device,
            lambda rows: None if transfers is None else transfers[rows],
            where,
        )

    def glance(self, one: Band, half: int | None) -> tuple[torch.Tensor, np.ndarray]:
        """Which views of the fine mixture an image is to be compared with, and about which shift (1, 2) in shares of the edge."""
        coarse, _, near = self.mixture(half)
        weights, conformations = coarse.posterior(one).weights, len(self.structure.shares)
        likely = likely_views(weights.sum(dim=(1, 2, 3))).view(conformations, -1).any(dim=0)
        shift = shifts_of(one, weights.sum(dim=(2, 3, 4)).argmax(dim=1))
        return torch.nonzero((likely.float() @ near).repeat(conformations))[:, 0], shift

    def mixture(self, half: int | None) -> tuple[PoseMixture, PoseMixture, torch.Tensor]:
        """A coarse and a fine mixture for images that were in this half, or in none, and which views of the fine one lie near
        which of the coarse one, alike in all conformations."""
        if half not in self.mixtures:
            size = self.structure.maps.size
            classes = []
            for px, step in ((min(size, COARSE), self.step), (size, self.fine_step)):
                poses, basis = poses_of(px, step, self.device), fourier_bessel(px, device=self.device)
                other = None if half is None else 1 - half
                classes.append((mixture_of(self.structure.resized(px), other, basis, poses, self.seen), poses))
            (coarse, few), (fine, many) = classes
            self.mixtures[half] = coarse, fine, few.near(many)
        return self.mixtures[half]
