"""In which direction images depart most from the one map that they made: where their particles are not all alike.

With every image in the pose that it has under the map V, what is left of it is r = y − T(a P V + b), taken for

    r = z T P v + σn,    z ~ N(0, 1)

v is the first principal component of what volumes differ by, z how far along it a particle is (probabilistic principal
component analysis from projections: Tagare, Kucukelbir, Sigworth, Wang & Rao 2015). Expectation gives z with precision
‖T P v‖²/σ² + 1, maximisation v = Σ z T r/σ² over Σ z² T²/σ² and the inverse of what power v may have: PRIOR times that of V, on
each shell, and nothing away from the particle. Without these two, noise of so many voxels would outdo a particle's motion. The
first z are random; images and v grow. The halves of the images find theirs apart from each other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from cryobench.data.backproject import spectrum_of, volume_of
from cryobench.data.project import Projector
from cryobench.methods.posterior.at_pose import Centred
from cryobench.methods.posterior.half_maps import Samples, masked, mean_of, padded_radius
from cryobench.methods.posterior.pose_mixture import Contrast
from cryobench.methods.posterior.seen import rings_of
from cryobench.noise.ctf import through

STAGES = ((16, 24), (24, 12), (32, 8))  # px, and how many rounds
PRIOR = 0.05
EDGE = 0.1  # of a map's maximum: where it has less, there is no particle


def left_over(images: Centred, volume: torch.Tensor, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """T r/σ² of n images under a map, (n, L, L), and T²/σ² on their rings, (n, D)."""
    projector, rings = Projector(volume), rings_of(volume.shape[-1])
    under, gain = images.under(projector, contrast), images.gain[:, None, None]
    seen = images.views(projector) * under.scale[:, None, None]
    seen = seen if images.transfers is None else through(seen, images.transfers)
    left = images.images - seen - gain * (contrast.level + under.level)[:, None, None]
    squares = np.ones((len(left), len(rings.radii)))
    if images.transfers is not None:
        left = through(left, images.transfers)
        squares = rings.means(torch.from_numpy(images.transfers).square()).numpy()
    variance = images.sigma**2
    return (left / variance[:, None, None]).astype(np.float32), (squares / variance[:, None]).astype(np.float32)


def direction(
    images: Centred, volume: torch.Tensor, contrast: Contrast, z: np.ndarray, rounds: int
) -> tuple[torch.Tensor, np.ndarray]:
    """v (L, L, L) of images of a half under its map (L, L, L), and z (n,) of each of them, from other z."""
    left, squares = left_over(images, volume, contrast)
    size, device, rotations = volume.shape[-1], volume.device, images.poses.rotations
    shell = padded_radius(size).to(device).round().long().clamp(max=size)
    unlikely = (1 / (PRIOR * mean_of(spectrum_of(volume).abs().square(), shell) + 1e-9))[shell]
    there, known = (torch.from_numpy(one).to(device) for one in (left, squares))
    spread, near, v = np.zeros(len(left)), support(volume), torch.zeros_like(volume)
    for _ in range(rounds):
        samples = Samples(size, device)
        samples.add(left * z[:, None, None], squares * (z**2 + spread)[:, None], rotations)
        total, weight = samples.both()
        v = masked(volume_of(total / (weight + unlikely))) * near
        views = Projector(v)(torch.from_numpy(rotations).float().to(device))
        precision = (rings_of(size).power(views) * known).sum(dim=1).double().cpu().numpy() + 1
        z = (there * views).sum(dim=(1, 2)).double().cpu().numpy() / precision
        spread = 1 / precision
    return v, z


def grown(
    images: Callable[[int], Centred],
    volume: Callable[[int], torch.Tensor],
    contrast: Contrast,
    largest: int,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, np.ndarray]:
    """v and z of the images (size) of a half under its map (size), both of up to `largest` px."""
    z, v = None, torch.zeros(0)
    for size, rounds in STAGES:
        if size <= largest:
            some = images(size)
            z = rng.normal(size=len(some.images)) if z is None else z
            v, z = direction(some, volume(size), contrast, z, rounds)
    assert z is not None  # maps have 16 px or more
    return v, z


def support(volume: torch.Tensor) -> torch.Tensor:
    """(L, L, L) from 0 to 1: where a map has a particle, and two voxels about it."""
    there = (volume > EDGE * volume.max()).float()[None, None]
    return F.avg_pool3d(F.max_pool3d(there, 3, 1, 1), 3, 1, 1)[0, 0]
