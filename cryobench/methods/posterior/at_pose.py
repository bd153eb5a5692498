"""Noisy images whose pose is known: their scale and level, which are all that is left to find.

    y = T(a x + b) + σn,    a ~ N(1, v_a),  b ~ N(μ, v_b),  x = P_R V

In the words of pose_mixture.py, with a single element: q = ⟨y − hμ, T x⟩ − κh²⟨1, T x⟩⟨1, y − hμ⟩ and m = ‖T x‖² − κh²⟨1, T x⟩²,
κ = 1/(L²h² + σ²/v_b). a is normal with precision p = m/σ² + 1/v_a and mean (q/σ² + 1/v_a)/p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cryobench.data.io.stack import resample
from cryobench.data.poses import Poses
from cryobench.data.project import Projector
from cryobench.methods.posterior.pose_mixture import Contrast
from cryobench.methods.posterior.seen import cropped, rings_of
from cryobench.noise.ctf import through


@dataclass(frozen=True)
class ScaleAndLevel:
    """Of n images, under their poses: means of a, a², b − μ and (b − μ)², (n,) each."""

    scale: np.ndarray
    scale_square: np.ndarray
    level: np.ndarray
    level_square: np.ndarray


@dataclass(frozen=True)
class Centred:
    """Noisy images (n, L, L), their particles moved into the centre; transfers: T (n, L, L/2+1) that they were seen through, or
    None; sigma (n,); poses as they were."""

    images: np.ndarray
    transfers: np.ndarray | None
    sigma: np.ndarray
    poses: Poses

    @classmethod
    def of(cls, noisy: np.ndarray, transfers: np.ndarray | None, sigma: np.ndarray, poses: Poses, size: int) -> Centred:
        """Resampled to `size` px, no more than they have."""
        length = noisy.shape[-1]
        poses = poses.resampled(size / length)
        images = resample(noisy, size)
        if poses.displaced.any():
            images = through(images, poses.centring(size))
        transfers = None if transfers is None else np.ascontiguousarray(cropped(transfers, length, size))
        return cls(images, transfers, sigma * size / length, poses)

    @classmethod
    def joined(cls, parts: list[Centred]) -> Centred:
        """All images of several; those of one stack are seen through something all, or none."""
        known = [part.transfers for part in parts if part.transfers is not None]
        poses = Poses(
            *(np.concatenate([getattr(part.poses, name) for part in parts]) for name in ("rotations", "displaced"))
        )
        images, sigma = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "sigma"))
        return cls(images, np.concatenate(known) if known else None, sigma, poses)

    @property
    def gain(self) -> np.ndarray:
        """h, T at frequency 0, (n,)."""
        return np.ones(len(self.images)) if self.transfers is None else self.transfers[:, 0, 0].astype(np.float64)

    def views(self, projector: Projector) -> np.ndarray:
        """The map as it looks in these poses, (n, L, L)."""
        views = projector(self.poses.rotations)
        return views.cpu().numpy() if isinstance(views, torch.Tensor) else views

    def under(self, projector: Projector | None, contrast: Contrast) -> ScaleAndLevel:
        """Scale and level under a map; 1 and μ without one."""
        n, pixels = len(self.images), self.images.shape[-1] ** 2
        if projector is None:
            return ScaleAndLevel(np.ones(n), np.ones(n), np.zeros(n), np.zeros(n))
        views = self.views(projector)
        seen = views if self.transfers is None else through(views, self.transfers)
        y, x = (one.reshape(n, pixels).astype(np.float64) for one in (self.images, seen))
        variance, va, vb, gain = self.sigma**2, contrast.scale_variance, contrast.level_variance, self.gain
        y -= (gain * contrast.level)[:, None]
        total, mass = y.sum(axis=1), x.sum(axis=1)
        kappa = 1 / (pixels * gain**2 + variance / vb)
        share = kappa * gain**2
        precision = ((x**2).sum(axis=1) - share * mass**2) / variance + 1 / va
        scale = (((y * x).sum(axis=1) - share * total * mass) / variance + 1 / va) / precision
        square, level = scale**2 + 1 / precision, kappa * gain * (total - scale * mass)
        return ScaleAndLevel(scale, square, level, level**2 + kappa * variance + (kappa * gain * mass) ** 2 / precision)

    def inserted(self, under: ScaleAndLevel, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
        """What a map is made of: a T(y − h b)/σ² of each image, (n, L, L), and a² T²/σ² on each of its rings, (n, D)."""
        rings = rings_of(self.images.shape[-1])
        images = self.images - (self.gain * (contrast.level + under.level))[:, None, None]
        images = images * (under.scale / self.sigma**2)[:, None, None]
        weights = np.repeat((under.scale_square / self.sigma**2)[:, None], len(rings.radii), axis=1)
        if self.transfers is not None:
            images = through(images, self.transfers)
            weights = weights * rings.means(torch.from_numpy(self.transfers).square()).numpy()
        return images.astype(np.float32), weights.astype(np.float32)

    def mean(self, projector: Projector, contrast: Contrast) -> np.ndarray:
        """E[a x + b], with the particle where it was, (n, L, L)."""
        under = self.under(projector, contrast)
        means = self.views(projector) * under.scale[:, None, None] + (contrast.level + under.level)[:, None, None]
        if self.poses.displaced.any():
            means = through(means, self.poses.centring(means.shape[-1]).conj())
        return means.astype(np.float32)


def likeliest(found: list[ScaleAndLevel], before: Contrast) -> tuple[float, Contrast]:
    """The mean scale of all images, and the contrast with which they are likeliest once that is 1."""
    scale, square, level, level_square = (
        float(np.concatenate([getattr(some, name) for some in found]).mean())
        for name in ("scale", "scale_square", "level", "level_square")
    )
    return scale, Contrast(max(square / scale**2 - 1, 1e-4), before.level + level, max(level_square - level**2, 1e-8))
