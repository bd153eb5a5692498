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

from cryobench.errors import InputError
from cryobench.methods.base import WithSigma, check_images
from cryobench.methods.orbits import Orbits
from cryobench.methods.steerable import compute_device, fourier_bessel, principal
from cryobench.noise import NoisyImages

TAUS = (1.0, 1.15, 1.3, 1.6, 2.0, 2.5, 3.2)
BASIS_IMAGES = 2000  # training images that the basis is learnt from
BATCH = 256  # training images read at a time
UNCERTAIN = 256  # heaviest elements that a standard deviation is taken over


@dataclass
class Exemplar(WithSigma):
    """Settings; what is None or a list is chosen by the MSE on held-out training images, never on test images.

    tau: widening τ ≥ 1 of the weights, or None; components: sizes of the steerable basis to choose from (real numbers
    per image); angles: least numbers of in-plane angles to choose from; n_validation: how many of the last training
    images choose (all are exemplars afterwards); n_exemplars: how many training images to use, None for all.
    """

    tau: float | None = None
    components: list[int] = field(default_factory=lambda: [400, 1200])
    angles: list[int] = field(default_factory=lambda: [72, 144])
    n_validation: int = 40
    n_exemplars: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau is not None and not self.tau > 0:
            raise InputError(f"method.tau: expected a number above 0, or null to have it chosen, got {self.tau}")
        for name in ("components", "angles"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InputError(f"method.{name}: expected a list of numbers above 0, got {getattr(self, name)}")
        if self.n_validation < 1 or (self.n_exemplars is not None and self.n_exemplars < 1):
            raise InputError("method.n_validation and n_exemplars: expected numbers above 0")
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
            errors = np.zeros(len(taus))
            for image, level, target in zip(noisy, sigma, truth, strict=True):
                energies = self._energies(orbits, image)
                for k, tau in enumerate(taus):
                    mean = orbits.weighted_sum(weights(energies, level, tau))
                    rendered = orbits.basis.render(mean[None])[0].cpu().numpy()
                    errors[k] += float(np.mean((rendered - target) ** 2)) / held
            tried |= {(components, angles, tau): error for tau, error in zip(taus, errors, strict=True)}
        (components, angles, self.chosen_tau), best = min(tried.items(), key=lambda item: item[1])
        self.orbits, self.labels = self._orbits(general, train, len(train), components, angles), labels.to(device)
        few = train.clean(slice(0, 200))
        self.report.update(
            tau=self.chosen_tau, components=components, angles=self.orbits.angles, exemplars=len(train), val_mse=best,
            validation_images=held, tried=[[*setting, error] for setting, error in tried.items()],
            truncation_mse=float(np.mean((self._truncated(few) - few) ** 2)),
        )  # fmt: skip

    def denoise(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        out = np.empty_like(noisy, dtype=np.float32)
        noted: dict[str, list] = {
            "effective_exemplars": [],
            "predicted_mse": [],
            "conformation": [],
            "conformation_probability": [],
        }
        for i, (orbits, weight) in enumerate(self._posteriors(noisy, hints)):
            mean = orbits.weighted_sum(weight)
            out[i] = orbits.basis.render(mean[None])[0].cpu().numpy()
            share = weight.sum(dim=(0, 1))
            spread = float(share @ orbits.norms) - float(mean.abs().square().sum())
            conformations = torch.bincount(self.labels, share.double())
            noted["effective_exemplars"].append(float(1 / share.square().sum()))
            noted["predicted_mse"].append(max(spread, 0.0) / out[i].size)
            noted["conformation"].append(int(conformations.argmax()))
            noted["conformation_probability"].append(float(conformations.max()))
        self.report["per_image"] = {name: [float(f"{v:.5g}") for v in values] for name, values in noted.items()}
        return out

    def uncertainty(self, noisy: np.ndarray, **hints: np.ndarray) -> np.ndarray:
        """Posterior standard deviation of each pixel, (n, L, L) float32, over the heaviest elements of each posterior."""
        out = np.empty_like(noisy, dtype=np.float32)
        for i, (orbits, weight) in enumerate(self._posteriors(noisy, hints)):
            heavy, where = weight.flatten().topk(min(UNCERTAIN, weight.numel()))
            images = orbits.basis.render(elements(orbits, where))
            heavy = (heavy / heavy.sum())[:, None, None]
            mean = (heavy * images).sum(dim=0)
            out[i] = (heavy * (images - mean).square()).sum(dim=0).sqrt().cpu().numpy()
        return out

    def _posteriors(self, noisy: np.ndarray, hints: dict):
        """(orbits, weights (2, angles, n)) of each image, one at a time: memory is that of one."""
        check_images(noisy)
        size = self.orbits.basis.size
        if noisy.shape[-1] != size:
            raise InputError(f"expected images of {size} x {size} px, as the exemplars are, got {noisy.shape[-1]} px")
        sigma = self.noise_level(noisy, hints)
        pairs = list(zip(noisy, sigma, strict=True))
        for image, level in track(pairs, "denoising", disable=not self.setting.progress):
            yield self.orbits, weights(self._energies(self.orbits, image), level, self.chosen_tau)

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


def elements(orbits: Orbits, where: torch.Tensor) -> torch.Tensor:
    """Coefficients (k, K) of the elements with these flat positions in (mirrors, angles, images)."""
    n = len(orbits)
    mirrored, turn, which = where // (orbits.angles * n), where // n % orbits.angles, where % n
    plain = orbits.coefficients[which]
    plain = torch.where((mirrored == 1)[:, None], plain.conj(), plain)
    return plain * torch.polar(torch.ones(()), 2 * torch.pi / orbits.angles * turn[:, None] * orbits.basis.orders)
