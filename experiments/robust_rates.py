"""Table robust_rates: how the error grows with ε at fixed n and falls with n at fixed ε, beside Theorem 1.

    ‖θ̂−θ‖² ≤ C (p/n ∨ ε²)  for |α−β| < 1 and D_L(κ,B)                       (supplement, note 1, Theorem 1)

The theorem bounds the error from above; its own slope on a grid is that of √(p/n ∨ ε²) there, 1 where ε² > p/n along ε,
−½ where p/n > ε² along n, 0 on a plateau. Reads what `cryobench.robust.estimation.robust_estimation` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryobench.experiments.robust_estimation import OUTSIDE, RESULTS, gan_name, setting
from cryobench.experiments.robust_estimation import results as read
from numpy.typing import ArrayLike

from cryobench.errors import InputError
from cryobench.evaluation.statistics import half_width
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import text

__all__ = ["RESULTS", "write"]

AXES = {"epsilon": "ε", "n": "n"}
CLASSES = {
    "bounded": "Discriminators D1(κ,B), with bounded weights, as in Theorem 1",
    "plain": "Unbounded discriminators",
}
TOLERANCE = 0.15  # how far from the theorem's a slope may lie that agrees with it


def write(store: Store) -> list[Path]:
    """Write robust_rates.md and .csv: the slopes of every GAN, in a table for each class of discriminators with records."""
    parts, lines = [], []
    for name, results in by_class(store).items():
        parts += [f"## {CLASSES[name]}", f"{setting(results[0]['settings'])} {grid(results)}", summary(results)]
        lines += [rate for axis in AXES for rate in rates(results, "location", axis)]
    page = text.page("# Rates of the error of location", RULE, *(parts or ["No runs yet."]))
    return text.write(store, "robust_rates", {"md": page, "csv": to_csv(lines)})


def by_class(store: Store) -> dict[str, list[dict]]:
    """What the finished runs found, by the class of their discriminators; those of which there are runs."""
    results = read(store, "robust_rates")
    found = {name: [one for one in results if one["settings"]["discriminator"] == name] for name in CLASSES}
    return {name: some for name, some in found.items() if some}


RULE = (
    "The slope of the logarithm of the error along log ε (n fixed) or along log n (ε fixed), mean(standard deviation over "
    "seeds). The theorem bounds the error from above. The verdict is by the 95 % interval of the slope over seeds: *agrees*, "
    f"all of it is within {TOLERANCE:g} of the bound's slope; *better*, all of it is on the side where the error grows less "
    "along ε or falls more along n, which the theorem allows; *worse*, all of it is on the side where the error grows more "
    "along ε or falls less along n: over the range that was measured the error is steeper than the bound, which alone does "
    f"not contradict a theorem with a free constant; *undecided*, none of these. {OUTSIDE} |α−β| ≥ 1: the theorem says nothing "
    "of these pairs."
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

        "agrees": all of it is within TOLERANCE of the bound's; "better" (the error grows less, or falls more) or "worse":
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
        return "better" if difference < 0 else "worse"


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


def slope_text(line: Rate) -> str:
    return f"{line.slope:.2f}({f'{line.slope_spread:.2f}' if line.seeds > 1 else '–'})"


def grid(results: Sequence[dict]) -> str:
    """The value of n along ε, and that of ε along n, in words."""
    fixed = {axis: rates(results, "location", axis)[0].fixed for axis in AXES}
    return f"Along ε there are n = {fixed['epsilon']:,} points; along n the share is ε = {fixed['n']:g}."


def summary(results: Iterable[dict], kind: str = "location") -> str:
    """What the figure shows, in words: a markdown table of slopes and what they say about Theorem 1."""
    lines = [["estimator", "axis", "slope(spread)", "95 % interval", "seeds", "Theorem 1", "verdict"]]
    results = list(results)
    for axis in AXES:
        for line in rates(results, kind, axis):
            if line.row != "oracle":
                half = half_width(line.slope_spread, line.seeds)
                interval = "–" if half is None else f"{line.slope - half:.2f} to {line.slope + half:.2f}"
                place = [named(line.row), AXES[axis], slope_text(line), interval, str(line.seeds)]
                lines.append([*place, f"{line.theorem:.2f}", line.verdict])
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
