"""The posterior mean over training exemplars: no training, only Bayes' rule with the clean images as samples of the prior.

    x̂(y) = Σ_i w_i x_i,   w_i ∝ exp(−‖y − x_i‖² / (2σ²τ))

over the clean training images x_i with all their in-plane rotations and mirror images, which are exact symmetries of
uniformly oriented projections (mixture.py). As the exemplars grow dense this tends to the Bayes limit with τ = 1; while they
are few, the nearest of them is some way from the truth, and τ > 1 widens the weights to make up for it. Told of the CTF H
(method.ctf) it compares y with H x_i, and its images are without; noise that is not white is whitened in both (imaging.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import track

from cryobench.checks import above_zero, at_least, one_of, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Uncertainty, WithSigma, check_images
from cryobench.methods.imaging import Imaging

if TYPE_CHECKING:
    from cryobench.methods.posterior.mixture import Mixture, Observed

TAUS = (1.0, 1.15, 1.3, 1.6, 2.0, 2.5, 3.2)
AVERAGES: dict[str, Callable] = {"mean": np.mean, "median": np.median}


@dataclass
class Exemplar(WithSigma, Imaging):
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
        self.check_imaging()
        numbers = at_least(self, 1, "n_validation", "n_exemplars") | at_least(self, 0, "shift")
        refuse("method", above_zero(self, "tau"), numbers, one_of(self, chosen_by=tuple(AVERAGES)))
        for name in ("components", "angles"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InputError(f"method.{name}: expected a list of numbers above 0, got {getattr(self, name)}")
        self.mixture: Mixture | None = None
        self.folded = True  # the basis; whether its last digits may differ from those of committed trainings

    @property
    def side_information(self) -> frozenset[str]:
        return super().side_information | {"clean", "labels"}

    def fit(self, train: NoisyImages) -> None:
        """Take the training images as exemplars; basis, angles and τ are chosen by the errors on the last of them.

        Raises InputError for fewer than 2 images.
        """
        from cryobench.methods.device import compute_device
        from cryobench.methods.posterior import mixture
        from cryobench.methods.posterior.fourier_bessel import fourier_bessel

        train = train.subset(slice(0, self.n_exemplars))
        held = min(self.n_validation, len(train) // 2)
        if not held:
            raise InputError(f"data.n_train: expected at least 2 exemplars, got {len(train)}")
        check = np.arange(len(train) - held, len(train))
        self.learn_spectrum(train)
        noisy, truth, hints = (
            self.whitened(train.noisy(check)),
            train.clean(check),
            train.hints(self.side_information, check),
        )
        sigma, transfers = self.noise_level(noisy, hints), self.transfers(hints.get("ctf"), held, train.image_size)
        device = compute_device(self.setting.accelerator)
        general = fourier_bessel(train.image_size, device=device, folded=self.folded)
        taus = TAUS if self.tau is None else (self.tau,)

        tried: dict[tuple[int, int, float], float] = {}
        choices = list(itertools.product(self.components, self.angles))
        for components, angles in track(choices, "choosing basis, angles and τ", disable=not self.setting.progress):
            orbits = mixture.orbits_of(train, len(train) - held, general, components, angles)
            errors = mixture.errors(orbits, noisy, sigma, truth, taus, transfers)
            averages = AVERAGES[self.chosen_by](errors, axis=0)
            tried |= {(components, angles, tau): float(error) for tau, error in zip(taus, averages, strict=True)}
        (components, angles, tau), best = min(tried.items(), key=lambda item: item[1])
        orbits = mixture.orbits_of(train, len(train), general, components, angles)
        self.mixture = mixture.Mixture(orbits, train.labels, tau, self.shift)
        few = train.clean(slice(0, 200))
        self.report.update(
            tau=tau,
            components=components,
            angles=orbits.angles,
            exemplars=len(train),
            val_mse=best,
            validation_images=held,
            tried=[[*setting, error] for setting, error in tried.items()],
            truncation_mse=float(np.mean((mixture.truncated(orbits, few) - few) ** 2)),
        )

    @property
    def fitted(self) -> Mixture:
        """The exemplars with what was chosen for them. Raises InputError before a fit."""
        return self.from_fit("mixture")

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) → posterior means (n, L, L) float32; `uncertainty` is the posterior's.

        report["per_image"]: effective_exemplars, 1/Σw² over training images; predicted_mse, the posterior variance per
        pixel; conformation, the most probable one, and conformation_probability.
        Raises InputError for images of another size than the exemplars, BadImages for NaN, Inf or a constant border.
        """
        images, sigma = self._prepared(noisy, hints)
        mixture = self.fitted
        out, deviation = np.empty_like(noisy, dtype=np.float32), np.empty_like(noisy, dtype=np.float32)
        conformations = np.zeros((len(noisy), mixture.conformations))
        names = ("effective_exemplars", "predicted_mse", "conformation", "conformation_probability")
        noted: dict[str, list] = {name: [] for name in names}
        posteriors = mixture.posteriors(self._seen(images, sigma, hints))
        shown = track(posteriors, "denoising", len(images), disable=not self.setting.progress)
        for i, posterior in enumerate(shown):
            out[i], deviation[i], conformations[i] = posterior.mean, posterior.deviation, posterior.conformations
            likeliest = int(conformations[i].argmax())
            numbers = (posterior.effective, posterior.variance / out[i].size, likeliest, conformations[i, likeliest])
            for name, value in zip(names, numbers, strict=True):
                noted[name].append(float(f"{float(value):.5g}"))
        self.uncertainty = Uncertainty(deviation, conformations)
        self.report["per_image"] = noted
        return self.as_asked(out, hints.get("ctf"))

    def widened(
        self, noisy: np.ndarray, widths: tuple[float, ...], leave_out: np.ndarray | None = None, **hints: Any
    ) -> np.ndarray:
        """Posterior means at τ times each of `widths`: (n, L, L) → (n, len(widths), L, L) float32.

        leave_out (n,): an exemplar for each image, by its position in training, that gets no weight. A training image
        has to leave itself out, or its estimate is better than any that a test image can have.
        """
        images, sigma = self._prepared(noisy, hints)
        out = np.empty((len(noisy), len(widths), *noisy.shape[1:]), dtype=np.float32)
        for i, means in enumerate(self.fitted.widened(self._seen(images, sigma, hints), widths, leave_out)):
            out[i] = means
        return out

    def _prepared(self, noisy: np.ndarray, hints: dict) -> tuple[np.ndarray, np.ndarray]:
        """The images whitened, and σ of each. Raises as `denoise` does."""
        check_images(noisy, self.fitted.orbits.basis.size)
        images = self.whitened(noisy)
        return images, self.noise_level(images, hints)

    def _seen(self, images: np.ndarray, sigma: np.ndarray, hints: dict) -> Iterator[Observed]:
        """Each image, its σ, and what it was seen through, (L, L/2+1), or None."""
        for i, (image, level) in enumerate(zip(images, sigma, strict=True)):
            ctf = hints["ctf"][i : i + 1] if "ctf" in hints else None
            transfers = self.transfers(ctf, 1, self.fitted.orbits.basis.size)
            yield image, level, None if transfers is None else transfers[0]
