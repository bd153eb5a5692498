"""The min-max game between an elliptical generator and a discriminator (supplement, note 1, equation 4).

(θ̂, Σ̂) = arg min over (θ,Σ), max over D of  (1/n) Σ_i S(D(x_i),1) + E S(D(x),0),  x ~ P_ell(θ,Σ)
"""

from __future__ import annotations

import numpy as np
import torch
from rich.progress import track

from cryobench.errors import RunFailed
from cryobench.methods.learned.losses import discriminator_loss, generator_loss
from cryobench.methods.learned.scores import AlphaBeta
from cryobench.robust.discriminators import Bounded, Plain
from cryobench.robust.generator import Generator
from cryobench.robust.settings import Training


def play(
    white: np.ndarray,
    rule: AlphaBeta,
    discriminator: Bounded | Plain,
    generator: Generator,
    training: Training,
    rng: torch.Generator,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Train both on `white` (n, p); the averaged location (p,) and scatter (p, p) of the generator, float64.

    A scoring rule may be multiplied by any number without changing the game, but SGD would notice: losses are divided
    by their slope at ½, 2^(1−α−β), relative to that of the logarithmic score, so that learning rates mean the same
    for every pair; and by the discriminator's `reach`, κ in D_L(κ,B), so that they do for every κ. Raises RunFailed,
    naming the step, if the estimate is no longer finite.
    """
    scale = AlphaBeta(0, 0).real_slope(0.5) / rule.real_slope(0.5) / discriminator.reach
    learned = list(generator.parameters())
    optimise_d = torch.optim.SGD(discriminator.parameters(), lr=training.lr_d * scale)
    optimise_g = torch.optim.SGD(learned, lr=training.lr_g * scale)
    data = torch.as_tensor(white, dtype=torch.float32)
    batch, last = min(training.batch, len(data)), training.steps - training.steps % training.d_steps - 1
    first_averaged = min(training.steps * (1 - training.average), last)  # the generator's last step counts in any case
    location, scatter = (np.zeros(shape) for shape in (data.shape[1], (data.shape[1],) * 2))
    averaged, position = 0, len(data)
    falling = training.decay * training.steps
    for step in track(range(training.steps), "playing", disable=not progress, transient=True):
        if training.steps - step < falling:
            optimise_d.param_groups[0]["lr"] = training.lr_d * scale * (training.steps - step) / falling
            optimise_g.param_groups[0]["lr"] = training.lr_g * scale * (training.steps - step) / falling
        if position + batch > len(data):
            order, position = torch.randperm(len(data), generator=rng), 0
        real = data[order[position : position + batch]]
        position += batch
        with torch.no_grad():
            fake = generator(batch, rng)
        scores = discriminator(torch.cat([real, fake]))
        optimise_d.zero_grad()
        discriminator_loss(rule, scores[:batch], scores[batch:], training.clamp).backward()
        optimise_d.step()
        discriminator.project()
        if (step + 1) % training.d_steps:
            continue
        for _ in range(training.g_steps):
            optimise_g.zero_grad()
            generator_loss(rule, discriminator(generator(batch, rng)), training.clamp).backward(inputs=learned)
            optimise_g.step()
        if not torch.isfinite(generator.location).all():
            raise RunFailed(
                f"the location is no longer finite at step {step + 1} of {training.steps}; try a smaller lr_d or lr_g"
            )
        if step >= first_averaged:
            location += generator.location.detach().double().numpy()
            scatter += generator.scatter.detach().double().numpy()
            averaged += 1
    return location / averaged, scatter / averaged
