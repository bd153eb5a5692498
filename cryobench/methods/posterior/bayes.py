"""Control: the limit. The posterior mean over conformation and orientation, given the true volumes and σ.

A clean image x is the projection of conformation k seen under R, rescaled to [0, 1]; k and R are uniform, and
y = x + σn. No estimate of x has a lower mean squared error, averaged over such data, than

    x̂(y) = Σ_k ∫ x_kR p(k, R | y) dR,      p(k, R | y) ∝ p(y | x_kR) = exp(-‖y - x_kR‖²/2σ²)

(an image that was cut to [0, 1] has a likelihood of its own, see likelihood.py).

Coarse: orientation space is cut into equal cells (so3_grid), and the likelihood is taken at the centre of every cell of
every conformation, in a steerable basis where the in-plane angle costs an FFT. Fine: cells are drawn from that posterior,
flattened to the power 1/temper so that no part of the space is left out; in each, a pose is drawn at random, projected
exactly, and weighted by its own likelihood over the probability of its cell (importance sampling; all cells have the
same volume). Rounds of draws go on until their effective sample size, ESS = (Σw)²/Σw² (Kong 1992), is large enough: the
mean of N independent draws from the posterior has 1 + 1/N times the limit's MSE.

Only what the equation above names is used. The SNR is not: who knew it, too, and that σ² is exactly var(x)/SNR, could
rule out every pose whose image has another variance. That would be knowledge of how the data were made, not of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import track

from cryobench.data.project import Projector
from cryobench.data.simulate import rescale
from cryobench.errors import BadImages, InputError
from cryobench.methods.base import Belief, Denoiser, check_images
from cryobench.methods.posterior.likelihood import log_likelihood, uncut
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.so3_grid import hemisphere
from cryobench.methods.posterior.steerable import compute_device, fourier_bessel, principal

FOR_BASIS = 2000  # views from which the principal components are taken
BATCH = 256  # views projected at a time
LEFT_OUT = 25.0  # cells so far below the best, in powers of e, are never drawn: of 10⁷ cells they hold less than 2e-4


@dataclass
class Bayes(Denoiser):
    """step: how far the rim of the image moves between neighbouring cells, in px (1.4 is 2.5° at 64 px).
    components: size of the basis in which cells are compared; the fine level does not depend on it.
    temper: above 1 draws more broadly than the coarse posterior.
    draws: poses projected in one round; ess: effective sample size at which no further round is needed; max_draws: the
        most poses for one image.
    """

    step: float = 1.4
    components: int = 800
    temper: float = 1.5
    draws: int = 256
    ess: float = 50
    max_draws: int = 4096

    knows = frozenset({"volumes", "sigma"})

    def __post_init__(self) -> None:
        for name in ("step", "components", "draws", "ess"):
            if getattr(self, name) <= 0:
                raise InputError(f"method.{name}: expected a number above 0, got {getattr(self, name)}")
        if self.temper < 1:
            raise InputError(f"method.temper: expected 1 or more, got {self.temper}")
        if self.max_draws < self.draws:
            raise InputError(f"method.max_draws: expected at least method.draws ({self.draws}), got {self.max_draws}")

    def fit(self, train) -> None:
        volumes = torch.from_numpy(np.array(train.volumes, dtype=np.float32))
        self.prepare(volumes.to(compute_device(self.setting.accelerator)))

    def prepare(self, volumes: torch.Tensor) -> None:
        """Project every conformation, volumes (k, L, L, L), into every direction of the grid."""
        self.projectors = [Projector(volume) for volume in volumes]
        size = volumes.shape[-1]
        spacing = min(2 * self.step / size, np.pi / 4)
        self.cells = hemisphere(spacing)
        views = self.cells.views()
        few = views[:: -(-len(views) * len(volumes) // FOR_BASIS)]
        full = fourier_bessel(size).to(volumes.device)
        basis = principal(full, (self._images(k, few) for k in range(len(volumes))), self.components)
        parts = np.array_split(views, -(-len(views) // BATCH))
        bank = [basis.coefficients(self._images(k, part)) for k in range(len(volumes)) for part in parts]
        self.bank = Orbits(basis, torch.cat(bank), angles=int(np.ceil(2 * np.pi / spacing)))
        round_part = self.bank.coefficients.mean(dim=0) * (basis.orders == 0)
        self.typical = basis.render(round_part[None])[0].cpu().numpy()
        self.report["cells"] = int(np.prod(self.bank.shape))

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) → posterior means (n, L, L) float32; hints["sigma"] (n,).

        Raises InputError for images of another size than the volumes, BadImages for NaN, Inf or σ not above 0.
        report["per_image"]: ess; draws; predicted_mse, the posterior variance per pixel, whose mean over many images is
        what their MSE must be; change, ‖x̂ - x̂ from half of the draws‖² as a share of it; conformation, the most
        probable one, and conformation_probability.
        """
        check_images(noisy)
        size, sigma = self.bank.basis.size, np.asarray(hints["sigma"], dtype=np.float64)
        if noisy.shape[-1] != size:
            raise InputError(f"expected images of {size} x {size} px, as the volumes are, got {noisy.shape[-1]} px")
        if (wrong := ~(np.isfinite(sigma) & (sigma > 0))).any():
            raise BadImages(np.flatnonzero(wrong), f"expected σ above 0, got {sigma[wrong][0]}; leave that image out")
        denoised, deviation, summaries = np.empty(noisy.shape, np.float32), np.empty(noisy.shape, np.float32), []
        conformations = np.zeros((len(noisy), len(self.projectors)))
        for i in track(range(len(noisy)), "denoising", disable=not self.setting.progress):
            posterior = self.posterior(noisy[i], sigma[i])
            denoised[i], deviation[i] = posterior.mean, posterior.deviation
            conformations[i] = np.bincount(posterior.conformations, posterior.weights, conformations.shape[1])
            summaries.append(posterior.summary)
        self.belief = Belief(deviation, conformations)
        self.report["per_image"] = {name: [s[name] for s in summaries] for name in (summaries[0] if summaries else ())}
        return denoised

    def posterior(self, image: np.ndarray, sigma: float) -> Posterior:
        """What is known of one clean image after its noisy one (L, L) and σ. Each image's draws are its own."""
        cells, log_cells = self._heavy_cells(image, sigma)
        cumulative = np.exp(log_cells).cumsum()
        rng = np.random.default_rng(self.setting.seed)
        images, log_weights, conformations = [], [], []
        while True:
            # Systematic draws: one offset for evenly spaced marks, so that heavy cells get their share almost exactly.
            marks = (np.arange(self.draws) + rng.random()) / self.draws
            chosen = np.searchsorted(cumulative, marks * cumulative[-1])
            drawn, which = self._draw(cells[chosen], rng.random((self.draws, 3)))
            images.append(drawn)
            conformations.append(which)
            log_weights.append(log_likelihood(drawn, image, sigma) - log_cells[chosen])
            result = Posterior(np.concatenate(images), np.concatenate(log_weights), np.concatenate(conformations))
            if result.summary["ess"] >= self.ess or len(result.weights) + self.draws > self.max_draws:
                return result

    def _heavy_cells(self, image: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """Cells that may be drawn (flat indices in the order of `Orbits`), and the log of their probabilities."""
        bank = self.bank
        plain, variance = uncut(image, sigma, self.typical)
        tempered = self._tempered(plain, variance)
        if variance > sigma**2:  # a cut image is looked at once more, around what the first look says it is
            first = torch.softmax(tempered, dim=0).view(bank.shape)
            plain, variance = uncut(image, sigma, bank.basis.render(bank.weighted_sum(first)[None])[0].cpu().numpy())
            tempered = self._tempered(plain, variance)
        cells = torch.nonzero(tempered > tempered.max() - LEFT_OUT)[:, 0]
        return cells.cpu().numpy(), torch.log_softmax(tempered[cells].double(), dim=0).cpu().numpy()

    def _tempered(self, image: np.ndarray, variance: float) -> torch.Tensor:
        """log likelihood / temper at the centre of every cell, flat; ‖x‖² is taken as the same all along an orbit."""
        inner = self.bank.inner_products(self.bank.basis.coefficients(image[None])[0])
        return ((inner - self.bank.norms / 2) / (self.temper * float(variance))).flatten()

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
