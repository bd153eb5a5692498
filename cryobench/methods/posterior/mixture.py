"""The posterior over exemplars with all their in-plane rotations and mirror images, which none of this stores.

    w ∝ exp(−‖y − x‖² / (2σ²τ)),   or exp(−‖y − T x‖² / (2σ²τ)) through a transfer function T

over the elements x of the exemplars' orbits (orbits.py) in a steerable basis. Where the particle may be off the centre,
shifts of whole pixels are unknowns, too; a few exemplars at few angles rule most of them out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from cryobench.data.images import NoisyImages
from cryobench.methods.posterior.elements import (
    contenders,
    draws,
    elements,
    energies_of,
    images_at_once,
    means,
    seen_through,
    weights_and_evidence,
)
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.steerable import SteerableBasis, principal

BASIS_IMAGES = 2000  # training images that the basis is learnt from
BATCH = 256  # training images read at a time
RENDERED = 128  # images rendered in one product, and those of one image more: where it has many shifts, some thousand
DRAWS = 128  # from a posterior, for the standard deviation of pixels
Item = TypeVar("Item")
# A noisy image (L, L), its σ, and the transfer function (L, L/2+1) that it was seen through, or None.
Observed = tuple[np.ndarray, float, np.ndarray | None]
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
class Look:
    """At one image: T y, matched (L, L); ‖T x‖² of the exemplars, norms (n,); σ²τ; the shifts (down, right) in px that it may
    have, the likeliest first."""

    matched: np.ndarray
    norms: torch.Tensor
    heat: float
    shifts: list[tuple[int, int]]


@dataclass(frozen=True)
class AtShift:
    """What is known of an image if its shift is known: log_evidence, of the shift (); share (n,), the exemplars' weights; mean
    (K,) and draws (d, K) by their coefficients; times (d,) how often each was drawn."""

    log_evidence: torch.Tensor
    share: torch.Tensor
    mean: torch.Tensor
    draws: torch.Tensor
    times: torch.Tensor


class Mixture:
    """Exemplars as a prior.

    labels: (n,) the exemplars' conformations; tau: τ; shift: how many px a particle may be off the centre.
    """

    def __init__(self, orbits: Orbits, labels: np.ndarray, tau: float, shift: int = 0):
        self.orbits, self.tau, self.shift = orbits, tau, shift
        self.labels = torch.from_numpy(labels).to(orbits.norms.device)
        self.conformations, self.images_at_once = int(labels.max()) + 1, images_at_once(orbits)
        step = -(-len(orbits) // GLANCE)
        self.glance = Orbits(orbits.basis, orbits.coefficients[::step], GLANCE_ANGLES) if shift else None

    def posteriors(self, seen: Iterable[Observed]) -> Iterator[Posterior]:
        """Of noisy images.

        What is to be seen of several images is rendered together, so that the basis is read once for all of them.
        """
        waiting: list[tuple[Look, list[AtShift]]] = []
        for some in groups(seen, self.images_at_once):
            for one in self._by_shift([self._look(*one) for one in some]):
                waiting.append(one)
                if sum(len(at.draws) + 1 for _, found in waiting for at in found) >= RENDERED:
                    yield from self._rendered(waiting)
                    waiting = []
        yield from self._rendered(waiting)

    def _look(self, image: np.ndarray, sigma: float, transfer: np.ndarray | None) -> Look:
        matched, norms = seen_through(self.orbits, image, transfer)
        heat = float(sigma) ** 2 * self.tau
        return Look(matched, norms, heat, self._shifts(matched, heat, transfer))

    def _by_shift(self, looks: list[Look]) -> list[tuple[Look, list[AtShift]]]:
        pairs = [(look, shift) for look in looks for shift in look.shifts]
        found = itertools.chain.from_iterable(self._at_shifts(some) for some in groups(pairs, self.images_at_once))
        return [(look, list(itertools.islice(found, len(look.shifts)))) for look in looks]

    def _at_shifts(self, pairs: list[tuple[Look, tuple[int, int]]]) -> list[AtShift]:
        orbits, n = self.orbits, len(self.orbits)
        matched = np.stack([np.roll(look.matched, (-down, -right), (0, 1)) for look, (down, right) in pairs])
        heats = orbits.norms.new_tensor([look.heat for look, _ in pairs])
        energies, which = contenders(
            energies_of(orbits, matched, torch.stack([look.norms for look, _ in pairs])), heats
        )
        weights, logs = weights_and_evidence(energies, heats)
        averages = orbits.weighted_sum(weights, which)
        shares = weights.new_zeros((len(pairs), n)).index_copy_(1, which, weights.sum(dim=(1, 2)))
        found = []
        for log, share, mean, drawn in zip(logs, shares, averages, draws(weights, DRAWS), strict=True):
            where, times = drawn.unique_consecutive(return_counts=True)
            where = where // len(which) * n + which[where % len(which)]
            found.append(AtShift(log, share, mean, elements(orbits, where), times))
        return found

    def _rendered(self, waiting: list[tuple[Look, list[AtShift]]]) -> Iterator[Posterior]:
        if not waiting:
            return
        parts = [torch.cat([one.mean[None], one.draws]) for _, found in waiting for one in found]
        images = iter(self.orbits.basis.render(torch.cat(parts)).split([len(part) for part in parts]))
        for look, found in waiting:
            yield self._posterior(look, found, [next(images) for _ in found])

    def _posterior(self, look: Look, found: list[AtShift], images: list[torch.Tensor]) -> Posterior:
        """Of one image, with the images (1 + d, L, L) of the mean and the draws at each of its shifts."""
        images = [torch.roll(some, shift, (1, 2)) for some, shift in zip(images, look.shifts, strict=True)]
        probabilities = torch.softmax(torch.stack([one.log_evidence for one in found]), dim=0)
        at_shifts = torch.stack([some[0] for some in images])
        within = torch.stack(
            [
                torch.tensordot(one.times / DRAWS, (some[1:] - some[0]).square(), 1)
                for one, some in zip(found, images, strict=True)
            ]
        )
        mean = torch.tensordot(probabilities, at_shifts, 1)
        between = torch.tensordot(probabilities, (at_shifts - mean).square(), 1)
        deviation = (torch.tensordot(probabilities, within, 1) + between).sqrt()
        shares = torch.stack([one.share for one in found])
        traces = shares @ self.orbits.norms - torch.stack([one.mean for one in found]).abs().square().sum(dim=1)
        variance = max(float(probabilities @ traces + between.sum()), 0.0)
        share = torch.tensordot(probabilities, shares, 1)  # the weight of each training image
        conformations = torch.bincount(self.labels, share.double(), self.conformations).cpu().numpy()
        effective = float(1 / share.square().sum())
        return Posterior(mean.cpu().numpy(), deviation.cpu().numpy(), variance, conformations, effective)

    def widened(
        self, seen: Iterable[Observed], widths: tuple[float, ...], leave_out: Iterable[int] | None = None
    ) -> Iterator[np.ndarray]:
        """Of noisy images the posterior means at τ times each of `widths`, (len(widths), L, L); of each image the exemplar at its
        position in `leave_out` gets no weight."""
        taus, left_out = [self.tau * width for width in widths], None if leave_out is None else iter(leave_out)
        for some in groups(seen, self.images_at_once):
            without = None if left_out is None else list(itertools.islice(left_out, len(some)))
            yield from means_at(self.orbits, some, taus, without)

    def _shifts(self, matched: np.ndarray, heat: float, transfer: np.ndarray | None) -> list[tuple[int, int]]:
        """The shifts (down, right) in px that a few exemplars at few angles don't rule out, the likeliest first."""
        if self.glance is None:
            return [(0, 0)]
        reach = range(-self.shift, self.shift + 1)
        shifts = [(y, x) for y, x in itertools.product(reach, reach) if y * y + x * x <= self.shift**2]
        back = np.stack([np.roll(matched, (-y, -x), (0, 1)) for y, x in shifts])
        norms = self.glance.norms if transfer is None else self.glance.norms_through(transfer)
        glance = torch.cat(
            [
                torch.logsumexp((self.glance.inner_products(some) - norms / 2).flatten(1) / heat, 1)
                for some in self.orbits.basis.coefficients(back).split(self.images_at_once)
            ]
        )
        best, places = (one.tolist() for one in glance.sort(descending=True))
        return [shifts[k] for k, value in zip(places[:KEPT], best, strict=False) if value > best[0] - RULED_OUT]


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
    seen = zip(noisy, sigma, [None] * len(noisy) if transfers is None else transfers, strict=True)
    found = (one for some in groups(seen, images_at_once(orbits)) for one in means_at(orbits, some, taus))
    return np.stack([np.mean((one - target) ** 2, axis=(1, 2)) for one, target in zip(found, truth, strict=True)])


def means_at(
    orbits: Orbits, seen: Sequence[Observed], taus: Sequence[float], without: Sequence[int] | None = None
) -> np.ndarray:
    """Posterior means of images under each τ, (b, len(taus), L, L); without: of each image, the exemplar that gets no weight."""
    matched, norms = zip(*(seen_through(orbits, image, transfer) for image, _, transfer in seen), strict=True)
    energies = energies_of(orbits, np.stack(matched), torch.stack(norms))
    if without is not None:
        which = torch.tensor([range(len(seen)), without], device=energies.device)
        energies[which[0], :, :, which[1]] = -torch.inf
    heats = orbits.norms.new_tensor([[float(sigma) ** 2 * tau for tau in taus] for _, sigma, _ in seen])
    return means(orbits, energies, heats).cpu().numpy()


def groups(many: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The next `size` of them, over and over."""
    rest = iter(many)
    while some := list(itertools.islice(rest, size)):
        yield some


def truncated(orbits: Orbits, images: np.ndarray) -> np.ndarray:
    """What the basis keeps of images (n, L, L)."""
    return orbits.basis.render(orbits.basis.coefficients(images)).cpu().numpy()
