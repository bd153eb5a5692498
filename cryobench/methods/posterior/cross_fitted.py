"""Images denoised by their posterior under a structure's maps, each by a map that it was no part of (cross-fitting).

    x̂(y) = Σ_R p(R | y, V) E[a P_R V + b | R, y]

V is the map of the half of the images that y is not in; of both, where y was in neither. Poses are searched everywhere in small
images first, and then in those of the map's size around the views that were likely there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from cryobench.data.io.stack import resample
from cryobench.methods.posterior.band import band_of
from cryobench.methods.posterior.pose_mixture import PoseMixture
from cryobench.methods.posterior.steerable import fourier_bessel
from cryobench.methods.posterior.structure import Structure, likely_views, mixture, poses_of

COARSE = 24  # px at which the views are found that are worth a closer look


@dataclass
class CrossFitted:
    """Of images of L = `length` px.

    step, fine_step: how far the rim of an image moves between neighbouring views, in px, in small images and in those of the
    map's size; seen: whether images were seen through something (seen.py).
    """

    structure: Structure
    length: int
    step: float
    fine_step: float
    seen: bool
    device: torch.device | str
    mixtures: dict[int | None, tuple[PoseMixture, PoseMixture, torch.Tensor]] = field(default_factory=dict)

    def means(
        self, images: np.ndarray, halves: list[int | None], sigma: np.ndarray, transfers: np.ndarray | None
    ) -> np.ndarray:
        """Posterior means (n, L, L) float32 of images (n, L, L) that were seen through T (n, L, L/2+1), σ (n,); halves: which
        one each was in, None for neither."""
        size, out = self.structure.maps.size, np.empty(images.shape, np.float32)
        coarse_band, fine_band = (
            band_of(
                lambda rows: images[rows],
                len(images),
                self.length,
                sigma,
                px,
                self.device,
                lambda rows: None if transfers is None else transfers[rows],
            )
            for px in (min(size, COARSE), size)
        )
        for i, half in enumerate(halves):
            coarse, fine, near = self.mixture(half)
            one = torch.tensor([i], device=self.device)
            probability = coarse.posterior(coarse_band.take(one)).weights.sum(dim=(1, 2))
            near_views = torch.nonzero(likely_views(probability).float()[0] @ near)[:, 0]
            mean, _ = fine.of(near_views).mean(fine_band.take(one))
            out[i] = resample(fine.basis.render(mean).cpu().numpy(), self.length)[0]
        return out

    def mixture(self, half: int | None) -> tuple[PoseMixture, PoseMixture, torch.Tensor]:
        """A coarse and a fine mixture for images that were in this half, or in none, and which views of the fine one lie near
        which of the coarse one."""
        if half not in self.mixtures:
            size = self.structure.maps.size
            classes = []
            for px, step in ((min(size, COARSE), self.step), (size, self.fine_step)):
                poses, basis = poses_of(px, step, self.device), fourier_bessel(px).to(self.device)
                resized = self.structure.resized(px).maps
                volume = resized.both if half is None else resized.halves[1 - half]
                classes.append((mixture(basis, volume, poses, self.structure.contrast, self.seen), poses))
            (coarse, few), (fine, many) = classes
            self.mixtures[half] = coarse, fine, few.near(many)
        return self.mixtures[half]
