"""Several volumes from the one that all images made: expectation–maximisation over conformation and pose.

    y = T(a P_R V_k + b) + σn,    V_k = V + z_k v,    p(k) a share of the images

V stays as it was found. Conformations lie along one direction v, at given places z_k: the means of K equal parts of a standard
normal distribution. So v is made of all images. (K maps free of each other, each made of a K-th of the images, followed their
noise: with each iteration, images of the other half became less likely under them. They did under a V that was made anew, too.)
It begins with the direction in which images depart most from V, their poses as they are (direction.py). Then the views of
the K volumes one after the other are one mixture, and with S_k, W_k what came to the samples from the images of conformation k,
and its weight,

    v = Σ_k z_k (S_k − W_k V) over Σ_k z_k² W_k

regularised by how well the halves agree on it (half_maps.py). The halves' v share nothing but a sign, which is what makes
conformation k the same in both.

The criterion for more than one volume: images must be likelier under the K maps of the half that they are not in than under
the one map of that half. Over all images, the mean of log p(y | V_1 … V_K) − log p(y | V) must be above SURE of its standard
errors. And the halves' v must agree, with an FSC above AGREED in the mean of the shells LOW: without that, a v of high
frequencies alone, which does no more than sharpen V, was kept for a phantom of one conformation (this was added once that was
seen). Where either fails, one volume stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.stats import norm
from torch_fourier_shell_correlation import fourier_shell_correlation

from cryobench.data.backproject import spectrum_of
from cryobench.methods.posterior.at_pose import Centred
from cryobench.methods.posterior.band import Band
from cryobench.methods.posterior.direction import grown, support
from cryobench.methods.posterior.half_maps import HalfMaps, from_samples, masked
from cryobench.methods.posterior.pose_mixture import PoseMixture, Sums
from cryobench.methods.posterior.structure import (
    Structure,
    ViewGrid,
    batch_of,
    expectation,
    mixture_of,
    part,
    poses_of,
    resized,
    shifts_of,
)

SURE = 3.0  # standard errors
LOW, AGREED = slice(2, 6), 0.5  # shells beyond those of few samples, FSC
SMALL = 32  # px of those in which conformations settle
LEAST = 1e-3  # share of a conformation: one that no image has may come back
SETTLING, FINE = 3, 1  # iterations there, and with maps of the full size and finer poses


@dataclass(frozen=True)
class Search:
    """k conformations are looked for in images of these halves (n,), 0 or 1.

    images: (rows, size) → those at these positions, in the poses of the one structure; bands: (size, shifts) → all of them;
    step, fine_step: as for CrossFitted; advance: told how many images an iteration has done.
    """

    k: int
    halves: np.ndarray
    images: Callable[[np.ndarray, int], Centred]
    bands: Callable[[int, np.ndarray], Band]
    step: float
    fine_step: float
    advance: Callable[[int], None] = lambda done: None

    @property
    def total(self) -> int:
        """How many images the iterations do, all together."""
        return (SETTLING + FINE) * len(self.halves)

    def run(self, one: Structure, rng: np.random.Generator) -> tuple[Structure, dict]:
        """The structure with k conformations, or as it was where images are not significantly likelier under them; and a report:
        gain (of an image's log-likelihood under the maps of the half that it is not in, the mean), gain_error (its standard
        error), agreement (of the halves' v, FSC), kept, and fsc of the halves' v."""
        full = one.maps.size
        small, along = min(SMALL, full), places(self.k)
        band, poses = self.bands(small, one.shifts), poses_of(small, self.step, one.maps.both.device)
        several = placed(one, one.resized(small).maps, self.begin(one, rng), along)
        several = replace(several, shares=np.full(self.k, 1 / self.k))
        for _ in range(SETTLING):
            several, v = iterate(several, band, self.halves, poses, along, self.advance)
        gain = gains(one, several, band, self.halves, poses)
        mean, error = float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))
        agreement = float(v.fsc[LOW].mean())
        report = {
            "gain": round(mean, 4),
            "gain_error": round(error, 4),
            "agreement": round(agreement, 4),
            "kept": mean > SURE * error and agreement > AGREED,
        }
        if not report["kept"]:
            return one, report
        band, poses = self.bands(full, several.shifts), poses_of(full, self.fine_step, one.maps.both.device)
        several = placed(several, one.maps, v, along)
        for _ in range(FINE):
            several, v = iterate(several, band, self.halves, poses, along, self.advance)
        return several, report | {"fsc": [round(float(value), 4) for value in v.fsc]}

    def begin(self, one: Structure, rng: np.random.Generator) -> HalfMaps:
        """The direction of each half, of one sign."""
        found = []
        for half, volume in enumerate(one.maps.halves):
            images = partial(self.images, np.flatnonzero(self.halves == half))
            found.append(grown(images, partial(at_size, volume), one.contrast, one.maps.size, rng)[0])
        v, other = found
        other = -other if float((v * other).sum()) < 0 else other
        return HalfMaps((v, other), (v + other) / 2, torch.ones(v.shape[-1] // 2 + 1))


def places(k: int) -> np.ndarray:
    """The mean of each of k equal parts of a standard normal distribution, (k,)."""
    edges = norm.pdf(norm.ppf(np.arange(k + 1) / k))
    return k * (edges[:-1] - edges[1:])


def iterate(
    before: Structure,
    band: Band,
    halves: np.ndarray,
    poses: ViewGrid,
    along: np.ndarray,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Structure, HalfMaps]:
    """One step of expectation and maximisation, around the views that were likely before; along (K,), z_k. And v."""
    k, m = len(along), len(poses.rotations)
    mixtures = [mixture_of(before, half, band.basis, poses, band.seen is not None) for half in (0, 1)]
    shares = torch.zeros(k, dtype=torch.float64, device=band.coefficients.device)

    def watch(_: torch.Tensor, views: torch.Tensor, probability: torch.Tensor) -> None:
        shares.index_add_(0, views // m, probability.double().sum(dim=0) / len(band))

    candidates = around(before, poses).repeat(1, k)
    sums, likely, best = expectation(band, mixtures, halves, 1.0, candidates, advance, watch)
    v = departing(before, mixtures, sums, poses, along)
    known = np.maximum(shares.cpu().numpy(), LEAST)
    after = replace(
        placed(before, before.maps, v, along),
        poses=poses,
        likely=likely.view(-1, k, m).any(dim=1),
        rotations=poses.orientations(torch.cat([best[:, :2], best[:, 2:3] % m], dim=1), mixtures[0].angles),
        shifts=shifts_of(band, best[:, 3]),
        log_likelihood=sum(one.log_likelihood for one in sums) / len(band),
        shares=known / known.sum(),
    )
    return after, v


def at_size(volume: torch.Tensor, size: int) -> torch.Tensor:
    """A volume of `size` voxels, within their sphere."""
    return volume if size == volume.shape[-1] else masked(resized(volume, size))


def around(structure: Structure, poses: ViewGrid) -> torch.Tensor:
    """(n, views) bool: the views near those that each image may have."""
    assert structure.poses is not None  # it is of images
    return structure.likely.float() @ structure.poses.near(poses) > 0


def departing(
    before: Structure, mixtures: list[PoseMixture], sums: list[Sums], poses: ViewGrid, along: np.ndarray
) -> HalfMaps:
    """v of the sums of each half over all views of all conformations."""
    left, m = [], len(poses.rotations)
    for half, (mix, total) in enumerate(zip(mixtures, sums, strict=True)):
        known = spectrum_of(before.maps.halves[half])
        samples, weights = torch.zeros_like(known), torch.zeros_like(known.real)
        for number, z in enumerate(along.tolist()):
            rows = torch.arange(number * m, (number + 1) * m, device=known.device)
            of_one = Sums(total.images[rows], total.weights[rows])
            volume = before.several[number].halves[half]
            sample, weight = part(volume, mix.of(rows), of_one, poses.rotations, 1.0).inserted()
            samples += z * (sample - weight * known)
            weights += z**2 * weight
        left.append((samples, weights))
    return from_samples(left, 0, support(before.maps.both))


def placed(before: Structure, whole: HalfMaps, v: HalfMaps, along: np.ndarray) -> Structure:
    """With the volumes V + z v of a V that may be of another size."""
    (one, other), both = (at_size(each, whole.size) for each in v.halves), at_size(v.both, whole.size)
    several = tuple(
        HalfMaps((whole.halves[0] + z * one, whole.halves[1] + z * other), whole.both + z * both, whole.fsc)
        for z in along.tolist()
    )
    return replace(before, maps=whole, several=several)


def fsc_of(maps: HalfMaps) -> np.ndarray:
    """Between the halves of a conformation, which is more than between those of what it departs by; (L/2 + 1,)."""
    return torch.nan_to_num(fourier_shell_correlation(*maps.halves)).cpu().numpy()


def gains(one: Structure, several: Structure, band: Band, halves: np.ndarray, poses: ViewGrid) -> np.ndarray:
    """log p(y | V_1 … V_K) − log p(y | V) of each image under the maps of the half that it is not in, (n,)."""
    near, seen, k, m = around(several, poses), band.seen is not None, len(several.several), len(poses.rotations)
    found = np.empty(len(band))
    for half in (0, 1):
        rows = np.flatnonzero(halves == half)
        rows = rows[np.argsort(near[rows].float().argmax(dim=1).cpu().numpy(), kind="stable")]
        single, multiple = (
            mixture_of(each.resized(band.size), 1 - half, band.basis, poses, seen) for each in (one, several)
        )
        step = batch_of(multiple, band)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            images, there = (
                band.take(torch.from_numpy(some).to(near.device)),
                torch.nonzero(near[some].any(dim=0))[:, 0],
            )
            everywhere = torch.cat([there + i * m for i in range(k)])
            likelihoods = [
                mix.of(at).posterior(images).log_likelihood for mix, at in ((multiple, everywhere), (single, there))
            ]
            found[some] = (likelihoods[0] - likelihoods[1]).double().cpu().numpy()
    return found
