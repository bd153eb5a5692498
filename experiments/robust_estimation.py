"""Tables robust_location and robust_scatter (supplement, note 1; sweep robust_estimation).

All but `write` and `results` reads the dicts that `cryobench.robust.estimation.robust_estimation` returns, each of one task
and one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryobench.evaluation.statistics import mean_and_spread
from cryobench.methods.learned.scores import TABLE_1, AlphaBeta
from cryobench.printed import named
from cryobench.robust.contamination import CONTAMINATIONS
from cryobench.robust.elliptical import TAILS
from cryobench.runs.store import Store
from cryobench.tables import text

RESULTS = "results/robust"
SIZES = ("p", "n", "ε")  # the last of a task
TASK = ("target", "tail", "scatter", "contamination", "p", "n", "epsilon")
ERRORS = {"location": "‖θ̂−θ‖₂", "scatter": "‖S−Σ‖"}
IN_WORDS = {"location": "The distance of the estimate from θ", "scatter": "The operator norm of the estimate S less Σ"}
LAWS = {"gaussian": "N", "student3": "t₃", "cauchy": "Cauchy"}
KNOWN = {"identity": "I", "ar": "AR"}
CONTAMINATED = {
    "far": "the same law, moved by 5 in each coordinate",
    "near": "the same law, moved by ½ in each coordinate",
    "wide": "the same law, five times as wide",
    "cauchy": "a Cauchy law, moved by 5 in each coordinate",
    "point": "one point, 5 in each coordinate",
    "strong": "by an adversary, who sees the sample",
}
ORACLE = "oracle"
OUTSIDE = "†"  # marks pairs with |α−β| ≥ 1, of which Theorem 1 says nothing
# The demonstrations published with the cited work: one run each, ‖θ̂−θ‖₂.
PUBLISHED = {
    ("location", "gaussian", "identity", "far", 100, 50_000, 0.2): 0.0478,
    ("location", "cauchy", "identity", "cauchy", 50, 50_000, 0.2): 0.0639,
}
COLUMNS = (*TASK, "error", "row", "mean", "spread", "n_seeds", "published")


def write(store: Store) -> list[Path]:
    """Write robust_location and robust_scatter, each .md, .csv and .tex, from the records of +sweep=robust_estimation."""
    samples = results(store, "robust_estimation")
    return [file for kind in ERRORS for file in text.write(store, f"robust_{kind}", table(samples, kind))]


def results(store: Store, task: str) -> list[dict]:
    """What the finished runs of one task found, in the order of columns and rows; a seed after another."""

    def order(result: dict) -> tuple:
        chosen = result["settings"]
        pair = (chosen["alpha"], chosen["beta"])
        return (
            list(TAILS).index(chosen["tail"]),
            CONTAMINATIONS.index(chosen["contamination"]),
            chosen["scatter"],
            chosen["discriminator"],
            pair != (0, 0),
            TABLE_1.index(pair) if pair in TABLE_1 else len(TABLE_1),
            chosen["epsilon"],
            chosen["n"],
            result["seed"],
        )

    return sorted((r for record in store.all(task) if record.done for r in record.results), key=order)


@dataclass(frozen=True)
class Cell:
    """The error of one estimator on one task: `by_seed` seed → error; `published` where the row is a GAN's."""

    task: tuple
    row: str
    by_seed: dict[int, float]
    published: float | None

    @property
    def mean(self) -> float:
        """The mean error over seeds."""
        return float(np.mean(list(self.by_seed.values())))

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None for a single one."""
        return mean_and_spread(list(self.by_seed.values()))[1]

    def __str__(self) -> str:
        return f"{self.mean:.4f}({'–' if self.spread is None else f'{self.spread:.4f}'})"


def task_of(result: dict) -> tuple:
    """What was estimated from what: the values of TASK."""
    return tuple(result["settings"][name] for name in TASK)


def training_of(result: dict) -> dict:
    """Whatever a GAN's name doesn't say of it."""
    return {name: value for name, value in result["settings"].items() if name != "compare"}


def gan_name(settings: dict) -> str:
    """'(0,0)-GAN 100-20-1', or '(0,0)-GAN D1(κ,B)' for the class of Definition 4; † outside Theorem 1."""
    rule = AlphaBeta(settings["alpha"], settings["beta"])
    if settings["discriminator"] == "bounded":
        net = f"D{len(settings['widths'])}(κ,B)"
    else:
        net = "-".join(map(str, (settings["p"], *settings["widths"], 1)))
    return f"{rule}-GAN {net}{'' if rule.satisfies_theorem_1 else OUTSIDE}"


def setting(settings: dict) -> str:
    """What rates are of, in words: the law, its contamination, and the class of discriminators."""
    law = f"{LAWS[settings['tail']]}(0,{KNOWN[settings['scatter']]})"
    words = (
        f"Points of {law} in p = {settings['p']} coordinates, a share ε of them contaminated "
        f"({settings['contamination']}: {CONTAMINATED[settings['contamination']]})."
    )
    if settings["discriminator"] != "bounded":
        return words
    kappa = "√(p/n) + ε" if settings["kappa"] is None else f"{settings['kappa']:g}"
    bound = f", of the weights into each unit of a further layer at most B = {settings['bound']:g}"
    further = bound if len(settings["widths"]) > 1 else ""
    return (
        f"{words} D{len(settings['widths'])}(κ,B): a discriminator with {len(settings['widths'])} hidden "
        f"layer{'s' * (len(settings['widths']) > 1)}, the ℓ1 norm of its output weights "
        f"at most κ = {kappa}{further}. So bounded, "
        "its GAN has larger errors than the unbounded ones of Robust estimation of location."
    )


def cells(results: Iterable[dict], kind: str) -> list[Cell]:
    """Every error of `kind` ("location" or "scatter"): GANs first, as they come, then the oracle and the classical ones.

    GANs of one name that differ in anything but the seed never share a cell: what differs is added to their names.
    """
    results = [result for result in results if result[kind]]
    trained: dict[tuple, list[dict]] = {}
    for result in results:
        alike = trained.setdefault((task_of(result), gan_name(result["settings"])), [])
        if training_of(result) not in alike:
            alike.append(training_of(result))
    by_task: dict[tuple, dict[str, dict[int, float]]] = {}
    for result in results:
        task, gan = task_of(result), gan_name(result["settings"])
        one, *others = alike = trained[task, gan]
        differs = sorted(name for name in one if any(other[name] != one[name] for other in others))
        gan += "".join(f", {name}={result['settings'][name]}" for name in differs)
        for name, error in result[kind].items():
            row = gan if name == "gan" else name.replace("_", " ")
            by_task.setdefault(task, {}).setdefault(row, {})[result["seed"]] = error
    out = []
    for task, rows in by_task.items():
        for row in sorted(rows, key=lambda row: "-GAN" not in row):
            published = PUBLISHED.get(task) if "-GAN" in row and kind == "location" else None
            out.append(Cell(task, row, rows[row], published))
    return out


def heading(task: tuple, common: frozenset[str] = frozenset()) -> str:
    """'N(0,I), far, p=100, n=50000, ε=0.2', without the names in `common`, which all columns share."""
    _, tail, scatter, contamination, *numbers = task
    sizes = [
        f"{name}={value if isinstance(value, int) else f'{value:g}'}"
        for name, value in zip(SIZES, numbers, strict=True)
        if name not in common
    ]
    return ", ".join([f"{LAWS[tail]}(0,{KNOWN[scatter]})", contamination, *sizes])


def shared(shown: Sequence[Cell]) -> dict[str, float]:
    """Of SIZES those that are the same in all columns of a table with several."""
    tasks = {cell.task for cell in shown}
    each = zip(SIZES, zip(*(task[-len(SIZES) :] for task in tasks), strict=True), strict=True)
    return {name: values[0] for name, values in each if len(set(values)) == 1} if len(tasks) > 1 else {}


def to_csv(shown: Sequence[Cell], kind: str) -> str:
    """COLUMNS for each cell of one kind."""
    return text.sheet(
        COLUMNS,
        (
            [
                *map(str, cell.task),
                kind,
                cell.row,
                cell.mean,
                cell.spread,
                len(cell.by_seed),
                None if cell.published is None else str(cell.published),
            ]
            for cell in shown
        ),
    )


def grid(shown: Sequence[Cell]) -> list[list[str]]:
    """Header, one line for each estimator (oracle, GANs, the published one, others), one column for each task; last the seeds."""
    tasks, rows = (list(dict.fromkeys(getattr(cell, name) for cell in shown)) for name in ("task", "row"))
    at = {(cell.task, cell.row): cell for cell in shown}
    head = ["estimator", *(heading(task, frozenset(shared(shown))) for task in tasks)]
    published = {cell.task: f"{cell.published:.4f}" for cell in shown if cell.published}

    def lines(wanted: Callable[[str], bool]) -> list[list[str]]:
        return [[named(row), *(str(at.get((task, row), "–")) for task in tasks)] for row in rows if wanted(row)]

    theirs = [["published (0,0)-GAN", *(published.get(task, "–") for task in tasks)]] if published else []
    seeds = ["seeds", *(seeds_of([cell for cell in shown if cell.task == task]) for task in tasks)]
    oracle = lines(lambda row: row == ORACLE)
    rest = lines(lambda row: row != ORACLE and "-GAN" not in row)
    return [head, *oracle, *lines(lambda row: "-GAN" in row), *theirs, *rest, seeds]


def seeds_of(column: Sequence[Cell]) -> str:
    """How many seeds a column's errors have: "5", or "1–5"."""
    counts = [len(cell.by_seed) for cell in column]
    return "–".join(dict.fromkeys((str(min(counts)), str(max(counts)))))


def to_markdown(shown: Sequence[Cell], kind: str) -> str:
    """The page of one kind: the grid, and notes on how to read it."""
    strong = any(cell.task[3] == "strong" for cell in shown)
    same = " and ".join(f"{name} = {value:,g}" for name, value in shared(shown).items())
    throughout = f" ({same} in all columns)" if same else ""
    contaminated = "; ".join(
        f"{name}: {CONTAMINATED[name]}" for name in CONTAMINATED if name in {c.task[3] for c in shown}
    )
    notes = [
        f"{IN_WORDS[kind]}, {ERRORS[kind]}, mean(standard deviation over seeds). The oracle is the maximum likelihood "
        "estimate from the uncontaminated points"
        + (" (under strong contamination, an adversary's: from the sample before it)." if strong else "."),
        "A column is what is estimated from: the uncontaminated law, where its centre is θ = 0 and its scatter Σ is I or AR, the "
        "covariance of neighbours that depend on each other (first-order autoregression, Σᵢⱼ = ½^|i−j|); how the share ε of the "
        f"points is contaminated ({contaminated}); p coordinates, n points{throughout}. A GAN's name has its α and β, and the "
        "widths of its discriminator's layers.",
    ]
    if any("D1(" in cell.row for cell in shown):
        notes.append("D1(κ,B): of bounded weights, as the table of rates explains.")
    if any(cell.published for cell in shown):
        notes.append(
            "Published (0,0)-GAN: one run of the demonstrations in the notebooks of the works that the paper cites, on points of "
            "its own."
        )
    if any(OUTSIDE in cell.row for cell in shown):
        notes.append(f"{OUTSIDE} |α−β| ≥ 1: outside Theorem 1.")
    if any(cell.row == "mcd" for cell in shown):
        notes.append("MCD: the minimum covariance determinant, from the part of the points that lies closest together.")
    if kind == "scatter":
        notes.append(
            "Kendall, Tyler: estimates of scatter named after them, from the directions of points or of differences."
        )
        if any(cell.task[1] != "gaussian" for cell in shown):
            notes.append("Where the law is not normal a scatter has no scale of its own and is given the trace of Σ.")
    else:
        notes.append("GANs and iterative filtering are given Σ; iterative filtering and the trimmed mean are given ε.")
    return text.page(f"# Robust estimation of {kind}", *notes, text.pipes(grid(shown)))


def to_tex(shown: Sequence[Cell], kind: str) -> str:
    """A booktabs table with the lines of the markdown one."""
    signs = {"ε": r"$\varepsilon$", "κ": r"$\kappa$", "₃": "$_3$", OUTSIDE: r"$^\dagger$"}
    head, *lines = grid(shown)
    caption = f"Robust estimation of {kind}: error, mean(standard deviation over seeds)"
    return text.booktabs(caption, f"tab:robust-{kind}", len(head), [head], [lines], signs)


def table(results: Iterable[dict], kind: str) -> dict[str, str]:
    """The whole table robust_`kind`: suffix ("md", "csv", "tex") → text."""
    shown = cells(results, kind)
    return {"md": to_markdown(shown, kind), "csv": to_csv(shown, kind), "tex": to_tex(shown, kind)}
