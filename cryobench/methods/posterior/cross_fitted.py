"""Images denoised by their posterior under a structure's maps, each by a map that it was no part of (cross-fitting).

    x̂(y) = Σ_R p(R | y, V) E[a P_R V + b | R, y]

V is the map of the half of the images that y is not in; of both, where y was in neither. Poses are searched everywhere in small
images first, and then in those of the map's size around the views that were likely there. Where there are several conformations,
the sum is over them, too (conformations.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from cryobench.data.io.stack import resample
from cryobench.methods.posterior.band import Band, Places, band_of, places
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.pose_mixture import PoseMixture
from cryobench.methods.posterior.structure import (
    ON_GPU,
    TOGETHER,
    Structure,
    batch_of,
    likely_views,
    mixture_of,
    poses_of,
    shifts_of,
)

COARSE = 24  # px at which the views are found that are worth a closer look


@dataclass
class CrossFitted:
    """Of images of L = `length` px.

    step, fine_step: how far the rim of an image moves between neighbouring views, in px, in small images and in those of the
    map's size; seen: whether images were seen through something (seen.py); reach: how far particles may be off the centre, as a
    share of the edge; together: whether many images are compared at a time, None: on a GPU.
    """

    structure: Structure
    length: int
    step: float
    fine_step: float
    seen: bool
    reach: float
    device: torch.device | str
    together: bool | None = None
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
        coarse, shifts = self.band(images, sigma, transfers, few, where), np.empty((len(images), 2))
        likely = torch.zeros((len(images), len(self.mixture(halves[0])[1])), dtype=torch.bool, device=self.device)
        for half, rows in by_half(halves):
            step = batch_of(self.mixture(half)[0], coarse) if self.looks_together else 1
            for some in np.split(rows, np.arange(step, len(rows), step)):
                likely[some], shifts[some] = self.glance(coarse.take(some), half)
        where = places(shifts, size, self.reach, size > few, self.device)
        fine, chosen = self.band(images, sigma, transfers, size, where), likely.cpu().numpy()
        for half, rows in by_half(halves):
            mixture = self.mixture(half)[1]
            most = ON_GPU // (2 * mixture.angles * fine.coefficients.shape[1]) if self.looks_together else 0
            for some, views in together(rows, chosen, most):
                views = views.to(self.device)
                mean, probability = mixture.of(views).mean(fine.take(some), likely[some][:, views])
                out[some] = resample(mean.cpu().numpy(), self.length)
                conformations[some] = probability.unflatten(1, (conformations.shape[1], -1)).sum(dim=2).cpu().numpy()
        return out, conformations

    @property
    def looks_together(self) -> bool:
        """Whether many images are compared at a time."""
        return torch.device(self.device).type == "cuda" if self.together is None else self.together

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

    def glance(self, some: Band, half: int | None) -> tuple[torch.Tensor, np.ndarray]:
        """Which views (b, n) of the fine mixture images are to be compared with, and about which shifts (b, 2) in shares of the
        edge."""
        coarse, _, near = self.mixture(half)
        weights, conformations = coarse.posterior(some).weights, len(self.structure.shares)
        likely = likely_views(weights.sum(dim=(1, 2, 3))).unflatten(1, (conformations, -1)).any(dim=1)
        shifts = shifts_of(some, weights.sum(dim=(2, 3, 4)).argmax(dim=1))
        return (likely.float() @ near > 0).repeat(1, conformations), shifts

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


def by_half(halves: list[int | None]) -> list[tuple[int | None, np.ndarray]]:
    """Each half, or None, with the positions of its images."""
    return [(half, np.array([i for i, its in enumerate(halves) if its == half])) for half in dict.fromkeys(halves)]


def together(rows: np.ndarray, likely: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Images at positions `rows` that are compared at a time, and the views (v,) that any of them may show, likely (n, views)
    bool: as many as make no more than `most` pairs of an image and a view, and no more than TOGETHER, but one at least."""
    some, views = np.empty(0, dtype=int), np.zeros(likely.shape[1], dtype=bool)
    for row in rows[likely[rows].argmax(axis=1).argsort(kind="stable")]:  # neighbours look at much the same views
        more = views | likely[row]
        if len(some) and (len(some) == TOGETHER or (len(some) + 1) * more.sum() > most):
            yield some, torch.from_numpy(np.flatnonzero(views))
            some, more = some[:0], likely[row]
        some, views = np.append(some, row), more
    yield some, torch.from_numpy(np.flatnonzero(views))
