"""Noisy images as projections of a volume in unknown poses, each with a scale and a level of its own.

    y = a·x + b + σn,    a ~ N(1, v_a),  b ~ N(μ, v_b),  x an element of the views' orbits (orbits.py), all equally likely

With q = ⟨y − μ, x⟩ − κ⟨1, x⟩⟨1, y − μ⟩ and m = ‖x‖² − κ⟨1, x⟩², κ = 1/(L² + σ²/v_b), in which the level is integrated
out, the scale under a pose is normal too, with precision p = m/σ² + 1/v_a and mean â = (q/σ² + 1/v_a)/p, and

    log p(y | x) = ½ p â² − ½ log(v_a p) + what is the same for all poses

What is wanted of the posterior are sums over poses, which the steerable basis turns into products of matrices and FFTs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from cryobench.methods.posterior.orbits import angles_of
from cryobench.methods.posterior.steerable import SteerableBasis


@dataclass(frozen=True)
class Contrast:
    """How images' scales a ~ N(1, v_a) and levels b ~ N(μ, v_b) are distributed."""

    scale_variance: float
    level: float
    level_variance: float


@dataclass
class Sums:
    """Over images and the posteriors of their poses, what the next volume and contrast are made of.

    images (n, K) complex64: Σ w a (y − b) of each view, turned and mirrored back into it; weights (n,): Σ w a² of each;
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

    def contrast(self, before: Contrast) -> tuple[float, Contrast]:
        """The images' mean scale, and the contrast with which they are likeliest once that is 1."""
        scale, level = self.scale / self.count, self.level / self.count
        spread = self.scale_square / self.count / scale**2 - 1
        return scale, Contrast(
            max(spread, 1e-4), before.level + level, max(self.level_square / self.count - level**2, 1e-8)
        )


@dataclass(frozen=True)
class Posterior:
    """Of b images over all elements (mirrors, angles, n): weights of sum 1 and scales â (b, 2, angles, n); precision p (b, n);
    kappa κ and total ⟨1, y − μ⟩ (b,); log_likelihood (b,)."""

    weights: torch.Tensor
    scales: torch.Tensor
    precision: torch.Tensor
    kappa: torch.Tensor
    total: torch.Tensor
    log_likelihood: torch.Tensor


class PoseMixture:
    """views: (n, K) complex64, projections in a `basis` whose first function is constant; angles: as for Orbits."""

    def __init__(self, basis: SteerableBasis, views: torch.Tensor, angles: int, contrast: Contrast):
        self.basis, self.views, self.contrast = basis, views, contrast
        self.angles = angles_of(basis, angles)
        self.norms = views.abs().square().sum(dim=1)
        self.whole = float(basis.functions[0].sum())  # the coefficient of the image 1: L or −L
        self.masses = views[:, 0].real * self.whole  # ⟨1, x⟩
        self.real, self.imaginary = views.real.T.contiguous(), views.imag.T.contiguous()

    def __len__(self) -> int:
        return len(self.views)

    def of(self, views: torch.Tensor) -> PoseMixture:
        """The mixture of some of the views, (k,) their positions."""
        return PoseMixture(self.basis, self.views[views], self.angles, self.contrast)

    def centred(self, images: torch.Tensor) -> torch.Tensor:
        """Coefficients of y − μ."""
        images = images.clone()
        images[:, 0] -= self.contrast.level * self.whole
        return images

    def inner_products(self, images: torch.Tensor) -> torch.Tensor:
        """⟨y, element⟩ of images (b, K) with all elements: (b, 2, angles, n)."""
        real, imaginary = images.real * (self.angles / 2), images.imag * (self.angles / 2)
        shape = (len(images), 2, self.angles // 2 + 1, len(self))
        series = torch.zeros(shape, dtype=torch.complex64, device=images.device)
        parts = torch.view_as_real(series)
        for order, block in self.basis.blocks.items():
            rr, ri = real[:, block] @ self.real[block], real[:, block] @ self.imaginary[block]
            ir, ii = imaginary[:, block] @ self.real[block], imaginary[:, block] @ self.imaginary[block]
            parts[:, 0, order, :, 0], parts[:, 0, order, :, 1] = rr + ii, ri - ir
            parts[:, 1, order, :, 0], parts[:, 1, order, :, 1] = rr - ii, -ri - ir
        series[:, :, 0] *= 2  # irfft counts every order but 0 twice
        return torch.fft.irfft(series, n=self.angles, dim=2)

    def posterior(self, images: torch.Tensor, variance: torch.Tensor, heat: float = 1.0) -> Posterior:
        """Of images (b, K) with noise of `variance` σ² (b,), the likelihood to the power 1/heat."""
        va, vb, pixels = self.contrast.scale_variance, self.contrast.level_variance, self.basis.size**2
        centred = self.centred(images)
        total = centred[:, 0].real * self.whole
        kappa = 1 / (pixels + variance / vb)
        precision = (self.norms - kappa[:, None] * self.masses**2) / variance[:, None] + 1 / va
        scales = self.inner_products(centred).sub_((kappa * total)[:, None, None, None] * self.masses)  # q
        scales.div_(variance[:, None, None, None]).add_(1 / va).div_(precision[:, None, None])
        log = scales.square().mul_(precision[:, None, None] / 2).sub_((va * precision).log()[:, None, None] / 2)
        log = log.flatten(1).div_(heat)
        norm = torch.logsumexp(log, dim=1)
        weights = log.sub_(norm[:, None]).exp_().view_as(scales)
        rest = (centred.abs().square().sum(dim=1) - kappa * total**2) / variance
        constant = torch.log1p(pixels * vb / variance) / 2 + 1 / (2 * va) + heat * math.log(log.shape[1])
        return Posterior(weights, scales, precision, kappa, total, norm * heat - rest / 2 - constant)

    def sums(
        self, images: torch.Tensor, variance: torch.Tensor, heat: float = 1.0
    ) -> tuple[Sums, torch.Tensor, torch.Tensor]:
        """What these images add to the sums, the probability of each view, (b, n), and each image's likeliest element, (b, 3):
        whether it is mirrored, its in-plane angle and its view, by number."""
        posterior = self.posterior(images, variance, heat)
        best = posterior.weights.flatten(1).argmax(dim=1)
        n = len(self)
        likeliest = torch.stack([best // (self.angles * n), best // n % self.angles, best % n], dim=1)
        kappa, total = posterior.kappa[:, None], posterior.total[:, None]
        views = posterior.weights.sum(dim=(1, 2))
        scaled = posterior.weights.mul_(posterior.scales)
        first, square = (
            scaled.sum(dim=(1, 2)),
            (scaled * posterior.scales).sum(dim=(1, 2)) + views / posterior.precision,
        )
        centred, turned = self.centred(images), torch.fft.rfft(scaled, dim=2)  # Σ_t w a e^{−imα}
        back = torch.zeros_like(self.views)
        for order, block in self.basis.blocks.items():
            plain, mirrored = turned[:, :, order].transpose(0, 1)
            back[:, block] = plain.T @ centred[:, block] + (mirrored.T @ centred[:, block]).conj()
        # b − μ under a pose: of mean κ(⟨1, y − μ⟩ − a⟨1, x⟩) and variance κσ²
        back[:, 0] -= (kappa * (first * total - square * self.masses)).sum(dim=0) * self.whole
        level = kappa * (views * total - first * self.masses)
        level_square = kappa**2 * (views * total**2 - 2 * first * total * self.masses + square * self.masses**2)
        sums = Sums(
            back,
            square.sum(dim=0),
            float(posterior.log_likelihood.sum()),
            float(first.sum()),
            float(square.sum()),
            float(level.sum()),
            float(level_square.sum() + (kappa[:, 0] * variance).sum()),
            len(images),
        )
        return sums, views, likeliest

    def mean(self, images: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means E[a x + b] as coefficients (b, K), and the probability of each view, (b, n)."""
        posterior = self.posterior(images, variance)
        views = posterior.weights.sum(dim=(1, 2))
        scaled = posterior.weights.mul_(posterior.scales)
        turned = torch.fft.rfft(scaled, dim=2).conj()  # Σ_t w a e^{imα}
        out = torch.zeros_like(images)
        for order, block in self.basis.blocks.items():
            plain, mirrored = turned[:, :, order].transpose(0, 1)
            out[:, block] = plain @ self.views[:, block] + mirrored @ self.views[:, block].conj()
        mass = scaled.sum(dim=(1, 2)) @ self.masses
        out[:, 0] += (self.contrast.level + posterior.kappa * (posterior.total - mass)) * self.whole
        return out, views
