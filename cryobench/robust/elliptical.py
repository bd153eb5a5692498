"""Elliptical distributions: the law that is to be found, what contaminates it, and the generator that imitates it.

X = θ + ξ A U,   U uniform on the unit sphere of R^p, ξ ≥ 0 independent of it, Σ = A Aᵀ
                                                              (supplement, note 1, Definitions 1 to 3)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cryobench.errors import InputError

# Radial laws by their degrees of freedom: the multivariate t, of which the normal and the Cauchy law are the ends.
TAILS = {"gaussian": math.inf, "student3": 3.0, "cauchy": 1.0}


@dataclass(frozen=True)
class Elliptical:
    """An elliptical law with location θ (p,), scatter Σ (p, p) and the radial law of a multivariate t.

    tail: a name in TAILS. Raises InputError for any other, and for a scatter that is not symmetric positive definite.
    """

    location: np.ndarray
    scatter: np.ndarray
    tail: str = "gaussian"

    def __post_init__(self) -> None:
        if self.tail not in TAILS:
            raise InputError(
                f"tail: expected one of {', '.join(TAILS)} (elliptical laws), got {self.tail!r}; "
                "Theorem 1 covers no other"
            )
        location, scatter = np.asarray(self.location), np.asarray(self.scatter)
        if scatter.shape != (len(location), len(location)):
            raise InputError(
                f"expected a scatter ({len(location)}, {len(location)}) for a location "
                f"({len(location)},), got {scatter.shape}"
            )
        if not np.allclose(scatter, scatter.T) or np.linalg.eigvalsh(scatter)[0] <= 0:
            raise InputError("expected a symmetric positive definite scatter; an elliptical law has no other")

    @property
    def p(self) -> int:
        """Dimension of the law."""
        return len(self.location)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the t law; infinite for the normal one."""
        return TAILS[self.tail]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n independent draws, (n, p) float64."""
        deviation = rng.standard_normal((n, self.p)) @ np.linalg.cholesky(self.scatter).T
        if math.isfinite(self.degrees):
            deviation /= np.sqrt(rng.chisquare(self.degrees, (n, 1)) / self.degrees)
        return self.location + deviation


def scatter_matrix(name: str, p: int) -> np.ndarray:
    """(p, p): "identity", or "ar" with Σ_ij = 2^−|i−j|. Raises InputError for another name."""
    if name == "identity":
        return np.eye(p)
    if name == "ar":
        return 0.5 ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    raise InputError(f"scatter: expected identity or ar, got {name!r}")


class Generator(nn.Module):
    """x = θ + A z with z normal, or x = θ + ξ A U with a learned radius ξ; starts at θ = 0, A = I.

    A is learned if `learn_scatter`, else known to be I. With `learn_radius`, ξ = √p exp h(logit v), v uniform, h a small
    network: a straight h gives power laws at both ends, so that a tail as heavy as Cauchy's is within reach.
    """

    def __init__(self, p: int, *, learn_scatter: bool, learn_radius: bool, hidden: int = 16):
        super().__init__()
        self.location = nn.Parameter(torch.zeros(p))
        self.factor = nn.Parameter(torch.eye(p)) if learn_scatter else None
        layers = (nn.Linear(1, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        self.radius = nn.Sequential(*layers) if learn_radius else None

    def forward(self, n: int, rng: torch.Generator) -> Tensor:
        """n draws, (n, p)."""
        z = torch.randn(n, len(self.location), generator=rng)
        if self.radius is not None:
            v = torch.rand(n, 1, generator=rng).clamp(1e-6, 1 - 1e-6)
            z = math.sqrt(len(self.location)) * torch.exp(self.radius(torch.logit(v))) * nn.functional.normalize(z)
        return self.location + (z if self.factor is None else z @ self.factor.T)

    @torch.no_grad()
    def start_on_sphere(self) -> None:
        """h = 0: a radius of √p, which is the Gaussian's own for large p."""
        if self.radius is not None:
            for parameter in self.radius[-1].parameters():
                parameter.zero_()

    @property
    def scatter(self) -> Tensor:
        """Σ = A Aᵀ, (p, p); its scale means nothing where the radius is learned."""
        return torch.eye(len(self.location)) if self.factor is None else self.factor @ self.factor.T
