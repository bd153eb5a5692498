"""The posterior over exemplars with all their in-plane rotations and mirror images, which none of this stores.

    w ∝ exp(−‖y − x‖² / (2σ²τ)),   or exp(−‖y − T x‖² / (2σ²τ)) through a transfer function T

over the elements x of the exemplars' orbits (orbits.py) in a steerable basis. Where the particle may be off the centre,
shifts of whole pixels are unknowns, too; a few exemplars at few angles rule most of them out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cryobench.data.images import NoisyImages
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.steerable import SteerableBasis, principal
from cryobench.noise.ctf import through

BASIS_IMAGES = 2000  # training images that the basis is learnt from
BATCH = 256  # training images read at a time
NOTHING = 80.0  # powers of e below the largest weight
NO_CONTENDER = 30.0  # the same, of an exemplar's best element, if it is to be left out: a million are 1e-7 of the sum
RENDERED = 128  # images rendered in one product, or some more; where an image has many shifts, up to 16 times as many
DRAWS = 128  # from a posterior, for the standard deviation of pixels
# A shift search: how many exemplars and angles are enough to rule a shift out, by how much, and how many may be left.
GLANCE, GLANCE_ANGLES, RULED_OUT, KEPT = 500, 72, 12.0, 16


@dataclass(frozen=True)
class Posterior:
    """Of one image: mean and standard deviation of its pixels, both (L, L); the variance, all pixels together; the
    probabilities of the conformations (k,); effective: 1/Σw² over training images."""

    mean: np.ndarray
    deviation: np.ndarray
    variance: float
    conformations: np.ndarray
    effective: float


@dataclass(frozen=True)
class ByShift:
    """What is known of one image at each of S shifts that it may have.

    probabilities (S,) of the shifts; shares (S, n), the exemplars' weights; coefficients (S + d, K): S means, then d draws,
    those of the first shift first; times: S lists of how often each was drawn.
    """

    shifts: list[tuple[int, int]]
    probabilities: torch.Tensor
    shares: torch.Tensor
    times: list[torch.Tensor]
    coefficients: torch.Tensor


class Mixture:
    """Exemplars as a prior.

    labels: (n,) the exemplars' conformations; tau: τ; shift: how many px a particle may be off the centre.
    """

    def __init__(self, orbits: Orbits, labels: np.ndarray, tau: float, shift: int = 0):
        self.orbits, self.tau, self.shift = orbits, tau, shift
        self.labels = torch.from_numpy(labels).to(orbits.norms.device)
        self.conformations = int(labels.max()) + 1
        step = -(-len(orbits) // GLANCE)
        self.glance = Orbits(orbits.basis, orbits.coefficients[::step], GLANCE_ANGLES) if shift else None

    def posteriors(self, seen: Iterable[tuple[np.ndarray, float, np.ndarray | None]]) -> Iterator[Posterior]:
        """Of noisy images (L, L), each with its σ and the transfer function (L, L/2+1) that it was seen through, or None.

        What is to be seen of several images is rendered together, so that the basis is read once for all of them.
        """
        waiting: list[ByShift] = []
        for image, sigma, transfer in seen:
            waiting.append(self._by_shift(image, sigma, transfer))
            if sum(len(one.coefficients) for one in waiting) >= RENDERED:
                yield from self._rendered(waiting)
                waiting = []
        yield from self._rendered(waiting)

    def _by_shift(self, image: np.ndarray, sigma: float, transfer: np.ndarray | None) -> ByShift:
        orbits, heat = self.orbits, float(sigma) ** 2 * self.tau
        matched, norms = seen_through(orbits, image, transfer)
        shifts = self._shifts(matched, heat, transfer)
        means, drawn, times, logs, shares = [], [], [], [], []
        for down, right in shifts:
            energies = energies_of(orbits, np.roll(matched, (-down, -right), (0, 1)), norms)
            energies, which = contenders(energies, heat)
            weight, log = weights_and_evidence(energies, heat)
            means.append(orbits.weighted_sum(weight, which))
            where, number = draws(weight, DRAWS).unique_consecutive(return_counts=True)
            drawn.append(elements(orbits, where // len(which) * len(orbits) + which[where % len(which)]))
            times.append(number)
            logs.append(log)
            shares.append(torch.zeros_like(orbits.norms).index_copy_(0, which, weight.sum(dim=(0, 1))))
        probabilities = torch.softmax(torch.stack(logs), dim=0)
        return ByShift(shifts, probabilities, torch.stack(shares), times, torch.cat([torch.stack(means), *drawn]))

    def _rendered(self, found: list[ByShift]) -> Iterator[Posterior]:
        if not found:
            return
        images = self.orbits.basis.render(torch.cat([one.coefficients for one in found]))
        for one, its in zip(found, images.split([len(one.coefficients) for one in found]), strict=True):
            yield self._posterior(one, its)

    def _posterior(self, found: ByShift, images: torch.Tensor) -> Posterior:
        """Of one image, with the images (S + d, L, L) of its coefficients."""
        probabilities, n = found.probabilities, len(found.shifts)
        means = torch.stack(
            [torch.roll(one, shift, (0, 1)) for one, shift in zip(images[:n], found.shifts, strict=True)]
        )
        within = []
        drawn = images[n:].split([len(times) for times in found.times])
        for mean, shift, times, some in zip(means, found.shifts, found.times, drawn, strict=True):
            squares = (torch.roll(some, shift, (1, 2)) - mean).square()
            within.append(torch.tensordot(times / DRAWS, squares, 1))
        mean = torch.tensordot(probabilities, means, 1)
        between = torch.tensordot(probabilities, (means - mean).square(), 1)
        deviation = (torch.tensordot(probabilities, torch.stack(within), 1) + between).sqrt()
        traces = found.shares @ self.orbits.norms - found.coefficients[:n].abs().square().sum(dim=1)
        variance = max(float(probabilities @ traces + between.sum()), 0.0)
        share = torch.tensordot(probabilities, found.shares, 1)  # the weight of each training image
        conformations = torch.bincount(self.labels, share.double(), self.conformations).cpu().numpy()
        effective = float(1 / share.square().sum())
        return Posterior(mean.cpu().numpy(), deviation.cpu().numpy(), variance, conformations, effective)

    def widened(
        self,
        image: np.ndarray,
        sigma: float,
        widths: tuple[float, ...],
        without: int | None,
        transfer: np.ndarray | None = None,
    ) -> np.ndarray:
        """Posterior means at τ times each of `widths`, (len(widths), L, L); exemplar `without` gets no weight."""
        energies = energies_of(self.orbits, *seen_through(self.orbits, image, transfer))
        if without is not None:
            energies[:, :, without] = -torch.inf
        return at_taus(self.orbits, energies, sigma, [self.tau * width for width in widths]).cpu().numpy()

    def _shifts(self, matched: np.ndarray, heat: float, transfer: np.ndarray | None) -> list[tuple[int, int]]:
        """The shifts (down, right) in px that a few exemplars at few angles don't rule out, the likeliest first."""
        if self.glance is None:
            return [(0, 0)]
        reach = range(-self.shift, self.shift + 1)
        shifts = [(y, x) for y, x in itertools.product(reach, reach) if y * y + x * x <= self.shift**2]
        back = np.stack([np.roll(matched, (-y, -x), (0, 1)) for y, x in shifts])
        norms = self.glance.norms if transfer is None else self.glance.norms_through(transfer)
        glance = torch.stack(
            [
                torch.logsumexp((self.glance.inner_products(one) - norms / 2).flatten() / heat, 0)
                for one in self.orbits.basis.coefficients(back)
            ]
        )
        best = glance.argsort(descending=True)[:KEPT].tolist()
        return [shifts[k] for k in best if glance[k] > glance[best[0]] - RULED_OUT]


def orbits_of(train: NoisyImages, n: int, general: SteerableBasis, components: int, angles: int) -> Orbits:
    """The orbits of the first n training images, which are read a batch at a time: they may not fit into memory."""
    batches = [slice(start, min(start + BATCH, n)) for start in range(0, n, BATCH)]
    basis = principal(general, (train.clean(b) for b in batches[: -(-BASIS_IMAGES // BATCH)]), components)
    return Orbits(basis, torch.cat([basis.coefficients(train.clean(b)) for b in batches]), angles)


def errors(
    orbits: Orbits,
    noisy: np.ndarray,
    sigma: np.ndarray,
    truth: np.ndarray,
    taus: tuple[float, ...],
    transfers: np.ndarray | None = None,
) -> np.ndarray:
    """MSE of the posterior mean of each image under each τ: noisy and truth (n, L, L), sigma (n,), transfers (n, L, L/2+1) →
    (n, len(taus))."""
    mse = np.zeros((len(noisy), len(taus)))
    for row, (image, level, target) in enumerate(zip(noisy, sigma, truth, strict=True)):
        energies = energies_of(orbits, *seen_through(orbits, image, None if transfers is None else transfers[row]))
        mse[row] = np.mean((at_taus(orbits, energies, level, taus).cpu().numpy() - target) ** 2, axis=(1, 2))
    return mse


def at_taus(orbits: Orbits, energies: torch.Tensor, sigma: float, taus: Sequence[float]) -> torch.Tensor:
    """Posterior means (len(taus), L, L) by the energies (2, angles, n) of one image."""
    # All exemplars contend: without some the last digits would differ, and committed U-Nets learnt from these.
    heats = [float(sigma) ** 2 * tau for tau in taus]
    means = [orbits.weighted_sum(weights_and_evidence(energies, heat)[0]) for heat in heats]
    return orbits.basis.render(torch.stack(means))


def truncated(orbits: Orbits, images: np.ndarray) -> np.ndarray:
    """What the basis keeps of images (n, L, L)."""
    return orbits.basis.render(orbits.basis.coefficients(images)).cpu().numpy()


def seen_through(orbits: Orbits, image: np.ndarray, transfer: np.ndarray | None) -> tuple[np.ndarray, torch.Tensor]:
    """T y of an image y (L, L), and ‖T x‖² of the elements, (n,): ⟨y, T x⟩ is ⟨T y, x⟩. Without T y and ‖x‖² themselves."""
    if transfer is None:
        return image, orbits.norms
    return through(image[None], transfer)[0], orbits.norms_through(transfer)


def energies_of(orbits: Orbits, matched: np.ndarray, norms: torch.Tensor) -> torch.Tensor:
    """(‖y‖² − ‖y − T x‖²)/2 = ⟨T y, x⟩ − ‖T x‖²/2 of every element, (2, angles, n), from what `seen_through` gives."""
    return orbits.inner_products(orbits.basis.coefficients(matched[None])[0]).sub_(norms / 2)


def contenders(energies: torch.Tensor, heat: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Of energies (2, angles, n) those of the exemplars within NO_CONTENDER of the best, (2, angles, m), and their positions
    (m,)."""
    best = energies.amax(dim=(0, 1))
    which = torch.nonzero(best >= best.max() - NO_CONTENDER * heat)[:, 0]
    return energies.index_select(2, which), which


def weights_and_evidence(energies: torch.Tensor, heat: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights w ∝ exp(energy / heat), of sum 1, and log Σ exp(energy / heat). The largest exponent is taken off first, so
    nothing overflows.

    No weight is below exp(−NOTHING) of the largest, which changes nothing that is seen: processors are many times slower with
    numbers that are too small for their usual form.
    """
    exponents = energies / heat
    largest = exponents.max()
    weights = exponents.sub_(largest).clamp_(min=-NOTHING).exp_()
    total = weights.sum()
    return weights.div_(total), largest + total.log()


def draws(weights: torch.Tensor, n: int) -> torch.Tensor:
    """Flat positions (n,) of elements, each as often as its weight is worth, to within one: evenly spaced marks."""
    cumulative = weights.flatten().double().cumsum(dim=0)
    marks = (torch.arange(n, dtype=torch.float64, device=weights.device) + 0.5) / n
    return torch.searchsorted(cumulative, marks * cumulative[-1]).clamp(max=len(cumulative) - 1)


def elements(orbits: Orbits, where: torch.Tensor) -> torch.Tensor:
    """Coefficients (k, K) of the elements with these flat positions in (mirrors, angles, images)."""
    n = len(orbits)
    mirrored, turn, which = where // (orbits.angles * n), where // n % orbits.angles, where % n
    plain = orbits.coefficients[which]
    plain = torch.where((mirrored == 1)[:, None], plain.conj(), plain)
    angle = 2 * torch.pi / orbits.angles * turn[:, None] * orbits.basis.orders
    return plain * torch.polar(torch.ones_like(angle), angle)
