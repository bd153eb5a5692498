"""The posterior over conformation and orientation, given volumes: cells of orientation space, then importance sampling.

Coarse: orientation space is cut into equal cells (so3_grid), and the likelihood is taken at the centre of every cell of
every conformation, in a steerable basis where the in-plane angle costs an FFT. Fine: cells are drawn from that posterior,
flattened to the power 1/temper so that no part of the space is left out; in each, a pose is drawn at random, projected
exactly, and weighted by its own likelihood over the probability of its cell (importance sampling; all cells have the
same volume). Rounds of draws go on until their effective sample size, ESS = (Σw)²/Σw² (Kong 1992), is large enough: the
mean of N independent draws from the posterior has 1 + 1/N times the limit's MSE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryobench.data.project import Projector
from cryobench.data.simulate import rescale
from cryobench.methods.posterior.likelihood import log_likelihood, uncut
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.methods.posterior.steerable import compute_device, fourier_bessel, principal
from cryobench.noise.ctf import through

if TYPE_CHECKING:
    from cryobench.methods.posterior.bayes import Bayes

FOR_BASIS = 2000  # views from which the principal components are taken
BATCH = 256  # views projected at a time
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
        views = self.cells.views()
        few = views[:: -(-len(views) * len(volumes) // FOR_BASIS)]
        full = fourier_bessel(size).to(volumes.device)
        basis = principal(full, (self._images(k, few) for k in range(len(volumes))), settings.components)
        parts = np.array_split(views, -(-len(views) // BATCH))
        bank = [basis.coefficients(self._images(k, part)) for k in range(len(volumes)) for part in parts]
        self.bank = Orbits(basis, torch.cat(bank), angles=int(np.ceil(2 * np.pi / spacing)))
        round_part = self.bank.coefficients.mean(dim=0) * (basis.orders == 0)
        self.typical = basis.render(round_part[None])[0].cpu().numpy()

    def posterior(self, image: np.ndarray, sigma: float, transfer: np.ndarray | None = None) -> Posterior:
        """What is known of one clean image after its noisy one (L, L) and σ, seen through a transfer function (L, L/2+1).

        Each image's draws are its own.
        """
        settings = self.settings
        cells, log_cells = self._heavy_cells(image, sigma, transfer)
        cumulative = np.exp(log_cells).cumsum()
        rng = np.random.default_rng(settings.setting.seed)
        images, log_weights, conformations = [], [], []
        while True:
            # Systematic draws: one offset for evenly spaced marks, so that heavy cells get their share almost exactly.
            marks = (np.arange(settings.draws) + rng.random()) / settings.draws
            chosen = np.searchsorted(cumulative, marks * cumulative[-1])
            drawn, which = self._draw(cells[chosen], rng.random((settings.draws, 3)))
            images.append(drawn)
            conformations.append(which)
            seen = drawn if transfer is None else through(drawn, transfer)
            log_weights.append(log_likelihood(seen, image, sigma) - log_cells[chosen])
            result = Posterior(np.concatenate(images), np.concatenate(log_weights), np.concatenate(conformations))
            if result.summary["ess"] >= settings.ess or len(result.weights) + settings.draws > settings.max_draws:
                return result

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
            first = torch.softmax(tempered, dim=0).view(bank.shape)
            tempered, _ = tempered_around(bank.basis.render(bank.weighted_sum(first)[None])[0].cpu().numpy())
        cells = torch.nonzero(tempered > tempered.max() - LEFT_OUT)[:, 0]
        return cells.cpu().numpy(), torch.log_softmax(tempered[cells].double(), dim=0).cpu().numpy()

    def _tempered(self, matched: np.ndarray, variance: float, norms: torch.Tensor) -> torch.Tensor:
        """log likelihood / temper at the centre of every cell, flat, from T y (L, L) and ‖T x‖² (n,), which is taken as the
        same all along an orbit."""
        inner = self.bank.inner_products(self.bank.basis.coefficients(matched[None])[0])
        return ((inner - norms / 2) / (self.settings.temper * float(variance))).flatten()

    def _draw(self, chosen: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A pose within each of the cells `chosen` (n,), at `uniform` (n, 3) → images (n, L, L), conformations (n,)."""
        mirrored, angle, index = np.unravel_index(chosen, self.bank.shape)
        conformation, cell = index // len(self.cells), index % len(self.cells)
        angle = 2 * np.pi * (angle + uniform[:, 2] - 0.5) / self.bank.angles
        rotations = self.cells.rotations(cell, uniform[:, :2], mirrored == 1, angle)
        images = np.empty((len(chosen), self.bank.basis.size, self.bank.basis.size), np.float32)
        for k in np.unique(conformation):
            images[conformation == k] = self._images(k, rotations[conformation == k])
        return images, conformation

    def _images(self, conformation: int, rotations: np.ndarray) -> np.ndarray:
        """Clean images (n, L, L), as the data set makes them."""
        return rescale(self.projectors[conformation](torch.from_numpy(rotations)).cpu().numpy())


class Posterior:
    """Weighted draws: images (n, L, L), log_weights (n,), conformations (n,).

    Attributes: mean and deviation (L, L); weights (n,) that sum to 1; summary, a dict of numbers (see `Bayes.denoise`).
    """

    def __init__(self, images: np.ndarray, log_weights: np.ndarray, conformations: np.ndarray):
        weights = np.exp(log_weights - log_weights.max())
        self.images, self.conformations, self.weights = images, conformations, weights / weights.sum()
        self.mean = np.tensordot(self.weights, images, axes=1)
        concentration = float((self.weights**2).sum())  # 1/ESS
        squares = np.tensordot(self.weights, (images - self.mean) ** 2, axes=1) / max(1 - concentration, 1e-12)
        self.deviation, spread = np.sqrt(squares), float(squares.mean())
        half = self.weights[::2] / self.weights[::2].sum()
        change = float(((np.tensordot(half, images[::2], axes=1) - self.mean) ** 2).mean())
        probability = np.bincount(conformations, self.weights)
        self.summary = {
            "ess": 1 / concentration,
            "draws": len(images),
            "predicted_mse": spread,
            "change": change / spread if spread > 0 else 0.0,
            "conformation": int(probability.argmax()),
            "conformation_probability": float(probability.max()),
        }
