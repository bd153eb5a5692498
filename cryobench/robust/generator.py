"""The generator that imitates an elliptical law (elliptical.py)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """x = θ + A z with z normal, or x = θ + ξ A U with a learned radius ξ; starts at θ = 0, A = I.

    A is learned if `learn_scatter`, else known to be I. With `learn_radius`, ξ = √p exp h(logit v), v uniform, h a small
    network: a straight h gives power laws at both ends, so that a tail as heavy as Cauchy's is within reach.
    """

    def __init__(self, p: int, *, learn_scatter: bool, learn_radius: bool, hidden: int = 16):
        super().__init__()
        self.location = nn.Parameter(torch.zeros(p))
        self.factor = nn.Parameter(torch.eye(p)) if learn_scatter else None
        layers = (nn.Linear(1, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        self.radius = nn.Sequential(*layers) if learn_radius else None

    def forward(self, n: int, rng: torch.Generator) -> Tensor:
        """n draws, (n, p)."""
        z = torch.randn(n, len(self.location), generator=rng)
        if self.radius is not None:
            v = torch.rand(n, 1, generator=rng).clamp(1e-6, 1 - 1e-6)
            z = math.sqrt(len(self.location)) * torch.exp(self.radius(torch.logit(v))) * nn.functional.normalize(z)
        return self.location + (z if self.factor is None else z @ self.factor.T)

    @torch.no_grad()
    def start_on_sphere(self) -> None:
        """h = 0: a radius of √p, which is the Gaussian's own for large p."""
        if self.radius is not None:
            for parameter in self.radius[-1].parameters():
                parameter.zero_()

    @property
    def scatter(self) -> Tensor:
        """Σ = A Aᵀ, (p, p); its scale means nothing where the radius is learned."""
        return torch.eye(len(self.location)) if self.factor is None else self.factor @ self.factor.T
