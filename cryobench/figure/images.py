"""Images of particles in pictures: beside each other, with a scale bar, and a bar of greys that says what is black and white."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cryobench.figure.style import AROUND, FAINT, ON_IMAGE, SMALL, new, note, styled, write
from cryobench.files import writable

NOISY = "noisy"  # such an image spans its own central 98 %, all others what the picture's grey bar says
CLEAN = "clean"
# Share of a clean image's pixels that are darker than white: images of 128 px in [0, 1] were dim below a white of 1.
BRIGHT = 0.998

LINE = 0.15  # inches: the height of a line of small letters
LETTERS = 16  # of a row's name, along an image of `strip`


def show(axis, image: np.ndarray, low: float = 0.0, high: float = 1.0, **more) -> None:
    """An image (h, w) in grey, black at `low` and white at `high`, without ticks and frame."""
    axis.imshow(image, vmin=low, vmax=high, **more)
    axis.grid(False)
    axis.set(xticks=[], yticks=[], frame_on=False)


def span(image: np.ndarray, noisy: bool) -> tuple[float, float]:
    """What is black and what is white."""
    low, high = np.nanpercentile(image, [1, 99]) if noisy else (0.0, 1.0)
    return float(low), float(high)


def white(clean: np.ndarray | None) -> tuple[float, str]:
    """Which grey value is white beside clean images (…, L, L), and the words of the grey bar; 1 without any."""
    if clean is None:
        return 1.0, "grey value"
    label = f"grey value (white: brighter than {100 * BRIGHT:g} % of the clean pixels)"
    return float(np.quantile(clean, BRIGHT)) or 1.0, label


def grey_bar(
    sheet, axes, low: float = 0.0, high: float = 1.0, label: str = "grey value", colours: str = "gray"
) -> None:
    """A narrow bar at the right of the axes: what is black and what is white; of one line of images (a list) it is as high."""
    scale = ScalarMappable(Normalize(low, high), colours)
    place = {"cax": axes[-1].inset_axes((1.05, 0, 0.06, 1))} if isinstance(axes, list) else {"ax": axes}
    size = {} if isinstance(axes, list) else {"fraction": 0.02, "pad": 0.01, "aspect": 30}
    bar = sheet.colorbar(scale, ticks=[low, (low + high) / 2, high], **place, **size)
    bar.ax.set_yticklabels([f"{value:.2g}".replace("-", "−") for value in (low, (low + high) / 2, high)])
    bar.set_label(label)
    bar.outline.set_visible(False)


def bar_length(size: int, pixel_size: float) -> float:
    """How long a scale bar is: 10, 20, 50, 100 … Å, at most a third of an image of `size` px of so many Å."""
    decades = (step * 10.0**power for power in range(-1, 5) for step in (1, 2, 5))
    return max((one for one in decades if one <= size * pixel_size / 3), default=pixel_size)


def scale_bar(
    axis,
    size: int,
    pixel_size: float,
    unit: str = "Å",
    corner: tuple[float, float] = (0, 0),
    width: float | None = None,
) -> None:
    """A bar of `bar_length` in the lower left corner of an image of `size` px.

    corner: the image's upper left one; width: the image's; both in the axis' units, which are pixels where none is given.
    """
    length = bar_length(size, pixel_size)
    width = width or size
    left, foot = corner[0] + 0.06 * width, corner[1] + 0.93 * width
    axis.plot(
        [left, left + width * length / (size * pixel_size)],
        [foot, foot],
        color=ON_IMAGE,
        linewidth=2,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=4, foreground=AROUND)],  # so that both are seen on bright images, too
    )
    words = axis.text(left, foot - 0.02 * width, f"{length:g} {unit}", color=ON_IMAGE, fontsize=SMALL, va="bottom")
    words.set_path_effects([withStroke(linewidth=2, foreground=AROUND)])


@styled
def gallery(
    panels: list[tuple[str, np.ndarray]],
    pixel_size: float | None = None,
    title: str = "",
    words: Sequence[str] = (),
) -> Figure:
    """Images (L, L) under their titles, line by line, all on one grey scale, from 0 to that of `white` of the clean one.

    pixel_size: in Å; given, the first panel has a scale bar; title: what all of them are; words: lines at the foot.

    Four, five or six a line, with the fewest places empty. One whose title begins with "noisy" spans its own central 98 %, which
    stands below it.
    """
    columns = min((5, 4, 6), key=lambda width: -len(panels) % width)
    lines = -(-len(panels) // columns)
    foot = LINE * (len(words) + 3) if words else 0.0
    sheet = new(1.75 * columns + 0.6, 2.15 * lines + 0.35 * bool(title) + foot)
    sheet.suptitle(title)
    axes = sheet.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    if words:
        sheet.legend([], [], loc="outside lower center", title="\n".join(words))
    bright, label = white(next((image for name, image in panels if name == CLEAN), None))
    for axis, (name, image) in zip(axes.flat, panels, strict=False):
        low, high = span(image, noisy=True) if name.startswith(NOISY) else (0.0, bright)
        show(axis, image, low, high)
        axis.set_title(name, fontsize=SMALL)
        if name.startswith(NOISY):
            axis.set_xlabel(f"grey from {low:.2g} to {high:.2g}".replace("-", "−"), labelpad=2)
    if pixel_size and panels:
        scale_bar(axes.flat[0], panels[0][1].shape[1], pixel_size)
    if panels:
        grey_bar(sheet, axes, high=bright, label=label)
    return sheet


@styled
def strip(
    rows: dict[str, np.ndarray],
    path: Path,
    notes: dict[str, list[str]] | None = None,
    pixel_size: float | None = None,
    images_are: str = "",
) -> Path:
    """Write a PNG with one line of images for each entry of `rows`: name → (n, L, L).

    All lines but "noisy" share the contrast [0, 1] of clean images; a noisy one spans its own central 98 %.
    notes: name → one short text under each image. pixel_size: in Å; given, the first image has a scale bar. images_are: of
    which molecule they are, at the foot.
    """
    right, bottom = max(len(images) for images in rows.values()), len(rows) + 0.2
    names = {name: in_lines(name) for name in rows}
    left = 0.1 + 0.15 * max(name.count("\n") + 1 for name in names.values())
    sheet = new(1.25 * (right + 0.6 + left), 1.25 * bottom)
    sheet.set_layout_engine("none")
    axis = sheet.add_axes((0, 0, 1, 1), frame_on=False)  # one for all images: an axis costs more than an image
    for line, (name, images) in enumerate(rows.items()):
        axis.text(-0.05, line + 0.5, names[name], rotation=90, ha="right", va="center", ma="center")
        for column, image in enumerate(images):
            low, high = span(image, name == NOISY)
            place = (column, column + 0.95, line + 0.97, line + 0.02)
            axis.imshow(image, vmin=low, vmax=high, extent=place)
            if notes and name in notes:
                axis.text(column + 0.475, line + 1, notes[name][column], ha="center", va="top")
    if pixel_size:
        size = next(iter(rows.values())).shape[-1]
        scale_bar(axis, size, pixel_size, corner=(0, 0.02), width=0.95)
    axis.imshow(
        np.linspace(1, 0, 64)[:, None], vmin=0, vmax=1, extent=(right + 0.05, right + 0.12, 0.97, 0.02), aspect="auto"
    )
    for value, end in (("1", 0.02), ("0", 0.97)):
        axis.text(right + 0.16, end, value, va="top" if value == "1" else "bottom")
    if NOISY in rows:
        middle = list(rows).index(NOISY) + 0.5
        axis.text(right + 0.05, middle, "central\n98 % of\nthe grey\nvalues of\neach", color=FAINT, va="center")
    axis.grid(False)
    axis.set(xticks=[], yticks=[], xlim=(-left, right + 0.6), ylim=(bottom, 0))
    note(sheet, images_are)
    return write(sheet, path)


def in_lines(name: str) -> str:
    """A row's name in at most three lines, no longer than an image is high; the weight of ℓ1 stays with its method's sign."""
    whole = name.replace(" + ", " +\u00a0")
    return textwrap.fill(whole, LETTERS, max_lines=3, placeholder="…", break_on_hyphens=False)


@styled
def beside(
    rows: list[tuple[str, np.ndarray]], path: Path, pixel_size: float | None = None, images_are: str = ""
) -> Path:
    """Write a PNG with a line for each (words, images (n, L, L)), its words, of all test images, at the left; contrast as in
    `strip`.

    pixel_size: in Å; given, the first image has a scale bar. images_are: as in `strip`.
    """
    columns = max(len(images) for _, images in rows)
    sheet = new(1.2 * columns + 2.4, 1.2 * len(rows) + 0.3)
    sheet.suptitle("MSE over all test images")
    axes = sheet.subplots(len(rows), columns + 1, squeeze=False, width_ratios=[1.6, *[1] * columns])
    for line, (words, images) in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        noisy = words == NOISY
        said = (
            f"{words}\n(black to white: central\n98 % of each)"
            if noisy
            else textwrap.fill(words.replace("MSE ", "MSE\u00a0"), 26)
        )
        line[0].text(1, 0.5, said, ha="right", va="center")
        for axis, image in zip(line[1:], images, strict=False):
            show(axis, image, *span(image, noisy))
    if pixel_size:
        scale_bar(axes[0, 1], rows[0][1].shape[-1], pixel_size)
    grey_bar(sheet, axes)
    note(sheet, images_are)
    with writable(path.parent):
        return write(sheet, path)


@styled
def pairs(
    noisy: np.ndarray, denoised: np.ndarray, names: list[str], path: Path, pixel_size: float | None = None
) -> Path:
    """Write a PNG of images (n, L, L) in any unit, noisy above, denoised below, under their names.

    Each spans its own central 98 %, since a stack's images have levels and scales of their own. pixel_size: in Å; given, the
    first denoised image has a scale bar.
    """
    sheet = new(1.25 * max(len(names), 3) + 0.5, 3.2)
    axes = sheet.subplots(2, len(names), squeeze=False)
    for line, what, images in zip(axes, (NOISY, "denoised"), (noisy, denoised), strict=True):
        line[0].set_ylabel(what)
        for axis, image in zip(line, images, strict=True):
            show(axis, image, *span(image, noisy=True))
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=SMALL)
    if pixel_size:
        scale_bar(axes[1, 0], denoised.shape[-1], pixel_size)
    sheet.supxlabel("black to white: the central 98 % of each image's grey values", fontsize=SMALL, color=FAINT)
    return write(sheet, path)


@styled
def conformations(volumes: np.ndarray, path: Path, pixel_size: float | None = None, images_are: str = "") -> Path:
    """Write a PNG of all conformations (k, L, L, L) from where the clamp's motion shows; the last panel is last − first.

    pixel_size: in Å; given, the first panel has a scale bar. images_are: as in `strip`.
    """
    from cryobench.data.directions import motion_view
    from cryobench.data.project import Projector

    best = motion_view(volumes)[None]
    images = np.concatenate([Projector(volume)(best) for volume in volumes])
    difference = images[-1] - images[0]

    sheet = new(1.5 * (len(images) + 1) + 1.8, 1.8)  # as high as the images and the words: more would be an empty band
    *axes, right = sheet.subplots(1, len(images) + 1)
    for number, (axis, image) in enumerate(zip(axes, images, strict=True), start=1):
        show(axis, image, images.min(), images.max())
        place = {1: "1 (open)", len(images): f"{len(images)} (closed)"}.get(number, f"{number}")
        axis.set_title(place, fontsize=SMALL)
    if pixel_size:
        scale_bar(axes[0], images.shape[-1], pixel_size)
    grey_bar(sheet, axes, images.min(), images.max(), "projected density\n(arbitrary units)")
    reach = float(np.abs(difference).max())
    show(right, difference, -reach, reach, cmap="RdBu_r")
    right.set_title("closed − open", fontsize=SMALL)
    grey_bar(sheet, [right], -reach, reach, "difference\n(the same units)", "RdBu_r")
    note(sheet, images_are or " ")
    if len(images) > 2:  # on the line of the note: a line of its own would leave an empty band
        between = "2" if len(images) == 3 else f"2 to {len(images) - 1}"
        words = f"{between}: on the clamp's way from open to closed, in this order"
        sheet.text(0.005, sheet.texts[-1].get_position()[1], words, va="bottom", fontsize=SMALL)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(sheet, path)
