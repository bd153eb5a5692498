"""One task of robust estimation, whole: law → contaminated sample → GAN and classical estimates → errors."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import nn

from cryobench.errors import InputError
from cryobench.methods.learned.scores import AlphaBeta
from cryobench.robust import estimators
from cryobench.robust.contamination import CONTAMINATIONS, contaminate
from cryobench.robust.discriminators import ACTIVATIONS, Bounded, Plain
from cryobench.robust.elliptical import Elliptical, Generator, scatter_matrix
from cryobench.robust.train import Training, play

LOCATION = ("mean", "coordinate_median", "geometric_median", "trimmed_mean", "iterative_filtering", "mcd")
SCATTER = ("covariance", "tyler", "kendall", "mcd")
DISCRIMINATORS = ("plain", "bounded")


@dataclass(frozen=True)
class Settings(Training):
    """What is estimated, from what, by whom, and how it is trained. Raises InputError, in one line, for what can't be.

    target: "location" (Σ known, θ found) or "scatter" (θ and Σ found). p, n: dimension and sample size, n ≥ p.
    tail, scatter: the law, see cryobench.robust.elliptical; a tail other than the Gaussian is not told to the generator,
    which learns a radius. epsilon, contamination: see cryobench.robust.contamination.
    discriminator: "plain" or "bounded", the class D_L(κ,B) of Definition 4, L = len(widths); activation: of the plain
    one's first layer; kappa: κ, by default √(p/n) + ε, Theorem 1's order with a constant of 1; bound: B.
    rounds: times the game is played, each from the last one's result. size: share of p, n and steps that is used, for a
    quick look. compare: the classical estimators to run, of
    LOCATION and SCATTER.
    """

    alpha: float = 0.0
    beta: float = 0.0
    target: str = "location"
    p: int = 100
    n: int = 50_000
    epsilon: float = 0.2
    tail: str = "gaussian"
    scatter: str = "identity"
    contamination: str = "far"
    discriminator: str = "plain"
    widths: tuple[int, ...] = (20,)
    activation: str = "leaky_relu"
    kappa: float | None = None
    bound: float = 1.0
    rounds: int = 1
    size: float = 1.0
    compare: tuple[str, ...] = ("mean", "coordinate_median")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (
            ("target", ("location", "scatter")),
            ("contamination", CONTAMINATIONS),
            ("discriminator", DISCRIMINATORS),
            ("activation", tuple(ACTIVATIONS)),
        ):
            if getattr(self, name) not in choices:
                raise InputError(f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}")
        unknown = set(self.compare) - {*LOCATION, *SCATTER}
        if unknown:
            raise InputError(
                f"compare: expected some of {', '.join(dict.fromkeys(LOCATION + SCATTER))}, "
                f"got {', '.join(sorted(unknown))}"
            )
        if not 0 <= self.epsilon < 0.5:
            raise InputError(
                f"epsilon: expected a share in [0, 0.5), got {self.epsilon}; half or more can't be told from the law"
            )
        if self.p < 2 or self.n < self.p:
            raise InputError(f"expected p ≥ 2 and n ≥ p, got p = {self.p} and n = {self.n}; Theorem 1 needs p/n small")
        if not self.widths or min(self.widths) < 1:
            raise InputError(f"widths: expected at least one layer of at least one unit, got {list(self.widths)}")
        if self.rounds < 1:
            raise InputError(f"rounds: expected at least 1, got {self.rounds}")
        if not 0 < self.size <= 1:
            raise InputError(f"size: expected a share in (0, 1] of the size asked for, got {self.size}")
        AlphaBeta(self.alpha, self.beta)
        Elliptical(np.zeros(2), scatter_matrix(self.scatter, 2), self.tail)

    def at_size(self) -> Settings:
        """These settings with p, n and steps cut to their share: no less than p = 2, n = p and d_steps steps."""
        p = max(2, round(self.size * self.p))
        n, steps = max(p, round(self.size * self.n)), max(self.d_steps, round(self.size * self.steps))
        return replace(self, p=p, n=n, steps=steps, size=1.0)

    @property
    def rule(self) -> AlphaBeta:
        """The scoring rule of generator and discriminator."""
        return AlphaBeta(self.alpha, self.beta)

    @property
    def order(self) -> float:
        """√(p/n) + ε, the order that Theorem 1 gives to κ."""
        return math.sqrt(self.p / self.n) + self.epsilon


def robust_estimation(settings: Settings, seed: int, progress: bool = False) -> dict:
    """Errors of every estimator on one sample; everything random follows from `seed`.

    Returns {"settings", "seed", "location": {name: ‖θ̂−θ‖₂}, "scatter": {name: ‖Σ̂−Σ‖_op}, "wall_s": {name: seconds}},
    names "gan", "oracle" (maximum likelihood on the sample before anything was contaminated, without the points that
    then were) and those of `settings.compare`. Where the tail is not Gaussian a scatter has no scale of its own: it is
    given the trace of Σ first. Raises RunFailed if training diverges.
    """
    settings = settings.at_size()
    data_rng, start_rng = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    truth = Elliptical(np.zeros(settings.p), scatter_matrix(settings.scatter, settings.p), settings.tail)
    clean = truth.sample(settings.n, data_rng)
    samples, touched = contaminate(clean, truth, settings.contamination, settings.epsilon, data_rng)
    # The strong adversary chooses whom it touches: without those, what is left would be biased.
    untouched = clean if settings.contamination == "strong" else clean[~touched]

    found: dict[str, dict[str, np.ndarray]] = {"location": {}, "scatter": {}}
    wall = {}

    def run(name: str, estimate) -> None:
        start = time.perf_counter()
        for kind, value in estimate().items():
            found[kind][name] = value
        wall[name] = round(time.perf_counter() - start, 3)

    run("gan", lambda: by_gan(settings, samples, truth, start_rng, seed, progress))
    run("oracle", lambda: both(estimators.student_fit(untouched, truth.degrees)))
    for name in settings.compare:
        run(name, lambda name=name: classical(name, samples, settings, truth, start_rng))

    def scatter_error(scatter: np.ndarray) -> float:
        if settings.tail != "gaussian":
            scatter = scatter * np.trace(truth.scatter) / np.trace(scatter)
        return float(np.linalg.norm(scatter - truth.scatter, 2))

    location = {name: float(np.linalg.norm(value - truth.location)) for name, value in found["location"].items()}
    scatter = {name: scatter_error(value) for name, value in found["scatter"].items()}
    if settings.target == "location":
        scatter = {}
    return {"settings": asdict(settings), "seed": seed, "location": location, "scatter": scatter, "wall_s": wall}


def both(pair: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """A pair (location, scatter) under their names."""
    return dict(zip(("location", "scatter"), pair, strict=True))


def classical(
    name: str, samples: np.ndarray, settings: Settings, truth: Elliptical, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The estimate of one classical estimator: {"location": (p,)} and/or {"scatter": (p, p)}."""
    if name == "mcd":
        return both(estimators.mcd(samples, seed=int(rng.integers(2**31))))
    if name == "kendall":
        return {"scatter": estimators.kendall(samples, rng)}
    if name == "trimmed_mean":
        return {"location": estimators.trimmed_mean(samples, settings.epsilon)}
    if name == "iterative_filtering":
        return {"location": estimators.iterative_filtering(samples, settings.epsilon, truth.scatter)}
    return {"scatter" if name in SCATTER else "location": getattr(estimators, name)(samples)}


def by_gan(
    settings: Settings,
    samples: np.ndarray,
    truth: Elliptical,
    rng: np.random.Generator,
    seed: int,
    progress: bool = False,
) -> dict[str, np.ndarray]:
    """The generator's location, and scatter if it is a target, after the game.

    It is played in the coordinates W⁻¹(x − m) of its start: m the coordinate-wise median, W Wᵀ the known scatter, or
    Kendall's; and again in those of the result, `settings.rounds` times in all. Both classes of discriminators and the
    generator's are closed under a change of coordinates, but SGD's steps are even only in round ones.
    """
    learn_scatter = settings.target == "scatter"
    location = estimators.coordinate_median(samples)
    scatter = estimators.kendall(samples, rng) if learn_scatter else truth.scatter
    torch_rng = torch.Generator().manual_seed(seed)
    for _ in range(settings.rounds):
        factor = np.linalg.cholesky(scatter)
        white = np.linalg.solve(factor, (samples - location).T).T
        with torch.random.fork_rng(devices=[]):  # layers draw from the global state when made; ours is drawn below
            generator = Generator(settings.p, learn_scatter=learn_scatter, learn_radius=settings.tail != "gaussian")
            discriminator = build_discriminator(settings)
        for net in (discriminator, generator):
            draw_weights(net, torch_rng)
        generator.start_on_sphere()
        moved, shape = play(white, settings.rule, discriminator, generator, settings, torch_rng, progress)
        location, scatter = location + factor @ moved, factor @ shape @ factor.T
    return {"location": location} | ({"scatter": scatter} if learn_scatter else {})


def build_discriminator(settings: Settings) -> Bounded | Plain:
    """A discriminator of the class that the settings name; its weights are not drawn yet."""
    if settings.discriminator == "plain":
        return Plain(settings.p, settings.widths, settings.activation)
    kappa = settings.order if settings.kappa is None else settings.kappa
    return Bounded(settings.p, settings.widths, kappa, settings.bound)


def draw_weights(net: nn.Module, rng: torch.Generator) -> None:
    """Every linear layer uniform in ±1/√fan_in, weights and biases, from `rng`."""
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Linear):
                for parameter in layer.parameters():
                    parameter.uniform_(-(layer.in_features**-0.5), layer.in_features**-0.5, generator=rng)
