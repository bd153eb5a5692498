"""Elliptical distributions: the law that is to be found, and what contaminates it.

X = θ + ξ A U,   U uniform on the unit sphere of R^p, ξ ≥ 0 independent of it, Σ = A Aᵀ
                                                              (supplement, note 1, Definitions 1 to 3)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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
