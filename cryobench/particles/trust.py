"""Is a feature in a denoised image real? Questions to a method, answered by the images themselves.

agreement  Does what it shows agree with the particles, and to which resolution? Two noisy versions of an image that share
           nothing but its particle tell without a clean one (recorrupted.py). A method that learns from the stack is judged
           on images that it was not fitted on: the rest of the stack, or two halves in turn where that is too small.
noise      What does it make of pure noise, of the power spectrum that the images have around their particles? It should be
           flat; what is left of a molecule in it was invented.
unseen     Conformations that it was never trained on, left out or half-way between two that it knows, on simulated data. If
           what comes out is further from the truth than for known ones, the method answers from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cryobench.config.compose import build, cache_folder
from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import numbers
from cryobench.data.io.unusable import images_at_once
from cryobench.data.pairs import open_pairs
from cryobench.errors import BadImages, InputError, note
from cryobench.evaluation.metrics import mse
from cryobench.methods.base import denoised_by
from cryobench.methods.imaging import Imaging
from cryobench.noise.background import outside_circle
from cryobench.noise.ctf import Ctf, through
from cryobench.particles.chosen import bar, evenly
from cryobench.particles.few import Part, TooFew, refuse_few
from cryobench.particles.model import Model
from cryobench.particles.prepared import Prepared, fit_to, sigma_hint
from cryobench.particles.recorrupted import Agreement, agreement, noise_like, recorrupt

SHOWN = 3  # images in the figure
FEWEST = 4  # images, so that each of two halves has two


@dataclass(frozen=True)
class Judged:
    """Images (n, L, L) float32, as a method takes them, that it is judged on.

    pixel_size in Å or None; folds: positions of images that go through one fit; fit(k): fit the method to images other than
    those of fold k; own: whether they are of the data set that it comes from; how: in words, what it was fitted on, or "";
    few: of a fit to too few images, else None; ctf: of these images, for a method that is told of it; what it makes of
    them is then held against them with the CTF in it, as they have it; named: what people call the images at these positions.
    """

    images: np.ndarray
    pixel_size: float | None
    folds: list[np.ndarray]
    fit: Callable[[int], None] = lambda fold: None
    own: bool = False
    how: str = ""
    few: TooFew | None = None
    ctf: Ctf | None = None
    named: Callable[[np.ndarray], str] = lambda positions: f"image {numbers(positions + 1)}"


@dataclass(frozen=True)
class Answers:
    """images, denoised, noise, from_noise (SHOWN, L, L); number of images judged; invented: contrast in denoised noise over
    that in denoised images; frequency (L//2,) in 1/Å or 1/px, by `unit`; agreement: see there; own, how, few: as Judged has them;
    trained: whether the method comes from a data set of its own; unseen: see `unseen_conformation`, or None."""

    images: np.ndarray
    denoised: np.ndarray
    noise: np.ndarray
    from_noise: np.ndarray
    number: int
    invented: float
    frequency: np.ndarray
    unit: str
    agreement: Agreement
    own: bool
    how: str
    few: TooFew | None
    trained: bool
    unseen: dict | None


def ask(model: Model, judged: Judged, unseen: dict | None = None, progress: bool = False) -> Answers:
    """All questions; what is random is drawn from one seed, so that the same images give the same answers."""
    images, rng = judged.images, np.random.default_rng(0)
    size = images.shape[-1]
    noises, pair = noise_like(images, rng)[0], recorrupt(images, rng)
    given = (images, noises, pair.first)
    made = [np.empty_like(images) for _ in given]
    with bar(progress) as shown:
        task = shown.add_task("asking", total=len(given) * len(images))
        for number, fold in enumerate(judged.folds):
            judged.fit(number)
            step = images_at_once(size)
            for before, after in zip(given, made, strict=True):
                for start in range(0, len(fold), step):
                    rows = fold[start : start + step]
                    try:
                        after[rows] = seen(model, before[rows], None if judged.ctf is None else judged.ctf[rows])
                    except BadImages as bad:
                        raise InputError(f"{judged.named(rows[bad.within(len(rows))])}: {bad.reason}") from None
                    shown.advance(task, len(rows))
    denoised, from_noise, first = made
    return Answers(
        images[:SHOWN],
        denoised[:SHOWN],
        noises[:SHOWN],
        from_noise[:SHOWN],
        len(images),
        invention(from_noise, denoised),
        np.arange(1, size // 2 + 1) / (size * (judged.pixel_size or 1.0)),
        "Å" if judged.pixel_size else "px",
        agreement(pair, first, from_noise, judged.folds),
        judged.own,
        judged.how,
        judged.few,
        not model.fits_stack,
        unseen,
    )


def seen(model: Model, images: np.ndarray, ctf: Ctf | None) -> np.ndarray:
    """What the method makes of images (b, L, L), as a microscope would have recorded it without noise."""
    told = sigma_hint(model, images)
    if ctf is None:
        return denoised_by(model.method, images, told)
    denoised = denoised_by(model.method, images, {"ctf": ctf, **told})
    return denoised if isinstance(model.method, Imaging) else through(denoised, ctf.transfer(images.shape[-1]))


def invention(from_noise: np.ndarray, denoised: np.ndarray) -> float:
    """Mean standard deviation within the inscribed circle of denoised noises over that of denoised images, (n, L, L) each."""
    inside = ~outside_circle(denoised.shape[-1])
    noise, particles = (float(images[:, inside].std(axis=1).mean()) for images in (from_noise, denoised))
    return noise / particles if particles > 0 else 0.0


def stack_images(model: Model, prepared: Prepared, n: int, say=lambda text: None) -> Judged:
    """At most n images of a stack, evenly spaced, and what a method that learns from it is fitted on. Raises InputError.

    That is the rest of the stack if it is no smaller than what is judged; else two halves of the stack are fitted on in turn.
    """
    total = len(prepared)
    refuse_given_poses(model)
    if min(n, total) < FEWEST:
        raise InputError(
            f"{prepared.source.path}: expected {FEWEST} images or more to judge a method on, got {min(n, total)}"
        )
    source = prepared.source
    if isinstance(source, Listing) and (again := source.take(prepared.rows).again()).size:
        note(
            f"{source.path}: listed before, too: {source.named(prepared.rows[again])}; a method may be judged on what it was "
            "fitted on: leave them out with --images"
        )
    chosen = evenly(total, n)
    ctf = None if prepared.ctf is None else prepared.ctf[chosen]

    def called(positions: np.ndarray) -> str:
        return f"{source.path}: {source.named(prepared.rows[chosen[positions]])}"

    pixel_size = prepared.source.pixel_size and prepared.source.pixel_size * prepared.source.size / prepared.size
    if not model.learns_from_stack:
        return Judged(prepared[chosen], pixel_size, [np.arange(len(chosen))], ctf=ctf, named=called)
    rest = np.setdiff1d(np.arange(total), chosen)
    if len(rest) >= len(chosen):
        folds, how = [np.arange(len(chosen))], f"the other {len(rest)} images of the stack"
    else:  # neighbours are often of one micrograph: every second image, so that both halves hold the same micrographs
        folds = [np.arange(half, len(chosen), 2) for half in (0, 1)]
        how = "other images of the stack, in two halves"
    learnt = [np.setdiff1d(np.arange(total), chosen[fold]) for fold in folds]
    part = Part(total, max(map(len, folds)))
    refuse_few(model, prepared.source.path, least := min(map(len, learnt)), part)
    if few := TooFew.of(model, prepared, least, part):
        say(few.before)
    return Judged(
        prepared[chosen],
        pixel_size,
        folds,
        lambda fold: fit_to(model, prepared, learnt[fold]),
        how=how,
        few=few,
        ctf=ctf,
        named=called,
    )


def refuse_given_poses(model: Model) -> None:
    """Raise InputError for a method that is told the poses of what it denoises."""
    if "poses" in model.method.side_information:
        raise InputError(
            "method.pose: expected search where a method is judged by its images, got given, which shows the map in that pose "
            "whatever is in the image"
        )


def test_images(model: Model, n: int, progress: bool = False) -> Judged:
    """At most n test images of the model's own data set; fits what is not fitted, to training images. Raises InputError."""
    refuse_given_poses(model)
    config = model.config
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=progress)
    train, test = (pairs.images(split, build(config, "noise"), config["seed"]) for split in ("train", "test"))
    if min(n, len(test)) < FEWEST:
        raise InputError(
            f"data.n_test: expected {FEWEST} test images or more to judge a method on, got {min(n, len(test))}"
        )
    uses_ctf = "ctf" in model.method.side_information
    if uses_ctf and isinstance(model.method, Imaging):
        model.method.ctf = "applied"
    if model.fits_stack:
        model.method.fit(train.only(model.method.side_information))
    index = np.arange(min(n, len(test)))
    ctf = test.hints(frozenset({"ctf"}), index)["ctf"] if uses_ctf else None

    def called(positions: np.ndarray) -> str:
        return f"test image {numbers(positions + 1)}"

    return Judged(test.noisy(index), pairs.pixel_size, [index], own=True, ctf=ctf, named=called)


def has_conformations(model: Model, source) -> bool:
    """Whether there are simulated conformations to ask about: those of a run's own data set, not of a stack."""
    return bool(model.config["data"].get("conformations")) and source is None


def unseen_conformation(model: Model, n: int, progress: bool = False) -> dict:
    """What the method makes of simulated conformations that it was not trained on.

    Those that its run left out (data.train_conformations), else ones half-way between those of its data set.
    "mse": {"known", "unseen"}: lists, one value an image, against the clean one, through the CTF where denoised ones have it;
    "which": the unseen ones in words.
    """
    config = model.config
    few, trained = config["data"].get("conformations"), config["data"].get("train_conformations")
    if few is None or few < 2:
        raise InputError(f"expected a simulated data set of two conformations or more, got {config['data']['name']}")
    data, which = {**config["data"], "n_train": 1, "n_test": n}, "left out"
    if trained is None:
        data["conformations"], trained, which = 2 * few - 1, range(0, 2 * few - 1, 2), "between those"
    pairs = open_pairs(build({**config, "data": data}, "data"), cache_folder(config), progress=progress)
    test = pairs.images("test", build(config, "noise"), config["seed"])
    labels, hints, truth = test.labels, test.hints(model.method.side_information), test.clean()
    denoised = denoised_by(model.method, test.noisy(), hints)
    if isinstance(model.method, Imaging) and model.method.ctf == "applied":
        truth = through(truth, hints["ctf"].transfer(test.image_size))
    errors = mse(truth, denoised)
    known = np.isin(labels, list(trained))
    if known.all() or not known.any():
        raise InputError(f"--number: expected enough images for known and unseen conformations, got {n}; ask for more")
    return {"mse": {"known": errors[known].tolist(), "unseen": errors[~known].tolist()}, "which": which}
