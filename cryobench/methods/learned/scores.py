"""Proper scoring rules that make GANs: the (α, β) family, and Wasserstein beside it.

    S(t,1) = −∫_t^1 c^(α−1) (1−c)^β dc        dS(t,1)/dt = +t^(α−1) (1−t)^β      t = D(real)
    S(t,0) = −∫_0^t c^α (1−c)^(β−1) dc        dS(t,0)/dt = −t^α (1−t)^(β−1)      t = D(fake)

    min over G, max over D of  E S(D(x),1) + E S(D(G(y)),0)          (supplement, note 1, equation 4)

(0,0) is the logarithmic score (Jensen-Shannon), (1,1) the quadratic one (Brier), (−½,−½) the boosting score. Training
needs the slopes only (losses.py): they exist for every pair, the integrals do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cryobench.errors import InputError

# The eight pairs of the supplement's Table 1, in its order.
TABLE_1 = ((1.0, 1.0), (0.5, 0.5), (-0.5, -0.5), (-1.0, -1.0), (1.0, -1.0), (0.5, -0.5), (0.0, 0.0), (0.1, -0.1))


@dataclass(frozen=True)
class AlphaBeta:
    """The (α, β) scoring rule, by its slopes.

    They take t in (0, 1) as a float, a numpy array or a torch tensor of any shape, and answer in kind, dtype and shape.
    Raises InputError if α or β is not a finite number.

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
