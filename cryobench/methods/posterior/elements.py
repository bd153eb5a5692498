"""The elements of orbits (orbits.py) as a prior: what b images tell of each of them, what follows on average, and draws.

energy = (‖y‖² − ‖y − T x‖²)/2 = ⟨T y, x⟩ − ‖T x‖²/2,     w ∝ exp(energy / heat),     heat = σ²τ
"""

from __future__ import annotations

import numpy as np
import torch

from cryobench.methods.posterior.orbits import Orbits
from cryobench.noise.ctf import through

NOTHING = 80.0  # powers of e below the largest weight
NO_CONTENDER = 30.0  # the same, of an exemplar's best element, if it is to be left out: a million are 1e-7 of the sum
OF_ONE = (1, 2, 3)  # axes of one image's elements; to flatten them would copy them, since angles lie innermost
# Elements of all images that are looked at together on a GPU, which is busy only with many, and how many images at most.
ON_GPU, TOGETHER = 2**26, 32


def images_at_once(orbits: Orbits) -> int:
    """How many images are looked at together: on a CPU one, whose energies stay in its cache."""
    if not orbits.norms.is_cuda:
        return 1
    return int(np.clip(ON_GPU // np.prod(orbits.shape), 1, TOGETHER))


def seen_through(orbits: Orbits, image: np.ndarray, transfer: np.ndarray | None) -> tuple[np.ndarray, torch.Tensor]:
    """T y of an image y (L, L), and ‖T x‖² of the elements, (n,): ⟨y, T x⟩ is ⟨T y, x⟩. Without T y and ‖x‖² themselves."""
    if transfer is None:
        return image, orbits.norms
    return through(image[None], transfer)[0], orbits.norms_through(transfer)


def energies_of(orbits: Orbits, matched: np.ndarray, norms: torch.Tensor) -> torch.Tensor:
    """Energies (b, 2, angles, n) of all elements, from T y (b, L, L) and ‖T x‖² (b, n)."""
    return orbits.inner_products(orbits.basis.coefficients(matched)).sub_(norms[:, None, None] / 2)


def contenders(energies: torch.Tensor, heats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of energies (b, 2, angles, n) those of the exemplars that are within NO_CONTENDER of the best for any of the images,
    (b, 2, angles, m), and their positions (m,); heats (b,)."""
    best = energies.amax(dim=(1, 2))
    within = best >= best.amax(dim=1, keepdim=True) - NO_CONTENDER * heats[:, None]
    which = torch.nonzero(within.any(dim=0))[:, 0]
    return energies.index_select(3, which), which


def weights_and_evidence(energies: torch.Tensor, heats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of energies (b, 2, angles, n) weights w ∝ exp(energy / heat), of sum 1 for each image, and log Σ exp(energy / heat), (b,);
    heats (b,). The largest exponent is taken off first, so nothing overflows.

    No weight is below exp(−NOTHING) of the largest, which changes nothing that is seen: processors are many times slower with
    numbers that are too small for their usual form.
    """
    exponents = energies / heats[:, None, None, None]
    largest = exponents.amax(dim=OF_ONE, keepdim=True)
    weights = exponents.sub_(largest).clamp_(min=-NOTHING).exp_()
    total = weights.sum(dim=OF_ONE, keepdim=True)
    return weights.div_(total), (largest + total.log()).flatten()


def means(orbits: Orbits, energies: torch.Tensor, heats: torch.Tensor) -> torch.Tensor:
    """Posterior means (b, t, L, L) of images with these energies (b, 2, angles, n), at each of their heats (b, t)."""
    # All exemplars contend: without some the last digits would differ, and committed U-Nets learnt from these.
    sums = [orbits.weighted_sum(weights_and_evidence(energies, some)[0]) for some in heats.unbind(dim=1)]
    rendered = orbits.basis.render(torch.stack(sums, dim=1).flatten(0, 1))
    return rendered.unflatten(0, heats.shape)


def draws(weights: torch.Tensor, n: int) -> torch.Tensor:
    """Flat positions (b, n) of elements among weights (b, …), each as often as its weight is worth, to within one: evenly spaced
    marks."""
    cumulative = weights.flatten(1).double().cumsum(dim=1)
    marks = (torch.arange(n, dtype=torch.float64, device=weights.device) + 0.5) / n
    return torch.searchsorted(cumulative, marks * cumulative[:, -1:]).clamp(max=cumulative.shape[1] - 1)


def elements(orbits: Orbits, where: torch.Tensor) -> torch.Tensor:
    """Coefficients (k, K) of the elements with these flat positions in (mirrors, angles, images)."""
    n = len(orbits)
    mirrored, turn, which = where // (orbits.angles * n), where // n % orbits.angles, where % n
    plain = orbits.coefficients[which]
    plain = torch.where((mirrored == 1)[:, None], plain.conj(), plain)
    angle = 2 * torch.pi / orbits.angles * turn[:, None] * orbits.basis.orders
    return plain * torch.polar(torch.ones_like(angle), angle)
