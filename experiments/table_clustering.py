"""Are open and closed conformations separated without templates (supplemental note 5), and which differences are chance?

Of 60 images guessing gets 33.1 right on average, since the better of two labellings counts. The paper's own counts are
compared by Fisher's exact test, as it gives no images; ours image by image: each open or closed test image has a share
of draws in which it was right, and these shares are compared in pairs (t-test). The draws overlap, so they are no
replicates; images are. All p values of one view, and those of the paper, are corrected for their number.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scipy import stats

from cryobench.evaluation import statistics
from cryobench.evaluation.chance import guessing
from cryobench.printed import named, plain
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, text
from cryobench.tables.clustered import EMBEDDINGS, Clustering, clusterings, paired

SNR = 0.05
VIEWS = {"random": "Random views (as in the paper)", "motion": "One fixed view: nothing but the clamp differs"}
PUBLISHED = "random"  # the view that the paper's counts are of: none stands beside another
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
PRINTED = "The paper's t-SNE and MDS are printed as 46/50 and taken as 46 of 60."
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


def write(store: Store) -> list[Path]:
    """Write table_clustering.md, .csv and .tex from the records of `+sweep=clustering`."""
    parts = [
        "# Telling open from closed by clustering (supplemental note 5)",
        "SNR 0.05; Isomap (25 neighbours) and k-means (k = 2) on raw denoised pixels; correct under the better of the two "
        "labellings, mean(standard deviation) over all draws (20 for each seed, each of 60 images, half of them open). Guessing "
        "gets 33.1 of 60; *draws above chance* counts those with a two-sided binomial p below 5 %; the interval is the "
        "binomial one of the median draw. *p* is over images, so it is of these trained nets, not of all that could "
        "be.",
    ]
    lines, tex, runs = [], {}, frame.frame(store.all())
    for view, title in VIEWS.items():
        rows, notes = records_of(runs, view)
        by_row = {row: clusterings(records) for row, records in rows.items()}
        if not any(by_row.values()):
            continue
        lines += csv_lines(view, by_row)
        tex[title] = tex_lines(by_row, view)
        posterior = by_posterior(rows.get("exemplar", []))
        parts += [
            f"## {title}",
            text.pipes(by_method(by_row, view)),
            *posterior,
            "By embedding:" + (f" {PRINTED}" if view == PUBLISHED else ""),
            text.pipes(by_embedding(by_row, view)),
            "By how much the row that is claimed better is right more often than the other (negative: less often): the mean over "
            "images, each on the seeds that both rows have, so it need not be the difference of the means above.",
            text.pipes(comparisons(by_row, view), left=2),
            *notes,
        ]
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


def head(view: str) -> list[str]:
    """What `counted` gives."""
    paper = ["paper"] if view == PUBLISHED else []
    return ["correct, mean(sd)", *paper, "range", "median (95 % interval)", "draws above chance", "seeds"]


def counted(one: Clustering | None, view: str, row: str, embedding: str) -> list[str]:
    """A row's numbers under one embedding, as `head` names them; dashes for what was not run or not published."""
    paper = [str(PAPER.get((row, embedding), "–"))] if view == PUBLISHED else []
    if one is None:
        return ["–", *paper, "–", "–", "–", "–"]
    middle, low, high = one.interval
    return [
        f"{one.correct.mean():.1f}({one.correct.std(ddof=1):.1f})",
        *paper,
        f"{one.correct.min()}–{one.correct.max()}",
        f"{middle} ({low:.0f}–{high:.0f})",
        f"{one.above_chance} of {len(one.correct)}",
        str(one.seeds),
    ]


def by_method(by_row: dict[str, dict[str, Clustering]], view: str) -> list[list[str]]:
    """Under Isomap a line for each method, in random views ours beside the paper's count."""
    size = next(c["isomap"].images for c in by_row.values() if c)
    mean, sd = guessing(size)
    names = head(view)
    lines = [[f"method (Isomap, of {size})", *names], ["guessing", f"{mean:.1f}({sd:.1f})", *["–"] * (len(names) - 1)]]
    return lines + [[named(row), *counted(each.get("isomap"), view, row, "isomap")] for row, each in by_row.items()]


def by_embedding(by_row: dict[str, dict[str, Clustering]], view: str) -> list[list[str]]:
    """Of the GAN a line for each embedding, in random views beside the paper's count."""
    each = by_row.get(GAN) or {}
    lines = [[f"embedding of {named(GAN)}", *head(view)]]
    return lines + [[words, *counted(each[e], view, GAN, e)] for e, words in EMBEDDINGS.items() if e in each]


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
            f"{100 * right / images:.0f} % of the {images} open and closed test images of "
            f"{len(records)} seed{'s' * (len(records) > 1)} (the middle one itself counts half), "
            f"that is {SIXTY * right / images:.0f} of 60."
        ]
        if images
        else []
    )


def comparisons(by_row: dict[str, dict[str, Clustering]], view: str) -> list[list[str]]:
    """Each difference that note 5 claims: in random views the paper's counts by Fisher's test; ours image by image."""
    pairs = [(a, b) for a, b in CLAIMS if all(e in (by_row.get(row) or {}) for row, e in (a, b))]
    theirs = statistics.holm([fisher(PAPER[a], PAPER[b]) for a, b in CLAIMS])
    ours = [paired(by_row[a[0]][a[1]], by_row[b[0]][b[1]]) for a, b in pairs]
    right = dict(zip(pairs, statistics.holm([p for _, p in ours]), strict=True))
    effects = dict(zip(pairs, (effect for effect, _ in ours), strict=True))
    in_paper = ["paper", "paper's p", "significant in the paper"] if view == PUBLISHED else []
    lines = [["claimed better", "compared with", *in_paper, "difference, of 60", "p", "verdict"]]
    for (a, b), p in zip(CLAIMS, theirs, strict=True):
        measured = ["–"] * 3
        if (a, b) in effects:
            level = "undecided" if right[a, b] >= statistics.LEVEL else "holds" if effects[a, b] > 0 else "reversed"
            measured = [f"{round(SIXTY * effects[a, b], 1) + 0.0:+.1f}", plain(right[a, b]), level]
        published = [f"{PAPER[a]} to {PAPER[b]}", plain(p), "yes" if p < statistics.LEVEL else "no"] if in_paper else []
        lines.append([place(a), place(b), *published, *measured])
    return lines


def fisher(one: int, other: int) -> float:
    """p of two counts of 60 having one probability."""
    return float(stats.fisher_exact([[one, SIXTY - one], [other, SIXTY - other]]).pvalue)


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
                    PAPER.get((row, name)) if view == PUBLISHED else None,
                ]
            )
    return lines


def tex_lines(by_row: dict[str, dict[str, Clustering]], view: str) -> list[list[str]]:
    """A line for each method: correct counts under each embedding; last, in random views, the paper's Isomap count."""
    lines = []
    for row, each in by_row.items():
        cells = [
            f"{each[e].correct.mean():.1f}({each[e].correct.std(ddof=1):.1f})" if each else "–" for e in EMBEDDINGS
        ]
        lines.append([row, *cells, str(PAPER.get((row, "isomap"), "–")) if view == PUBLISHED else "–"])
    return lines


def latex(blocks: dict[str, list[list[str]]]) -> str:
    """A booktabs table: one line for each method, one column for each embedding, the paper's Isomap count last."""
    head = ["Method", *EMBEDDINGS.values(), "paper (Isomap)"]
    lines = [line for title, body in blocks.items() for line in ([rf"\multicolumn{{6}}{{l}}{{{title}}}"], *body)]
    caption = "Correct of 60 images, open or closed: mean(sd) over draws, SNR 0.05"
    return text.booktabs(caption, "tab:clustering", len(head), [head], [lines], {"l1": r"$\ell_1$", "l2": r"$\ell_2$"})
