"""Does a method that says how sure it is know what it doesn't know? Its posterior against the truth."""

from __future__ import annotations

import numpy as np

from cryobench.evaluation.analysis import Evidence

EMPTY = 0.05  # of the clean image's range: pixels that far from the level of its rim belong to the particle


def analyse(evidence: Evidence) -> dict:
    """Nothing for a method without an uncertainty; else, of the pixels of particles,

    "particle_pixels": their share; "within_one", "within_two": the share whose error is at most one and two posterior
    standard deviations (0.683 and 0.954 if errors are Gaussian and the deviations right); "error_over_deviation": root of
    mean squared error over mean variance. Of all pixels "predicted_mse", the mean variance, and "mse", what came true.
    Where it names conformations: "accuracy", the share of images whose most probable one is true; "log_score", the mean log
    probability of the true one; "accuracy_ends": of the images of the first and the last one, assigned to the right one of these
    two; and how many images that is, "ends".
    """
    if evidence.uncertainty is None:
        return {}
    error, deviation = np.abs(evidence.denoised - evidence.clean), evidence.uncertainty.deviation
    inside = particle(evidence.clean)
    scores = {
        "particle_pixels": inside.mean(),
        "within_one": (error[inside] <= deviation[inside]).mean(),
        "within_two": (error[inside] <= 2 * deviation[inside]).mean(),
        "error_over_deviation": np.sqrt(np.mean(error[inside] ** 2) / np.mean(deviation[inside] ** 2)),
        "predicted_mse": np.mean(deviation.astype(np.float64) ** 2),
        "mse": np.mean(evidence.mse),
    }
    if evidence.uncertainty.conformations is not None:
        scores |= classification(evidence.uncertainty.conformations, evidence.labels)
    return {name: float(f"{value:.6g}") for name, value in scores.items()}


def particle(clean: np.ndarray) -> np.ndarray:
    """The pixels of (n, L, L) images that are unlike the rim of their image: (n, L, L) bool."""
    rim = np.ones(clean.shape[1:], bool)
    rim[1:-1, 1:-1] = False
    return np.abs(clean - np.median(clean[:, rim], axis=1)[:, None, None]) > EMPTY


def classification(probabilities: np.ndarray, labels: np.ndarray) -> dict:
    """Probabilities (n, k) against the true labels (n,), of which those from k on were never thought of."""
    n, k = probabilities.shape
    last = max(k - 1, int(labels.max()))
    padded = np.pad(probabilities, [(0, 0), (0, last + 1 - k)])
    true = padded[np.arange(n), labels]
    ends = np.isin(labels, (0, last))
    scores = {
        "accuracy": (padded.argmax(axis=1) == labels).mean(),
        "log_score": np.log(np.maximum(true, 1e-12)).mean(),
        "ends": ends.sum(),
    }
    if last and ends.any():
        scores["accuracy_ends"] = ((padded[ends, last] > padded[ends, 0]) == (labels[ends] == last)).mean()
    return scores
