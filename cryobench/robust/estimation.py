"""One task of robust estimation, whole: law → contaminated sample → GAN and classical estimates → errors."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from cryobench.robust import estimators
from cryobench.robust.contamination import contaminate
from cryobench.robust.discriminators import Bounded, Plain
from cryobench.robust.elliptical import Elliptical, scatter_matrix
from cryobench.robust.generator import Generator
from cryobench.robust.settings import SCATTER, Settings
from cryobench.robust.train import play


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

    estimates: dict[str, dict[str, np.ndarray]] = {"location": {}, "scatter": {}}
    wall = {}

    def run(name: str, estimate) -> None:
        start = time.perf_counter()
        for kind, value in estimate().items():
            estimates[kind][name] = value
        wall[name] = round(time.perf_counter() - start, 3)

    run("gan", lambda: by_gan(settings, samples, truth, start_rng, seed, progress))
    run("oracle", lambda: both(estimators.student_fit(untouched, truth.degrees)))
    for name in settings.compare:
        run(name, lambda name=name: classical(name, samples, settings, truth, start_rng))

    def scatter_error(scatter: np.ndarray) -> float:
        if settings.tail != "gaussian":
            scatter = scatter * np.trace(truth.scatter) / np.trace(scatter)
        return float(np.linalg.norm(scatter - truth.scatter, 2))

    location = {name: float(np.linalg.norm(value - truth.location)) for name, value in estimates["location"].items()}
    scatter = {name: scatter_error(value) for name, value in estimates["scatter"].items()}
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
