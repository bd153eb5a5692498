"""Figure 3 (supplemental note 5): sixty denoised images in the plane, open (vermilion) and closed (blue), SNR 0.05.

(a) by method, under Isomap; (b) by embedding, for the (1,1)-GAN + ℓ1. One draw of sixty is shown, the same for all; beside its
count stands the mean over all draws and seeds, as in the table. Outlines are those of the two clusters that k-means finds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryobench.experiments.table_clustering import GAN, PAPER, PUBLISHED, SNR, records_of
from scipy.spatial import ConvexHull, QhullError

from cryobench import figure
from cryobench.evaluation.chance import guessing
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.clustered import EMBEDDINGS, clusterings

FILES = {"random": "fig3_clustering", "motion": "fig3_clustering_fixed_view"}
FEW = {1: "¹", 2: "²"}  # seeds → the sign behind a mean
COLUMNS, PANEL = 4, 2.15  # a line; inches
SAME = 0.02  # of the whole extent: points of a kind that lie closer cannot be told apart


def write(store: Store) -> list[Path]:
    """Write fig3_clustering.png and .svg (random views) and fig3_clustering_fixed_view; the lowest seed is shown."""
    files, runs = [], frame.frame(store.all())
    for view, name in FILES.items():
        rows, _ = records_of(runs, view)
        first = {row: records[0].analysis["clustering"] for row, records in rows.items() if records}
        if first:
            shown = [records[0] for records in rows.values() if records]
            means = {
                (row, embedding): f"{one.correct.mean():.1f} on average{FEW.get(one.seeds, '')}"
                for row, records in rows.items()
                for embedding, one in clusterings(records).items()
            }
            seeds = sorted({record.seed for record in shown})
            files += figure.save(draw(first, view, means, seeds), store.results, name, figure.images_of(shown))
    return files


@figure.styled
def draw(first: dict[str, dict], view: str, means: dict[tuple[str, str], str], seeds: list[int]):
    """Above a panel for each method, in the Isomap plane; below, where the GAN has a record, one for each embedding.

    first: row → the clustering that is shown; means: (row, embedding) → the count on average over draws, in words; seeds: those
    shown.
    """
    paper = PAPER if view == PUBLISHED else {}
    above = [
        (clustering, "isomap", named(row), means[row, "isomap"], paper.get((row, "isomap")))
        for row, clustering in first.items()
    ]
    below = [
        (first[GAN], name, title, means[GAN, name], paper.get((GAN, name)))
        for name, title in EMBEDDINGS.items()
        if GAN in first
    ]
    views = {"random": "random views", "motion": "one fixed view"}[view] + f"; SNR {SNR:g}"
    parts = [(f"(a) by method, the two components of Isomap; {views}", above)]
    parts += [(f"(b) by embedding, {named(GAN)}; {views}", below)] if below else []
    lines = [-(-len(panels) // COLUMNS) for _, panels in parts]
    sheet = figure.new(PANEL * COLUMNS, (PANEL + 0.45) * sum(lines) + 0.55 * len(parts) + 0.5)
    heights = [(PANEL + 0.45) * count + 0.55 for count in lines]
    for (title, panels), count, part in zip(
        parts, lines, sheet.subfigures(len(parts), 1, height_ratios=heights, squeeze=False).ravel(), strict=True
    ):
        part.suptitle(f"{title}\n")  # a line's distance from the titles of the panels
        axes = part.subplots(count, COLUMNS, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            scatter(axis, *panel)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
    entries = {
        name: handle for axis in sheet.axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    entries = dict(sorted(entries.items(), key=lambda entry: ("cluster of" in entry[0], "wrong" in entry[0])))
    images = 2 * next(iter(first.values()))["each"]
    by_chance = f"guessing gets {guessing(images)[0]:.0f}, as the better labelling counts"
    which = f"one draw of {images}, seed {' or '.join(map(str, seeds))}"
    shown = [mean for *_, mean, _ in above + below]
    signs = [
        f"{sign}: of {figure.counted([n])}" for n, sign in FEW.items() if any(mean.endswith(sign) for mean in shown)
    ]
    once = f" ({', '.join(signs)})" if signs else ""
    title = f"shown: {which}; on average: over all draws and seeds{once}\nn of {images}: images in the right cluster; {by_chance}"
    sheet.legend(entries.values(), entries, loc="outside lower center", ncols=3, title=title)
    return sheet


def scatter(axis, clustering: dict, embedding: str, title: str, mean: str, paper: int | None) -> None:
    """Points of the first draw within the outlines of both clusters; a cross is an image in the wrong one.

    mean: the count on average over all draws, in words."""
    points, right = np.array(clustering[embedding]["points"]), np.array(list(clustering[embedding]["right"][0])) == "1"
    closed = np.arange(points.shape[1]) >= clustering["each"]
    for group, colour, label in ((~closed, figure.COLOURS[1], "open"), (closed, figure.COLOURS[0], "closed")):
        outline(axis, points[:, group == right], colour, f"cluster of the {label} ones")
        axis.scatter(*points[:, group & right], s=14, color=colour, label=label)
        axis.scatter(
            *points[:, group & ~right],
            s=18,
            color=colour,
            marker="x",
            linewidth=1.2,
            zorder=3,  # above all dots
            label=f"{label}, in the wrong cluster",
        )
    alike = all(np.ptp(points[:, group], axis=1).max() < SAME * np.ptp(points) for group in (~closed, closed))
    if alike:
        axis.text(
            0.5, 0.25, "all images of a kind\ncoincide", ha="center", fontsize=figure.SMALL, transform=axis.transAxes
        )
    count = f"{clustering[embedding]['correct'][0]} of {len(closed)} here, {mean}"
    axis.set_title(title + (f" (paper: {paper})" if paper else "") + f"\n{count}", fontsize=figure.SMALL)
    axis.set(xticks=[], yticks=[], box_aspect=1)


def outline(axis, points: np.ndarray, colour: str, label: str) -> None:
    """The convex hull of a cluster's points (2, n); none of fewer than three, or where they lie on a line (clean images of one
    view are all alike)."""
    if points.shape[1] < 3:
        return
    try:
        hull = points[:, ConvexHull(points.T).vertices]
    except QhullError:
        return
    axis.fill(*hull, facecolor=colour, alpha=figure.BAND, linewidth=0, label=label, zorder=0.5)
