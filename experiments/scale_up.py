"""From the desk scale toward the paper's: MSE against images seen and against width, with a trend fitted to each.

A trend is a power law, log MSE = a + b log x, fitted to every run of one series by least squares (scipy): seeds are points
of their own, else three means that happen to lie on a line would pass for a law. Its 95 % interval is that of one run more.
The prediction for the paper's scale multiplies the two trends from the
desk point on, as if they were independent: an extrapolation of a factor 22 in images seen and 4 in width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from cryobench.evaluation.statistics import LEVEL, holm, mean_and_spread
from cryobench.printed import named, plain, short
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, table, text
from cryobench.tables.text import formatted, pipes

METHODS = ("l1-Autoencoder", "(.5,.5)-GAN + l1")
SNR = 0.1
# Images seen by the paper's runs, 25,000 pairs for 20 epochs (a twentieth less, at most 500, chooses the checkpoint); width.
PAPER = {"images": 20 * 24_500, "width": 64}
# Way up → what it is a power of, and in words.
WAYS = {"pairs": ("images", "more pairs"), "epochs": ("images", "more epochs"), "width": ("width", "wider nets")}
TRENDS = tuple("method way by first last runs slope slope_error p p_corrected verdict".split())  # columns of their csv
PUBLISHED = {"(.5,.5)-GAN + l1": (1, "(.5,.5)")}


@dataclass(frozen=True)
class Point:
    """One row: what it varies, images seen in training, width, the MSE of each seed, and its record."""

    row: str
    method: str
    pairs: int
    images: int
    width: int
    mse: tuple[float, ...]
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Trend:
    """log MSE = a + b log x; `at(x)` → the MSE there and its 95 % prediction interval (None with two runs).

    p: of "b is 0", two-sided; None with two runs.
    """

    a: float
    b: float
    x: tuple[float, ...]
    scatter: float | None
    p: float | None = None

    @property
    def slope_error(self) -> float | None:
        """The standard error of b; None with two runs."""
        if self.scatter is None:
            return None
        logs = np.log(self.x)
        return float(self.scatter / np.sqrt(((logs - logs.mean()) ** 2).sum()))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the scatter."""
        return len(self.x) - 2

    def error(self, x: float) -> float:
        """The standard error of the log MSE of one run more at x; asked with three runs or more."""
        logs = np.log(self.x)
        distance = (np.log(x) - logs.mean()) ** 2 / ((logs - logs.mean()) ** 2).sum()
        return float(self.scatter * np.sqrt(1 + 1 / len(logs) + distance))

    def at(self, x: float) -> tuple[float, tuple[float, float] | None]:
        """The MSE at x, and its 95 % prediction interval; no interval with two runs."""
        middle = self.a + self.b * np.log(x)
        if self.scatter is None:
            return float(np.exp(middle)), None
        room = stats.t.ppf(0.975, self.degrees) * self.error(x)
        return float(np.exp(middle)), (float(np.exp(middle - room)), float(np.exp(middle + room)))


def write(store: Store) -> list[Path]:
    """Write scale_up.md and .csv, and the trends in scale_up_trends.csv, from the records of `+sweep=scale_up`."""
    measured = points(frame.frame(store.all()))
    files = text.write(store, "scale_up", {"md": to_markdown(measured), "csv": to_csv(measured)})
    return files + text.write(store, "scale_up_trends", {"csv": trends_to_csv(measured)})


def points(runs: pd.DataFrame) -> list[Point]:
    """The rows that have records; what a row leaves unsaid is the desk scale's."""
    out = []
    for row, wanted in frame.sweep_rows("scale_up").items():
        matching = frame.usual(runs, {**wanted, "noise.snr": SNR, "scale.name": "desk"})
        if len(matching):
            first = matching["record"].iloc[0]
            out.append(
                Point(
                    row,
                    row.rpartition(", ")[0],
                    first.config["data"]["n_train"],
                    first.method["images_seen"],
                    first.config["method"]["width"],
                    tuple(matching["mse"]),
                    tuple(matching["record"]),
                )
            )
    return out


def series(points: list[Point], method: str) -> dict[str, list[Point]]:
    """The three ways up of one method, each through the desk point: more pairs, more epochs, wider."""
    of_method = [p for p in points if p.method == method]
    desk = [p for p in of_method if p.row.endswith("4000 pairs")]
    return {
        kind: sorted(
            [*(p for p in of_method if mark in p.row and p not in desk), *desk], key=lambda p: (p.images, p.width)
        )
        for kind, mark in (("pairs", " pairs"), ("epochs", " epochs"), ("width", "d = "))
    }


def trend(points: list[Point], by: str) -> Trend | None:
    """A power law through the runs of at least two points, `by` images or width."""
    if len(points) < 2:
        return None
    x = np.array([getattr(p, by) for p in points for _ in p.mse], dtype=float)
    y = np.log([mse for p in points for mse in p.mse])
    fit = stats.linregress(np.log(x), y)
    rest = y - fit.intercept - fit.slope * np.log(x)
    scatter = float(np.sqrt((rest**2).sum() / (len(x) - 2))) if len(x) > 2 else None
    return Trend(float(fit.intercept), float(fit.slope), tuple(x), scatter, float(fit.pvalue) if len(x) > 2 else None)


def trends(points: list[Point]) -> dict[tuple[str, str], Trend]:
    """(method, way) → its trend, of those that have one."""
    found = {
        (method, way): trend(series(points, method)[way], by) for method in METHODS for way, (by, _) in WAYS.items()
    }
    return {which: fit for which, fit in found.items() if fit}


def corrected(found: dict[tuple[str, str], Trend]) -> dict[tuple[str, str], float]:
    """The p of each of these trends that has one, corrected for their number (Holm)."""
    known = {which: fit.p for which, fit in found.items() if fit.p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def trends_to_csv(points: list[Point]) -> str:
    """A line for each trend: TRENDS; verdict: which way the MSE goes, where the corrected p is below the level."""
    found, lines = trends(points), []
    sure = corrected(found)
    for (method, way), fit in found.items():
        p = sure.get((method, way))
        verdict = "" if p is None else "undecided" if p >= LEVEL else "falls" if fit.b < 0 else "rises"
        ends = (f"{end:g}" for end in (min(fit.x), max(fit.x)))
        lines.append([method, way, WAYS[way][0], *ends, len(fit.x), fit.b, fit.slope_error, fit.p, p, verdict])
    return text.sheet(TRENDS, lines)


def to_markdown(points: list[Point]) -> str:
    """The page: a line for each point, then what the trends say."""
    lines = [["row", "training pairs", "images seen", "width", "MSE", "seeds"]]
    for p in points:
        mse = formatted("mse", *mean_and_spread(p.mse))
        lines.append([named(p.row), f"{p.pairs:,}", f"{p.images:,}", str(p.width), mse, str(len(p.mse))])
    caption = (
        f"ResNet, SNR {SNR:g}, steps away from the desk scale. Images seen: epochs × training pairs, less the part of these that "
        f"chooses the checkpoint (a twentieth, at most 500). MSE: mean(standard deviation over seeds). Trends: p of the test "
        f"that the power is 0; corrected: for the number of trends here, {len(corrected(trends(points)))}, by Holm's method."
    )
    parts = ["# Toward the paper's scale", caption, pipes(lines)]
    parts += [reading(points, method) for method in METHODS]
    return text.page(*parts)


def reading(points: list[Point], method: str) -> str:
    """What the trends of one method say, in words."""
    found, parts = trends(points), []
    sure = corrected(found)
    for way, (by, what) in WAYS.items():
        if fit := found.get((method, way)):
            value, room = fit.at(PAPER[by])
            span = f" (95 %: {short(room[0])} to {short(room[1])})" if room else ""
            p = "" if fit.p is None else f" (p = {plain(fit.p)}, corrected {plain(sure[method, way])})"
            power = f"{by} to the power of {fit.b:.2f}".replace("-", "−")
            parts.append(f"{what}: MSE ∝ {power}{p}, {short(value)}{span} at the paper's {PAPER[by]:,}")
    if not parts:
        return ""
    words = f"**{named(method)}.** " + "; ".join(parts) + "."
    more, wider = found.get((method, "pairs")), found.get((method, "width"))
    if more and wider:
        desk = [p for p in points if p.method == method and p.row.endswith("4000 pairs")]
        if desk:
            both = more.at(PAPER["images"])[0] * (PAPER["width"] / desk[0].width) ** wider.b
            words += f" More pairs and wider nets together, as if independent: {short(both)}"
            if method in PUBLISHED:
                number, row = PUBLISHED[method]
                words += f"; the paper has {short(table.published(number)[row, SNR, 'mse'][0])}"
            words += ". An extrapolation far outside what was measured."
    return words


def to_csv(points: list[Point]) -> str:
    """A line for each point."""
    return text.sheet(
        ("row", "method", "pairs", "images_seen", "width", "mse", "n_seeds"),
        ([p.row, p.method, p.pairs, p.images, p.width, float(np.mean(p.mse)), len(p.mse)] for p in points),
    )
