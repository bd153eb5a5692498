"""The coarse level of the limit: how probable each cell of orientation space is after a noisy image (sampling.py).

The likelihood is taken at the centre of every cell of every conformation, in a steerable basis where the in-plane angle costs an
FFT, and flattened to the power 1/temper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryobench.methods.posterior.elements import images_at_once
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.likelihood import cut_pixels, uncut
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.simulator import DrawnPoses, Simulator, through
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.methods.posterior.steerable import principal

if TYPE_CHECKING:
    from cryobench.methods.posterior.bayes import Bayes

FOR_BASIS = 2000  # views from which the principal components are taken
BATCH = 256  # views projected at a time
LEFT_OUT = 25.0  # cells so far below the best, in powers of e, are never drawn: of 10⁷ cells they hold less than 2e-4


class Coarse:
    """Every conformation projected into every direction of the grid; temper: likelihoods are taken to the power 1/temper."""

    def __init__(self, simulator: Simulator, settings: Bayes, temper: float):
        self.simulator, self.temper, device = simulator, temper, simulator.device
        self.spacing = min(2 * settings.step / simulator.size, np.pi / 4)
        cells = hemisphere(self.spacing)
        self.cells, views = cells.to(device), torch.from_numpy(cells.views()).to(device)
        few = views[:: -(-len(views) * len(simulator) // FOR_BASIS)]
        full, conformations = fourier_bessel(simulator.size, device=device), range(len(simulator))
        basis = principal(full, (simulator.of_one(k, few) for k in conformations), settings.components)
        parts = views.tensor_split(-(-len(views) // BATCH))
        bank = [basis.coefficients(simulator.of_one(k, part)) for k in conformations for part in parts]
        self.bank = Orbits(basis, torch.cat(bank), angles=int(np.ceil(2 * np.pi / self.spacing)))
        round_part = self.bank.coefficients.mean(dim=0) * (basis.orders == 0)
        self.typical = basis.render(round_part[None])

    def before_transfers(self) -> None:
        """Make what images are compared with through transfer functions, once, before several threads would each make it."""
        self.bank.basis.spectra  # noqa: B018 - kept by the basis

    def heavy(self, noisy: torch.Tensor, sigma: torch.Tensor, seen: torch.Tensor | None) -> HeavyCells:
        """Of images (b, L, L), σ (b,) float64, and transfer functions (b, L, L/2+1) that they were seen through."""
        found: dict[int, CellsOfOne] = {}
        low, high = cut_pixels(noisy)
        cut = (low | high).any(dim=2).any(dim=1)
        for looks, images in ((1, ~cut), (2, cut)):  # a cut image is looked at around what the first look says it is
            chosen, step = torch.nonzero(images)[:, 0], images_at_once(self.bank)
            for start in range(0, len(chosen), step):
                rows = chosen[start : start + step]
                likely = self._looked_at(noisy[rows], sigma[rows], None if seen is None else seen[rows], looks)
                found.update(zip(rows.tolist(), (one.cells(len(self.bank)) for one in likely), strict=True))
        return HeavyCells(self, [found[row] for row in range(len(noisy))])

    def _looked_at(
        self, noisy: torch.Tensor, sigma: torch.Tensor, seen: torch.Tensor | None, looks: int
    ) -> list[LikelyViews]:
        """Of each image the views that may be drawn: log likelihood / temper at the centre of every cell of theirs."""
        bank = self.bank
        norms = bank.norms[None] if seen is None else torch.stack([bank.norms_through(one) for one in seen])

        def likely_around(clean: torch.Tensor) -> list[LikelyViews]:
            plain, variance = uncut(noisy, sigma, through(clean, seen))
            return self._likely(through(plain, seen), variance, norms)

        likely = likely_around(self.typical)
        if looks == 1:
            return likely
        sums = [bank.weighted_sum(one.weights()[None], one.views) for one in likely]
        return likely_around(bank.basis.render(torch.cat(sums)))

    def _likely(self, matched: torch.Tensor, variance: torch.Tensor, norms: torch.Tensor) -> list[LikelyViews]:
        """Those from T y (b, L, L), σ² (b,) and ‖T x‖², (b, n) or (1, n), which is taken as the same all along an orbit."""
        heats = (self.temper * variance).to(norms)[:, None]
        halves = (norms / (2 * heats)).expand(len(heats), -1)
        best, kept = norms.new_full(heats.shape, -math.inf), [list[LikelyViews]() for _ in heats]
        for part, products in self.bank.in_parts(self.bank.basis.coefficients(matched.float()) / heats):
            highest = products.amax(dim=3).amax(dim=1) - halves[:, part]
            best = torch.maximum(best, highest.amax(dim=1, keepdim=True))
            within = highest >= best - LEFT_OUT
            for k in torch.nonzero(within.any(dim=1))[:, 0].tolist():
                which = torch.nonzero(within[k])[:, 0]
                of_image = products[k] if len(which) == within.shape[1] else products[k][:, which]
                tempered = of_image - halves[k, part][which, None]
                kept[k].append(LikelyViews(which + part.start, highest[k, which], tempered))
        return [LikelyViews.joined(parts) for parts in kept]

    def poses(self, cells: torch.Tensor, uniform: torch.Tensor) -> DrawnPoses:
        """A pose within each of the cells (b, n), by their positions, at `uniform` (n, 3)."""
        n = len(self.bank)
        mirrored, angle, index = cells // (self.bank.angles * n), cells // n % self.bank.angles, cells % n
        conformation, cell = index // len(self.cells), index % len(self.cells)
        turned = 2 * math.pi * (angle + uniform[:, 2] - 0.5) / self.bank.angles
        offset = uniform[:, :2].expand(*cells.shape, 2)
        return DrawnPoses(conformation, self.cells.rotations(cell, offset, mirrored == 1, turned))

    def find(self, poses: DrawnPoses) -> torch.Tensor:
        """The inverse of `poses`: positions (b, n) of the cells that poses are in."""
        cell, mirrored, angle = self.cells.find(poses.rotations)
        turned = torch.round(angle * self.bank.angles / (2 * math.pi)).long() % self.bank.angles
        index = poses.conformations * len(self.cells) + cell
        return (mirrored.long() * self.bank.angles + turned) * len(self.bank) + index


@dataclass(frozen=True)
class LikelyViews:
    """The views with cells that may be drawn for one image: views (m,), their positions in the bank, ascending; highest (m,) and
    tempered (2, m, angles), of log likelihood / temper at the centre of each of their cells, up to a constant."""

    views: torch.Tensor
    highest: torch.Tensor
    tempered: torch.Tensor

    @classmethod
    def joined(cls, parts: list[LikelyViews]) -> LikelyViews:
        """Of several parts of the bank, in turn, those that may still be drawn now that the best cell of all is known."""
        views, highest = torch.cat([one.views for one in parts]), torch.cat([one.highest for one in parts])
        tempered, within = torch.cat([one.tempered for one in parts], dim=1), highest >= highest.max() - LEFT_OUT
        if within.all():
            return cls(views, highest, tempered)
        return cls(views[within], highest[within], tempered[:, within])

    def weights(self) -> torch.Tensor:
        """Probabilities of these cells, tempered, (2, angles, m), of sum 1."""
        return torch.softmax(self.tempered.flatten(), dim=0).view_as(self.tempered).transpose(1, 2)

    def cells(self, n: int) -> CellsOfOne:
        """Those that may be drawn, where the bank has n views."""
        flat = self.tempered.transpose(1, 2).flatten()
        chosen = positions_of(flat >= self.highest.max() - LEFT_OUT)
        positions = chosen if len(self.views) == n else self._positions(n)[chosen]
        return CellsOfOne.of(positions, flat[chosen].double())

    def _positions(self, n: int) -> torch.Tensor:
        """Of all cells of these views, flat in the order of `Orbits`, where the bank has n."""
        mirrors, _, angles = self.tempered.shape
        return (torch.arange(mirrors * angles, device=self.views.device)[:, None] * n + self.views).flatten()


@dataclass(frozen=True)
class CellsOfOne:
    """Cells that may be drawn for one image: positions (m,) int64, ascending, flat in the order of `Orbits`; logs (m,) float64 of
    their probabilities, whose sum is 1; cumulative (m,), of each and all before it, in proportion to their probability."""

    positions: torch.Tensor
    logs: torch.Tensor
    cumulative: torch.Tensor

    @classmethod
    def of(cls, positions: torch.Tensor, tempered: torch.Tensor) -> CellsOfOne:
        """From tempered log likelihoods (m,) float64, in whose place the logs come: of 38 million cells each takes 0.3 GB."""
        logs = tempered.sub_(tempered.max())
        weights = logs.exp()
        logs.sub_(weights.sum().log())
        return cls(positions, logs, weights.cumsum_(0))


class HeavyCells:
    """The cells that may be drawn for each of b images."""

    def __init__(self, coarse: Coarse, each: list[CellsOfOne]):
        self.coarse, self.each = coarse, each
        self.log_number = math.log(np.prod(coarse.bank.shape))

    def of(self, images: torch.Tensor) -> HeavyCells:
        """Those of some images, by their positions."""
        return HeavyCells(self.coarse, [self.each[i] for i in images.tolist()])

    def draw(self, offset: float, uniform: torch.Tensor) -> tuple[DrawnPoses, torch.Tensor]:
        """As many poses of each image as there are uniform numbers (n, 3), and their log density (b, n).

        Systematic draws: one offset in [0, 1) for evenly spaced marks, so that heavy cells get their share almost exactly.
        """
        marks = (torch.arange(len(uniform), dtype=torch.float64, device=uniform.device) + offset) / len(uniform)
        chosen = [torch.searchsorted(one.cumulative, marks * one.cumulative[-1]) for one in self.each]
        cells = torch.stack([one.positions[some] for one, some in zip(self.each, chosen, strict=True)])
        logs = torch.stack([one.logs[some] for one, some in zip(self.each, chosen, strict=True)])
        return self.coarse.poses(cells, uniform), logs + self.log_number

    def log_density(self, poses: DrawnPoses) -> torch.Tensor:
        """Of poses of each image, (b, n); no other cell than these is ever drawn."""
        found = []
        for cells, one in zip(self.coarse.find(poses), self.each, strict=True):
            place = torch.searchsorted(one.positions, cells).clamp_(max=len(one.positions) - 1)
            found.append(torch.where(one.positions[place] == cells, one.logs[place] + self.log_number, -math.inf))
        return torch.stack(found)


def positions_of(chosen: torch.Tensor) -> torch.Tensor:
    """The positions (m,) at which a tensor (n,) is true."""
    if chosen.is_cpu:  # NumPy finds few among many in a fifth of torch's time
        return torch.from_numpy(np.flatnonzero(chosen.numpy()))
    return torch.nonzero(chosen)[:, 0]
