"""Can open and closed conformations be separated in the denoised images, without templates? (Supplement, note 5.)

Sixty images, half of the first conformation (open) and half of the last (closed), are embedded in the plane by manifold
learning on their raw pixels and split in two by k-means; an image is right if its cluster is its conformation's, under
the better of the two labellings. Sixty make the interval of guessing wide, so this is repeated over draws of sixty.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.manifold import MDS, TSNE, Isomap, SpectralEmbedding

from cryobench.evaluation.analysis import Evidence

EACH, DRAWS, NEIGHBOURS = 30, 20, 25


def analyse(evidence: Evidence) -> dict:
    """ "images": positions of the first draw; "labels": of all open (0) and closed (1) ones; "drawn": positions, each draw;
    then embedding → "right": one text of 0 and 1 for each draw, image by image, "correct": their counts, and "points": the
    first draw in the plane. Draws depend on the run's seed and the labels only, so they are the same for all methods.
    Empty where there are fewer than three images of either conformation.
    """
    closed = int(max(evidence.labels.max(), evidence.train_labels.max()))
    pools = [np.flatnonzero(evidence.labels == label) for label in (0, closed)]
    each = min(EACH, *map(len, pools))
    if closed == 0 or each < 3:
        return {}
    rng = np.random.default_rng(np.random.SeedSequence([evidence.seed, len(evidence.labels)]))
    drawn = [np.concatenate([rng.choice(pool, each, replace=False) for pool in pools]) for _ in range(DRAWS)]
    truth = np.repeat([0, 1], each)
    results: dict[str, dict[str, list]] = {name: {"right": [], "correct": []} for name in embeddings(0, 2 * each)}
    for number, images in enumerate(drawn):
        pixels = evidence.denoised[images].reshape(len(images), -1).astype(np.float64)
        for name, embedding in embeddings(number, len(images)).items():
            points = embed(embedding, pixels)
            right = rightly_clustered(points, truth, number)
            results[name]["right"].append("".join("1" if r else "0" for r in right))
            results[name]["correct"].append(int(right.sum()))
            if number == 0:
                results[name]["points"] = [[float(f"{v:.4g}") for v in axis] for axis in points.T]
    return {
        "each": each,
        "neighbours": min(NEIGHBOURS, 2 * each - 1),
        "drawn": [images.tolist() for images in drawn],
        **results,
    }


def embeddings(seed: int, n: int) -> dict[str, object]:
    """The manifold learners of note 5, to two dimensions, for n images."""
    neighbours = min(NEIGHBOURS, n - 1)
    return {
        "isomap": Isomap(n_components=2, n_neighbors=neighbours),
        "spectral": SpectralEmbedding(
            n_components=2, affinity="nearest_neighbors", n_neighbors=neighbours, random_state=seed
        ),
        "mds": MDS(n_components=2, n_init=4, init="random", normalized_stress=False, random_state=seed),
        "tsne": TSNE(n_components=2, perplexity=min(30.0, (n - 1) / 3), random_state=seed),
    }


def embed(embedding, pixels: np.ndarray) -> np.ndarray:
    """(n, pixels) → (n, 2). Images that are all alike, as clean ones of one view, fall into parts without neighbours in
    the others; scikit-learn joins them and warns, which is no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(embedding.fit_transform(pixels), np.float64)


def rightly_clustered(points: np.ndarray, truth: np.ndarray, seed: int) -> np.ndarray:
    """Which of the points (n, 2) are in the cluster of their truth (n,), 0 or 1, under the better labelling: (n,) bool."""
    clusters = KMeans(n_clusters=2, n_init=10, random_state=seed).fit_predict(points)
    right = clusters == truth
    return right if 2 * right.sum() >= len(right) else ~right
