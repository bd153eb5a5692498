"""A particle stack through a method: in, denoised, out, a few images at a time.

Each image is made ready for the method (prepared.py), denoised, and brought back to its own background, contrast and size.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np

from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack, new_stack, resample
from cryobench.data.io.unusable import images_at_once
from cryobench.errors import BadImages, InputError
from cryobench.files import new_file, whole
from cryobench.methods.base import denoised_by
from cryobench.methods.imaging import Imaging
from cryobench.noise.ctf import through
from cryobench.particles.chosen import bar, evenly, usable
from cryobench.particles.few import TooFew, refuse_few
from cryobench.particles.model import Model
from cryobench.particles.optics import applied as has_ctf
from cryobench.particles.optics import tell
from cryobench.particles.prepared import FITTED, Prepared, fit_to, prepare, sigma_hint
from cryobench.signals import going_on

SHOWN = 8  # images in a picture


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
    inputs = source.files() if isinstance(source, Listing) else [source.path]
    for path in filter(None, (out, listing, picture)):
        new_file(path, force=True)  # a name that the system allows
        if any(path.exists() and path.samefile(given) for given in inputs):
            raise InputError(f"-o: expected another file than the input, got {path}")
        new_file(path, force)
    if isinstance(source, Listing):
        source.pointing_to(out.name, np.arange(1))  # a name that can stand in such a file
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
        if picture is not None:  # before the stack is there, so that neither is without the other
            from cryobench import figure

            chosen = rows[shown_rows]
            names = [source.named(row[None]).replace(" (", "\n(") for row in chosen]
            figure.pairs(source.raw(chosen), np.concatenate(shown_images), names, picture, source.pixel_size)
    shutil.rmtree(stages, ignore_errors=True)
    if few:
        say(few.after(out.name))
    return [path for path in (out, listing, picture) if path is not None]


def inside(positions: np.ndarray, block: slice) -> np.ndarray:
    """Which positions lie in a block: (n,) bool."""
    return (block.start <= positions) & (positions < block.stop)


def denoise_block(model: Model, prepared: Prepared, block: slice, applied: bool = False) -> np.ndarray:
    """These images denoised, in their own units and size: (b, L, L) float32.

    applied: with the CTF put back, where the method itself can't do that.
    """
    images, gain, level = prepared.take(block)
    rows = prepared.rows[block]
    hints = prepared.hints(block) | sigma_hint(model, images)
    try:
        denoised = denoised_by(model.method, images, hints, lambda wrong: prepared.source.named(rows[wrong]))
    except BadImages as bad:
        refused = rows[bad.within(len(rows))]
        raise InputError(f"{prepared.source.path}: {prepared.source.named(refused)}: {bad.reason}") from None
    if applied and not isinstance(model.method, Imaging):
        denoised = through(denoised, hints["ctf"].transfer(prepared.size))
    with np.errstate(over="ignore", invalid="ignore"):
        denoised = resample(denoised * gain + level, prepared.source.size)
    if has_ctf(model, "applied" if applied else None):
        denoised = prepared.flipped_back(denoised, block)
    if not (finite := np.isfinite(denoised).all(axis=(1, 2))).all():
        raise InputError(
            f"{prepared.source.path}: expected values that float32 can hold, got more in "
            f"{prepared.source.named(rows[~finite])}; leave it out with --images"
        )
    return denoised
