"""Are open and closed conformations separated without templates (supplemental note 5), and which differences are chance?

Of 60 images guessing gets 33.1 right on average, since the better of two labellings counts. The paper's own counts are
compared by Fisher's exact test, as it gives no images; ours image by image: each open or closed test image has a share
of draws in which it was right, and these shares are compared in pairs (t-test). The draws overlap, so they are no
replicates; images are. All p values of one view, and those of the paper, are corrected for their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from cryobench.evaluation import statistics
from cryobench.evaluation.chance import guessing
from cryobench.printed import named, plain
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, text

SNR = 0.05
VIEWS = {"random": "Random views (as in the paper)", "motion": "One fixed view: nothing but the clamp differs"}
EMBEDDINGS = {"spectral": "spectral", "mds": "MDS", "tsne": "t-SNE", "isomap": "Isomap"}
GAN = "(1,1)-GAN + l1"
PAPER = {
    ("BM3D", "isomap"): 34,
    ("KSVD", "isomap"): 36,
    ("l2-Autoencoder", "isomap"): 44,
    (GAN, "isomap"): 54,
    ("WGANgp + l1", "isomap"): 54,
    (GAN, "spectral"): 50,
    (GAN, "mds"): 46,
    (GAN, "tsne"): 46,
}
SIXTY = 60


# What note 5 says is better, and than what.
CLAIMS = tuple(
    [
        ((gan, "isomap"), (other, "isomap"))
        for gan in (GAN, "WGANgp + l1")
        for other in ("BM3D", "KSVD", "l2-Autoencoder")
    ]
    + [((GAN, "isomap"), (GAN, other)) for other in ("spectral", "mds", "tsne")]
)
COLUMNS = tuple("view row embedding images draws seeds mean sd median low high above_chance paper".split())


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


def write(store: Store) -> list[Path]:
    """Write table_clustering.md, .csv and .tex from the records of `+sweep=clustering`."""
    parts = [
        "# Telling open from closed by clustering (supplemental note 5)",
        "SNR 0.05; Isomap (25 neighbours) and k-means (k = 2) on raw denoised pixels; correct under the better of the two "
        "labellings, mean(standard deviation) over all draws (20 for each seed, each of 60 images, half of them open). Guessing "
        "gets 33.1 of 60; *draws above chance* counts those with a two-sided binomial p below 5 %; the interval is the "
        "binomial one of the median draw. *Our p* is over images, so it is of these trained nets, not of all that could "
        "be.",
    ]
    lines, tex, runs = [], {}, frame.frame(store.all())
    for view, title in VIEWS.items():
        rows, notes = records_of(runs, view)
        by_row = {row: clusterings(records) for row, records in rows.items()}
        if not any(by_row.values()):
            continue
        lines += csv_lines(view, by_row)
        tex[title] = tex_lines(by_row)
        posterior = by_posterior(rows.get("exemplar", []))
        parts += [
            f"## {title}",
            text.pipes(by_method(by_row)),
            *posterior,
            "By embedding:",
            text.pipes(by_embedding(by_row)),
            "Of two rows, by how much one is right more often: the mean over images, each on the seeds that both rows have, so "
            "it need not be the difference of the means above.",
            text.pipes(comparisons(by_row)),
            *notes,
        ]
    parts.append("The paper's t-SNE and MDS are printed as 46/50 and taken as 46 of 60 here.")
    texts = {"md": text.page(*parts), "csv": text.sheet(COLUMNS, lines), "tex": latex(tex)}
    return text.write(store, "table_clustering", texts)


def records_of(runs: pd.DataFrame, view: str) -> tuple[dict[str, list[Record]], list[str]]:
    """Row → its records with a clustering from one choice of test views, by seed; and notes for the reader."""
    views = runs["record"].map(lambda record: record.config["data"].get("test_view", "random"))
    clustered = runs["record"].map(lambda record: bool(record.analysis.get("clustering")))
    extra = {} if view == "random" else {"data.test_view": view}
    rows = {row: {**wanted, **extra} for row, wanted in frame.sweep_rows("clustering").items()}
    chosen = frame.chosen(runs[(runs["snr"] == SNR) & clustered & (views == view)], rows)
    return {row: list(group["record"]) for row, group in frame.by_row(chosen.runs).items()}, chosen.notes


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


def counted(one: Clustering | None, paper: int | None) -> list[str]:
    """A row's numbers under one embedding, as HEAD names them; dashes for what was not run or not published."""
    theirs = str(paper or "–")
    if one is None:
        return ["–", theirs, *["–"] * (len(HEAD) - 2)]
    middle, low, high = one.interval
    return [
        f"{one.correct.mean():.1f}({one.correct.std(ddof=1):.1f})",
        theirs,
        f"{one.correct.min()}–{one.correct.max()}",
        f"{middle} ({low:.0f}–{high:.0f})",
        f"{one.above_chance} of {len(one.correct)}",
        str(one.seeds),
    ]


HEAD = ["correct, mean(sd)", "paper, random views", "range", "median (95 % interval)", "draws above chance", "seeds"]


def by_method(by_row: dict[str, dict[str, Clustering]]) -> list[list[str]]:
    """Under Isomap a line for each method, ours beside the paper's count."""
    size = next(c["isomap"].images for c in by_row.values() if c)
    mean, sd = guessing(size)
    lines = [[f"by method, Isomap, of {size}", *HEAD], ["guessing", f"{mean:.1f}({sd:.1f})", *["–"] * (len(HEAD) - 1)]]
    for row, each in by_row.items():
        lines.append([named(row), *counted(each.get("isomap"), PAPER.get((row, "isomap")))])
    return lines


def by_embedding(by_row: dict[str, dict[str, Clustering]]) -> list[list[str]]:
    """Of the GAN a line for each embedding, beside the paper's count."""
    each = by_row.get(GAN) or {}
    lines = [[f"by embedding, {named(GAN)}", *HEAD]]
    return lines + [[text, *counted(each[e], PAPER[GAN, e])] for e, text in EMBEDDINGS.items() if e in each]


def by_posterior(records: list[Record]) -> list[str]:
    """What a supervised classifier gets out of the same images: the exemplar method's posterior names a conformation."""
    right, images = 0.0, 0
    for record in records:
        named_by = record.method.get("per_image", {}).get("conformation")
        clustering = record.analysis["clustering"]
        if not named_by or record.bad_images:
            return []
        last = record.config["data"].get("conformations", 5) - 1
        labels = [0] * clustering["each"] + [last] * clustering["each"]
        truth = {i: label for draw in clustering["drawn"] for i, label in zip(draw, labels, strict=True)}
        for image, label in truth.items():
            off = abs(named_by[image] - label)
            right += 1.0 if 2 * off < last else 0.5 if 2 * off == last else 0.0
            images += 1
    return (
        [
            f"Not clustering but classification: of {last + 1} conformations from open to closed, the one that the exemplar "
            "method's posterior thinks likeliest lies on the right side of the middle one in "
            f"{100 * right / images:.0f} % of the {images} open and closed test images of all seeds (the middle one itself "
            "counts half), "
            f"that is {SIXTY * right / images:.0f} of 60."
        ]
        if images
        else []
    )


def comparisons(by_row: dict[str, dict[str, Clustering]]) -> list[list[str]]:
    """Each difference that note 5 claims: the paper's counts by Fisher's test, ours image by image."""
    pairs = [(a, b) for a, b in CLAIMS if all(e in (by_row.get(row) or {}) for row, e in (a, b))]
    theirs = statistics.holm([fisher(PAPER[a], PAPER[b]) for a, b in CLAIMS])
    ours = [paired(by_row[a[0]][a[1]], by_row[b[0]][b[1]]) for a, b in pairs]
    right = dict(zip(pairs, statistics.holm([p for _, p in ours]), strict=True))
    effects = dict(zip(pairs, (effect for effect, _ in ours), strict=True))
    lines = [
        [
            "said to be better",
            "than",
            "paper",
            "paper's p",
            "significant in the paper",
            "ours, of 60",
            "our p",
            "ours",
        ]
    ]
    for pair, p in zip(CLAIMS, theirs, strict=True):
        a, b = pair
        measured = ["–"] * 3
        if pair in effects:
            level = "undecided" if right[pair] >= statistics.LEVEL else "holds" if effects[pair] > 0 else "reversed"
            measured = [f"{round(SIXTY * effects[pair], 1) + 0.0:+.1f}", plain(right[pair]), level]
        lines.append(
            [place(a), place(b), f"{PAPER[a]} to {PAPER[b]}", plain(p), "yes" if p < 0.05 else "no", *measured]
        )
    return lines


def fisher(one: int, other: int) -> float:
    """p of two counts of 60 having one probability."""
    return float(stats.fisher_exact([[one, SIXTY - one], [other, SIXTY - other]]).pvalue)


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


def place(side: tuple[str, str]) -> str:
    """A row and an embedding in words."""
    return f"{named(side[0])}, {EMBEDDINGS[side[1]]}"


def csv_lines(view: str, by_row: dict[str, dict[str, Clustering]]) -> list[list]:
    """COLUMNS for each row and embedding under one choice of views."""
    lines = []
    for row, each in by_row.items():
        for name, one in each.items():
            middle, low, high = one.interval
            mean, sd = float(one.correct.mean()), float(one.correct.std(ddof=1))
            interval = (text.significant(low, 4), text.significant(high, 4))
            lines.append(
                [
                    view,
                    row,
                    name,
                    one.images,
                    len(one.correct),
                    one.seeds,
                    mean,
                    sd,
                    middle,
                    *interval,
                    one.above_chance,
                    PAPER.get((row, name)),
                ]
            )
    return lines


def tex_lines(by_row: dict[str, dict[str, Clustering]]) -> list[list[str]]:
    """A line for each method: correct counts under each embedding, the paper's Isomap count last."""
    lines = []
    for row, each in by_row.items():
        cells = [
            f"{each[e].correct.mean():.1f}({each[e].correct.std(ddof=1):.1f})" if each else "–" for e in EMBEDDINGS
        ]
        lines.append([row, *cells, str(PAPER.get((row, "isomap"), "–"))])
    return lines


def latex(blocks: dict[str, list[list[str]]]) -> str:
    """A booktabs table: one line for each method, one column for each embedding, the paper's Isomap count last."""
    head = ["Method", *EMBEDDINGS.values(), "paper (Isomap)"]
    lines = [line for title, body in blocks.items() for line in ([rf"\multicolumn{{6}}{{l}}{{{title}}}"], *body)]
    caption = "Correct of 60 images, open or closed: mean(sd) over draws, SNR 0.05"
    return text.booktabs(caption, "tab:clustering", len(head), [head], [lines], {"l1": r"$\ell_1$", "l2": r"$\ell_2$"})
