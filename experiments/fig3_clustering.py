"""Figure 3 (supplemental note 5): sixty denoised images in the plane, open (red) and closed (blue), SNR 0.05.

(a) by method, under Isomap; (b) by embedding, for the (1,1)-GAN + ℓ1. One draw of sixty is shown, the same for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from cryobench.experiments.table_clustering import EMBEDDINGS, GAN, PAPER, named, records_of

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import frame

FILES = {"random": "fig3_clustering", "motion": "fig3_clustering_fixed_view"}
COLUMNS = 3


def write(store: Store) -> list[Path]:
    """Write fig3_clustering.png and .svg (random views) and fig3_clustering_fixed_view; the lowest seed is shown."""
    files, runs = [], frame.frame(store.all())
    for view, name in FILES.items():
        rows, _ = records_of(runs, view)
        first = {row: records[0].analysis["clustering"] for row, records in rows.items() if records}
        if first:
            files += figure.save(draw(first, view), store.results, name)
    return files


def draw(first: dict[str, dict], view: str):
    """Above a panel for each method, in the Isomap plane; below, where the GAN has a record, one for each embedding."""
    lines = -(-len(first) // COLUMNS)
    width = 2.5 * COLUMNS
    sheet = figure.new(width, 2.7 * lines + (3.2 if GAN in first else 0))
    parts: Any = sheet.subfigures(
        1 + (GAN in first), height_ratios=[2.7 * lines, 3.0][: 1 + (GAN in first)], squeeze=False
    )
    above, *below = parts.ravel()
    views = {"random": "views as they come", "motion": "one fixed view"}[view]
    above.suptitle(f"(a) by method, Isomap; {views}; ×: in the other's cluster", fontsize=10)
    axes = above.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axis in axes[len(first) :]:
        axis.set_axis_off()
    for axis, (row, clustering) in zip(axes, first.items(), strict=False):
        scatter(axis, clustering, "isomap", named(row), PAPER.get((row, "isomap")))
    axes[0].legend(fontsize=7)
    for part in below:
        part.suptitle(f"(b) by embedding, {named(GAN)}", fontsize=10)
        for axis, (name, title) in zip(part.subplots(1, len(EMBEDDINGS)), EMBEDDINGS.items(), strict=True):
            scatter(axis, first[GAN], name, title, PAPER[GAN, name])
    return sheet


def scatter(axis, clustering: dict, embedding: str, title: str, paper: int | None) -> None:
    """Points of the first draw; a cross is an image in the wrong cluster."""
    points, right = np.array(clustering[embedding]["points"]), np.array(list(clustering[embedding]["right"][0])) == "1"
    closed = np.arange(points.shape[1]) >= clustering["each"]
    for group, colour, label in ((~closed, figure.COLOURS[1], "open"), (closed, figure.COLOURS[0], "closed")):
        axis.scatter(*points[:, group & right], s=14, color=colour, label=label)
        axis.scatter(*points[:, group & ~right], s=18, color=colour, marker="x", linewidth=1)
    count = f"{clustering[embedding]['correct'][0]} of {len(closed)}"
    axis.set_title(f"{title}\n{count}" + (f" (paper {paper})" if paper else ""), fontsize=8)
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel("component 1", fontsize=7)
    axis.set_ylabel("component 2", fontsize=7)
