"""The settings of one task of robust estimation: what is estimated, from what, by whom, and how the game is played."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cryobench.checks import at_least, one_of, refuse, shares
from cryobench.errors import InputError
from cryobench.methods.learned.scores import AlphaBeta
from cryobench.robust.contamination import CONTAMINATIONS
from cryobench.robust.elliptical import Elliptical, scatter_matrix

LOCATION = ("mean", "coordinate_median", "geometric_median", "trimmed_mean", "iterative_filtering", "mcd")
SCATTER = ("covariance", "tyler", "kendall", "mcd")
DISCRIMINATORS = ("plain", "bounded")
ACTIVATIONS = ("leaky_relu", "sigmoid", "ramp")  # of the plain discriminator's first layer


@dataclass(frozen=True)
class Training:
    """Plain SGD; the defaults are those of the published location demonstration (150 epochs of 50,000 points).

    steps: discriminator steps in all; batch: points in each; lr_d, lr_g: learning rates in units of the logarithmic
    score, see `play`; d_steps discriminator steps, then g_steps generator steps; average: the last share of the steps
    over which the estimate is averaged (the published mean of the last 25 epochs of 150; 0: the last one alone); decay: the
    last share of the steps over which both learning rates fall linearly to 0 (0: never); clamp: see
    cryobench.methods.learned.losses. Raises InputError, naming all that is wrong at once.
    """

    steps: int = 15_000
    batch: int = 500
    lr_d: float = 0.2
    lr_g: float = 0.02
    d_steps: int = 5
    g_steps: int = 1
    average: float = 1 / 6
    decay: float = 0.0
    clamp: float = 0.01

    def __post_init__(self) -> None:
        refuse("", at_least(self, 1, "steps", "batch", "d_steps", "g_steps"), shares(self, "average", "decay"))
        if self.steps < self.d_steps:
            raise InputError(
                f"steps: expected at least d_steps, {self.d_steps}, for the generator's first step, got {self.steps}"
            )


@dataclass(frozen=True)
class Settings(Training):
    """What is estimated, from what, by whom, and how it is trained. Raises InputError, in one line, for what can't be.

    target: "location" (Σ known, θ found) or "scatter" (θ and Σ found). p, n: dimension and sample size, n ≥ p.
    tail, scatter: the law, see cryobench.robust.elliptical; a tail other than the Gaussian is not told to the generator,
    which learns a radius. epsilon, contamination: see cryobench.robust.contamination.
    discriminator: "plain" or "bounded", the class D_L(κ,B) of Definition 4, L = len(widths); activation: of the plain
    one's first layer; kappa: κ, by default √(p/n) + ε, Theorem 1's order with a constant of 1; bound: B.
    rounds: times the game is played, each from the last one's result. size: share of p, n and steps that is used, for a
    quick look. compare: the classical estimators to run, of
    LOCATION and SCATTER.
    """

    alpha: float = 0.0
    beta: float = 0.0
    target: str = "location"
    p: int = 100
    n: int = 50_000
    epsilon: float = 0.2
    tail: str = "gaussian"
    scatter: str = "identity"
    contamination: str = "far"
    discriminator: str = "plain"
    widths: tuple[int, ...] = (20,)
    activation: str = "leaky_relu"
    kappa: float | None = None
    bound: float = 1.0
    rounds: int = 1
    size: float = 1.0
    compare: tuple[str, ...] = ("mean", "coordinate_median")

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"contamination": CONTAMINATIONS, "discriminator": DISCRIMINATORS, "activation": ACTIVATIONS}
        refuse("", one_of(self, target=("location", "scatter"), **kinds), at_least(self, 1, "rounds"))
        unknown = set(self.compare) - {*LOCATION, *SCATTER}
        if unknown:
            raise InputError(
                f"compare: expected some of {', '.join(dict.fromkeys(LOCATION + SCATTER))}, "
                f"got {', '.join(sorted(unknown))}"
            )
        if not 0 <= self.epsilon < 0.5:
            raise InputError(
                f"epsilon: expected a share in [0, 0.5), got {self.epsilon}; half or more can't be told from the law"
            )
        if self.p < 2 or self.n < self.p:
            raise InputError(f"expected p ≥ 2 and n ≥ p, got p = {self.p} and n = {self.n}; Theorem 1 needs p/n small")
        if not self.widths or min(self.widths) < 1:
            raise InputError(f"widths: expected at least one layer of at least one unit, got {list(self.widths)}")
        if not 0 < self.size <= 1:
            raise InputError(f"size: expected a share in (0, 1] of the size asked for, got {self.size}")
        AlphaBeta(self.alpha, self.beta)
        Elliptical(np.zeros(2), scatter_matrix(self.scatter, 2), self.tail)

    def at_size(self) -> Settings:
        """These settings with p, n and steps cut to their share: no less than p = 2, n = p and d_steps steps."""
        p = max(2, round(self.size * self.p))
        n, steps = max(p, round(self.size * self.n)), max(self.d_steps, round(self.size * self.steps))
        return replace(self, p=p, n=n, steps=steps, size=1.0)

    @property
    def rule(self) -> AlphaBeta:
        """The (α,β) scoring rule of these settings."""
        return AlphaBeta(self.alpha, self.beta)

    @property
    def order(self) -> float:
        """√(p/n) + ε, the order that Theorem 1 gives to κ."""
        return math.sqrt(self.p / self.n) + self.epsilon
