"""A structure from noisy images of unknown pose: expectation–maximisation with two halves of the images (half_maps.py).

Each iteration takes the posterior of every image's pose under its own half's map, and makes new maps of what that adds up
to. Poses are searched everywhere at first, later around the views that an image had some probability of before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryobench.data.io.stack import resample
from cryobench.data.project import Projector
from cryobench.methods.posterior.band import Band
from cryobench.methods.posterior.half_maps import HalfMaps, Part, half_maps, masked
from cryobench.methods.posterior.pose_mixture import Contrast, PoseMixture, Sums
from cryobench.methods.posterior.seen import rings_of
from cryobench.methods.posterior.so3_grid import MIRROR, Hemisphere, hemisphere
from cryobench.methods.posterior.steerable import SteerableBasis

# Poses of all images of a batch that are held in memory together; a GPU is busy only with many.
ELEMENTS, ON_GPU, TOGETHER = 2**23, 2**27, 128
LIKELY = 1e-3  # of the likeliest view's probability: views below are not looked at again
AROUND = 1.5  # views within so many spacings of a likely one are candidates


@dataclass(frozen=True)
class ViewGrid:
    """Views about `spacing` radians apart; rotations (n, 3, 3) of them on a device."""

    cells: Hemisphere
    spacing: float
    rotations: torch.Tensor

    @property
    def angles(self) -> int:
        """In-plane angles, as far apart as views."""
        return int(np.ceil(2 * np.pi / self.spacing))

    def orientations(self, elements: torch.Tensor, angles: int) -> np.ndarray:
        """The rotations (n, 3, 3) of elements (n, 3) of the views' orbits: mirrored, which in-plane angle of `angles`, view."""
        mirrored, turn, view = elements.cpu().numpy().T
        views = self.cells.views()[view]
        views[mirrored == 1] = views[mirrored == 1] @ MIRROR
        return views @ Rotation.from_euler("z", -2 * np.pi * turn[:, None] / angles).as_matrix()

    def near(self, other: ViewGrid) -> torch.Tensor:
        """(n, m) float32: 1 where a view of `other` lies near one of these, from in front or behind."""
        cosine = (self.rotations[:, :, 2] @ other.rotations[:, :, 2].T).abs()
        return (cosine > np.cos(AROUND * max(self.spacing, other.spacing))).float()


def poses_of(size: int, step: float, device) -> ViewGrid:
    """step: how far the rim of images of `size` px moves between neighbouring views, in px."""
    spacing = min(2 * step / size, np.pi / 8)
    cells = hemisphere(spacing)
    return ViewGrid(cells, spacing, torch.from_numpy(cells.views()).float().to(device))


@dataclass(frozen=True)
class Structure:
    """maps and contrast, and what they were made with, once they were: poses; likely (n, views) bool, which views each image may
    have; rotations (n, 3, 3), its likeliest pose, and shifts (n, 2), how far off the centre its particle is then, (down, right)
    in shares of its edge; log_likelihood of an image, on average.

    several: of each of K conformations, where there are any; shares (K,) of the images that have each."""

    maps: HalfMaps
    contrast: Contrast
    poses: ViewGrid | None = None
    likely: torch.Tensor = field(default_factory=lambda: torch.empty((0, 0), dtype=torch.bool))
    rotations: np.ndarray = field(default_factory=lambda: np.empty((0, 3, 3)))
    shifts: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    log_likelihood: float = float("-inf")
    several: tuple[HalfMaps, ...] = ()
    shares: np.ndarray = field(default_factory=lambda: np.ones(1))

    def volumes(self, half: int | None) -> list[torch.Tensor]:
        """What images show: the one map of a half, 0 or 1, or of both, None; or those of each conformation."""
        return [maps.both if half is None else maps.halves[half] for maps in self.several or (self.maps,)]

    def resized(self, size: int) -> Structure:
        """With maps of another number of voxels."""
        if size == self.maps.size:
            return self

        def at_size(maps: HalfMaps) -> HalfMaps:
            one, other, both = (masked(resized(volume, size)) for volume in (*maps.halves, maps.both))
            return HalfMaps((one, other), both, maps.fsc)

        return replace(self, maps=at_size(self.maps), several=tuple(map(at_size, self.several)))


def resized(volume: torch.Tensor, size: int) -> torch.Tensor:
    """A volume of `size` voxels, whose projections are those of the other one, resampled."""
    new = torch.from_numpy(resample(volume.cpu().numpy(), size, axes=(0, 1, 2))).to(volume.device)
    return new * (volume.shape[-1] / size)


def mixture(
    basis: SteerableBasis, volume: torch.Tensor, poses: ViewGrid, contrast: Contrast, seen: bool = False
) -> PoseMixture:
    """The poses' projections of a volume; seen: for images that were seen through something."""
    views = basis.coefficients(Projector(volume)(poses.rotations))
    power = rings_of(basis.size).power(basis.render(views)) if seen else None
    return PoseMixture(basis, views, poses.angles, contrast, power)


def mixture_of(
    structure: Structure, half: int | None, basis: SteerableBasis, poses: ViewGrid, seen: bool
) -> PoseMixture:
    """The poses' projections of all volumes of a half, None: of both halves, one volume after the other."""
    each = [mixture(basis, volume, poses, structure.contrast, seen) for volume in structure.volumes(half)]
    if len(each) == 1:
        return each[0]
    prior = torch.from_numpy(np.log(structure.shares * len(each))).float().to(each[0].views.device)
    power = torch.cat([one.power for one in each if one.power is not None]) if seen else None
    views = torch.cat([one.views for one in each])
    return PoseMixture(
        basis, views, poses.angles, structure.contrast, power, prior.repeat_interleave(len(poses.rotations))
    )


def expectation(
    band: Band,
    mixtures: list[PoseMixture],
    halves: np.ndarray,
    heat: float,
    candidates: torch.Tensor | None,
    advance: Callable[[int], None] = lambda done: None,
    watch: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None] = lambda images, views, probability: None,
) -> tuple[list[Sums], torch.Tensor, torch.Tensor]:
    """The sums of each half under its mixture, each image's likely views (n, views) bool, and its likeliest element (n, 4).

    candidates: (n, views) bool, where to look; None: everywhere. Images that look at the same views go together, and each looks
    where any of its batch does.
    watch: told which images (b,) were compared with which views (v,), and the probability (b, v) of each.
    """
    n, views = len(band), len(mixtures[0])
    likely = torch.zeros((n, views), dtype=torch.bool, device=band.coefficients.device)
    best = torch.zeros((n, 4), dtype=torch.int64, device=likely.device)
    totals = []
    for half, mix in enumerate(mixtures):
        rows = np.flatnonzero(halves == half)
        if candidates is not None:
            rows = rows[np.argsort(candidates[rows].float().argmax(dim=1).cpu().numpy(), kind="stable")]
        total, step = mix.nothing(), batch_of(mix, band)
        for start in range(0, len(rows), step):
            some = torch.from_numpy(rows[start : start + step]).to(likely.device)
            there, looked_at = torch.arange(views, device=likely.device), mix
            if candidates is not None:
                there = torch.nonzero(candidates[some].any(dim=0))[:, 0]
                looked_at = mix.of(there)
            sums, probability, element = looked_at.sums(band.take(some), heat)
            total.add(sums, there)
            watch(some, there, probability)
            likely[some[:, None], there] = likely_views(probability)
            best[some], best[some, 2] = element, there[element[:, 2]]
            advance(len(some))
        totals.append(total)
    return totals, likely, best


def likely_views(probability: torch.Tensor) -> torch.Tensor:
    """Which views are worth a closer look: (b, n) probabilities → bool, at least one for each image."""
    return probability >= LIKELY * probability.max(dim=1, keepdim=True).values


def batch_of(mix: PoseMixture, band: Band, on_gpu: bool | None = None) -> int:
    """How many images are looked at together; on_gpu: None for where the views are."""
    most = ON_GPU if (mix.views.is_cuda if on_gpu is None else on_gpu) else ELEMENTS
    return int(np.clip(most // (2 * mix.angles * len(mix) * band.coefficients.shape[1]), 1, TOGETHER))


def iterate(
    before: Structure,
    band: Band,
    halves: np.ndarray,
    poses: ViewGrid,
    heat: float,
    shared: int | None,
    local: bool = True,
    advance: Callable[[int], None] = lambda done: None,
) -> Structure:
    """One step of expectation and maximisation; halves (n,) 0 or 1; shared: as for half_maps; local: search only around
    the views that were likely before."""
    before = before.resized(band.size)
    maps = before.maps.halves if shared is not None else before.maps.halves[:1]
    mixtures = [mixture(band.basis, volume, poses, before.contrast, band.seen is not None) for volume in maps]
    maps, mixtures = (maps[0], maps[-1]), [mixtures[0], mixtures[-1]]
    candidates = None
    if local and before.poses is not None:
        candidates = before.likely.float() @ before.poses.near(poses) > 0
    sums, likely, best = expectation(band, mixtures, halves, heat, candidates, advance)
    both = sums[0] + sums[1]
    scale, contrast = both.contrast(before.contrast)
    # maps in the unit in which the images' mean scale is 1
    parts = [part(*each, poses.rotations, scale) for each in zip(maps, mixtures, sums, strict=True)]
    after = half_maps(parts, shared)
    rotations, shifts = poses.orientations(best[:, :3], mixtures[0].angles), shifts_of(band, best[:, 3])
    return Structure(after, contrast, poses, likely, rotations, shifts, both.log_likelihood / both.count)


def shifts_of(band: Band, place: torch.Tensor) -> np.ndarray:
    """How far particles are off the centre in these places (n,), by number: (n, 2) in shares of the edge."""
    if band.places is None:
        return np.zeros((len(band), 2))
    return (band.places.centres + band.places.steps[place]).cpu().numpy() / band.size


def part(before: torch.Tensor, mix: PoseMixture, sums: Sums, rotations: torch.Tensor, scale: float) -> Part:
    """What comes of the sums under the mixture of a map, whose views have these rotations, times `scale`.

    Views that next to nothing came to are left out: the finer views are, the more of them.
    """
    basis, some = mix.basis, sums.counting
    images, weights, rotations = basis.render(sums.images[some]), sums.weights[some], rotations[some]
    if mix.power is None:
        return Part(images * scale, weights, rotations)
    known = rings_of(basis.size).filtered(basis.render(mix.views[some]), weights)
    return Part((images - basis.render(basis.coefficients(known))) * scale, weights, rotations, before * scale)


def blob(size: int, rng: np.random.Generator) -> torch.Tensor:
    """A volume (L, L, L) to start from: a dozen round lumps about the centre."""
    axis = np.arange(size) - size // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = np.zeros((size,) * 3)
    for centre in rng.normal(0, 0.18 * size, (12, 3)):
        volume += np.exp(-((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / (0.02 * size**2))
    return masked(torch.from_numpy(volume).float())


def beginning(band: Band, level: float, rng: np.random.Generator) -> Structure:
    """A random blob whose projections vary as much as the images do beyond their noise; level: of the background."""
    size, device = band.size, band.coefficients.device
    volume = blob(size, rng).to(device)
    views = torch.from_numpy(hemisphere(0.3).views()).float().to(device)
    coefficients = band.basis.coefficients(Projector(volume)(views))
    if band.seen is None:
        power = coefficients[:, 1:].abs().square().sum(dim=1).mean()
        functions = 2 * len(band.basis) - 1 - int((band.basis.orders == 0).sum())  # real numbers, but for the constant
        signal = (band.coefficients[:, 0, 1:].abs().square().sum(dim=1) - band.variance * functions).mean()
    else:  # frequency 0 is the first ring
        rings = rings_of(size).power(band.basis.render(coefficients)).mean(dim=0)
        power = rings[1:] @ band.seen.rings.mean(dim=0)[1:]
        signal = (band.seen.square - band.seen.total.square() / size**2 - band.variance * (size**2 - 1)).mean()
    volume = volume * (signal.clamp(min=float(band.variance.mean())) / power).sqrt()
    fsc = torch.ones(size // 2 + 1, device=device)
    return Structure(HalfMaps((volume, volume), volume, fsc), Contrast(0.01, level, 1e-2 * float(band.variance.mean())))
