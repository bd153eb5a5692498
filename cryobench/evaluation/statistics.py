"""Is one row's MSE lower than another's, the same, or can these seeds not say? The model is that of docs/statistics.md.

What a claim generalises over is the seed (other noise, other starting weights), so seeds are the replicates and images only
narrow each seed's mean. On log MSE, y_rs = μ_r + e_rs with a spread σ_r of each row's own. Three seeds say little of one
row's σ_r, the rows of its kind say more: variances are moderated (Smyth 2004), and never taken for less than the row's own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import special

LEVEL = 0.05  # two-sided; of a claim's comparisons together (Holm)
POWER = 0.8  # at which a difference counts as one that seeds could have shown
SEEDS = 3  # fewer allow no verdict
MOST_SEEDS = 100  # beyond which nobody asks how many would decide
Row = TypeVar("Row", bound=Hashable)
Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Spread:
    """How a row's log MSE varies over seeds: its moderated variance with its degrees of freedom, and the correlation over
    seeds between rows of its kind (0: none)."""

    kind: str
    variance: float
    df: float
    correlation: float


def spreads(logs: Mapping[Row, Mapping[int, float]], kinds: Mapping[Row, str]) -> dict[Row, Spread]:
    """Row → seed → log MSE, and row → kind, to each row's `Spread`; rows with fewer than three seeds have none.

    The larger of moderated and own variance is taken (as Anders & Huber 2010 do with dispersions): moderation must not make
    a row that varies much look steady.
    """
    out = {}
    logs = {row: by_seed for row, by_seed in logs.items() if len(by_seed) >= SEEDS}
    for kind in dict.fromkeys(kinds[row] for row in logs):
        rows = [row for row in logs if kinds[row] == kind]
        own = np.array([np.var(list(logs[row].values()), ddof=1) for row in rows])
        moderated, df = squeeze(own, np.array([len(logs[row]) - 1.0 for row in rows]))
        shared = correlation([logs[row] for row in rows])
        for row, variance, freedom in zip(rows, np.maximum(own, moderated), df, strict=True):
            out[row] = Spread(kind, float(variance), float(freedom), shared)
    return out


def squeeze(variances: np.ndarray, df: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) sample variances and their degrees of freedom → moderated variances and theirs (Smyth 2004, section 6.2).

    1/σ² is scaled χ² with d0 degrees of freedom, σ² about s0²; both are fitted by the moments of log s². The degrees of
    freedom of a moderated variance, d0 + d, are at most those of all rows pooled. Fewer than three rows are left alone.
    """
    if len(variances) < 3 or np.median(variances) == 0:
        return variances, df
    logs = np.log(np.maximum(variances, 1e-5 * np.median(variances)))  # a variance of 0 by chance has no logarithm
    logs += np.log(df / 2) - special.digamma(df / 2)
    excess = logs.var(ddof=1) - special.polygamma(1, df / 2).mean()
    if excess <= 0:  # the variances differ no more than by chance
        return np.full(len(variances), np.average(variances, weights=df)), np.full(len(variances), df.sum())
    d0 = 2 * trigamma_inverse(excess)
    s0 = np.exp(logs.mean() + special.digamma(d0 / 2) - np.log(d0 / 2))
    return (d0 * s0 + df * variances) / (d0 + df), np.minimum(d0 + df, df.sum())


def trigamma_inverse(x: float) -> float:
    """y with ψ′(y) = x > 0: Newton's method on 1/ψ′, which is convex (Smyth 2004, appendix)."""
    if x > 1e7:
        return x**-0.5
    y = 0.5 + 1 / x
    for _ in range(50):
        slope = special.polygamma(1, y)
        step = slope * (1 - slope / x) / special.polygamma(2, y)
        y += step
        if abs(step) < 1e-8 * y:
            break
    return float(y)


def correlation(rows: Sequence[Mapping[int, float]]) -> float:
    """Mean correlation over seeds between any two rows: what the same noise and starting weights share.

    From the S seeds that all rows have, less its standard error for n unrelated rows, at least 0; 0 with fewer than three such
    seeds or three rows that vary. Centred rows of unit length are directions in S − 1 dimensions: two random ones have an inner
    product of mean 0 and variance 1/(S − 1), and the n(n − 1)/2 pairs are uncorrelated, so that their mean has a standard error
    of √(2 / (n(n − 1)(S − 1))).
    """
    seeds = sorted(set.intersection(*(set(row) for row in rows)))
    if len(seeds) < SEEDS:
        return 0.0
    values = np.array([[row[seed] for seed in seeds] for row in rows])
    values -= values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    values, n = (values / np.where(norms > 0, norms, 1))[norms[:, 0] > 0], int((norms > 0).sum())
    if n < 3:
        return 0.0
    mean = (float(np.square(values.sum(axis=0)).sum()) / n - 1) / (n - 1)
    return max(0.0, mean - chance_error(n, len(seeds)))


def chance_error(n: int, seeds: int) -> float:
    """The standard error of the mean correlation over seeds between any two of n unrelated rows."""
    return math.sqrt(2 / (n * (n - 1) * (seeds - 1)))


@dataclass(frozen=True)
class Comparison:
    """Row a against row b. difference: mean over common seeds of log(MSE of a / MSE of b); variance: of one seed's; df: its
    degrees of freedom. With fewer than three seeds there is a difference and nothing else (variance NaN)."""

    difference: float
    variance: float
    df: float
    seeds: int

    @property
    def effect(self) -> float:
        """a's MSE relative to b's: −0.1 is a tenth lower."""
        return float(np.expm1(self.difference))

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        return float(np.sqrt(self.variance / self.seeds))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the effect over seeds, of this comparison alone."""
        half = special.stdtrit(self.df, 0.975) * self.error
        return float(np.expm1(self.difference - half)), float(np.expm1(self.difference + half))

    def p_different(self, margin: float = 0.0) -> float:
        """Two-sided p of "the rows are the same", or with a margin (a share) of "they differ by no more than that"."""
        return min(1.0, 2 * self.tail(abs(self.difference) - np.log1p(margin)))

    def p_equivalent(self, margin: float) -> float:
        """p of "they differ by at least the margin": two one-sided tests (Schuirmann 1987), from 1/(1+margin) to 1+margin."""
        return self.tail(np.log1p(margin) - abs(self.difference))

    def tail(self, distance: float) -> float:
        """Chance that Student's t goes beyond this distance in log MSE."""
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(special.stdtr(self.df, -distance / self.error))

    def detectable(self, level: float) -> float:
        """The smallest difference that is significant at this level with a power of 80 %, as a share of b's MSE."""
        needed = special.stdtrit(self.df, 1 - level / 2) + special.stdtrit(self.df, POWER)
        return float(np.expm1(needed * self.error))

    def seeds_to_decide(self, level: float, margin: float, close: bool) -> int | None:
        """How many seeds would have a power of 80 % for an answer, were the difference as measured; None beyond 100."""
        n = np.arange(self.seeds + 1, MOST_SEEDS + 1)
        df, error, size, edge = (
            self.df + n - self.seeds,
            np.sqrt(self.variance / n),
            abs(self.difference),
            np.log1p(margin),
        )
        two, one = special.stdtrit(df, 1 - level / 2), special.stdtrit(df, 1 - level)
        different = special.stdtr(df, (size - edge * close) / error - two)
        same = special.stdtr(df, (edge - size) / error - one) + special.stdtr(df, (edge + size) / error - one) - 1
        enough = n[np.maximum(different, same) >= POWER]
        return int(enough[0]) if len(enough) else None


def compare(
    a: Mapping[int, Values], b: Mapping[int, Values], spread_a: Spread | None, spread_b: Spread | None
) -> Comparison | None:
    """Seed → one MSE per test image, for both, and their spreads; None if no seed or no two images are common to them.

    Values that are None or NaN (an image that one of them could not denoise) are left out of both. The variance is
    σ_a² + σ_b², less what rows of one kind share over seeds: 2 r min(σ_a², σ_b²). Its degrees of freedom are the smaller of
    the two rows' (Cochran & Cox 1950), since moderated variances are not the independent χ² of Welch and Satterthwaite.
    """
    seeds = sorted(set(a) & set(b))
    if not seeds or any(len(a[s]) != len(b[s]) for s in seeds):
        return None
    first, second = (np.array([side[s] for s in seeds], dtype=float) for side in (a, b))
    both = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    if both.sum() < 2:
        return None
    one, other = first[:, both].mean(axis=1), second[:, both].mean(axis=1)
    if min(one.min(), other.min()) <= 0:  # the oracle: no logarithm
        return None
    return between(np.log(one / other), spread_a, spread_b)


def between(log_ratios: np.ndarray, a: Spread | None, b: Spread | None) -> Comparison:
    """The comparison of (seeds,) log ratios under the spreads of their two rows."""
    n, difference = len(log_ratios), float(np.mean(log_ratios))
    if n < SEEDS or a is None or b is None:
        return Comparison(difference, np.nan, np.nan, n)
    shared = min(a.correlation, b.correlation) * min(a.variance, b.variance) if a.kind == b.kind else 0.0
    return Comparison(difference, a.variance + b.variance - 2 * shared, min(a.df, b.df), n)


@dataclass(frozen=True)
class Answer:
    """says: "holds" | "reversed" | "equivalent" | "undecided" | "too few seeds" | "not run"; p: of "no difference" (of a
    claim of closeness: "no more than the margin"), p_equivalent: of "at least the margin", both corrected; detectable and
    seeds_to_decide: of an undecided one, see `Comparison`."""

    comparison: Comparison | None
    says: str
    p: float | None = None
    p_equivalent: float | None = None
    detectable: float | None = None
    seeds_to_decide: int | None = None


def judge(comparisons: Sequence[Comparison | None], margin: float, close: bool = False) -> list[Answer]:
    """What the comparisons of one claim say, corrected for their number (Holm 1979).

    The claim is that the first row is lower, or (close) that the rows differ by less than the margin, a share. "reversed" is
    significantly higher, or (close) significantly further apart than the margin. A difference that is significant decides a
    claim of order, however small; rows without one are equivalent where two one-sided tests say so.
    """
    able = [one for one in comparisons if one is not None and one.seeds >= SEEDS and np.isfinite(one.variance)]
    different = holm([one.p_different(margin if close else 0.0) for one in able])
    equal = holm([one.p_equivalent(margin) for one in able])
    significant = [p < LEVEL for p in different]
    level = LEVEL / max(1, len(able) - sum(significant))  # at which Holm's procedure stopped
    corrected = dict(zip(map(id, able), zip(different, equal, strict=True), strict=True))
    out = []
    for one in comparisons:
        if one is None or id(one) not in corrected:
            out.append(Answer(one, "not run" if one is None else "too few seeds"))
            continue
        p, same = corrected[id(one)]
        if p < LEVEL:
            out.append(Answer(one, "holds" if one.difference < 0 and not close else "reversed", p, same))
        elif same < LEVEL:
            out.append(Answer(one, "equivalent", p, same))
        else:
            out.append(
                Answer(one, "undecided", p, same, one.detectable(level), one.seeds_to_decide(level, margin, close))
            )
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number so that the chance of any false rejection stays below the level (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p, n = np.asarray(p_values, dtype=float), len(p_values)
    order = np.argsort(p)
    out = np.empty(n)
    out[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (n - np.arange(n))))
    return [float(value) for value in out]


def against_published(values: Sequence[float], published: float) -> tuple[float, float] | None:
    """Could the published number be one more run of ours? (two-sided p, its distance in our spreads), None below 3 seeds.

    A prediction interval: t = (published − mean) / (s √(1 + 1/n)) with n − 1 degrees of freedom. The published bracket is
    not used: it is no spread over seeds.
    """
    n = len(values)
    if n < SEEDS:
        return None
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    if spread == 0:
        return (1.0, 0.0) if published == mean else (0.0, np.inf)
    distance = (published - mean) / spread
    return float(2 * special.stdtr(n - 1, -abs(distance) / np.sqrt(1 + 1 / n))), float(distance)


def mean_and_spread(values: Sequence[float] | np.ndarray) -> tuple[float, float | None]:
    """Of one number for each seed, at least one: mean and standard deviation (n − 1), None for one."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def half_width(spread: float, n: int) -> float | None:
    """Half of the 95 % interval of a mean over n seeds with this spread (Student's t); None with fewer than three."""
    return float(special.stdtrit(n - 1, 0.975) * spread / np.sqrt(n)) if n >= SEEDS else None
