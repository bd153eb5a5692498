"""Who tells real from generated: the class D_L(κ, B) of Theorem 1, and plain networks.

ramp(x) = max(min(x + ½, 1), 0)      G_1(B): g(x) = ramp(uᵀx + b)
G_{l+1}(B): g(x) = ReLU(Σ_h v_h g_h(x)),     Σ|v_h| ≤ B,  g_h ∈ G_l(B)
D_L(κ, B):  D(x) = sigmoid(Σ_j w_j g_j(x)),  Σ|w_j| ≤ κ,  g_j ∈ G_L(B)          (supplement, note 1, Definition 4)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cryobench.errors import InputError
from cryobench.robust.settings import ACTIVATIONS

KINDS: tuple[Callable[[], nn.Module], ...] = (lambda: nn.LeakyReLU(0.2), nn.Sigmoid, lambda: Ramp())
LAYERS = dict(zip(ACTIVATIONS, KINDS, strict=True))


class Ramp(nn.Module):
    """ramp(x) = max(min(x + ½, 1), 0): bounded, so that no single point pulls without limit."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 0.5).clamp(0, 1)


def project_rows(weight: Tensor, radius: float) -> Tensor:
    """Each row of (m, k) to the nearest point with ℓ1 norm ≤ radius, in Euclidean distance; others stay as they are.

    Duchi, Shalev-Shwartz, Singer, Chandra (ICML 2008): soft thresholding at the level found from the sorted row.
    """
    size = weight.abs()
    ordered = size.sort(dim=1, descending=True).values
    excess = (ordered.cumsum(1) - radius) / torch.arange(1, weight.shape[1] + 1, dtype=weight.dtype)
    last = (ordered > excess).sum(1, keepdim=True).clamp(min=1) - 1
    level = excess.gather(1, last).clamp(min=0)
    return weight.sign() * (size - level).clamp(min=0)


class Bounded(nn.Module):
    """D_L(κ, B) on (n, p), L = len(widths); call `project` after every step of the optimiser.

    widths: units of each layer, ramp first; κ bounds the ℓ1 norm of the output weights, `bound` (B) that of the weights
    coming into each ReLU unit. The bottom layer's u and b are free, and there is no other bias, as in Definition 4.
    """

    def __init__(self, p: int, widths: Sequence[int], kappa: float, bound: float):
        super().__init__()
        if kappa <= 0 or bound <= 0:
            raise InputError(f"expected kappa > 0 and bound > 0, got {kappa} and {bound}")
        self.kappa, self.bound = kappa, bound
        self.bottom = nn.Linear(p, widths[0])
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(widths, widths[1:], strict=False))
        self.top = nn.Linear(widths[-1], 1, bias=False)
        self.ramp = Ramp()

    def forward(self, x: Tensor) -> Tensor:
        """(n, p) → scores (n,) in (0, 1)."""
        h = self.ramp(self.bottom(x))
        for layer in self.layers:
            h = torch.relu(layer(h))
        return torch.sigmoid(self.top(h).squeeze(-1))

    @property
    def reach(self) -> float:
        """κ: the logit of a score is at most κ, if B ≤ 1, and what it passes on to a generator shrinks with it."""
        return self.kappa

    @torch.no_grad()
    def project(self) -> None:
        """Back into the class: every ℓ1 ball of Definition 4."""
        for weight in self.layers.parameters():
            weight.copy_(project_rows(weight, self.bound))
        self.top.weight.copy_(project_rows(self.top.weight, self.kappa))


class Plain(nn.Module):
    """p - widths - 1 with a sigmoid on top and no bounds, as in the published demonstrations.

    activation: a name in ACTIVATIONS for the first layer; LeakyReLU 0.2 in the others. A bounded first layer is what
    heavy tails need: the gradient of an unbounded one grows with the point.
    """

    reach = 1.0

    def __init__(self, p: int, widths: Sequence[int], activation: str = "leaky_relu"):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise InputError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        names = [activation] + ["leaky_relu"] * (len(widths) - 1)
        layers: list[nn.Module] = []
        for fan_in, fan_out, name in zip((p, *widths), widths, names, strict=False):
            layers += [nn.Linear(fan_in, fan_out), LAYERS[name]()]
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, p) → scores (n,) in (0, 1)."""
        return torch.sigmoid(self.net(x).squeeze(-1))

    def project(self) -> None:
        """Nothing to keep within bounds."""
