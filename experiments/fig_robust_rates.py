"""Figure of the rates of robust estimation: the error along ε and along n, and each slope beside Theorem 1's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from cryobench.experiments.robust_estimation import ERRORS, OUTSIDE, RESULTS
from cryobench.experiments.robust_rates import AXES, TOLERANCE, Rate, bound, by_class, rates
from matplotlib.figure import Figure

from cryobench import figure as figures
from cryobench.evaluation.statistics import half_width
from cryobench.printed import named
from cryobench.runs.store import Store

__all__ = ["RESULTS", "write"]

FILES = {"bounded": "fig_robust_rates", "plain": "fig_robust_rates_plain"}
XLABELS = {"epsilon": "contaminated share ε", "n": "points n"}
TITLES = {
    "epsilon": "The error grows with the contaminated share\n(n = {n:,} points)",
    "n": "The error falls with the number of points\n(ε = {epsilon:g})",
}


def write(store: Store) -> list[Path]:
    """Write fig_robust_rates.png and .svg, and fig_robust_rates_plain of unbounded discriminators where these have records."""
    drawn = ((FILES[name], figure(results)) for name, results in by_class(store).items())
    return [file for name, sheet in drawn for file in figures.save(sheet, store.results, name, images="")]  # of points


@figures.styled
def figure(results: Iterable[dict], kind: str = "location") -> Figure:
    """Above, the error along each axis, the GANs in two groups by |α−β| < 1; below, the slope of each beside Theorem 1's."""
    results = list(results)
    canvas = figures.new(9.0, 8.4)
    axes = canvas.subplots(2, len(AXES), height_ratios=(1, 1.1))
    verdicts = set()
    for (curves, slopes), axis in zip(axes.T, AXES, strict=True):
        lines = rates(results, kind, axis)
        gans = [line for line in lines if line.row != "oracle"]
        error_curves(curves, lines, axis, kind)
        slope_marks(slopes, gans)
        verdicts |= {line.verdict for line in gans}
        curves.set_title(TITLES[axis].format(n=lines[0].fixed, epsilon=lines[0].fixed))
    axes[1, 1].tick_params(labelleft=False)
    handles = {name: one for axis in axes.flat for one, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    seeds = figures.counted(line.seeds for line in lines)
    title = in_words(lines[0].p, seeds, whom(results[0]["settings"]), verdicts)
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=2, title=title)
    return canvas


# Class of discriminators → what it is; verdict → when it is given, of the interval in the lower panels.
DISCRIMINATORS = {
    "bounded": "discriminators D{layers}(κ,B): {hidden}, bounded weights, as in Theorem 1",
    "plain": "discriminators: {hidden}, unbounded weights, which Theorem 1 does not cover",
}
VERDICTS = {
    "agrees": "the whole interval is in the grey band",
    "better": "all of it is where the error grows less with ε, or falls more with n, than the bound: the theorem allows that",
    "worse": "all of it is where the error grows more with ε, or falls less with n, than the bound",
    "undecided": "it holds the bound's slope and reaches beyond the band",
    "too few seeds": "one seed has no interval",
}


def whom(settings: dict) -> str:
    """Which discriminators the GANs have."""
    layers = len(settings["widths"])
    hidden = "one hidden layer" if layers == 1 else f"{layers} hidden layers"
    return DISCRIMINATORS[settings["discriminator"]].format(layers=layers, hidden=hidden)


def in_words(p: int, seeds: str, discriminators: str, verdicts: Collection[str]) -> str:
    """What the legend's signs and those verdicts mean; seeds: how many a mark stands for."""
    each = (
        "every mark is one seed"
        if seeds == "one seed"
        else f"marks are means over {seeds}, bars their standard deviation"
    )
    return (
        f"Theorem 1: error² ≤ C (p/n ∨ ε²), where p = {p} is the dimension, C a constant, and ∨ takes the larger of the two\n"
        f"{discriminators}\n"
        f"upper panels: {each}; lower panels, of the interval:\n"
        + "\n".join(f"{one}: {VERDICTS[one]}" for one in VERDICTS if one in verdicts)
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
