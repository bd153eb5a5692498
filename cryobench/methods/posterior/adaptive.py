"""Proposals that follow the posterior: each round of poses is drawn where earlier ones were likely.

Where cells of orientation space are broad beside the posterior, few draws from cells count. Adaptive multiple importance
sampling (Cornuet, Marin, Mira & Robert 2012) mends that: a mixture of Gaussians is fitted to the weighted draws so far, the
next round comes from it, and every draw of every round is weighted anew, by its likelihood over the density of all rounds
taken together (their mean by numbers of draws, Veach & Guibas 1995), which keeps the weights of each bounded. Early on a
few draws have all the weight: the fit takes likelihoods to a power 1/τ, the highest at which ENOUGH draws count.

A Gaussian stands about a rotation C, in the rotation vectors v of Cᵀ R. Densities are those with respect to uniform
conformations and orientations, whose density in v is (1 - cos θ)/(4π²θ²), θ = |v|.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import logsumexp

ENOUGH = 25  # effective draws to which a mixture is fitted
WIDER = 1.5  # the covariance of a Gaussian over that of the draws it stands for: light tails would miss what is there
MOST = 6  # Gaussians for a conformation
LEFT_OUT = 1e-3  # share of a conformation's weight that the mixture may leave to the cells


@dataclass
class DrawnPoses:
    """conformations (n,) int; rotations (n, 3, 3)."""

    conformations: np.ndarray
    rotations: np.ndarray

    def __len__(self) -> int:
        return len(self.conformations)


@dataclass
class PoseGaussian:
    """share: of the draws; conformation; centre (3, 3); spread (3, 3), the Cholesky factor of the covariance in rad²."""

    share: float
    conformation: int
    centre: np.ndarray
    spread: np.ndarray


@dataclass
class Proposals:
    """What draws so far came from: cells first, then mixtures. of_cells: log density of poses under the cells' probabilities,
    DrawnPoses → (n,); conformations: how many there are; reach: how far a Gaussian's draws may lie from its first, rad."""

    of_cells: Callable[[DrawnPoses], np.ndarray]
    conformations: int
    reach: float
    rounds: list[tuple[int, list[PoseGaussian] | None]] = field(
        default_factory=list
    )  # draws, and the mixture or None for cells

    def log_density(self, poses: DrawnPoses) -> np.ndarray:
        """log of the density of all rounds taken together, (n,)."""
        counts = np.array([n for n, _ in self.rounds], dtype=float)
        each = [self.of_cells(poses) if m is None else self.of_mixture(m, poses) for _, m in self.rounds]
        return logsumexp(np.stack(each), axis=0, b=(counts / counts.sum())[:, None])

    def of_mixture(self, mixture: list[PoseGaussian], poses: DrawnPoses) -> np.ndarray:
        """log density of poses under a mixture, (n,)."""
        each = np.full((len(mixture), len(poses)), -np.inf)
        for row, gaussian in zip(each, mixture, strict=True):
            of_it = poses.conformations == gaussian.conformation
            vectors = Rotation.from_matrix(gaussian.centre.T @ poses.rotations[of_it]).as_rotvec()
            scaled = np.linalg.solve(gaussian.spread, vectors.T)
            normal = -0.5 * (scaled**2).sum(axis=0) - np.log(np.diag(gaussian.spread)).sum() - 1.5 * np.log(2 * np.pi)
            row[of_it] = np.log(gaussian.share * self.conformations) + normal - log_uniform(vectors)
        return logsumexp(each, axis=0)

    def fit(self, poses: DrawnPoses, log_weights: np.ndarray) -> list[PoseGaussian]:
        """A mixture for weighted poses, of at most MOST Gaussians a conformation: more, of a few draws each, would follow
        those draws and not the posterior, and weights that count their density would be too low."""
        weights, reach = flattened(log_weights), self.reach
        while True:
            mixture = [g for k in np.unique(poses.conformations) for g in self._of_one(int(k), poses, weights, reach)]
            if len(mixture) <= MOST * len({gaussian.conformation for gaussian in mixture}):
                total = sum(gaussian.share for gaussian in mixture)
                return [replace(gaussian, share=gaussian.share / total) for gaussian in mixture]
            reach *= 1.5

    def _of_one(self, k: int, poses: DrawnPoses, weights: np.ndarray, reach: float) -> list[PoseGaussian]:
        """Gaussians for one conformation: about the heaviest pose, about the heaviest farther than `reach` from it, and so on."""
        left, mixture, floor = np.where(poses.conformations == k, weights, 0), [], (reach / 8) ** 2 * np.eye(3)
        least = LEFT_OUT * max(left.sum(), 1 / self.conformations)
        while left.sum() > least:
            near, heaviest = np.flatnonzero(left), poses.rotations[left.argmax()]
            vectors = Rotation.from_matrix(heaviest.T @ poses.rotations[near]).as_rotvec()
            close = np.linalg.norm(vectors, axis=1) <= reach
            near, w = near[close], left[near[close]] / left[near[close]].sum()
            centre = heaviest @ Rotation.from_rotvec(w @ vectors[close]).as_matrix()
            vectors = Rotation.from_matrix(centre.T @ poses.rotations[near]).as_rotvec()
            covariance, number = vectors.T @ (vectors * w[:, None]), 1 / (w**2).sum()
            covariance = (number * covariance + 3 * floor) / (number + 3)  # few draws don't say how wide it is
            mixture.append(PoseGaussian(float(left[near].sum()), k, centre, np.linalg.cholesky(WIDER * covariance)))
            left[near] = 0
        return mixture


def draw(mixture: list[PoseGaussian], n: int, rng: np.random.Generator) -> DrawnPoses:
    """n poses of a mixture; each Gaussian gets its share almost exactly."""
    marks = (np.arange(n) + rng.random()) / n
    which = np.searchsorted(np.cumsum([gaussian.share for gaussian in mixture])[:-1], marks)
    vectors = np.einsum("nij,nj->ni", np.stack([g.spread for g in mixture])[which], rng.standard_normal((n, 3)))
    turns = Rotation.from_rotvec(vectors).as_matrix()
    return DrawnPoses(
        np.array([g.conformation for g in mixture])[which], np.stack([g.centre for g in mixture])[which] @ turns
    )


def log_uniform(vectors: np.ndarray) -> np.ndarray:
    """log density of a uniform rotation at its rotation vector, (n, 3) → (n,)."""
    half = np.linalg.norm(vectors, axis=1) / 2
    return 2 * np.log(np.sinc(half / np.pi)) - np.log(8 * np.pi**2)


def flattened(log_weights: np.ndarray) -> np.ndarray:
    """Weights (n,) of sum 1, to the power 1/τ of the least τ ≥ 1, by factors of 1.25, at which ENOUGH of them count, or half
    of all where there are fewer than twice that."""
    log = log_weights - log_weights.max()
    while True:
        weights = np.exp(log)
        weights /= weights.sum()
        if 1 / (weights**2).sum() >= min(ENOUGH, np.isfinite(log).sum() / 2):
            return weights
        log = log / 1.25
