"""A particle stack through a method: in, denoised, out, a few images at a time.

Each image is resampled to the size that the method knows, brought to the background that it knows (mean and deviation
outside the inscribed circle), denoised, and brought back to its own background, contrast and size.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cryobench.data.images import NoisyImages
from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack, new_stack, resample, same_pixel_size
from cryobench.data.io.unusable import described, faults, images_at_once, refuse, unusable
from cryobench.data.poses import Poses
from cryobench.errors import BadImages, InputError
from cryobench.files import whole
from cryobench.methods.imaging import Imaging
from cryobench.noise.background import border_sigma, outside_circle
from cryobench.noise.ctf import Ctf, through
from cryobench.noise.recorded import Recorded
from cryobench.particles.few import TooFew, refuse_few
from cryobench.particles.model import Model, new_file
from cryobench.particles.optics import tell
from cryobench.signals import going_on

LEAVE_OUT = "leave out what is wrong, by --images"
SHOWN = 8  # images in a picture
FITTED = 4000  # images of a stack that a method is fitted on, evenly spaced: as many as a desk-scale run has


class OfStack(Recorded):
    """Images as recorded, which stand where simulated ones have clean ones: σ is what their corners tell."""

    def sigma(self, clean: np.ndarray) -> np.ndarray:
        """(n, L, L), the images themselves → (n,)."""
        return border_sigma(clean)


@dataclass
class Prepared:
    """Images of a stack as a method takes them, read when asked for: an array (n, L, L), as far as NoisyImages needs one.

    source: Stack or Listing; rows (n,) of it; size: L; background: (mean, deviation); contrast: "white" or "dark"; ctf, poses: of
    these rows, for a method that is told of them, else None.
    """

    source: Stack | Listing
    rows: np.ndarray
    size: int
    background: tuple[float, float]
    contrast: str = "white"
    ctf: Ctf | None = None
    poses: Poses | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, L, L), as an array has it."""
        return len(self.rows), self.size, self.size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index) -> np.ndarray:
        return self.take(index)[0]

    def take(self, index) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The images (b, L, L), and the gain and level (b, 1, 1) that bring each back: image·gain + level."""
        rows = self.rows[index]
        images = self.source.raw(rows)
        refuse(self.source, rows, faults(images), LEAVE_OUT)
        images = resample(images, self.size)
        outside = images[:, outside_circle(self.size)].astype(np.float64)
        deviation = outside.std(axis=1)
        sign = -1.0 if self.contrast == "dark" else 1.0
        mean, spread = self.background
        gain = sign * deviation / spread
        level = outside.mean(axis=1) - gain * mean
        gain, level = gain[:, None, None], level[:, None, None]
        return ((images - level) / gain).astype(np.float32), gain, level

    def as_training(self, positions: np.ndarray | None = None) -> NoisyImages:
        """At most FITTED of them (or of those at `positions`), evenly spaced, for a method fitted on the stack itself."""
        positions = np.arange(len(self)) if positions is None else positions
        kept = positions[evenly(len(positions), FITTED)]
        ctf = None if self.ctf is None else self.ctf[kept]
        poses = None if self.poses is None else self.poses[kept]
        few = Prepared(self.source, self.rows[kept], self.size, self.background, self.contrast, ctf, poses)
        return NoisyImages(
            "train",
            clean=few,
            labels=np.zeros(len(few), np.int64),
            rotations=None if poses is None else poses.rotations,
            volumes=None,
            pixel_size=self.source.pixel_size or 1.0,
            noise=OfStack(),
            seed=0,
            recorded=few,
            optics=ctf,
            displaced=None if poses is None else poses.displaced,
        )

    def hints(self, block: slice) -> dict[str, Any]:
        """What a method is told of these images."""
        told = {"ctf": self.ctf, "poses": self.poses}
        return {name: value[block] for name, value in told.items() if value is not None}


def evenly(n: int, most: int) -> np.ndarray:
    """At most so many positions out of n, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).astype(np.int64))


def prepare(
    model: Model,
    source: Stack | Listing,
    rows: np.ndarray,
    contrast: str,
    say=lambda text: None,
    ctf: Ctf | None = None,
) -> Prepared:
    """The chosen images as `model` takes them; says what is done to them. `fit_to` fits it where it wants to be."""
    size = model.image_size or source.size
    poses = None
    if model.fits_stack and model.method.side_information & {"rotations", "poses"}:
        if not isinstance(source, Listing):
            raise InputError(
                f"{source.path}: expected a .star or .cs file with the poses of its particles, which "
                f"{model.config['method']['name']} is told, got a stack alone"
            )
        poses = source.take(rows).poses(source.pixel_size)
        # RELION's centre of odd images is one pixel further than L//2.
        poses = Poses(poses.rotations, poses.displaced + source.size % 2).resampled(size / source.size)
    prepared = Prepared(source, rows, size, model.background or (0.0, 1.0), contrast, ctf, poses)
    if size != source.size:
        say(
            f"images of {source.size} px are resampled to {size} px, as in training, and back{lost_detail(source, size)}"
        )
    if (
        model.pixel_size
        and source.pixel_size
        and not same_pixel_size(source.pixel_size * source.size / size, model.pixel_size)
    ):
        say(
            f"then {source.pixel_size * source.size / size:.3g} Å/px, where training had {model.pixel_size:.3g}: particles look "
            "larger or smaller than those it knows"
        )
    return prepared


def lost_detail(source: Stack | Listing, size: int) -> str:
    """What is lost where images become smaller than they were: all beyond the Nyquist frequency of `size` px; else nothing."""
    if size >= source.size:
        return ""
    finest = 2 * source.size / size * (source.pixel_size or 1.0)
    return f": detail finer than {finest:.3g} {'Å' if source.pixel_size else 'px'} is lost"


def fit_to(
    model: Model,
    prepared: Prepared,
    positions: np.ndarray | None = None,
    say=lambda text: None,
    workdir: Path | None = None,
    progress: bool = False,
) -> None:
    """Fit a method that learns from the stack itself to these of its images (all if None); others are left as they are.

    workdir: where a method that can keeps what it has so far, and goes on from.
    """
    if not model.learns_from_stack:
        return
    refuse_few(model, prepared.source.path, len(prepared) if positions is None else len(positions))
    model.method.setting = replace(model.method.setting, workdir=workdir, progress=progress)
    train = prepared.as_training(positions)
    say(f"{model.config['method']['name']} learns from {len(train)} of these images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # ASPIRE's, from few images
        model.method.fit(train.only(model.method.side_information))


def denoise_stack(
    model: Model,
    source: Stack | Listing,
    rows: np.ndarray,
    out: Path,
    *,
    contrast: str = "white",
    force: bool = False,
    skip_bad: bool = False,
    ctf: str | None = None,
    picture: Path | None = None,
    say=lambda text: None,
    progress: bool = False,
) -> list[Path]:
    """Denoise these rows into `out`, and write a .star or .cs file beside it if they came from one; returns what was written.

    picture: a PNG of at most SHOWN of them, evenly spaced, as recorded and denoised.
    ctf: whether the method is told of the star file's CTFs, and what its images are then (optics.tell).
    Images keep their order, size, background, pixel size and header. All are looked at first: those that are blank or
    not finite are refused, or left out where `skip_bad`. Raises InputError; nothing is half-written then. A fit in stages keeps
    them in .NAME.fit beside `out` until that is written, so that the same call goes on where one was stopped.
    """
    source.pixel_size  # noqa: B018 (pixel sizes that disagree are an error before anything is done)
    listing = out.with_suffix(source.ending) if isinstance(source, Listing) else None
    inputs = [source.path, *(s.path for s in source.stacks)] if isinstance(source, Listing) else [source.path]
    for path in filter(None, (out, listing, picture)):
        new_file(path, force=True)  # a name that the system allows
        if any(path.exists() and path.samefile(given) for given in inputs):
            raise InputError(f"-o: expected another file than the input, got {path}")
        new_file(path, force)
    refuse_few(model, source.path, len(rows))
    rows = usable(source, rows, skip_bad, say, progress, learns=model.learns_from_stack)
    ctf_given = tell(model, source, rows, ctf, say)
    prepared = prepare(model, source, rows, contrast, say, ctf_given)
    if few := TooFew.of(model, prepared, min(FITTED, len(rows))):
        say(few.before)
    stages = out.with_name(f".{out.name}.fit")
    like = source.stacks[0] if isinstance(source, Listing) else source
    step = images_at_once(max(prepared.size, source.size))
    shown_rows, shown_images = evenly(len(rows), SHOWN), []
    with contextlib.ExitStack() as files:
        files.enter_context(going_on(stages.is_dir))
        fit_to(model, prepared, None, say, stages, progress)
        if listing is not None and isinstance(source, Listing):
            files.enter_context(whole(listing)).write_bytes(source.pointing_to(out.name, rows))
        stack = files.enter_context(new_stack(out, len(rows), source.size, source.pixel_size, like=like))
        with bar(progress) as shown:
            task = shown.add_task("denoising", total=len(rows))
            for start in range(0, len(rows), step):
                block = slice(start, min(start + step, len(rows)))
                denoised = denoise_block(model, prepared, block, ctf == "applied")
                stack.append(denoised)
                shown_images.append(denoised[shown_rows[inside(shown_rows, block)] - start])
                shown.advance(task, block.stop - start)
    shutil.rmtree(stages, ignore_errors=True)
    if picture is not None:
        from cryobench import figure

        chosen = rows[shown_rows]
        names = [source.named(row[None]).replace(" (", "\n(") for row in chosen]
        figure.pairs(source.raw(chosen), np.concatenate(shown_images), names, picture, source.pixel_size)
    if few:
        say(few.after(out.name))
    return [path for path in (out, listing, picture) if path is not None]


def inside(positions: np.ndarray, block: slice) -> np.ndarray:
    """Which positions lie in a block: (n,) bool."""
    return (block.start <= positions) & (positions < block.stop)


def usable(
    source: Stack | Listing, rows: np.ndarray, skip_bad: bool, say, progress: bool = False, *, learns: bool = False
) -> np.ndarray:
    """These rows, or with `skip_bad` those of them that can be used.

    learns: whether a method is fitted on them, which one image may outweigh. Raises InputError that names all that can't.
    """
    with bar(progress) as shown:
        task = shown.add_task("checking", total=len(rows))
        by_kind = unusable(source, rows, lambda done: shown.advance(task, done), heavy=learns)
    bad = np.any(list(by_kind.values()), axis=0)
    if not skip_bad or bad.all():
        refuse(source, rows, by_kind, f"{LEAVE_OUT} or --skip-bad")
    elif bad.any():
        say(f"left out: {described(source, rows, by_kind)}")
    return rows[~bad]


def denoise_block(model: Model, prepared: Prepared, block: slice, applied: bool = False) -> np.ndarray:
    """These images denoised, in their own units and size: (b, L, L) float32.

    applied: with the CTF put back, where the method itself can't do that.
    """
    images, gain, level = prepared.take(block)
    rows = prepared.rows[block]
    hints = prepared.hints(block) | sigma_hint(model, images)
    try:
        denoised = model.method.denoise(images, **hints)
    except BadImages as bad:
        refused = rows[bad.within(len(rows))]
        raise InputError(f"{prepared.source.path}: {prepared.source.named(refused)}: {bad.reason}") from None
    if applied and not isinstance(model.method, Imaging):
        denoised = through(denoised, hints["ctf"].transfer(prepared.size))
    with np.errstate(over="ignore", invalid="ignore"):
        denoised = resample(denoised * gain + level, prepared.source.size)
    if not (finite := np.isfinite(denoised).all(axis=(1, 2))).all():
        raise InputError(
            f"{prepared.source.path}: expected values that float32 can hold, got more in "
            f"{prepared.source.named(rows[~finite])}; leave it out with --images"
        )
    return denoised


def sigma_hint(model: Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """σ of images (b, L, L) by their corners, for a method that is told it; nothing for others."""
    return {"sigma": border_sigma(images)} if "sigma" in model.method.side_information else {}


def bar(shown: bool) -> Progress:
    """A progress bar on standard error with the time left, or one that is not shown."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True)


def chosen_rows(text: str | None, n: int) -> np.ndarray:
    """ "1-200,901-1000" → rows from 0, in that order; None for all n. Raises InputError.

    >>> chosen_rows("1-2,5", 9)
    array([0, 1, 4])
    """
    if text is None:
        return np.arange(n)
    rows = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.strip().isdigit() and (not last or last.strip().isdigit())):
            raise InputError(f"--images: expected numbers and ranges as 1-200,950, got {part!r}")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= n:
            raise InputError(f"--images: expected images within 1 to {n}, got {part}")
        rows.append(np.arange(low - 1, high))
    return np.concatenate(rows)
