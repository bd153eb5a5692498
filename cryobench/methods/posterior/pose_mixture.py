"""Noisy images as projections of a volume in unknown poses, each with a scale and a level of its own.

    y = a·x + b + σn,    a ~ N(1, v_a),  b ~ N(μ, v_b),  x an element of the views' orbits (orbits.py), all equally likely

With q = ⟨y − μ, x⟩ − κ⟨1, x⟩⟨1, y − μ⟩ and m = ‖x‖² − κ⟨1, x⟩², κ = 1/(L² + σ²/v_b), in which the level is integrated
out, the scale under a pose is normal too, with precision p = m/σ² + 1/v_a and mean â = (q/σ² + 1/v_a)/p, and

    log p(y | x) = ½ p â² − ½ log(v_a p) + what is the same for all poses

Where images were seen through T (seen.py), T x and T 1 = h1 stand in place of x and 1. ‖T x‖² then depends on the image, too.
Without, h = 1. Where particles may be off the centre, their places are unknowns like the poses (band.py).

What is wanted of the posterior are sums over poses, which the steerable basis turns into products of matrices and FFTs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch

from cryobench.methods.posterior.band import Band
from cryobench.methods.posterior.orbits import angles_of
from cryobench.methods.posterior.pose_products import PoseProducts
from cryobench.methods.posterior.steerable import SteerableBasis

# Weights below NOTHING are 0: numbers that are no longer normal (exp of less than −87) take processors many times as long.
LEAST, NOTHING = -80.0, 1e-34
UNSEEN = 1e-10  # of the largest weight of a view: less changes no digit of single precision, even where few views fall


@dataclass(frozen=True)
class Contrast:
    """How images' scales a ~ N(1, v_a) and levels b ~ N(μ, v_b) are distributed."""

    scale_variance: float
    level: float
    level_variance: float


@dataclass
class Sums:
    """Over images and the posteriors of their poses, what the next volume and contrast are made of.

    images (n, K) complex64: Σ w a T(y − h b) of each view, turned and mirrored back into it; weights: Σ w a² of each, (n,), or
    Σ w a² T² on each ring, (n, D);
    log_likelihood; scale, scale_square: Σ a, Σ a²; level, level_square: of b − μ; count: how many images.
    """

    images: torch.Tensor
    weights: torch.Tensor
    log_likelihood: float = 0.0
    scale: float = 0.0
    scale_square: float = 0.0
    level: float = 0.0
    level_square: float = 0.0
    count: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def add(self, other: Sums, views: torch.Tensor) -> None:
        """Add sums that have only these of the views."""
        self.images[views] += other.images
        self.weights[views] += other.weights
        for f in fields(self)[2:]:
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    @property
    def counting(self) -> torch.Tensor:
        """(n,) bool: which views something came to."""
        weights = self.weights if self.weights.ndim == 1 else self.weights.sum(dim=1)
        return weights > UNSEEN * weights.max()

    def contrast(self, before: Contrast) -> tuple[float, Contrast]:
        """The images' mean scale, and the contrast with which they are likeliest once that is 1."""
        scale, level = self.scale / self.count, self.level / self.count
        spread = self.scale_square / self.count / scale**2 - 1
        return scale, Contrast(
            max(spread, 1e-4), before.level + level, max(self.level_square / self.count - level**2, 1e-8)
        )


@dataclass(frozen=True)
class PosePosterior:
    """Of b images over all elements in all places: weights of sum 1 and scales â (b, S, 2, angles, n); precision p (b, n);
    gain h, kappa κ and total ⟨1, y − hμ⟩ (b,); log_likelihood (b,)."""

    weights: torch.Tensor
    scales: torch.Tensor
    precision: torch.Tensor
    gain: torch.Tensor
    kappa: torch.Tensor
    total: torch.Tensor
    log_likelihood: torch.Tensor


class PoseMixture:
    """views: (n, K) complex64, projections in a `basis` whose first function is constant; angles: as for Orbits; power: (n, D),
    that of the views on each ring, for images that were seen through something; prior: (n,), the log of how much likelier than
    the mean a view is beforehand, None: all are alike; at_once: as for PoseProducts."""

    def __init__(
        self,
        basis: SteerableBasis,
        views: torch.Tensor,
        angles: int,
        contrast: Contrast,
        power: torch.Tensor | None = None,
        prior: torch.Tensor | None = None,
        at_once: bool | None = None,
    ):
        self.basis, self.views, self.contrast, self.power, self.prior = basis, views, contrast, power, prior
        self.angles = angles_of(basis, angles)
        self.norms = views.abs().square().sum(dim=1)
        self.whole = basis.whole  # the coefficient of the image 1
        self.masses = views[:, 0].real * self.whole  # ⟨1, x⟩
        self.at_once = at_once

    def __len__(self) -> int:
        return len(self.views)

    @cached_property
    def products(self) -> PoseProducts:
        """Made when they are needed: of many mixtures only parts are compared with images."""
        return PoseProducts(self.basis, self.views, self.angles, self.at_once)

    def of(self, views: torch.Tensor) -> PoseMixture:
        """The mixture of some of the views, (k,) their positions."""
        power, prior = (None if one is None else one[views] for one in (self.power, self.prior))
        return PoseMixture(self.basis, self.views[views], self.angles, self.contrast, power, prior, self.at_once)

    def nothing(self) -> Sums:
        """The sums over no images."""
        return Sums(torch.zeros_like(self.views), torch.zeros_like(self.norms if self.power is None else self.power))

    def centred(self, band: Band) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Coefficients (b, S, K) of T(y − hμ), and h, ⟨1, y − hμ⟩ and ‖y − hμ‖² of each image, (b,)."""
        images, seen, level = band.coefficients.clone(), band.seen, self.contrast.level
        if seen is None:
            images[..., 0] -= level * self.whole
            return (
                images,
                torch.ones_like(band.variance),
                images[:, 0, 0].real * self.whole,
                images[:, 0].abs().square().sum(dim=1),
            )
        images[..., 0] -= (seen.gain**2 * level * self.whole)[:, None]
        total = seen.total - seen.gain * level * self.basis.size**2
        square = seen.square - seen.gain * level * (seen.total + total)
        return images, seen.gain, total, square

    def norms_seen(self, band: Band) -> torch.Tensor:
        """‖T x‖² of the views, (n,), or as each image sees them, (b, n)."""
        if band.seen is None:
            return self.norms
        if self.power is None:
            raise ValueError(
                "expected the views' power on each ring, for images that were seen through something, got none"
            )
        return band.seen.rings @ self.power.T

    def posterior(self, band: Band, heat: float = 1.0, allowed: torch.Tensor | None = None) -> PosePosterior:
        """Of b images, the likelihood to the power 1/heat; allowed: (b, n) bool, the views that each may show, None: all."""
        va, vb, pixels = self.contrast.scale_variance, self.contrast.level_variance, self.basis.size**2
        variance, (centred, gain, total, square) = band.variance, self.centred(band)
        masses, once = self.seen_masses(gain), gain**2
        kappa = 1 / (pixels * once + variance / vb)
        share = kappa * once  # of the level
        precision = (self.norms_seen(band) - share[:, None] * masses**2) / variance[:, None] + 1 / va
        # Few passes over what is large: â = A⟨T(y − hμ), x⟩ + B, and log p = Câ² + D, as told above.
        factor = 1 / (variance[:, None] * precision)
        offset = 1 / (va * precision) - (share * total)[:, None] * masses * factor
        constant = -(va * precision).log() / (2 * heat) + (0.0 if self.prior is None else self.prior)
        if allowed is not None:
            constant = constant.masked_fill(~allowed, -torch.inf)
        scales = self.products.inner_products(centred.flatten(0, 1)).unflatten(0, centred.shape[:2])
        scales = torch.addcmul(over_poses(offset), scales, over_poses(factor), out=scales)
        log = torch.addcmul(over_poses(constant), scales.square(), over_poses(precision / (2 * heat)))
        among = torch.full_like(total, log[0].numel())
        if allowed is not None:
            among *= allowed.float().mean(dim=1)
        if band.places is not None:
            log.masked_fill_(~band.places.allowed[:, :, None, None, None], -torch.inf)
            among *= band.places.allowed.float().mean(dim=1)
        weights, norm = normalised(log.flatten(1))
        weights = weights.view_as(scales)
        rest = (square - share * total**2) / variance
        same = torch.log1p(pixels * vb * once / variance) / 2 + 1 / (2 * va) + heat * among.log()
        return PosePosterior(weights, scales, precision, gain, kappa, total, norm * heat - rest / 2 - same)

    def seen_masses(self, gain: torch.Tensor) -> torch.Tensor:
        """⟨1, T x⟩ as images of these gains (b,) see it: (b, n)."""
        return gain[:, None] * self.masses

    def sums(self, band: Band, heat: float = 1.0) -> tuple[Sums, torch.Tensor, torch.Tensor]:
        """What these images add to the sums, the probability of each view, (b, n), and each image's likeliest element, (b, 4):
        whether it is mirrored, its in-plane angle, its view and its place, by number."""
        posterior = self.posterior(band, heat)
        best = posterior.weights.flatten(1).argmax(dim=1)
        n = len(self)
        likeliest = torch.stack(
            [best // (self.angles * n) % 2, best // n % self.angles, best % n, best // (2 * self.angles * n)], dim=1
        )
        gain, total, masses = posterior.gain[:, None], posterior.total[:, None], self.seen_masses(posterior.gain)
        views = posterior.weights.sum(dim=(1, 2, 3))
        scaled = posterior.weights.mul_(posterior.scales)
        first, square = (
            scaled.sum(dim=(1, 2, 3)),
            (scaled * posterior.scales).sum(dim=(1, 2, 3)) + views / posterior.precision,
        )
        turned = torch.fft.rfft(scaled, dim=3).flatten(0, 1)  # Σ_t w a e^{−imα}
        back = self.products.onto_views(turned, self.centred(band)[0].flatten(0, 1))
        # b − μ under a pose: of mean κh(⟨1, y − hμ⟩ − a⟨1, T x⟩) and variance κσ²; T of it is h² times that
        kappa = posterior.kappa[:, None] * gain
        back[:, 0] -= (kappa * gain**2 * (first * total - square * masses)).sum(dim=0) * self.whole
        level = kappa * (views * total - first * masses)
        level_square = kappa**2 * (views * total**2 - 2 * first * total * masses + square * masses**2)
        sums = Sums(
            back,
            square.sum(dim=0) if band.seen is None else square.T @ band.seen.rings,
            float(posterior.log_likelihood.sum()),
            float(first.sum()),
            float(square.sum()),
            float(level.sum()),
            float(level_square.sum() + (posterior.kappa * band.variance).sum()),
            len(band),
        )
        return sums, views, likeliest

    def mean(self, band: Band, allowed: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means E[a x + b] (b, L, L), and the probability of each view, (b, n); allowed: as for `posterior`."""
        posterior = self.posterior(band, allowed=allowed)
        views = posterior.weights.sum(dim=(1, 2, 3))
        scaled = posterior.weights.mul_(posterior.scales)
        turned = torch.fft.rfft(scaled, dim=3).conj().flatten(0, 1)  # Σ_t w a e^{imα}
        out = self.products.of_views(turned).view_as(band.coefficients)
        mass = posterior.gain * (scaled.sum(dim=(1, 2, 3)) @ self.masses)
        level = posterior.kappa * posterior.gain * (posterior.total - mass)
        out[:, 0, 0] += (self.contrast.level + level) * self.whole
        images = self.basis.render(out.flatten(0, 1)).unflatten(0, out.shape[:2])
        return images[:, 0] if band.places is None else band.places.together(images), views


def over_poses(values: torch.Tensor) -> torch.Tensor:
    """Of images and views (b, n), as something that is of all poses (b, S, 2, angles, n) takes them."""
    return values[:, None, None, None]


def normalised(log: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights exp(log) of sum 1, made in place, and the log of what their sum was: (b, m) → (b, m), (b,)."""
    largest = log.amax(dim=1, keepdim=True)
    weights = torch.threshold_(log.sub_(largest).clamp_(min=LEAST).exp_(), NOTHING, 0.0)
    total = weights.sum(dim=1, keepdim=True)
    return weights.div_(total), (largest + total.log())[:, 0]
