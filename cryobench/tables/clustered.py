"""How often clustering tells open from closed images of one row: counts of its draws, and image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cryobench.runs.record import Record

EMBEDDINGS = {"spectral": "spectral", "mds": "MDS", "tsne": "t-SNE", "isomap": "Isomap"}


@dataclass(frozen=True)
class Clustering:
    """One row under one embedding: correct counts of all draws, the size of a draw, and image → share of draws right."""

    correct: np.ndarray
    images: int
    share: dict[tuple[int, int], float]
    seeds: int

    @property
    def interval(self) -> tuple[int, float, float]:
        """Median of the draws, and the 95 % Clopper-Pearson interval of a draw with that count, as counts."""
        middle = round(float(np.median(self.correct)))
        bounds = stats.binomtest(middle, self.images).proportion_ci(0.95)
        return middle, bounds.low * self.images, bounds.high * self.images

    @property
    def above_chance(self) -> int:
        """Draws of which guessing would give as many right, either way, in less than 5 %."""
        return sum(stats.binomtest(int(c), self.images).pvalue < 0.05 for c in self.correct)


def clusterings(records: list[Record]) -> dict[str, Clustering]:
    """Embedding → all draws of all seeds of one row."""
    out = {}
    for name in EMBEDDINGS if records else ():
        right: dict[tuple[int, int], list[int]] = {}
        correct = []
        for record in records:
            clustering = record.analysis["clustering"]
            for images, draw in zip(clustering["drawn"], clustering[name]["right"], strict=True):
                correct.append(draw.count("1"))
                for image, one in zip(images, draw, strict=True):
                    right.setdefault((record.seed, image), []).append(int(one))
        share = {image: float(np.mean(values)) for image, values in right.items()}
        size = 2 * records[0].analysis["clustering"]["each"]
        out[name] = Clustering(np.array(correct), size, share, len(records))
    return out


def paired(one: Clustering, other: Clustering) -> tuple[float, float]:
    """Mean over images of the difference between their shares of being right, and its p.

    An image has the mean over the seeds that both have it: its noise is another with each seed, its view is not.
    """
    by_image: dict[int, list[float]] = {}
    for seed, image in sorted(one.share.keys() & other.share.keys()):
        by_image.setdefault(image, []).append(one.share[seed, image] - other.share[seed, image])
    difference = np.array([np.mean(values) for values in by_image.values()])
    if np.ptp(difference) == 0:
        return float(difference[0]), 1.0 if difference[0] == 0 else 0.0
    return float(difference.mean()), float(stats.ttest_1samp(difference, 0).pvalue)
