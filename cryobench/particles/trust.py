"""Is a feature in a denoised image real? Three questions to a method, one figure, one paragraph.

noise     What does it make of pure noise, of the power spectrum that the images have around their particles? It should be
          flat; what is left of a molecule in it was invented.
halves    Half the dose twice: with noise n drawn anew like the image's own, y + n and y − n have independent noise of
          twice the variance, as two exposures of half the dose. Their denoised versions agree, by Fourier ring correlation,
          in what is there, and in what the method always paints: the agreement of two unrelated pure noises is that floor.
unseen    Conformations that it was never trained on, left out or half-way between two that it knows, on simulated data. If
          what comes out is further from the truth than for known ones, the method answers from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import irfft2, rfft2
from torch_fourier_shell_correlation import fourier_ring_correlation

from cryobench import figure
from cryobench.config.compose import build, cache_folder
from cryobench.data.pairs import open_pairs
from cryobench.errors import InputError
from cryobench.evaluation.analysis.sharpness import resolution
from cryobench.evaluation.metrics import mse
from cryobench.noise.background import outside_circle
from cryobench.particles.denoise import Prepared
from cryobench.particles.model import Model, background_of

SHOWN = 3  # images in the figure


@dataclass(frozen=True)
class Answers:
    """images, denoised, noise, from_noise (SHOWN, L, L); invented: contrast in denoised noise over that in denoised images;
    frequency (L/2,) in 1/Å or 1/px; agreement, floor, raw (L/2,): mean ring correlations of denoised halves, of denoised
    unrelated noises, of the halves themselves; unseen: see `unseen_conformation`, or None without simulated data."""

    images: np.ndarray
    denoised: np.ndarray
    noise: np.ndarray
    from_noise: np.ndarray
    invented: float
    frequency: np.ndarray
    agreement: np.ndarray
    floor: np.ndarray
    raw: np.ndarray
    unit: str
    unseen: dict | None


def ask(model: Model, images: np.ndarray, pixel_size: float | None, unseen: dict | None) -> Answers:
    """images: (n, L, L) float32, n even, as the fitted `model` takes them."""
    rng = np.random.default_rng(0)
    noises = noise_like(images, rng)
    anew = noise_like(images, rng) - background_of(images)[0]
    denoise = model.method.denoise
    denoised, from_noise = denoise(images), denoise(noises)
    halves = [denoise((images + sign * anew).astype(np.float32)) for sign in (1, -1)]
    size = images.shape[-1]
    return Answers(
        images[:SHOWN],
        denoised[:SHOWN],
        noises[:SHOWN],
        from_noise[:SHOWN],
        float(contrast(from_noise).mean() / contrast(denoised).mean()),
        np.arange(1, size // 2 + 1) / (size * (pixel_size or 1.0)),
        correlation(*halves),
        correlation(from_noise[::2], from_noise[1::2]),
        correlation(images + anew, images - anew),
        "Å" if pixel_size else "px",
        unseen,
    )


def noise_like(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise (n, L, L) float32 with the images' mean and ring-averaged power spectrum outside the inscribed circle."""
    n, size = len(images), images.shape[-1]
    outside = outside_circle(size)
    mean, deviation = background_of(images)
    power = np.abs(rfft2(np.where(outside, images - mean, 0))) ** 2
    y, x = np.fft.fftfreq(size)[:, None] * size, np.fft.rfftfreq(size)[None] * size
    ring = np.rint(np.hypot(y, x)).astype(int)
    by_ring = np.bincount(ring.ravel(), power.mean(axis=0).ravel()) / np.bincount(ring.ravel())
    noise = irfft2(rfft2(rng.standard_normal((n, size, size))) * np.sqrt(by_ring[ring]), s=(size, size))
    return (mean + noise * (deviation / noise.std())).astype(np.float32)


def contrast(images: np.ndarray) -> np.ndarray:
    """Standard deviation within the inscribed circle, (n,)."""
    return images[:, ~outside_circle(images.shape[-1])].std(axis=1)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean Fourier ring correlation of two stacks, rings 1 … L/2."""
    pair = (torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)) for images in (one, other))
    return np.nan_to_num(fourier_ring_correlation(*pair).numpy()).mean(axis=0)[1:]


def stack_images(prepared: Prepared, n: int) -> np.ndarray:
    """At most n images of a stack, an even number, evenly spaced. Raises InputError for fewer than two."""
    n = min(n, len(prepared)) // 2 * 2
    if not n:
        raise InputError(f"{prepared.source.path}: expected two images or more, got {len(prepared)}")
    return prepared[np.linspace(0, len(prepared) - 1, n).astype(np.int64)]


def test_images(model: Model, n: int, progress: bool = False) -> tuple[np.ndarray, float]:
    """At most n test images of the model's own data set, an even number, and their Å per pixel; fits what is not fitted."""
    config = model.config
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=progress)
    train, test = (pairs.images(split, build(config, "noise"), config["seed"]) for split in ("train", "test"))
    if model.fits_stack:
        model.method.fit(train.only(model.method.side_information))
    n = min(n, len(test)) // 2 * 2
    if not n:
        raise InputError(f"data.n_test: expected two test images or more, got {len(test)}")
    return test.noisy(np.arange(n)), pairs.pixel_size


def knows_conformations(model: Model, source) -> bool:
    """Whether there are simulated conformations to ask about: not for a method that was fitted on a stack of one's own."""
    return bool(model.config["data"].get("conformations")) and not (model.fits_stack and source is not None)


def unseen_conformation(model: Model, n: int, progress: bool = False) -> dict:
    """What the method makes of simulated conformations that it was not trained on.

    Those that its run left out (data.train_conformations), else ones half-way between those of its data set.
    "mse": {"known", "unseen"}: lists, one value an image.
    """
    config = model.config
    few, trained = config["data"].get("conformations"), config["data"].get("train_conformations")
    if few is None or few < 2:
        raise InputError(f"expected a simulated data set of two conformations or more, got {config['data']['name']}")
    data = {**config["data"], "n_train": 1, "n_test": n}
    if trained is None:
        data["conformations"], trained = 2 * few - 1, range(0, 2 * few - 1, 2)
    pairs = open_pairs(build({**config, "data": data}, "data"), cache_folder(config), progress=progress)
    test = pairs.images("test", build(config, "noise"), config["seed"])
    labels, errors = test.labels, mse(test.clean(), model.method.denoise(test.noisy()))
    known = np.isin(labels, list(trained))
    if known.all() or not known.any():
        raise InputError(f"--number: expected enough images for known and unseen conformations, got {n}; ask for more")
    return {"mse": {"known": errors[known].tolist(), "unseen": errors[~known].tolist()}}


def paragraph(name: str, answers: Answers) -> str:
    """What was found, in words."""
    reach, alike = resolution(answers.frequency, answers.agreement), answers.frequency[answers.floor >= 0.5]
    flat = "flat, as it should" if answers.invented < 0.1 else "not flat: some of what it shows is its own"
    agree = f"to {reach:.3g} {answers.unit}" if reach else "nowhere"
    same = "don't"
    if len(alike):  # low rings: a molecule from memory; the last ones: a pattern of the net's own, as a checkerboard
        same = (
            f"do in {len(alike)} of {len(answers.floor)} rings, from {1 / alike[0]:.3g} to {1 / alike[-1]:.3g} "
            f"{answers.unit}: there agreement proves nothing"
        )
    text = (
        f"{name}: of pure noise it makes images with {100 * answers.invented:.0f} % of the contrast that it gives to "
        f"particles ({flat}). Half the dose twice, denoised versions agree (FRC above 0.5) {agree}; those of two unrelated "
        f"noises {same}."
    )
    if answers.unseen is not None:
        known, unseen = (np.array(answers.unseen["mse"][side]) for side in ("known", "unseen"))
        error = np.hypot(known.std() / len(known) ** 0.5, unseen.std() / len(unseen) ** 0.5)
        text += (
            f" Conformations that it was never trained on come out with an MSE of {unseen.mean():.3g}, known ones with "
            f"{known.mean():.3g} (standard error of the difference {error:.1g})."
        )
    return text


def draw(name: str, answers: Answers):
    """Images and noise, in and out, on one grey scale each; ring correlations; errors of known and unseen conformations."""
    shown = figure.new(9.6, 5.6)
    grid = shown.add_gridspec(2, 1, height_ratios=(1, 1.1))
    few = len(answers.images)
    top = grid[0].subgridspec(2, 2 * few).subplots(squeeze=False)
    low, high = np.percentile(answers.denoised, [1, 99])
    for column in range(few):
        for start, pair, what in (
            (0, (answers.images, answers.denoised), "particle"),
            (few, (answers.noise, answers.from_noise), "noise"),
        ):
            for row, images in enumerate(pair):
                axis, image = top[row, start + column], images[column]
                limits = np.percentile(image, [1, 99]) if row == 0 else (low, high)
                axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
                axis.set(xticks=[], yticks=[], title=what if row == 0 else "denoised")
                axis.title.set_fontsize(7)
    panels = (
        grid[1]
        .subgridspec(1, 2 if answers.unseen else 1, width_ratios=(2, 1) if answers.unseen else (1,))
        .subplots(squeeze=False)[0]
    )
    curves = (
        ("halves, denoised", answers.agreement, "-"),
        ("unrelated noises, denoised", answers.floor, "--"),
        ("halves as they are", answers.raw, ":"),
    )
    for (label, curve, dash), colour in zip(curves, figure.COLOURS, strict=False):
        panels[0].plot(answers.frequency, curve, dash, color=colour, label=label)
    panels[0].axhline(0.5, color="0.6", linewidth=0.8)
    panels[0].set(
        xlabel=f"spatial frequency (1/{answers.unit})", ylabel="Fourier ring correlation", ylim=(-0.1, 1.02), title=name
    )
    panels[0].legend(fontsize=8, frameon=False)
    if answers.unseen:
        sides = ("known", "unseen")
        panels[1].boxplot([answers.unseen["mse"][side] for side in sides], showfliers=False)
        panels[1].set_xticks([1, 2], sides)
        panels[1].set(ylabel="MSE", title="conformations", yscale="log")
    return shown
