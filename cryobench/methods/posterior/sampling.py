"""The posterior over conformation and orientation, given volumes: cells of orientation space, then importance sampling.

Coarse: orientation space is cut into equal cells (so3_grid), and the likelihood is taken at the centre of every cell of
every conformation (coarse.py). Fine: cells are drawn from that posterior, flattened to the power 1/temper so that no part of
the space is left out; in each, a pose is drawn at random, projected exactly, and weighted by its own likelihood over the
probability of its cell (importance sampling; all cells have the same volume). Rounds of draws go on until their effective
sample size, ESS = (Σw)²/Σw² (Kong 1992), is large enough: the mean of N independent draws from the posterior has 1 + 1/N times
the limit's MSE. Of large images, whose posterior is narrow beside a cell, only the first round comes from cells, and the others
from where it found the posterior (adaptive.py). What that round misses is lost, so its posterior is flattened by FLATTER more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryobench.methods.device import compute_device
from cryobench.methods.posterior.adaptive import Proposals, effective, fit, normalised
from cryobench.methods.posterior.coarse import Coarse
from cryobench.methods.posterior.likelihood import log_likelihood
from cryobench.methods.posterior.simulator import DrawnPoses, Simulator, through

if TYPE_CHECKING:
    from cryobench.methods.posterior.bayes import Bayes

# Of the ten images of 128 px furthest above their predicted error, one had its conformation missed with 1 and found with 2.
FLATTER = 2.0
# Images that are drawn for at a time, together on a GPU, which is busy only with many, and side by side on the cores of a CPU:
# as many as may have so many pixels of draws (2 GB, three times that on a CPU if all are done at the same time) and so many cells
# (if all are likely, 6 GB, and 11 while a CPU's cores find them). At SNR 0.1 images have some 500 draws of the 4,096 that they
# may have.
TOGETHER, PIXELS, CELLS = 32, 2**29, 2**28


class Sampler:
    """Draws from the posterior of images of volumes (k, L, L, L), as the settings say, with the seed and the numbers of draws
    that they have now.

    images_at_once: how many images are drawn for together, on a CPU one; threads: how many do so side by side, on a GPU one.
    """

    def __init__(self, volumes: np.ndarray | torch.Tensor, settings: Bayes):
        self.settings = settings
        self.simulator = Simulator(torch.as_tensor(volumes).to(compute_device(settings.setting.accelerator)))
        size, self.device = self.simulator.size, self.simulator.device
        self.adapts = size > settings.adapt_above
        self.coarse = Coarse(self.simulator, settings, settings.temper * (FLATTER if self.adapts else 1.0))
        few = min(PIXELS // (settings.max_draws * size**2), CELLS // int(np.prod(self.coarse.bank.shape)))
        few = int(np.clip(few, 1, TOGETHER))
        self.images_at_once, self.threads = (1, few) if self.device.type == "cpu" else (few, 1)
        self.numbers = list(self._numbers(np.random.default_rng(settings.setting.seed)))

    def posterior(self, images: np.ndarray, sigma: np.ndarray, transfers: np.ndarray | None = None) -> DrawnPosterior:
        """What is known of clean images after their noisy ones (b, L, L) and σ (b,), seen through transfer functions
        (b, L, L/2+1), or None; b is at least 1. Each image's draws are its own."""
        noisy, known = self._copied(images, np.float32), self._copied(sigma, np.float64)
        seen = None if transfers is None else self._copied(transfers, np.float32)
        rounds = Rounds.before_the_first(self, noisy, known, seen)
        left, finished, found = torch.arange(len(noisy)), list[torch.Tensor](), list[DrawnPosterior]()
        while len(left):
            rounds = rounds.one_more()
            enough = rounds.enough().cpu()
            for one in torch.nonzero(enough):  # what a posterior takes for a while is as much as its draws, three times
                finished.append(left[one])
                found.append(rounds.of(one).posterior())
            if enough.any():
                rest = torch.nonzero(~enough)[:, 0]
                left, rounds = left[rest], rounds.of(rest)
        return DrawnPosterior.joined(found).of(torch.cat(finished).argsort().numpy())

    def _copied(self, values: np.ndarray, kind: type) -> torch.Tensor:
        return torch.from_numpy(np.array(values, dtype=kind, order="C")).to(self.device)

    def _numbers(self, rng: np.random.Generator) -> Iterator[tuple[float, torch.Tensor]]:
        """The random numbers of each round that there may be, the same for every image: one in [0, 1), and three for each draw,
        uniform for those from cells, standard normal for those from Gaussians."""
        drawn, n = 0, self.settings.draws
        while drawn + n <= self.settings.max_draws:
            offset, adapted = rng.random(), self.adapts and drawn
            each = rng.standard_normal((n, 3)) if adapted else rng.random((n, 3))
            yield offset, torch.from_numpy(each).to(self.device)
            drawn += n
            n = -(-self.settings.draws // 4) if self.adapts else n


@dataclass(frozen=True)
class Rounds:
    """Of draws for b images: noisy (b, L, L), sigma (b,), seen, transfer functions or None; what draws came from; clean, those of
    each round (b, m, L, L), and log_likelihoods and log_weights (b, n) of all of them."""

    sampler: Sampler
    noisy: torch.Tensor
    sigma: torch.Tensor
    seen: torch.Tensor | None
    proposals: Proposals
    clean: tuple[torch.Tensor, ...]
    log_likelihoods: torch.Tensor
    log_weights: torch.Tensor

    @classmethod
    def before_the_first(
        cls, sampler: Sampler, noisy: torch.Tensor, sigma: torch.Tensor, seen: torch.Tensor | None
    ) -> Rounds:
        """No draws yet."""
        cells, none = sampler.coarse.heavy(noisy, sigma, seen), sigma.new_empty((len(sigma), 0))
        poses = DrawnPoses(none.long(), none.new_empty((*none.shape, 3, 3)))
        return cls(sampler, noisy, sigma, seen, Proposals(cells, (), (0,), poses, (none,)), (), none, none)

    def of(self, images: torch.Tensor) -> Rounds:
        """Those of some images, by their positions, ascending."""
        if len(images) == len(self.noisy):
            return self
        images = images.to(self.noisy.device)
        noisy, sigma, seen = self.noisy[images], self.sigma[images], None if self.seen is None else self.seen[images]
        clean = tuple(some[images] for some in self.clean)
        logs = self.log_likelihoods[images], self.log_weights[images]
        return Rounds(self.sampler, noisy, sigma, seen, self.proposals.of(images), clean, *logs)

    def one_more(self) -> Rounds:
        """After a round of draws: from cells, or from where earlier ones were likely."""
        sampler, before, numbers = self.sampler, self.proposals, self.sampler.numbers[len(self.clean)]
        if sampler.adapts and self.clean:
            mixture = fit(before.poses, self.log_weights, len(sampler.simulator), 3 * sampler.coarse.spacing)
            new = mixture.draw(*numbers)
            proposals = before.then(mixture, new)
        else:
            new, log = before.cells.draw(*numbers)
            proposals = before.more(new, log)
        clean = sampler.simulator(new)
        fresh = log_likelihood(through(clean, self.seen), self.noisy, self.sigma)
        likelihoods = torch.cat([self.log_likelihoods, fresh], dim=1)
        weights = likelihoods - proposals.log_density()
        return replace(
            self,
            proposals=proposals,
            clean=(*self.clean, clean),
            log_likelihoods=likelihoods,
            log_weights=weights,
        )

    def enough(self) -> torch.Tensor:
        """Of which images there are enough draws, or as many as there may be, (b,) bool."""
        settings = self.sampler.settings
        last = len(self.proposals.poses) + self.clean[-1].shape[1] > settings.max_draws
        return (effective(normalised(self.log_weights)) >= settings.ess) | last

    def posterior(self) -> DrawnPosterior:
        """By all draws."""
        images = self.clean[0] if len(self.clean) == 1 else torch.cat(self.clean, dim=1)
        weights, conformations = normalised(self.log_weights), self.proposals.poses.conformations
        return DrawnPosterior.of_draws(images, weights, conformations, len(self.sampler.simulator))


@dataclass(frozen=True)
class DrawnPosterior:
    """Of b clean images: mean and deviation (b, L, L), of each pixel; conformations (b, k), their probabilities; variance (b,),
    the mean over pixels; ess (b,); draws (b,), how many; change (b,), ‖mean − mean from half of the draws‖² as a share of the
    variance."""

    mean: np.ndarray
    deviation: np.ndarray
    conformations: np.ndarray
    variance: np.ndarray
    ess: np.ndarray
    draws: np.ndarray
    change: np.ndarray

    @classmethod
    def nothing(cls, size: int, k: int) -> DrawnPosterior:
        """Of no images of L = `size` px and k conformations."""
        pictures, numbers = np.empty((0, size, size), np.float32), np.empty(0)
        return cls(pictures, pictures, np.empty((0, k)), numbers, numbers, np.empty(0, np.int64), numbers)

    @classmethod
    def of_draws(
        cls, images: torch.Tensor, weights: torch.Tensor, conformations: torch.Tensor, k: int
    ) -> DrawnPosterior:
        """From draws: clean images (b, n, L, L), their weights (b, n) of sum 1 and conformations (b, n), of k."""
        b, n, size, _ = images.shape
        ess, flat = effective(weights), images.flatten(2)
        shares = weights.to(images)[:, None]
        mean = shares @ flat
        squares = (shares @ (flat - mean).square_()) / (1 - 1 / ess).clamp(min=1e-12).to(images)[:, None, None]
        half = shares[:, :, ::2] / shares[:, :, ::2].sum(dim=2, keepdim=True)
        moved = (half @ flat[:, ::2] - mean).square().mean(dim=(1, 2))
        variance = squares.mean(dim=(1, 2))
        change = torch.where(variance > 0, moved / variance, 0)
        probabilities = weights.new_zeros((b, k)).scatter_add_(1, conformations, weights)
        columns = (probabilities, variance, ess, torch.full_like(conformations[:, 0], n), change)
        pictures = (one.view(b, size, size) for one in (mean, squares.sqrt()))
        return cls(*(one.cpu().numpy() for one in (*pictures, *columns)))

    def of(self, images: np.ndarray) -> DrawnPosterior:
        """Those of some images, by their positions."""
        return DrawnPosterior(*(one[images] for one in vars(self).values()))

    @classmethod
    def joined(cls, parts: list[DrawnPosterior]) -> DrawnPosterior:
        """Those of all parts."""
        return cls(*(np.concatenate(of_one) for of_one in zip(*(vars(part).values() for part in parts), strict=True)))
