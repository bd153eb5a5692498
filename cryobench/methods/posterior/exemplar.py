"""The posterior mean over training exemplars: no training, only Bayes' rule with the clean images as samples of the prior.

    x̂(y) = Σ_i w_i x_i,   w_i ∝ exp(−‖y − x_i‖² / (2σ²τ))

over the clean training images x_i with all their in-plane rotations and mirror images, which are exact symmetries of
uniformly oriented projections. As the exemplars grow dense this tends to the Bayes limit with τ = 1; while they are few,
the nearest of them is some way from the truth, and τ > 1 widens the weights to make up for it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import torch
from rich.progress import track

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Belief, WithSigma, check_images
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.steerable import compute_device, fourier_bessel, principal

TAUS = (1.0, 1.15, 1.3, 1.6, 2.0, 2.5, 3.2)
AVERAGES = {"mean": np.mean, "median": np.median}
BASIS_IMAGES = 2000  # training images that the basis is learnt from
BATCH = 256  # training images read at a time
DRAWS = 128  # from a posterior, for the standard deviation of pixels
# A shift search: how many exemplars and angles are enough to rule a shift out, by how much, and how many may be left.
GLANCE, GLANCE_ANGLES, RULED_OUT, KEPT = 500, 72, 12.0, 16


@dataclass
class Exemplar(WithSigma):
    """Settings; what is None or a list is chosen by the errors on held-out training images, never on test images.

    tau: widening τ ≥ 1 of the weights, or None; components: sizes of the steerable basis to choose from (real numbers
    per image); angles: least numbers of in-plane angles to choose from; n_validation: how many of the last training
    images choose (all are exemplars afterwards); n_exemplars: how many training images to use, None for all.
    chosen_by: the "mean" of the held-out images' squared errors, or their "median", which images whose reference is wrong
    don't move as long as they are fewer than half.
    shift: how many px a particle may be off the centre; shifts of whole px up to that are unknowns like the angle.
    """

    tau: float | None = None
    components: list[int] = field(default_factory=lambda: [400, 1200])
    angles: list[int] = field(default_factory=lambda: [72, 144])
    n_validation: int = 40
    n_exemplars: int | None = None
    shift: int = field(default=0, metadata={"later": True})
    chosen_by: str = field(default="mean", metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau is not None and not self.tau > 0:
            raise InputError(f"method.tau: expected a number above 0, or null to have it chosen, got {self.tau}")
        for name in ("components", "angles"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InputError(f"method.{name}: expected a list of numbers above 0, got {getattr(self, name)}")
        if self.n_validation < 1 or (self.n_exemplars is not None and self.n_exemplars < 1):
            raise InputError("method.n_validation and n_exemplars: expected numbers above 0")
        if self.chosen_by not in AVERAGES:
            raise InputError(f"method.chosen_by: expected one of {', '.join(AVERAGES)}, got {self.chosen_by}")
        if self.shift < 0:
            raise InputError(f"method.shift: expected 0 or more, got {self.shift}")
        self.orbits: Orbits | None = None

    @property
    def knows(self) -> frozenset[str]:
        return super().knows | {"clean", "labels"}

    def fit(self, train: NoisyImages) -> None:
        train = train.subset(slice(0, self.n_exemplars))
        held = min(self.n_validation, len(train) // 2)
        if not held:
            raise InputError(f"data.n_train: expected at least 2 exemplars, got {len(train)}")
        check = np.arange(len(train) - held, len(train))
        noisy, truth = train.noisy(check), train.clean(check)
        sigma = self.noise_level(noisy, {"sigma": train.sigma(check)} if self.sigma == "known" else {})
        labels = torch.from_numpy(train.labels)
        device = compute_device(self.setting.accelerator)
        general = fourier_bessel(train.image_size).to(device)
        taus = TAUS if self.tau is None else (self.tau,)

        tried: dict[tuple[int, int, float], float] = {}
        choices = list(itertools.product(self.components, self.angles))
        for components, angles in track(choices, "choosing basis, angles and τ", disable=not self.setting.progress):
            orbits = self._orbits(general, train, len(train) - held, components, angles)
            errors = np.zeros((held, len(taus)))
            for row, (image, level, target) in enumerate(zip(noisy, sigma, truth, strict=True)):
                energies = self._energies(orbits, image)
                for k, tau in enumerate(taus):
                    mean = orbits.weighted_sum(weights(energies, level, tau))
                    rendered = orbits.basis.render(mean[None])[0].cpu().numpy()
                    errors[row, k] = np.mean((rendered - target) ** 2)
            averages = AVERAGES[self.chosen_by](errors, axis=0)
            tried |= {(components, angles, tau): float(error) for tau, error in zip(taus, averages, strict=True)}
        (components, angles, self.chosen_tau), best = min(tried.items(), key=lambda item: item[1])
        self.orbits, self.labels = self._orbits(general, train, len(train), components, angles), labels.to(device)
        step = -(-len(train) // GLANCE)
        self.glance = Orbits(self.orbits.basis, self.orbits.coefficients[::step], GLANCE_ANGLES) if self.shift else None
        few = train.clean(slice(0, 200))
        self.report.update(
            tau=self.chosen_tau, components=components, angles=self.orbits.angles, exemplars=len(train), val_mse=best,
            validation_images=held, tried=[[*setting, error] for setting, error in tried.items()],
            truncation_mse=float(np.mean((self._truncated(few) - few) ** 2)),
        )  # fmt: skip

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """(n, L, L) → posterior means (n, L, L) float32; `belief` is the posterior's.

        report["per_image"]: effective_exemplars, 1/Σw² over training images; predicted_mse, the posterior variance per
        pixel; conformation, the most probable one, and conformation_probability.
        Raises InputError for images of another size than the exemplars, BadImages for NaN, Inf or a constant border.
        """
        check_images(noisy)
        if noisy.shape[-1] != (size := self.orbits.basis.size):
            raise InputError(f"expected images of {size} x {size} px, as the exemplars are, got {noisy.shape[-1]} px")
        out, deviation = np.empty_like(noisy, dtype=np.float32), np.empty_like(noisy, dtype=np.float32)
        conformations = np.zeros((len(noisy), int(self.labels.max()) + 1))
        names = ("effective_exemplars", "predicted_mse", "conformation", "conformation_probability")
        noted: dict[str, list] = {name: [] for name in names}
        pairs = list(zip(noisy, self.noise_level(noisy, hints), strict=True))
        for i, (image, level) in enumerate(track(pairs, "denoising", disable=not self.setting.progress)):
            out[i], deviation[i], share, variance = self._posterior(image, level)
            conformations[i] = torch.bincount(self.labels, share.double(), conformations.shape[1]).cpu()
            likeliest = int(conformations[i].argmax())
            found = (1 / share.square().sum(), variance / out[i].size, likeliest, conformations[i, likeliest])
            for name, value in zip(names, found, strict=True):
                noted[name].append(float(f"{float(value):.5g}"))
        self.belief = Belief(deviation, conformations)
        self.report["per_image"] = noted
        return out

    def widened(
        self, noisy: np.ndarray, widths: tuple[float, ...], leave_out: np.ndarray | None = None, **hints: np.ndarray
    ) -> np.ndarray:
        """Posterior means at τ times each of `widths`: (n, L, L) → (n, len(widths), L, L) float32.

        leave_out (n,): an exemplar for each image, by its position in training, that gets no weight. A training image
        has to leave itself out, or its estimate is better than any that a test image can have.
        """
        check_images(noisy)
        out = np.empty((len(noisy), len(widths), *noisy.shape[1:]), dtype=np.float32)
        sigma = self.noise_level(noisy, hints)
        for i, (image, level) in enumerate(zip(noisy, sigma, strict=True)):
            energies = self._energies(self.orbits, image)
            if leave_out is not None:
                energies[:, :, leave_out[i]] = -torch.inf
            means = [self.orbits.weighted_sum(weights(energies, level, self.chosen_tau * width)) for width in widths]
            out[i] = self.orbits.basis.render(torch.stack(means)).cpu().numpy()
        return out

    def _posterior(self, image: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray, torch.Tensor, float]:
        """Of one image (L, L): posterior mean and standard deviation of its pixels, both (L, L); the weight of each training
        image (n,); and the variance, all pixels together.
        """
        orbits, heat = self.orbits, float(sigma) ** 2 * self.chosen_tau
        found = []
        for shift in self._shifts(image, heat):
            energies = self._energies(orbits, np.roll(image, (-shift[0], -shift[1]), (0, 1)))
            found.append(
                (shift, torch.logsumexp(energies.flatten() / heat, 0), weights(energies, sigma, self.chosen_tau))
            )
        odds = torch.softmax(torch.stack([log for _, log, _ in found]), dim=0)
        means, within, traces, shares = [], [], [], []
        for shift, _, weight in found:
            coefficients, share = orbits.weighted_sum(weight), weight.sum(dim=(0, 1))
            means.append(torch.roll(orbits.basis.render(coefficients[None])[0], shift, (0, 1)))
            drawn = orbits.basis.render(elements(orbits, draws(weight, DRAWS)))
            within.append((torch.roll(drawn, shift, (1, 2)) - means[-1]).square().mean(dim=0))
            traces.append(share @ orbits.norms - coefficients.abs().square().sum())
            shares.append(share)
        means = torch.stack(means)
        mean = torch.tensordot(odds, means, 1)
        between = torch.tensordot(odds, (means - mean).square(), 1)
        deviation = (torch.tensordot(odds, torch.stack(within), 1) + between).sqrt()
        variance = max(float(odds @ torch.stack(traces) + between.sum()), 0.0)
        return mean.cpu().numpy(), deviation.cpu().numpy(), torch.tensordot(odds, torch.stack(shares), 1), variance

    def _shifts(self, image: np.ndarray, heat: float) -> list[tuple[int, int]]:
        """The shifts (down, right) in px that a few exemplars at few angles don't rule out, the likeliest first."""
        if not self.shift:
            return [(0, 0)]
        reach = range(-self.shift, self.shift + 1)
        shifts = [(y, x) for y, x in itertools.product(reach, reach) if y * y + x * x <= self.shift**2]
        back = np.stack([np.roll(image, (-y, -x), (0, 1)) for y, x in shifts])
        glance = torch.stack([
            torch.logsumexp((self.glance.inner_products(one) - self.glance.norms / 2).flatten() / heat, 0)
            for one in self.orbits.basis.coefficients(back)
        ])  # fmt: skip
        best = glance.argsort(descending=True)[:KEPT].tolist()
        return [shifts[k] for k in best if glance[k] > glance[best[0]] - RULED_OUT]

    @staticmethod
    def _orbits(general, train: NoisyImages, n: int, components: int, angles: int) -> Orbits:
        """The orbits of the first n training images, which are read a batch at a time: they may not fit into memory."""
        batches = [slice(start, min(start + BATCH, n)) for start in range(0, n, BATCH)]
        basis = principal(general, (train.clean(b) for b in batches[: -(-BASIS_IMAGES // BATCH)]), components)
        return Orbits(basis, torch.cat([basis.coefficients(train.clean(b)) for b in batches]), angles)

    @staticmethod
    def _energies(orbits: Orbits, image: np.ndarray) -> torch.Tensor:
        """(‖y‖² − ‖y − x‖²)/2 = ⟨y, x⟩ − ‖x‖²/2 of every element, (2, angles, n)."""
        return orbits.inner_products(orbits.basis.coefficients(image[None])[0]) - orbits.norms / 2

    def _truncated(self, images: np.ndarray) -> np.ndarray:
        basis = self.orbits.basis
        return basis.render(basis.coefficients(images)).cpu().numpy()


def weights(energies: torch.Tensor, sigma: float, tau: float) -> torch.Tensor:
    """w ∝ exp(energy / (σ²τ)), of sum 1; the largest exponent is taken off first, so nothing overflows."""
    return torch.softmax((energies / (float(sigma) ** 2 * tau)).flatten(), dim=0).reshape(energies.shape)


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
