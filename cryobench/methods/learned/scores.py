"""Proper scoring rules that make GANs: the (α, β) family, and Wasserstein beside it.

    S(t,1) = −∫_t^1 c^(α−1) (1−c)^β dc        dS(t,1)/dt = +t^(α−1) (1−t)^β      t = D(real)
    S(t,0) = −∫_0^t c^α (1−c)^(β−1) dc        dS(t,0)/dt = −t^α (1−t)^(β−1)      t = D(fake)

    min over G, max over D of  E S(D(x),1) + E S(D(G(y)),0)          (supplement, note 1, equation 4)

(0,0) is the logarithmic score (Jensen-Shannon), (1,1) the quadratic one (Brier), (−½,−½) the boosting score. Training
needs the slopes only (losses.py): they exist for every pair, the integrals do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cryobench.errors import InputError

# The eight pairs of the supplement's Table 1, in its order.
TABLE_1 = ((1.0, 1.0), (0.5, 0.5), (-0.5, -0.5), (-1.0, -1.0), (1.0, -1.0), (0.5, -0.5), (0.0, 0.0), (0.1, -0.1))


@dataclass(frozen=True)
class AlphaBeta:
    """The (α, β) scoring rule: slopes for every pair, values where the integrals converge, gains always.

    All methods take t in (0, 1) as a float, a numpy array or a torch tensor of any shape and answer in kind, dtype and
    shape; on tensors they are differentiable. Raises InputError if α or β is not a finite number.

    >>> score = AlphaBeta(0, 0)  # log t for a real image, log(1 − t) for a fake one
    >>> score.real_slope(0.25), score.fake_slope(0.75)
    (4.0, -4.0)
    >>> AlphaBeta(1, -1).satisfies_theorem_1
    False
    """

    alpha: float
    beta: float

    squash: ClassVar[bool] = True  # the discriminator's output goes through a sigmoid before it is scored

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"{name}: expected a finite number, got {value!r}; Table 1 uses -1 to 1")

    def __str__(self) -> str:
        return f"({self.alpha:g},{self.beta:g})"

    @property
    def satisfies_theorem_1(self) -> bool:
        """Whether |α − β| < 1, which Theorem 1 (supplement, note 1) asks for."""
        return abs(self.alpha - self.beta) < 1

    def real_slope(self, t):
        """dS(t,1)/dt = t^(α−1) (1−t)^β."""
        return t ** (self.alpha - 1) * (1 - t) ** self.beta

    def fake_slope(self, t):
        """dS(t,0)/dt = −t^α (1−t)^(β−1)."""
        return -(t**self.alpha) * (1 - t) ** (self.beta - 1)

    def real_value(self, t):
        """S(t,1) = −B(1−t; β+1, α), B the incomplete beta function. Raises InputError for β ≤ −1: it diverges at 1."""
        if self.beta <= -1:
            raise InputError(
                f"S(t,1) of the pair {self} diverges at c = 1: expected beta > -1; "
                "use real_slope, or real_gain for S(t,1) - S(1/2,1)"
            )
        return _lift(lambda c: -_incomplete_beta(1 - c, self.beta + 1, self.alpha), self.real_slope, t)

    def fake_value(self, t):
        """S(t,0) = −B(t; α+1, β). Raises InputError for α ≤ −1: it diverges at 0."""
        if self.alpha <= -1:
            raise InputError(
                f"S(t,0) of the pair {self} diverges at c = 0: expected alpha > -1; "
                "use fake_slope, or fake_gain for S(t,0) - S(1/2,0)"
            )
        return _lift(lambda c: -_incomplete_beta(c, self.alpha + 1, self.beta), self.fake_slope, t)

    def real_gain(self, t):
        """S(t,1) − S(½,1), which exists for every pair and every t in (0, 1)."""
        return _lift(lambda c: _integral_from_half(self.real_slope, c), self.real_slope, t)

    def fake_gain(self, t):
        """S(t,0) − S(½,0), which exists for every pair and every t in (0, 1)."""
        return _lift(lambda c: _integral_from_half(self.fake_slope, c), self.fake_slope, t)


@dataclass(frozen=True)
class Wasserstein:
    """The linear score of a critic: S(t,1) = t, S(t,0) = −t, for unbounded t. The same interface as AlphaBeta.

    It bounds nothing: whoever trains with it keeps the critic Lipschitz (gradient penalty or clipped weights).
    """

    squash: ClassVar[bool] = False

    def __str__(self) -> str:
        return "Wasserstein"

    def real_slope(self, t):
        """dS(t,1)/dt = 1, in the shape of t."""
        return 0 * t + 1

    def fake_slope(self, t):
        """dS(t,0)/dt = −1, in the shape of t."""
        return 0 * t - 1


def _lift(value: Callable[[np.ndarray], np.ndarray], slope: Callable, t):
    """A float64 numpy function on a float, an array or a tensor; on a tensor its gradient is `slope`."""
    if not hasattr(t, "detach"):  # as a tensor has; this file needs no torch to know one
        given = np.asarray(t)
        kind = given.dtype if given.dtype.kind == "f" else np.float64
        return value(given.astype(np.float64)).astype(kind)[()]
    at = t.detach()
    out = at.new_tensor(value(at.cpu().double().numpy()))
    return out + slope(at) * (t - at)  # the second term is 0 and carries the gradient


def _incomplete_beta(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """B(x; a, b) = ∫_0^x c^(a−1) (1−c)^(b−1) dc for a > 0 and any b, x in [0, 1) (DLMF 8.17.7).

    scipy's own incomplete beta function is normalised, so it has no b ≤ 0, which half of Table 1 needs.
    """
    from scipy.special import hyp2f1

    return x**a / a * hyp2f1(a, 1 - b, a + 1, x)


def _integral_from_half(slope: Callable, t: np.ndarray) -> np.ndarray:
    """∫_½^t slope(c) dc, by Gauss-Legendre in s = log(c/(1−c)), where every slope is smooth: dc = c (1−c) ds."""
    from scipy.special import logit

    nodes, weights = np.polynomial.legendre.leggauss(100)
    end = logit(t)[..., None]
    c = 1 / (1 + np.exp(-end * (nodes + 1) / 2))
    return (slope(c) * c * (1 - c) * end / 2) @ weights
