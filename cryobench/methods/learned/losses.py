"""What discriminator and generator minimise under a scoring rule (scores.py): losses whose gradients are its slopes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cryobench.methods.learned.scores import AlphaBeta, Wasserstein


def discriminator_loss(
    rule: AlphaBeta | Wasserstein,
    real: Tensor,
    fake: Tensor,
    clamp: float = 0.01,
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Tensor:
    """What D minimises: its gradient is that of −S(D(x),1) − S(D(G(y)),0), by slopes.

    real, fake: scores D(x) and D(G(y)) of any shape, in (0, 1) where `rule.squash`. Slopes are taken at the score
    clamped to [clamp, 1 − clamp], as in the released code, and multiply the score itself: the gradient is the slope
    even where the value diverges, and a saturated score still gets one. The number returned is therefore no score.
    reduce: Tensor → Tensor, applied to each term; mean, sum over a map, or an identity, as the caller wants.
    """
    return -reduce(_by_slope(rule.real_slope, real, clamp)) - reduce(_by_slope(rule.fake_slope, fake, clamp))


def generator_loss(
    rule: AlphaBeta | Wasserstein,
    fake: Tensor,
    clamp: float = 0.01,
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Tensor:
    """What G minimises: its gradient is that of S(D(G(y)),0), the saturating form. See `discriminator_loss`."""
    return reduce(_by_slope(rule.fake_slope, fake, clamp))


def _by_slope(slope: Callable[[Tensor], Tensor], score: Tensor, clamp: float) -> Tensor:
    return slope(score.detach().clamp(clamp, 1 - clamp)) * score
