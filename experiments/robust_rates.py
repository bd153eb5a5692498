"""The figure of rates: the error against ε at fixed n, and against n at fixed ε, beside Theorem 1.

    ‖θ̂−θ‖² ≤ C (p/n ∨ ε²)  for |α−β| < 1 and D_L(κ,B)                       (supplement, note 1, Theorem 1)

The theorem bounds the error from above; its own slope on a grid is that of √(p/n ∨ ε²) there, 1 where ε² > p/n along ε,
−½ where p/n > ε² along n, 0 on a plateau. Reads what `cryobench.robust.estimation.robust_estimation` returns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryobench.experiments.robust_estimation import ERRORS, OUTSIDE, RESULTS, gan_name, setting
from cryobench.experiments.robust_estimation import results as read
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cryobench import figure as figures
from cryobench.errors import InputError
from cryobench.evaluation.statistics import half_width
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import text

__all__ = ["RESULTS", "write"]

AXES = {"epsilon": "ε", "n": "n"}
NETS = {"bounded": "robust_rates", "plain": "robust_rates_plain"}
HEADINGS = {
    "bounded": "Discriminators D1(κ,B), with bounded weights, as in Theorem 1",
    "plain": "Unbounded discriminators",
}
XLABELS = {"epsilon": "contaminated share ε", "n": "points n"}
TITLES = {
    "epsilon": "The error grows with the contaminated share\n(n = {n:,} points)",
    "n": "The error falls with the number of points\n(ε = {epsilon:g})",
}
TOLERANCE = 0.15  # how far from the theorem's a slope may lie that agrees with it


def write(store: Store) -> list[Path]:
    """Write robust_rates.md and .csv, and a figure for each class of discriminators that has records."""
    results = read(store, "robust_rates")
    parts, lines, files = [], [], []
    for net, name in NETS.items():
        of_net = [result for result in results if result["settings"]["discriminator"] == net]
        if of_net:
            parts += [f"## {HEADINGS[net]}", f"{setting(of_net[0]['settings'])} {grid(of_net)}", summary(of_net)]
            lines += [rate for axis in AXES for rate in rates(of_net, "location", axis)]
            files += figures.save(figure(of_net), store.results, name, images="")  # of points
    page = text.page("# Rates of the error of location", RULE, *(parts or ["No runs yet."]))
    return text.write(store, "robust_rates", {"md": page, "csv": to_csv(lines)}) + files


RULE = (
    "The slope of the logarithm of the error along log ε (n fixed) or along log n (ε fixed), mean(spread over seeds). The "
    "theorem bounds the error from above. The verdict is by the 95 % interval of the slope over seeds: *agrees*, all of it is "
    f"within {TOLERANCE:g} of the bound's slope; *slower*, all of it is on the side where the error grows less along ε or falls "
    "more along n, which the theorem allows; *faster*, all of it is on the side where the error grows more along ε or falls "
    "less along n, so it does not keep to the bound's rate; *undecided*, none of these. "
    f"{OUTSIDE} |α−β| ≥ 1: the theorem says nothing of these pairs."
)


@dataclass(frozen=True)
class Rate:
    """One estimator along one axis: the error at each x, mean and spread over seeds, and the slope of log on log.

    row: the estimator's name; axis: "epsilon" or "n"; fixed: the other one's value; theorem: the slope of the bound.
    Slopes are fitted where the axis' own term of the bound decides, ε² ≥ p/n or p/n ≥ ε², if two values lie there.
    """

    row: str
    axis: str
    fixed: float
    p: int
    x: tuple[float, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    slope: float
    slope_spread: float
    theorem: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Against the bound's slope, by the 95 % interval of ours over seeds.

        "agrees": all of it is within TOLERANCE of the bound's; "slower" (the error grows less, or falls more) or "faster":
        the bound's lies outside; else "undecided".
        """
        half = half_width(self.slope_spread, self.seeds)
        if half is None:
            return "too few seeds"
        difference = self.slope - self.theorem
        if abs(difference) + half <= TOLERANCE:
            return "agrees"
        if abs(difference) <= half:
            return "undecided"
        return "slower" if difference < 0 else "faster"


def bound(p: int, n: ArrayLike, epsilon: ArrayLike) -> np.ndarray:
    """√(p/n ∨ ε²), Theorem 1's bound with C = 1."""
    return np.sqrt(np.maximum(p / np.asarray(n, float), np.asarray(epsilon, float) ** 2))


def slope(x: ArrayLike, y: ArrayLike) -> float:
    """Least squares slope of log y on log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def rates(results: Iterable[dict], kind: str, axis: str) -> list[Rate]:
    """The rates of every GAN and the oracle along `axis`, at the other one's most sampled value.

    Raises InputError where fewer than two values of the axis share one value of the other.
    """
    results = [result for result in results if result[kind] and result["settings"]["epsilon"] > 0]
    other = "n" if axis == "epsilon" else "epsilon"
    values: dict[float, set] = {r["settings"][other]: set() for r in results}
    for result in results:
        values[result["settings"][other]].add(result["settings"][axis])
    fixed = max(values, key=lambda value: (len(values[value]), value), default=None)
    if fixed is None or len(values[fixed]) < 2:
        raise InputError(
            f"expected results at two or more values of {axis} and one of {other}, got fewer; run more of the sweep"
        )
    errors: dict[str, dict[float, dict[int, float]]] = {}
    for result in results:
        settings = result["settings"]
        if settings[other] != fixed:
            continue
        for name in ("gan", "oracle"):
            row = gan_name(settings) if name == "gan" else name
            errors.setdefault(row, {}).setdefault(settings[axis], {})[result["seed"]] = result[kind][name]
    p = results[0]["settings"]["p"]
    gans_first = sorted(errors, key=lambda row: row == "oracle")
    return [rate(row, axis, fixed, p, errors[row]) for row in gans_first if len(errors[row]) > 1]


def rate(row: str, axis: str, fixed: float, p: int, by_x: dict[float, dict[int, float]]) -> Rate:
    x = tuple(sorted(by_x))
    mean = [float(np.mean(list(by_x[value].values()))) for value in x]
    spread = [float(np.std(list(by_x[value].values()), ddof=1)) if len(by_x[value]) > 1 else 0.0 for value in x]
    # A maximum has a kink, a real error turns smoothly: fit on the side where this axis' own term decides, if it is there.
    n = np.full(len(x), fixed) if axis == "epsilon" else np.array(x)
    epsilon = np.array(x) if axis == "epsilon" else np.full(len(x), fixed)
    decides = epsilon**2 >= p / n if axis == "epsilon" else p / n >= epsilon**2
    fitted = [value for value, decisive in zip(x, decides, strict=True) if decisive or decides.sum() < 2]
    seeds = set.intersection(*(set(by_x[value]) for value in fitted))
    per_seed = [slope(fitted, [by_x[value][seed] for value in fitted]) for seed in seeds]
    theorem = bound(p, fixed, fitted) if axis == "epsilon" else bound(p, fitted, fixed)
    return Rate(
        row,
        axis,
        fixed,
        p,
        x,
        tuple(mean),
        tuple(spread),
        slope(fitted, [mean[x.index(value)] for value in fitted]),
        float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else 0.0,
        slope(fitted, theorem),
        len(seeds),
    )


@figures.styled
def figure(results: Iterable[dict], kind: str = "location") -> Figure:
    """Above, the error along each axis, the GANs in two groups by |α−β| < 1; below, the slope of each beside Theorem 1's."""
    results = list(results)
    canvas = figures.new(9.0, 8.4)
    axes = canvas.subplots(2, len(AXES), height_ratios=(1, 1.1))
    for (curves, slopes), axis in zip(axes.T, AXES, strict=True):
        lines = rates(results, kind, axis)
        error_curves(curves, lines, axis, kind)
        slope_marks(slopes, [line for line in lines if line.row != "oracle"])
        curves.set_title(TITLES[axis].format(n=lines[0].fixed, epsilon=lines[0].fixed))
    axes[1, 1].tick_params(labelleft=False)
    handles = {name: one for axis in axes.flat for one, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    seeds = figures.counted(line.seeds for line in lines)
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=2, title=in_words(lines[0].p, seeds))
    return canvas


def in_words(p: int, seeds: str) -> str:
    """What the legend's signs and the verdicts mean; seeds: how many a mark stands for."""
    each = (
        "every mark is one seed"
        if seeds == "one seed"
        else f"marks are means over {seeds}, bars their standard deviation"
    )
    return (
        f"Theorem 1: error² ≤ C (p/n ∨ ε²), where p = {p} is the dimension, C a constant, and ∨ takes the larger of the two\n"
        f"upper panels: {each}\n"
        "lower panels, agrees: the whole interval is in the grey band\n"
        "slower: all of it is where the error grows less with ε, or falls more with n, than the bound: the theorem allows that\n"
        "faster: all of it is where the error grows more with ε, or falls less with n, than the bound; undecided: none of these"
    )


def group(line: Rate) -> tuple[str, dict]:
    """What a line is called in the legend, and its look."""
    if line.row == "oracle":
        return "oracle: from the uncontaminated points alone", {
            "color": figures.FAINT,
            "marker": "x",
            "linestyle": "-.",
        }
    if line.row.endswith(OUTSIDE):
        return "(α,β)-GANs with |α−β| ≥ 1, outside Theorem 1", {
            "color": figures.COLOURS[1],
            "marker": figures.MARKS[1],
            "markerfacecolor": figures.PAPER,
            "linestyle": "--",
        }
    return "(α,β)-GANs with |α−β| < 1, as in Theorem 1", {"color": figures.COLOURS[0], "marker": figures.MARKS[0]}


def error_curves(panel, lines: list[Rate], axis: str, kind: str) -> None:
    """The mean error over seeds of each estimator, with its spread; and the bound."""
    for line in lines:
        label, look = group(line)
        panel.plot(line.x, line.mean, label=label, linewidth=1, **look)
        mean, spread = np.array(line.mean), np.array(line.spread)
        panel.vlines(line.x, mean - spread, mean + spread, color=look["color"], linewidth=0.8)
    first = lines[0]
    n, epsilon = (first.fixed, first.x) if axis == "epsilon" else (first.x, first.fixed)
    values = bound(first.p, n, epsilon)
    panel.plot(first.x, values, ":", color=figures.INK, label="upper panels: slope of the bound (its height is free)")
    panel.set(xscale="log", yscale="log", xlabel=XLABELS[axis], ylabel=f"error of {kind}, {ERRORS[kind]}")
    figures.ticks(panel.xaxis, first.x, "{:,g}".format)
    figures.log_ticks(panel.yaxis, "{:g}".format)


def slope_marks(panel, gans: list[Rate]) -> None:
    """A line for each GAN: its slope with the 95 % interval over seeds, and the verdict; Theorem 1's slope and what agrees."""
    for place, line in enumerate(reversed(gans)):
        _, look = group(line)
        half = half_width(line.slope_spread, line.seeds)
        panel.errorbar(line.slope, place, xerr=half, **look)
        panel.annotate(line.verdict, (1.01, place), xycoords=("axes fraction", "data"), va="center")
    theorem = gans[0].theorem
    panel.axvspan(
        theorem - TOLERANCE,
        theorem + TOLERANCE,
        color=figures.GRID,
        zorder=0,
        linewidth=0,
        label=f"lower panels: within {TOLERANCE:g} of the bound's slope",
    )
    panel.axvline(theorem, color=figures.INK, linewidth=0.9, label="lower panels: the bound's slope")
    panel.set_yticks(range(len(gans)), [named(line.row.partition(" ")[0]) for line in reversed(gans)])
    seeds = figures.counted(line.seeds for line in gans)
    panel.set(xlabel=f"slope of log error, its 95 % interval over {seeds}", ylim=(-0.6, len(gans) - 0.4))
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}".replace("-", "−"))
    parts = [f"Slopes: Theorem 1 says {theorem:.2g}"]
    for some, where in (
        ([line for line in gans if not line.row.endswith(OUTSIDE)], "covered by it"),
        ([line for line in gans if line.row.endswith(OUTSIDE)], "outside it"),
    ):
        parts += [f"{len(some)} GAN{'s' * (len(some) > 1)} {where}: {counted(some)}"] if some else []
    panel.set_title("\n".join(parts).replace("-", "−"))


def counted(gans: list[Rate]) -> str:
    """How many GANs have which verdict: "7 agree, 1 is undecided"."""
    counts = Counter(line.verdict for line in gans)
    return ", ".join(
        f"{n} agree{'s' * (n == 1)}" if one == "agrees" else f"{n} {'is' if n == 1 else 'are'} {one}"
        for one, n in counts.items()
    )


def slope_text(line: Rate) -> str:
    return f"{line.slope:.2f}({f'{line.slope_spread:.2f}' if line.seeds > 1 else '–'})"


def grid(results: Sequence[dict]) -> str:
    """The value of n along ε, and that of ε along n, in words."""
    fixed = {axis: rates(results, "location", axis)[0].fixed for axis in AXES}
    return f"Along ε there are n = {fixed['epsilon']:,} points; along n the share is ε = {fixed['n']:g}."


def summary(results: Iterable[dict], kind: str = "location") -> str:
    """What the figure shows, in words: a markdown table of slopes and what they say about Theorem 1."""
    lines = [["estimator", "axis", "slope(spread)", "Theorem 1", "verdict"]]
    results = list(results)
    for axis in AXES:
        for line in rates(results, kind, axis):
            if line.row != "oracle":
                lines.append([named(line.row), AXES[axis], slope_text(line), f"{line.theorem:.2f}", line.verdict])
    return text.pipes(lines, left=2)


def to_csv(lines: Sequence[Rate]) -> str:
    """One line for each point of the figure, with the slope of its curve."""
    columns = ("row", "axis", "x", "fixed", "p", "mean", "spread", "slope", "slope_spread", "theorem", "verdict")
    return text.sheet(
        columns,
        (
            [
                line.row,
                line.axis,
                f"{x:g}",
                f"{line.fixed:g}",
                line.p,
                mean,
                spread,
                *(text.significant(value, 4) for value in (line.slope, line.slope_spread, line.theorem)),
                line.verdict,
            ]
            for line in lines
            for x, mean, spread in zip(line.x, line.mean, line.spread, strict=True)
        ),
    )
