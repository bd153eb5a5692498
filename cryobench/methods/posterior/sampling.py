"""The posterior over conformation and orientation, given volumes: cells of orientation space, then importance sampling.

Coarse: orientation space is cut into equal cells (so3_grid), and the likelihood is taken at the centre of every cell of
every conformation, in a steerable basis where the in-plane angle costs an FFT. Fine: cells are drawn from that posterior,
flattened to the power 1/temper so that no part of the space is left out; in each, a pose is drawn at random, projected
exactly, and weighted by its own likelihood over the probability of its cell (importance sampling; all cells have the
same volume). Rounds of draws go on until their effective sample size, ESS = (Σw)²/Σw² (Kong 1992), is large enough: the
mean of N independent draws from the posterior has 1 + 1/N times the limit's MSE. Of large images, whose posterior is narrow
beside a cell, only the first round comes from cells, and the others from where it found the posterior (adaptive.py). What that
round misses is lost, so its posterior is flattened by FLATTER more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryobench.data.project import Projector
from cryobench.methods.device import compute_device
from cryobench.methods.posterior.adaptive import DrawnPoses, Proposals, draw
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.likelihood import log_likelihood, uncut
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.methods.posterior.steerable import principal
from cryobench.noise.ctf import through

if TYPE_CHECKING:
    from cryobench.methods.posterior.bayes import Bayes

FOR_BASIS = 2000  # views from which the principal components are taken
BATCH = 256  # views projected at a time
# Of the ten images of 128 px furthest above their predicted error, one had its conformation missed with 1 and found with 2.
FLATTER = 2.0
PART = 4096  # views compared with an image at a time, which stay in a cache
LEFT_OUT = 25.0  # cells so far below the best, in powers of e, are never drawn: of 10⁷ cells they hold less than 2e-4


class Sampler:
    """Every conformation, volumes (k, L, L, L), projected into every direction of the grid; draws from the posterior of an
    image, as the settings say."""

    def __init__(self, volumes: np.ndarray | torch.Tensor, settings: Bayes):
        volumes = torch.as_tensor(volumes).to(compute_device(settings.setting.accelerator))
        self.settings, self.projectors = settings, [Projector(volume) for volume in volumes]
        size = volumes.shape[-1]
        spacing = min(2 * settings.step / size, np.pi / 4)
        self.cells = hemisphere(spacing)
        self.adapts, self.reach = size > settings.adapt_above, 3 * spacing  # reach: of one Gaussian of adaptive draws
        views = self.cells.views()
        few = views[:: -(-len(views) * len(volumes) // FOR_BASIS)]
        full = fourier_bessel(size, device=volumes.device)
        basis = principal(full, (self._of_one(k, few) for k in range(len(volumes))), settings.components)
        parts = np.array_split(views, -(-len(views) // BATCH))
        bank = [basis.coefficients(self._of_one(k, part)) for k in range(len(volumes)) for part in parts]
        self.bank = Orbits(basis, torch.cat(bank), angles=int(np.ceil(2 * np.pi / spacing)))
        round_part = self.bank.coefficients.mean(dim=0) * (basis.orders == 0)
        self.typical = basis.render(round_part[None])[0].cpu().numpy()

    def posterior(self, image: np.ndarray, sigma: float, transfer: np.ndarray | None = None) -> WeightedDraws:
        """What is known of one clean image after its noisy one (L, L) and σ, seen through a transfer function (L, L/2+1).

        Each image's draws are its own.
        """
        settings = self.settings
        cells, log_cells = self._heavy_cells(image, sigma, transfer)
        cumulative = np.exp(log_cells).cumsum()
        rng = np.random.default_rng(settings.setting.seed)
        seen_through = None if transfer is None else torch.tensor(transfer, device=self.bank.norms.device)
        proposals = Proposals(
            lambda poses: self._log_density(poses, cells, log_cells), len(self.projectors), self.reach
        )
        images, log_likelihoods, log_densities = [], [], []
        poses: list[DrawnPoses] = []
        log_weights = np.empty(0)
        while True:
            if self.adapts and poses:
                mixture = proposals.fit(_joined(poses), log_weights)
                poses.append(draw(mixture, -(-settings.draws // 4), rng))
            else:
                # Systematic draws: one offset for evenly spaced marks, so that heavy cells get their share almost exactly.
                mixture, marks = None, (np.arange(settings.draws) + rng.random()) / settings.draws
                chosen = np.searchsorted(cumulative, marks * cumulative[-1])
                poses.append(self._poses(cells[chosen], rng.random((settings.draws, 3))))
                log_densities.append(log_cells[chosen])
            images.append(drawn := self._images(poses[-1]))
            proposals.rounds.append((len(drawn), mixture))
            if seen_through is not None:
                drawn = torch.fft.irfft2(torch.fft.rfft2(drawn) * seen_through, s=drawn.shape[1:])
            log_likelihoods.append(log_likelihood(drawn, image, sigma).cpu().numpy())
            density = proposals.log_density(_joined(poses)) if mixture else np.concatenate(log_densities)
            log_weights = np.concatenate(log_likelihoods) - density
            weights = normalised(log_weights)
            if effective(weights) >= settings.ess or len(weights) + len(drawn) > settings.max_draws:
                return WeightedDraws(torch.cat(images), weights, _joined(poses).conformations)

    def _heavy_cells(self, image: np.ndarray, sigma: float, transfer) -> tuple[np.ndarray, np.ndarray]:
        """Cells that may be drawn (flat indices in the order of `Orbits`), and the log of their probabilities."""
        bank = self.bank
        norms = bank.norms if transfer is None else bank.norms_through(transfer)

        def seen(clean: np.ndarray) -> np.ndarray:
            return clean if transfer is None else through(clean[None], transfer)[0]

        def tempered_around(clean: np.ndarray) -> tuple[torch.Tensor, float]:
            plain, variance = uncut(image, sigma, seen(clean))
            return self._tempered(seen(plain), variance, norms), variance

        tempered, variance = tempered_around(self.typical)
        if variance > sigma**2:  # a cut image is looked at once more, around what the first look says it is
            first = torch.softmax(tempered, dim=0).view(1, *bank.shape)
            tempered, _ = tempered_around(bank.basis.render(bank.weighted_sum(first))[0].cpu().numpy())
        cells = torch.nonzero(tempered >= tempered.max() - LEFT_OUT)[:, 0]
        return cells.cpu().numpy(), torch.log_softmax(tempered[cells].double(), dim=0).cpu().numpy()

    def _tempered(self, matched: np.ndarray, variance: float, norms: torch.Tensor) -> torch.Tensor:
        """log likelihood / temper at the centre of every cell, flat, from T y (L, L) and ‖T x‖² (n,), which is taken as the
        same all along an orbit."""
        bank, image = self.bank, self.bank.basis.coefficients(matched[None])
        heat = self.settings.temper * (FLATTER if self.adapts else 1.0) * float(variance)
        tempered = norms.new_empty(bank.shape)
        step = len(bank) if norms.is_cuda else PART
        for start in range(0, len(bank), step):
            part = slice(start, start + step)
            torch.div(bank.inner_products(image, part)[0].sub_(norms[part] / 2), heat, out=tempered[:, :, part])
        return tempered.flatten()

    def _poses(self, chosen: np.ndarray, uniform: np.ndarray) -> DrawnPoses:
        """A pose within each of the cells `chosen` (n,), at `uniform` (n, 3)."""
        mirrored, angle, index = np.unravel_index(chosen, self.bank.shape)
        conformation, cell = index // len(self.cells), index % len(self.cells)
        angle = 2 * np.pi * (angle + uniform[:, 2] - 0.5) / self.bank.angles
        return DrawnPoses(conformation, self.cells.rotations(cell, uniform[:, :2], mirrored == 1, angle))

    def _log_density(self, poses: DrawnPoses, cells: np.ndarray, log_cells: np.ndarray) -> np.ndarray:
        """log density of poses (n,) where cells, ascending, have these log probabilities, and no other is ever drawn."""
        cell, mirrored, angle = self.cells.find(poses.rotations)
        turned = np.round(angle * self.bank.angles / (2 * np.pi)).astype(int) % self.bank.angles
        index = poses.conformations * len(self.cells) + cell
        flat = np.ravel_multi_index((mirrored.astype(int), turned, index), self.bank.shape)
        place = np.searchsorted(cells, flat).clip(max=len(cells) - 1)
        return np.where(cells[place] == flat, log_cells[place] + np.log(np.prod(self.bank.shape)), -np.inf)

    def _images(self, poses: DrawnPoses) -> torch.Tensor:
        """Clean images (n, L, L) in these poses."""
        images = self.bank.norms.new_empty((len(poses), self.bank.basis.size, self.bank.basis.size))
        for k in np.unique(poses.conformations):
            of_k = np.flatnonzero(poses.conformations == k)
            images[torch.from_numpy(of_k).to(images.device)] = self._of_one(k, poses.rotations[of_k])
        return images

    def _of_one(self, conformation: int, rotations: np.ndarray) -> torch.Tensor:
        """Clean images (n, L, L) of one conformation, as the data set makes them: of minimum 0 and maximum 1."""
        images = self.projectors[conformation](torch.from_numpy(rotations))
        low, high = images.amin(dim=(1, 2), keepdim=True), images.amax(dim=(1, 2), keepdim=True)
        return (images - low) / (high - low)


def _joined(rounds: list[DrawnPoses]) -> DrawnPoses:
    """The poses of all rounds."""
    return DrawnPoses(np.concatenate([r.conformations for r in rounds]), np.concatenate([r.rotations for r in rounds]))


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Weights (n,) of sum 1 from their logarithms; the largest is taken off first, so nothing overflows."""
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def effective(weights: np.ndarray) -> float:
    """1/Σw², how many draws of equal weight these are worth (Kish 1965)."""
    return 1 / float((weights**2).sum())


class WeightedDraws:
    """Weighted draws: images (n, L, L) on any device; weights (n,) of sum 1, conformations (n,).

    Attributes: mean and deviation (L, L) float32; weights and conformations; summary, a dict of numbers (see `Bayes.denoise`).
    """

    def __init__(self, images: torch.Tensor, weights: np.ndarray, conformations: np.ndarray):
        self.conformations, self.weights = conformations, weights
        shares = torch.from_numpy(weights).to(images)
        ess = effective(weights)
        mean = torch.tensordot(shares, images, 1)
        squares = torch.tensordot(shares, (images - mean).square(), 1) / max(1 - 1 / ess, 1e-12)
        self.mean, self.deviation = mean.cpu().numpy(), squares.sqrt().cpu().numpy()
        spread = float(squares.mean())
        half = shares[::2] / shares[::2].sum()
        change = float((torch.tensordot(half, images[::2], 1) - mean).square().mean())
        probability = np.bincount(conformations, weights)
        self.summary = {
            "ess": ess,
            "draws": len(images),
            "predicted_mse": spread,
            "change": change / spread if spread > 0 else 0.0,
            "conformation": int(probability.argmax()),
            "conformation_probability": float(probability.max()),
        }
