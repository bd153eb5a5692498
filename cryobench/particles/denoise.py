"""A particle stack through a method: in, denoised, out, a few images at a time.

Each image is resampled to the size that the method knows, brought to the background that it knows (mean and deviation
outside the inscribed circle), denoised, and brought back to its own background, contrast and size.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cryobench.data.images import NoisyImages
from cryobench.data.io.stack import Stack, StackWriter, resample, same_pixel_size
from cryobench.data.io.star import Star, write_star
from cryobench.errors import BadImages, InputError
from cryobench.noise.background import outside_circle
from cryobench.noise.recorded import Recorded
from cryobench.particles.model import Model, new_file

PIXELS_AT_ONCE = 2**22  # 64 images of 256 px
FITTED = 4000  # images of a stack that a method is fitted on, evenly spaced: as many as a desk-scale run has


@dataclass
class Prepared:
    """Images of a stack as a method takes them, read when asked for: an array (n, L, L), as far as NoisyImages needs one.

    source: Stack or Star; rows (n,) of it; size: L; background: (mean, deviation); contrast: "white" or "dark".
    """

    source: Stack | Star
    rows: np.ndarray
    size: int
    background: tuple[float, float]
    contrast: str = "white"

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.rows), self.size, self.size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index) -> np.ndarray:
        return self.take(index)[0]

    def take(self, index) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The images (b, L, L), and the gain and level (b, 1, 1) that bring each back: image·gain + level."""
        images = resample(self.source.read(self.rows[index]), self.size)
        outside = images[:, outside_circle(self.size)].astype(np.float64)
        deviation = outside.std(axis=1)
        if not (deviation > 0).all():
            row = int(self.rows[index][int(np.argmin(deviation))]) + 1
            raise InputError(f"{self.source.path}: expected noise around the particle, got one value in image {row}; leave it "
                             "out with --images")  # fmt: skip
        sign = -1.0 if self.contrast == "dark" else 1.0
        mean, spread = self.background
        gain = sign * deviation / spread
        level = outside.mean(axis=1) - gain * mean
        gain, level = gain[:, None, None], level[:, None, None]
        return ((images - level) / gain).astype(np.float32), gain, level

    def as_training(self) -> NoisyImages:
        """At most FITTED of them, evenly spaced, for a method that is fitted on the stack itself."""
        kept = np.unique(np.linspace(0, len(self) - 1, min(FITTED, len(self))).astype(np.int64))
        few = Prepared(self.source, self.rows[kept], self.size, self.background, self.contrast)
        return NoisyImages("train", few, np.zeros(len(few), np.int64), None, None, self.source.pixel_size or 1.0, Recorded(), 0,
                           recorded=few)  # fmt: skip


def prepare(model: Model, source: Stack | Star, rows: np.ndarray, contrast: str, say=lambda text: None) -> Prepared:
    """The chosen images as `model` takes them; fits it if it is to be fitted on the stack, and says what it does to them."""
    size = model.image_size or source.size
    prepared = Prepared(source, rows, size, model.background or (0.0, 1.0), contrast)
    if size != source.size:
        say(f"images of {source.size} px are resampled to {size} px, as in training, and back: "
            f"detail beyond {size} px is lost")  # fmt: skip
    if (
        model.pixel_size
        and source.pixel_size
        and not same_pixel_size(source.pixel_size * source.size / size, model.pixel_size)
    ):
        say(f"then {source.pixel_size * source.size / size:.3g} Å/px, where training had {model.pixel_size:.3g}: particles look "
            "larger or smaller than those it knows")  # fmt: skip
    if model.fits_stack:
        train = prepared.as_training()
        say(
            f"{model.config['method']['name']} takes {len(train)} of these images to learn from, where it learns at all"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # ASPIRE's, from few images
            model.method.fit(train.only(model.method.knows))
    return prepared


def denoise_stack(model: Model, source: Stack | Star, rows: np.ndarray, out: Path, *, contrast: str = "white",
                  force: bool = False, say=lambda text: None, progress: bool = False) -> list[Path]:  # fmt: skip
    """Denoise these rows into `out`, and write a .star beside it if they came from one; returns what was written.

    Images keep their order, size, background, pixel size and header. Raises InputError; nothing is half-written then.
    """
    star = out.with_suffix(".star") if isinstance(source, Star) else None
    inputs = [source.path, *(s.path for s in source.stacks)] if isinstance(source, Star) else [source.path]
    for path in filter(None, (out, star)):
        if any(path.exists() and path.samefile(given) for given in inputs):
            raise InputError(f"-o: expected another file than the input, got {path}")
        new_file(path, force)
    prepared = prepare(model, source, rows, contrast, say)
    like = source.stacks[0] if isinstance(source, Star) else source
    step = max(1, PIXELS_AT_ONCE // max(prepared.size, source.size) ** 2)
    with StackWriter(out, len(rows), source.size, like.pixel_size, like=like) as stack, bar(progress) as shown:
        task = shown.add_task("denoising", total=len(rows))
        for start in range(0, len(rows), step):
            block = slice(start, min(start + step, len(rows)))
            stack.append(denoise_block(model, prepared, block))
            shown.advance(task, block.stop - start)
    if star is None:
        return [out]
    return [out, write_star(star, source.pointing_to(out.name, rows))]


def denoise_block(model: Model, prepared: Prepared, block: slice) -> np.ndarray:
    """These images denoised, in their own units and size: (b, L, L) float32."""
    images, gain, level = prepared.take(block)
    try:
        denoised = model.method.denoise(images)
    except BadImages as bad:
        raise InputError(
            f"{prepared.source.path}: {BadImages(prepared.rows[block][bad.indices] + 1, bad.reason)}"
        ) from None
    return resample(denoised * gain + level, prepared.source.size)


def bar(shown: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True)


def chosen_rows(text: str | None, n: int) -> np.ndarray:
    """ "1-200,901-1000" → rows from 0, in that order; None for all n. Raises InputError."""
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
