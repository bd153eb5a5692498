"""Are test images near-copies of training images? The angle from each test view to the nearest training view."""

from __future__ import annotations

import numpy as np

from cryobench.data.directions import nearest_view
from cryobench.evaluation.analysis import Evidence

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def analyse(evidence: Evidence) -> dict:
    """Degrees to the nearest training view of the same conformation (mirror images count as one view), and the MSE.

    "degrees": quantile → angle; "mse_by_quarter": mean MSE of the images in each quarter of the angles, nearest first;
    "unseen": test images whose conformation no training image has, which are in neither, and their "mse_unseen".
    """
    angles = np.full(len(evidence.labels), np.nan)
    for label in np.unique(evidence.labels):
        test, train = evidence.labels == label, evidence.train_labels == label
        if train.any():
            angles[test] = nearest_view(evidence.rotations[test], evidence.train_rotations[train])
    seen = np.isfinite(angles)
    order = np.flatnonzero(seen)[np.argsort(angles[seen], kind="stable")]
    quarters = [part for part in np.array_split(order, 4) if len(part)]
    return {
        "degrees": {f"{q:g}": round(float(np.quantile(angles[seen], q)), 4) for q in QUANTILES} if seen.any() else {},
        "mse_by_quarter": [float(f"{evidence.mse[part].mean():.6g}") for part in quarters],
        "unseen": int((~seen).sum()),
        **({} if seen.all() else {"mse_unseen": float(f"{evidence.mse[~seen].mean():.6g}")}),
    }
