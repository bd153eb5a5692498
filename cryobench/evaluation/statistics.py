"""Is one method better than another? Paired over the same test images and seeds, by scipy's tests.

What a claim generalises over is the seed (other noise, other starting weights), so seeds are the replicates of the test
and images only narrow each seed's mean: a t-test over seeds of the paired differences' means. A test that took images for
replicates would call any two trainings of one method different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.04  # below the usual 5 %, so that 5 % is a bound that holds in a count of false alarms too
SEEDS = 3  # fewer allow no verdict


@dataclass(frozen=True)
class Comparison:
    """`a` against `b` in one metric.

    effect: mean of a − b over seeds and images, relative to the mean of b; interval: its 95 % bootstrap interval over
    the test images (seeds held); seeds: how many both have; p_below, p_above: one-sided p values of "a is lower" and
    "a is higher", None with fewer than three seeds.
    """

    effect: float
    interval: tuple[float, float]
    seeds: int
    p_below: float | None
    p_above: float | None


def compare(a: Mapping[int, Sequence[float]], b: Mapping[int, Sequence[float]]) -> Comparison | None:
    """Seed → one value per test image, for both; None if no seed or no image is common to them.

    Values that are None or NaN (an image that one of them could not denoise) are left out of both.
    """
    seeds = sorted(set(a) & set(b))
    if not seeds or any(len(a[s]) != len(b[s]) for s in seeds):
        return None
    first, second = (np.array([side[s] for s in seeds], dtype=float) for side in (a, b))
    both = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    if both.sum() < 2:
        return None
    first, second = first[:, both], second[:, both]
    scale = abs(second.mean())
    if scale == 0:
        return None
    by_image = (first - second).mean(axis=0) / scale
    interval = bootstrap(by_image)
    below, above = None, None
    if len(seeds) >= SEEDS:
        below, above = (
            float(stats.ttest_rel(first.mean(axis=1), second.mean(axis=1), alternative=side).pvalue)
            for side in ("less", "greater")
        )
    if below is not None and not np.isfinite(below):  # the same numbers for every seed
        shift = (first - second).mean()
        below, above = (0.0 if shift < 0 else 1.0), (0.0 if shift > 0 else 1.0)
    return Comparison(float(by_image.mean()), interval, len(seeds), below, above)


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of (n,) values."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0),
                            vectorized=True, batch=200)  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def corrected(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Benjamini–Hochberg: the false discovery rate)."""
    return [float(p) for p in stats.false_discovery_control(p_values)] if len(p_values) else []


def order_repeats(values: np.ndarray) -> tuple[float, float] | None:
    """Do seeds agree on the order of rows? (rows, seeds) → (Kendall's W, Friedman's p), None below 3 rows or 3 seeds."""
    rows, seeds = values.shape
    if rows < 3 or seeds < SEEDS:
        return None
    found = stats.friedmanchisquare(*values)
    return float(found.statistic / (seeds * (rows - 1))), float(found.pvalue)


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
    return float(2 * stats.t.sf(abs(distance) / np.sqrt(1 + 1 / n), n - 1)), float(distance)


def equivalent(a: Mapping[int, Sequence[float]], b: Mapping[int, Sequence[float]], margin: float) -> float | None:
    """p of "the means differ by at least `margin` (a share of b's), either way": two one-sided tests (Schuirmann 1987).

    Paired over seeds as in `compare`; None with fewer than three seeds.
    """
    seeds = sorted(set(a) & set(b))
    if len(seeds) < SEEDS:
        return None
    ratios = np.array([np.nanmean(a[s]) / np.nanmean(b[s]) - 1 for s in seeds])
    if np.ptp(ratios) == 0:
        return 0.0 if abs(ratios[0]) < margin else 1.0
    return float(max(
        stats.ttest_1samp(ratios, -margin, alternative="greater").pvalue,
        stats.ttest_1samp(ratios, margin, alternative="less").pvalue,
    ))  # fmt: skip


def half_width(spread: float, n: int) -> float | None:
    """Half of the 95 % interval of a mean over n seeds with this spread (Student's t); None with fewer than three."""
    return float(stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n)) if n >= SEEDS else None
