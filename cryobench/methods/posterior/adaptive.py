"""Proposals that follow the posterior: each round of poses is drawn where earlier ones were likely.

Where cells of orientation space are broad beside the posterior, few draws from cells count. Adaptive multiple importance
sampling (Cornuet, Marin, Mira & Robert 2012) mends that: a mixture of Gaussians is fitted to the weighted draws so far, the
next round comes from it, and every draw of every round is weighted anew, by its likelihood over the density of all rounds
taken together (their mean by numbers of draws, Veach & Guibas 1995), which keeps the weights of each bounded. Early on a
few draws have all the weight: the fit takes likelihoods to a power 1/τ, the highest at which ENOUGH draws count.

A Gaussian stands about a rotation C, in the rotation vectors v of Cᵀ R. Densities are those with respect to uniform
conformations and orientations, whose density in v is (1 - cos θ)/(4π²θ²), θ = |v|.

All of this is done for b images at once, each on its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from roma import rotmat_to_rotvec, rotvec_to_rotmat

from cryobench.methods.posterior.simulator import DrawnPoses

if TYPE_CHECKING:
    from cryobench.methods.posterior.coarse import HeavyCells

ENOUGH = 25  # effective draws to which a mixture is fitted
WIDER = 1.5  # the covariance of a Gaussian over that of the draws it stands for: light tails would miss what is there
MOST = 6  # Gaussians for a conformation
LEFT_OUT = 1e-3  # share of a conformation's weight that the mixture may leave to the cells


@dataclass(frozen=True)
class PoseGaussians:
    """g of them. image (g,), whose; conformation (g,); share (g,) of that image's draws; centre (g, 3, 3); spread (g, 3, 3), the
    Cholesky factor of the covariance in rad²."""

    image: torch.Tensor
    conformation: torch.Tensor
    share: torch.Tensor
    centre: torch.Tensor
    spread: torch.Tensor

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, chosen: torch.Tensor) -> PoseGaussians:
        return PoseGaussians(*(one[chosen] for one in vars(self).values()))

    @classmethod
    def joined(cls, parts: list[PoseGaussians]) -> PoseGaussians:
        """Those of all parts."""
        return cls(*(torch.cat(of_one) for of_one in zip(*(vars(part).values() for part in parts), strict=True)))


class GaussianMixture:
    """Of each of b images a mixture of Gaussians, whose shares are made to sum to 1; of k conformations that there are."""

    def __init__(self, gaussians: PoseGaussians, b: int, k: int):
        # An image's Gaussians one after the other, by conformation, as they were found.
        self.gaussians = gaussians[(gaussians.image * k + gaussians.conformation).argsort(stable=True)]
        self.b, self.k = b, k
        image, share = self.gaussians.image, self.gaussians.share
        self.share = share / share.new_zeros(b).index_add_(0, image, share)[image]

    def of(self, images: torch.Tensor) -> GaussianMixture:
        """Those of some images, by their positions."""
        new = torch.full((self.b,), -1, device=images.device)
        new[images] = torch.arange(len(images), device=images.device)
        place = new[self.gaussians.image]
        kept = self.gaussians[place >= 0]
        return GaussianMixture(replace(kept, image=place[place >= 0]), len(images), self.k)

    def draw(self, offset: float, normals: torch.Tensor) -> DrawnPoses:
        """As many poses of each image as there are normals (n, 3), for a uniform offset in [0, 1); each Gaussian gets its share
        almost exactly."""
        n, image = len(normals), self.gaussians.image
        marks = (torch.arange(n, dtype=torch.float64, device=image.device) + offset) / n
        counts = torch.bincount(image, minlength=self.b)
        ends = counts.cumsum(0)
        # Shares of all images in a row: those of image i end at i + 1, with the last of its Gaussians however they are rounded.
        cumulative = self.share.cumsum(0)
        cumulative[ends - 1] = torch.arange(1, self.b + 1, dtype=torch.float64, device=image.device)
        which = torch.searchsorted(cumulative, torch.arange(self.b, device=image.device)[:, None] + marks)
        turns = rotvec_to_rotmat((self.gaussians.spread[which] @ normals[:, :, None])[..., 0])
        return DrawnPoses(self.gaussians.conformation[which], self.gaussians.centre[which] @ turns)

    def log_density(self, poses: DrawnPoses) -> torch.Tensor:
        """Of poses of each image, (b, n)."""
        image, spread = self.gaussians.image, self.gaussians.spread
        vectors = rotmat_to_rotvec(self.gaussians.centre.mT[:, None] @ poses.rotations[image])
        scaled = torch.linalg.solve_triangular(spread, vectors.mT, upper=False)
        scale = torch.log(self.share * self.k) - torch.log(spread.diagonal(dim1=1, dim2=2)).sum(dim=1)
        each = scale[:, None] - 0.5 * scaled.square().sum(dim=1) - 1.5 * math.log(2 * math.pi) - log_uniform(vectors)
        each[poses.conformations[image] != self.gaussians.conformation[:, None]] = -math.inf
        largest = each.new_full((self.b, len(poses)), torch.finfo(each.dtype).min)
        largest.scatter_reduce_(0, image[:, None].expand_as(each), each, "amax")
        return largest + torch.zeros_like(largest).index_add_(0, image, (each - largest[image]).exp_()).log_()


@dataclass(frozen=True)
class Proposals:
    """What draws of b images came from: their cells, and then mixtures. counts: draws of one image from each; poses: all of them,
    (b, n); logs: their log densities under each, (b, n)."""

    cells: HeavyCells
    mixtures: tuple[GaussianMixture, ...]
    counts: tuple[int, ...]
    poses: DrawnPoses
    logs: tuple[torch.Tensor, ...]

    def of(self, images: torch.Tensor) -> Proposals:
        """Those of some images, by their positions."""
        mixtures = tuple(mixture.of(images) for mixture in self.mixtures)
        logs = tuple(log[images] for log in self.logs)
        return Proposals(self.cells.of(images), mixtures, self.counts, self.poses[images], logs)

    def more(self, new: DrawnPoses, log: torch.Tensor) -> Proposals:
        """After more draws from cells, where there were no others."""
        poses, logs = DrawnPoses.joined([self.poses, new]), torch.cat([self.logs[0], log], dim=1)
        return Proposals(self.cells, (), (len(poses),), poses, (logs,))

    def then(self, mixture: GaussianMixture, new: DrawnPoses) -> Proposals:
        """After draws from a mixture."""
        poses = DrawnPoses.joined([self.poses, new])
        sources: tuple[HeavyCells | GaussianMixture, ...] = (self.cells, *self.mixtures)
        logs = [torch.cat([log, of.log_density(new)], dim=1) for log, of in zip(self.logs, sources, strict=True)]
        logs.append(mixture.log_density(poses))
        return Proposals(self.cells, (*self.mixtures, mixture), (*self.counts, len(new)), poses, tuple(logs))

    def log_density(self) -> torch.Tensor:
        """log of the density of all rounds taken together, at all poses, (b, n)."""
        shares = [math.log(count / len(self.poses)) for count in self.counts]
        return torch.logsumexp(torch.stack([log + share for log, share in zip(self.logs, shares, strict=True)]), dim=0)


def fit(poses: DrawnPoses, log_weights: torch.Tensor, k: int, reach: float) -> GaussianMixture:
    """A mixture for weighted poses of each image, log_weights (b, n), of k conformations; reach: how far a Gaussian's draws may
    lie from its first, rad. At most MOST Gaussians a conformation: more, of a few draws each, would follow those draws and not
    the posterior, and weights that count their density would be too low."""
    weights, parts = flattened(log_weights), []
    images = torch.arange(len(weights), device=weights.device)
    while len(images):
        found, few = _within(reach, poses[images], weights[images], k)
        kept = found[few[found.image]]
        parts.append(replace(kept, image=images[kept.image]))
        images, reach = images[~few], 1.5 * reach
    return GaussianMixture(PoseGaussians.joined(parts), len(weights), k)


def _within(reach: float, poses: DrawnPoses, weights: torch.Tensor, k: int) -> tuple[PoseGaussians, torch.Tensor]:
    """Gaussians for each image and conformation: about its heaviest pose, about the heaviest farther than `reach` from it, and so
    on. And which images have enough with MOST a conformation, (b,) bool; others are given up."""
    of_it = poses.conformations[:, None] == torch.arange(k, device=weights.device)[:, None]
    left = weights[:, None] * of_it  # (b, k, n)
    least = LEFT_OUT * left.sum(dim=2).clamp(min=1 / k)
    floor = (reach / 8) ** 2 * torch.eye(3, dtype=weights.dtype, device=weights.device)
    nearest = math.cos(reach) if reach < math.pi else -math.inf  # the cosine of an angle that is `reach`
    allowed = MOST * (left.sum(dim=2) > least).sum(dim=1)
    found = list[PoseGaussians]()
    while len(pairs := torch.nonzero((left.sum(dim=2) > least) & (allowed >= 0)[:, None])):
        image, conformation = pairs.T
        w = left[image, conformation]
        heaviest = poses.rotations[image, w.argmax(dim=1)]
        cosines = ((poses.rotations.flatten(2)[image] @ heaviest.flatten(1)[:, :, None])[..., 0] - 1) / 2
        close = (cosines >= nearest) & (w > 0)  # each draw is of one Gaussian only: vectors are taken of these few
        of, draw = torch.nonzero(close).T
        left[image[of], conformation[of], draw] = 0
        rotations, w = poses.rotations[image[of], draw], w[close]
        share = sums(w, of, len(pairs))
        w = w / share[of]
        vectors = rotmat_to_rotvec(heaviest[of].mT @ rotations)
        centre = heaviest @ rotvec_to_rotmat(sums(w[:, None] * vectors, of, len(pairs)))
        vectors = rotmat_to_rotvec(centre[of].mT @ rotations)
        number = 1 / sums(w.square(), of, len(pairs))[:, None, None]
        covariance = sums(w[:, None, None] * vectors[:, :, None] * vectors[:, None], of, len(pairs))
        covariance = (number * covariance + 3 * floor) / (number + 3)  # few draws don't say how wide it is
        found.append(PoseGaussians(image, conformation, share, centre, torch.linalg.cholesky(WIDER * covariance)))
        allowed -= torch.bincount(image, minlength=len(allowed))
    return PoseGaussians.joined(found), allowed >= 0


def sums(values: torch.Tensor, of: torch.Tensor, g: int) -> torch.Tensor:
    """Sums (g, …) of values (m, …), each of which is added to the one with the number that `of` (m,) has."""
    return values.new_zeros((g, *values.shape[1:])).index_add_(0, of, values)


def log_uniform(vectors: torch.Tensor) -> torch.Tensor:
    """log density of a uniform rotation at its rotation vector, (…, 3) → (…)."""
    return 2 * torch.log(torch.sinc(vectors.norm(dim=-1) / (2 * math.pi))) - math.log(8 * math.pi**2)


def flattened(log_weights: torch.Tensor) -> torch.Tensor:
    """Weights (b, n) of sum 1 for each image, to the power 1/τ of the least τ ≥ 1, by factors of 1.25, at which ENOUGH of them
    count, or half of all where there are fewer than twice that."""
    log = log_weights - log_weights.amax(dim=1, keepdim=True)
    enough = (log.isfinite().sum(dim=1) / 2).clamp(max=ENOUGH)
    while True:
        weights = normalised(log)
        few = effective(weights) < enough
        if not few.any():
            return weights
        log = torch.where(few[:, None], log / 1.25, log)


def normalised(log_weights: torch.Tensor) -> torch.Tensor:
    """Weights (b, n) of sum 1 for each image from their logarithms."""
    return torch.softmax(log_weights, dim=1)


def effective(weights: torch.Tensor) -> torch.Tensor:
    """1/Σw², how many draws of equal weight those of each image (b, n) are worth, (b,) (Kish 1965)."""
    return 1 / weights.square().sum(dim=1)
