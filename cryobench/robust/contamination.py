"""Contaminated samples: Huber's mixture (1−ε) P + ε Q, and an adversary within total variation ε.

Supplement, note 1, Definitions 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.errors import InputError
from cryobench.robust.elliptical import Elliptical


@dataclass(frozen=True)
class Mixture:
    """Huber's Q: elliptical at θ + shift·1 with scatter (scale²)Σ; a scale of 0 makes it a point mass."""

    shift: float
    scale: float = 1.0
    tail: str = "gaussian"

    def draw(self, truth: Elliptical, n: int, rng: np.random.Generator) -> np.ndarray:
        """n independent draws from Q around the law `truth`: (n, p) float64."""
        unit = Elliptical(np.zeros(truth.p), truth.scatter, self.tail).sample(n, rng)
        return truth.location + self.shift + self.scale * unit


MIXTURES = {
    "far": Mixture(shift=5.0),
    "near": Mixture(shift=0.5),
    "wide": Mixture(shift=0.0, scale=5.0),
    "cauchy": Mixture(shift=5.0, tail="cauchy"),
    "point": Mixture(shift=5.0, scale=0.0),
}
CONTAMINATIONS = (*MIXTURES, "strong")


def contaminate(
    clean: np.ndarray, truth: Elliptical, name: str, epsilon: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(n, p) clean draws of `truth` → (n, p) contaminated ones, and which were touched, (n,) bool.

    name: a mixture of MIXTURES (each sample is drawn from Q with probability ε), or "strong": the adversary of
    Definition 3 takes the share ε that lies lowest along 1/√p, in units of Σ, and mirrors it about θ to the other
    side. Nothing looks like an outlier, no coordinate moves by more than a little, and the law stays within TV ε.
    Raises InputError for another name, or ε outside [0, 0.5).
    """
    if not 0 <= epsilon < 0.5:
        raise InputError(
            f"epsilon: expected a share in [0, 0.5), got {epsilon}; half or more can't be told from the law"
        )
    if name not in CONTAMINATIONS:
        raise InputError(f"contamination: expected one of {', '.join(CONTAMINATIONS)}, got {name!r}")
    samples = clean.copy()
    if name == "strong":
        factor = np.linalg.cholesky(truth.scatter)
        white = np.linalg.solve(factor, (clean - truth.location).T).T
        along = white.sum(axis=1) / np.sqrt(truth.p)
        touched = along < np.quantile(along, epsilon)
        samples[touched] -= 2 * np.outer(along[touched], factor.sum(axis=1) / np.sqrt(truth.p))
    else:
        touched = rng.random(len(clean)) < epsilon
        samples[touched] = MIXTURES[name].draw(truth, int(touched.sum()), rng)
    return samples, touched
