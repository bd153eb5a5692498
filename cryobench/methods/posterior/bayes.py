"""Control: the limit. The posterior mean over conformation and orientation, given the true volumes and σ.

A clean image x is the projection of conformation k seen under R, rescaled to [0, 1]; k and R are uniform, and
y = x + σn. No estimate of x has a lower mean squared error, averaged over such data, than

    x̂(y) = Σ_k ∫ x_kR p(k, R | y) dR,      p(k, R | y) ∝ p(y | x_kR) = exp(-‖y - x_kR‖²/2σ²)

(an image that was cut to [0, 1] has a likelihood of its own, see likelihood.py).

How it is computed: sampling.py.

Only what the equation above names is used. The SNR is not: who knew it, too, and that σ² is exactly var(x)/SNR, could
rule out every pose whose image has another variance. That would be knowledge of how the data were made, not of the noise.
Where images were seen through a CTF H, and it is told (method.ctf), H x_kR stands in place of x_kR in the likelihood; noise
that is not white is whitened in both (imaging.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import track

from cryobench.checks import above_zero, at_least, refuse
from cryobench.data.threads import in_threads
from cryobench.errors import BadImages, InputError
from cryobench.methods.base import Uncertainty, check_images
from cryobench.methods.imaging import Imaging

if TYPE_CHECKING:
    import torch

    from cryobench.methods.posterior.sampling import Sampler


@dataclass
class Bayes(Imaging):
    """step: how far the rim of the image moves between neighbouring cells, in px (1.4 is 2.5° at 64 px).
    components: size of the basis in which cells are compared; the fine level does not depend on it.
    temper: above 1 draws more broadly than the coarse posterior.
    draws: poses projected in one round; ess: effective sample size at which no further round is needed; max_draws: the
        most poses for one image.
    adapt_above: images of more px than this are drawn adaptively (adaptive.py): after the first round in rounds of a quarter
        as many poses. Committed limits of up to 64 px were drawn without.
    """

    step: float = 1.4
    components: int = 800
    temper: float = 1.5
    draws: int = 256
    ess: float = 50
    max_draws: int = 4096
    adapt_above: int = field(default=64, metadata={"later": True})

    def __post_init__(self) -> None:
        self.check_imaging()
        least = at_least(self, 1, "temper") | at_least(self, 0, "adapt_above")
        refuse("method", above_zero(self, "step", "components", "draws", "ess"), least)
        if self.max_draws < self.draws:
            raise InputError(f"method.max_draws: expected at least method.draws ({self.draws}), got {self.max_draws}")

    @property
    def side_information(self) -> frozenset[str]:
        """The volumes, σ, and what the settings say."""
        return super().side_information | {"volumes", "sigma"}

    def fit(self, train) -> None:
        """Project every conformation of the true volumes into every direction of the grid."""
        self.learn_spectrum(train)
        self.prepare(np.array(train.volumes, dtype=np.float32))

    def prepare(self, volumes: np.ndarray | torch.Tensor) -> None:
        """Get ready for images of the conformations with these volumes, (k, L, L, L)."""
        from cryobench.methods.posterior.sampling import Sampler

        self.sampler = Sampler(volumes, self)
        if self.ctf != "none" or self.whitener is not None:
            self.sampler.coarse.before_transfers()
        self.report["cells"] = int(np.prod(self.sampler.coarse.bank.shape))

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """(n, L, L) → posterior means (n, L, L) float32; hints["sigma"] (n,).

        Raises InputError for images of another size than the volumes, BadImages for NaN, Inf or σ not above 0.
        report["per_image"]: ess; draws; predicted_mse, the posterior variance per pixel, whose mean over many images is
        what their MSE must be; change, ‖x̂ - x̂ from half of the draws‖² as a share of it; conformation, the most
        probable one, and conformation_probability.
        """
        from cryobench.methods.posterior.sampling import DrawnPosterior

        sampler: Sampler = self.from_fit("sampler")
        check_images(noisy, size := sampler.simulator.size)
        ctf, sigma = hints.get("ctf"), np.asarray(hints["sigma"], dtype=np.float64)
        if (wrong := ~(np.isfinite(sigma) & (sigma > 0))).any():
            raise BadImages(np.flatnonzero(wrong), f"expected σ above 0, got {sigma[wrong][0]}; leave that image out")
        noisy = self.whitened(noisy)

        def posterior_of(part: slice) -> DrawnPosterior:
            transfers = self.transfers(None if ctf is None else ctf[part], len(noisy[part]), size)
            return sampler.posterior(noisy[part], sigma[part], transfers)

        step = sampler.images_at_once
        parts = [slice(start, start + step) for start in range(0, len(noisy), step)]
        each = in_threads(posterior_of, parts, most=sampler.threads)
        found = track(each, "denoising", len(parts), disable=not self.setting.progress)
        posterior = DrawnPosterior.joined([DrawnPosterior.nothing(size, len(sampler.simulator)), *found])
        self.uncertainty = Uncertainty(posterior.deviation, posterior.conformations)
        per_image = {
            "ess": posterior.ess,
            "draws": posterior.draws,
            "predicted_mse": posterior.variance,
            "change": posterior.change,
            "conformation": posterior.conformations.argmax(axis=1),
            "conformation_probability": posterior.conformations.max(axis=1),
        }
        self.report["per_image"] = {name: values.tolist() for name, values in per_image.items()}
        return self.as_asked(posterior.mean, ctf)
