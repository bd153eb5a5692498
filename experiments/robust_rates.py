"""The figure of rates: the error against ε at fixed n, and against n at fixed ε, beside Theorem 1.

    ‖θ̂−θ‖² ≤ C (p/n ∨ ε²)  for |α−β| < 1 and D_L(κ,B)                       (supplement, note 1, Theorem 1)

The theorem bounds the error from above; its own slope on a grid is that of √(p/n ∨ ε²) there, 1 where ε² > p/n along ε,
−½ where p/n > ε² along n, 0 on a plateau. Reads what `cryobench.robust.estimation.robust_estimation` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryobench.experiments.robust_estimation import ERRORS, OUTSIDE, RESULTS, gan_name
from cryobench.experiments.robust_estimation import results as read
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cryobench import figure as figures
from cryobench.errors import InputError
from cryobench.evaluation.statistics import half_width
from cryobench.runs.store import Store
from cryobench.tables import text

__all__ = ["RESULTS", "write"]

AXES = {"epsilon": "ε", "n": "n"}
NETS = {"bounded": "robust_rates", "plain": "robust_rates_plain"}
LOOKS = tuple(zip((*figures.COLOURS, figures.INK, figures.FAINT), figures.MARKS, strict=True))  # of each pair
APART = 1.02  # between two lines of the figure, as a factor of x
TOLERANCE = 0.15  # how far from the theorem's a slope may lie that agrees with it


def write(store: Store) -> list[Path]:
    """Write robust_rates.md and .csv, and a figure for each class of discriminators that has records."""
    results = read(store, "robust_rates")
    parts, lines, files = [], [], []
    for net, name in NETS.items():
        of_net = [result for result in results if result["settings"]["discriminator"] == net]
        if of_net:
            parts += [
                f"## {'D_L(κ,B), as in Theorem 1' if net == 'bounded' else 'Unbounded discriminators'}",
                summary(of_net),
            ]
            lines += [rate for axis in AXES for rate in rates(of_net, "location", axis)]
            files += figures.save(figure(of_net), store.results, name)
    page = text.page("# Rates of the error of location", *(parts or ["No runs yet."]))
    return text.write(store, "robust_rates", {"md": page, "csv": to_csv(lines)}) + files


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
    """Two panels on log axes; dashed and hollow outside |α−β| < 1; each line's slope and verdict beside it.

    Lines stand a little beside each other, so that none hides another's bar.
    """
    results = list(results)
    canvas = figures.new(9.0, 7.6)
    for panel, axis in zip(canvas.subplots(1, 2), AXES, strict=True):
        lines = rates(results, kind, axis)
        gans = [line for line in lines if line.row != "oracle"]
        for number, line in enumerate(lines):
            outside = line.row.endswith(OUTSIDE)
            color, marker = (figures.FAINT, "x") if line.row == "oracle" else LOOKS[gans.index(line) % len(LOOKS)]
            panel.errorbar(
                figures.aside(line.x, number, len(lines), APART),
                line.mean,
                above_zero(line),
                color=color,
                marker=marker,
                linestyle="--" if outside else "-",
                markerfacecolor=figures.PAPER if outside else color,
                label=f"{line.row}: {slope_text(line)}" + ("" if line.row == "oracle" else f" {line.verdict}"),
            )
        first = gans[0]
        n, epsilon = (first.fixed, first.x) if axis == "epsilon" else (first.x, first.fixed)
        panel.plot(
            first.x, bound(first.p, n, epsilon), ":", color=figures.INK, label=f"√(p/n ∨ ε²): {first.theorem:.2f}"
        )
        held = f"n = {first.fixed:,}" if axis == "epsilon" else f"ε = {first.fixed:g}"
        panel.set(xscale="log", yscale="log", xlabel=AXES[axis], ylabel=ERRORS[kind], title=f"p = {first.p}, {held}")
        figures.ticks(panel.xaxis, first.x, "{:,g}".format)
        figures.log_ticks(panel.yaxis, plain=True)
        panel.legend(title=f"slope(spread); {OUTSIDE} |α−β| ≥ 1", loc="upper center", bbox_to_anchor=(0.5, -0.13))
    return canvas


def above_zero(line: Rate) -> np.ndarray:
    """The bars of a line, (2, points) below and above its means: one spread, cut where it would reach a tenth of the mean."""
    spread, mean = np.array(line.spread), np.array(line.mean)
    return np.array([np.minimum(spread, 0.9 * mean), spread])


def slope_text(line: Rate) -> str:
    return f"{line.slope:.2f}({f'{line.slope_spread:.2f}' if line.seeds > 1 else '–'})"


def summary(results: Iterable[dict], kind: str = "location") -> str:
    """What the figure shows, in words: a markdown table of slopes and what they say about Theorem 1."""
    lines = [["estimator", "axis", "slope(spread)", "Theorem 1", "verdict"]]
    results = list(results)
    for axis in AXES:
        for line in rates(results, kind, axis):
            if line.row != "oracle":
                lines.append([line.row, AXES[axis], slope_text(line), f"{line.theorem:.2f}", line.verdict])
    return "\n".join(
        [
            text.pipes(lines, left=2),
            "",
            'The theorem bounds the error from above. By the 95 % interval of the slope over seeds: "agrees", all of it is '
            f'within {TOLERANCE:g} of the bound\'s; "slower", the error grows less along ε or falls more along n than the bound, '
            'which the theorem allows; "faster", it does not keep to the bound\'s rate; "undecided", too wide to say. '
            f"{OUTSIDE} |α−β| ≥ 1: the theorem says nothing of these pairs.",
        ]
    )


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
