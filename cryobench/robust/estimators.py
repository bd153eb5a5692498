"""Classical estimators of location and scatter, for comparison and as a start.

All take samples (n, p) and return a location (p,) or a scatter (p, p), float64. None is told which samples are
contaminated; trimmed mean and iterative filtering are told the share ε, iterative filtering and MCD assume a normal law.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import chi2, median_abs_deviation, trim_mean


def mean(samples: np.ndarray) -> np.ndarray:
    """(n, p) → (p,): maximum likelihood of a normal law, moved as far as one likes by a single point."""
    return samples.mean(axis=0)


def coordinate_median(samples: np.ndarray) -> np.ndarray:
    """(n, p) → (p,): the median of each coordinate by itself."""
    return np.median(samples, axis=0)


def trimmed_mean(samples: np.ndarray, epsilon: float) -> np.ndarray:
    """(n, p) → (p,): per coordinate, without the share ε at each end.

    >>> trimmed_mean(np.array([[0.0], [1.0], [2.0], [99.0]]), 0.25)
    array([1.5])
    """
    return trim_mean(samples, epsilon, axis=0)


def geometric_median(samples: np.ndarray, steps: int = 100, tolerance: float = 1e-9) -> np.ndarray:
    """(n, p) → (p,): arg min_m Σ‖x_i − m‖₂ by Weiszfeld's iteration from the coordinate-wise median.

    In one dimension it is the median, and like it stays where most points are.

    >>> geometric_median(np.array([[1.0, 2.0], [1.0, 2.0], [90.0, 90.0]])).round(6)
    array([1., 2.])
    """
    centre = coordinate_median(samples)
    for _ in range(steps):
        distance = np.linalg.norm(samples - centre, axis=1)
        weight = 1 / np.maximum(distance, 1e-12)
        moved = weight @ samples / weight.sum()
        if np.linalg.norm(moved - centre) <= tolerance * (1 + np.linalg.norm(centre)):
            return moved
        centre = moved
    return centre


def iterative_filtering(samples: np.ndarray, epsilon: float, scatter: np.ndarray) -> np.ndarray:
    """The filter of Diakonikolas et al. (ICML 2017) for a normal law of known scatter (p, p).

    While some direction has more variance than the law and ε can explain, points that lie far out along it lose weight.
    Coarse outliers, farther out than √p-balls around the median reach, go first, as in the authors' pruning step.
    """
    n, p = samples.shape
    factor = np.linalg.cholesky(scatter)
    white = np.linalg.solve(factor, samples.T).T
    distance = np.linalg.norm(white - np.median(white, axis=0), axis=1)
    kept = white[distance <= 3 * np.median(distance)]
    weight = np.ones(len(kept))
    # Above 1: what sampling gives (Bai-Yin edge), and ε log(1/ε), the most that a share ε left in can hide.
    allowed = (1 + math.sqrt(p / n)) ** 2 + (epsilon * math.log(1 / epsilon) if epsilon else 0.0)
    for _ in range(2 * p):
        centre = weight @ kept / weight.sum()
        deviation = kept - centre
        values, vectors = np.linalg.eigh((deviation * (weight / weight.sum())[:, None]).T @ deviation)
        if values[-1] <= allowed or weight.sum() < (1 - 2 * epsilon) * n:
            break
        violation = (deviation @ vectors[:, -1]) ** 2
        weight *= 1 - violation / violation[weight > 0].max()
    return factor @ centre


def covariance(samples: np.ndarray) -> np.ndarray:
    """(n, p) → (p, p): the sample covariance, with n − 1 in the denominator."""
    return np.cov(samples.T)


def mcd(samples: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Location and scatter of the minimum covariance determinant, reweighted (scikit-learn)."""
    from sklearn.covariance import MinCovDet

    fitted = MinCovDet(random_state=seed).fit(samples)
    return fitted.location_, fitted.covariance_


def tyler(samples: np.ndarray, steps: int = 100, tolerance: float = 1e-7) -> np.ndarray:
    """Tyler's M-estimator of shape about the coordinate-wise median: Σ = (p/n) Σ_i x_i x_iᵀ / x_iᵀ Σ⁻¹ x_i.

    It has no scale of its own: it is given that at which the median of x ᵀΣ⁻¹x is a normal law's, the χ² median.
    """
    p = samples.shape[1]
    centred = samples - coordinate_median(samples)
    centred = centred[np.linalg.norm(centred, axis=1) > 0]
    shape = np.eye(p)
    for _ in range(steps):
        square = mahalanobis(centred, shape)
        update = p * (centred / square[:, None]).T @ centred / len(centred)
        update *= p / np.trace(update)
        change, shape = np.linalg.norm(update - shape) / np.linalg.norm(shape), update
        if change <= tolerance:
            break
    return shape * np.median(mahalanobis(centred, shape)) / chi2(p).median()


def kendall(samples: np.ndarray, rng: np.random.Generator, shifts: int = 10) -> np.ndarray:
    """Σ_jk = s_j s_k sin(π τ_jk / 2): Kendall's τ for elliptical laws, s the normalised median absolute deviation.

    τ is averaged over n·shifts pairs of points in place of all n²/2. Made positive definite at its smallest eigenvalues.
    """
    mixed = samples[rng.permutation(len(samples))]
    tau = np.zeros((samples.shape[1],) * 2)
    for shift in range(1, shifts + 1):
        sign = np.sign(mixed - np.roll(mixed, shift, axis=0)).astype(np.float32)
        tau += sign.T @ sign / (len(mixed) * shifts)
    correlation = np.sin(np.pi / 2 * tau)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    scale = median_abs_deviation(samples, axis=0, scale="normal")
    return scale[:, None] * ((vectors * np.maximum(values, 1e-3)) @ vectors.T) * scale


def student_fit(samples: np.ndarray, degrees: float, steps: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood of a multivariate t with known degrees of freedom, (location, scatter), by its EM iteration.

    Infinite degrees give the mean and the covariance. On uncontaminated samples this is the oracle.
    """
    if math.isinf(degrees):
        return mean(samples), covariance(samples)
    p = samples.shape[1]
    centre, scatter = coordinate_median(samples), np.eye(p)
    for _ in range(steps):
        weight = (degrees + p) / (degrees + mahalanobis(samples - centre, scatter))
        moved = weight @ samples / weight.sum()
        deviation = samples - moved
        update = (deviation * weight[:, None]).T @ deviation / weight.sum()  # the faster form of Kent, Tyler and Vardi
        change = np.linalg.norm(moved - centre) + np.linalg.norm(update - scatter) / np.linalg.norm(scatter)
        centre, scatter = moved, update
        if change <= 1e-8:
            break
    return centre, scatter


def mahalanobis(deviation: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """xᵀ Σ⁻¹ x of each row, (n, p) → (n,)."""
    return (np.linalg.solve(np.linalg.cholesky(scatter), deviation.T) ** 2).sum(axis=0)
