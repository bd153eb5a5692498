"""How every picture of the project looks: colours, letters, lines, light and dark. No other file sets any of them.

A function that draws is decorated with `styled`. Letters have at least 9 points and a figure at most some 9 inches, so that it
can still be read at half its size. A PNG is on white; an SVG turns dark where its reader's screen is (`prefers-color-scheme`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from cryobench.files import whole, writable
from cryobench.printed import short


class Imaged(Protocol):
    """What tells of images: a record, of whose room this one knows nothing."""

    @property
    def config(self) -> dict: ...

    @property
    def data(self) -> dict: ...


# Okabe and Ito's colours, which the colour-blind tell apart: blue, vermilion, green, orange, purple, sky. Marks help.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c08000", "#cc79a7", "#3a96cf")
MARKS = "osD^v<>P"
LINES = ("-", "--", "-.", ":")
INK, FAINT, GRID, PAPER = "#1a1a1a", "#6b7680", "#dfe3e7", "#ffffff"
# A table's row → its colour, mark and line, the same in every figure that tells methods apart by them; limits are no series.
LOOKS = {
    "exemplar": (COLOURS[0], "o", "-"),
    "l2-Autoencoder": (COLOURS[1], "s", "-"),
    "rebuilt": (COLOURS[2], "D", "-"),
    "CWF": (COLOURS[3], "^", "-"),
    "ab initio": (COLOURS[4], "v", "-"),
    "refined": (COLOURS[5], "<", "-"),
    "l1-Autoencoder": (COLOURS[1], ">", "-"),
    "(.5,.5)-GAN + l1": (COLOURS[2], "P", "-"),
    "Linear limit": (FAINT, "o", ":"),
    "Bayes limit": (INK, "D", "--"),
}
ON_IMAGE = "#fefefe"  # what is drawn on a grey image: white in light and dark
AROUND = "#010101"  # the outline of what is drawn on an image: black in light and dark
SMALL = 9  # points
NOTE = 0.22  # inches: the height of the line of a note at the foot
NEAR = 1.6  # times: a tick that lies no further below what is drawn is where a logarithmic axis begins
BAND = 0.2  # how dense bands, hulls and other fills of a series' colour are
# Light → dark, of an SVG. On white the series are Okabe & Ito's, the two palest darker, with a contrast of 3 or more; on the
# dark ground they are lighter, with 4.5 or more, and bands denser.
DARK = {
    INK: "#e8eaed",
    FAINT: "#aab4bd",
    GRID: "#39424b",
    PAPER: "#14181c",
    **dict(zip(COLOURS, ("#5aa0ea", "#f0742a", "#20bf92", "#e6b450", "#e39bc4", "#9ad8ff"), strict=True)),
}
DARK_BAND = 0.32

STYLE: Any = {
    "font.size": SMALL,
    "text.parse_math": False,  # $ in a name of the user's is a $
    "axes.titlesize": SMALL + 1,
    "axes.labelsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "figure.titlesize": SMALL + 1,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "errorbar.capsize": 2,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
}
# Decorates a function that draws, or wraps the lines that do.
styled = matplotlib.rc_context(STYLE)


def new(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, results: Path, name: str, images: str) -> list[Path]:
    """Write RESULTS/figures/NAME.png and .svg; the same figure gives the same files.

    images: of which molecule, and how large (`images_of`); it stands at the foot, since a figure is read without its caption,
    too. "" where there are none.
    """
    note(figure, images)
    folder = results / "figures"
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in (png, svg):
            write(figure, file)
    return [png, svg]


def images_of(records: Iterable[Imaged]) -> str:
    """Of which molecule the images of these records are, and how large: "rnap_ecoli, 64 px, 3.2 Å/px"; "" without images."""
    known = [record for record in records if "image_size" in record.config.get("data", {})]
    sizes = {int(record.config["data"]["image_size"]) for record in known}
    scales = {record.data.get("pixel_size") for record in known}
    return images_in({record.config["data"]["name"] for record in known}, sizes, scales)


def images_in(names: Collection[str], sizes: Collection[int], pixel_sizes: Collection[float | None]) -> str:
    """The same of names, sizes in px and pixel sizes in Å; of several sizes from the smallest to the largest.

    >>> images_in({"rnap_ecoli"}, {32, 128, 64}, {6.4, 1.6, 3.2}), images_in(["a.mrcs"], [64], [None]), images_in([], [], [])
    ('rnap_ecoli, 32 to 128 px, 1.6 to 6.4 Å/px', 'a.mrcs, 64 px', '')
    """
    numbers = ((sizes, "px"), ([one for one in pixel_sizes if one], "Å/px"))
    spans = [(dict.fromkeys((min(some), max(some))), unit) for some, unit in numbers if some]
    return ", ".join([*sorted(names), *(f"{' to '.join(f'{one:.3g}' for one in ends)} {unit}" for ends, unit in spans)])


def noise_in(config: dict) -> str:
    """Under which noise the images of a run's config are.

    >>> noise_in({"noise": {"name": "gaussian", "snr": 0.1}, "seed": 0}), noise_in({"noise": {"name": "recorded"}, "seed": 1})
    ('SNR 0.1, seed 0', 'noise as recorded, seed 1')
    """
    snr = config["noise"].get("snr")
    return f"{'noise as recorded' if snr is None else f'SNR {snr:g}'}, seed {config['seed']}"


@styled
def note(figure: Figure, words: str) -> None:
    """Write small pale words, if any, in the lower right corner, in a line of their own, by which the figure becomes higher."""
    if not words:
        return
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + NOTE)
    foot = NOTE / (height + NOTE)
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(rect=(0, foot, 1, 1 - foot))
    else:
        for axis in figure.axes:
            x, y, wide, high = axis.get_position().bounds
            axis.set_position((x, foot + y * (1 - foot), wide, high * (1 - foot)))
    for legend in figure.legends:
        if (
            getattr(legend, "_outside_loc", None) == "lower"
        ):  # it stands at the foot of the whole sheet, whatever part the layout may use
            legend.borderaxespad += 72 * NOTE / SMALL
    figure.text(1 - 0.06 / width, 0.05 / height, words, ha="right", va="bottom", fontsize=SMALL, color=FAINT)


def write(figure: Figure, file: Path) -> Path:
    """Write one file, whole or not at all, in the format that its suffix names. Raises InputError where it can't be."""
    for text in figure.findobj(Text):
        text.set_text(drawable(text.get_text()))
    with whole(file) as part:
        if file.suffix == ".svg":
            part.write_text(to_svg(figure, file.stem), encoding="utf-8")
        else:
            with matplotlib.rc_context(STYLE):
                figure.savefig(part, format=file.suffix.removeprefix("."))
    return file


def drawable(text: str) -> str:
    """A text of which the bytes that are no UTF-8, as in a file's name, are shown as such."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def to_svg(figure: Figure, name: str) -> str:
    """The figure as SVG, dark where its reader's screen is; `name` makes the names of its parts, so that they stay the same."""
    out = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    # A path has its own opacity, a collection that of its fill.
    rules += "".join(
        f'[style*="{before}opacity: {BAND}"]{{{part}:{DARK_BAND}!important}}'
        for before, part in (("; ", "opacity"), ("fill-", "fill-opacity"))
    )
    return out.getvalue().replace("</style>", f"@media (prefers-color-scheme:dark){{{rules}}}</style>", 1)


def log_ticks(axis: Axis, label: Callable[[float], str] = lambda value: short(value, 1)) -> None:
    """Ticks of a logarithmic axis, close enough to read values, all labelled; by itself as tables print numbers, 5e-3.

    Where there is one little below what is drawn, the axis begins with it, so that the lowest values lie above a label.
    """
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    flat = axis is axis.axes.xaxis  # labels beside each other take more room than above each other
    # From so many decades on, that labels stay apart.
    every = {2.5 if flat else 4: (1,), 1.8: (1, 3), 0.95: (1, 2, 5), 0.6: (1, 2, 3, 5, 7)}
    steps = next((some for most, some in every.items() if decades > most), range(1, 10))
    decade = 10.0 ** math.floor(math.log10(low))
    if (below := max(step * decade for step in steps if step * decade <= low)) > low / NEAR:
        limits = axis.axes.set_xlim if flat else axis.axes.set_ylim
        limits(below / 1.03, high)
    axis.set_major_locator(LogLocator(subs=list(map(float, steps)), numticks=99))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def ticks(axis: Axis, values: Iterable[float], label: Callable[[float], str] = "{:g}".format) -> None:
    """Ticks where there are data, and nowhere else."""
    places = sorted(set(values))
    axis.set_ticks(places, [label(value) for value in places])
    axis.set_minor_locator(NullLocator())


def broken(upper, lower) -> None:
    """Two short strokes across the vertical axis that two panels above each other share, where it is broken between them."""
    look = {
        "marker": [(-1, -0.6), (1, 0.6)],
        "markersize": 9,
        "linestyle": "",
        "color": INK,
        "markeredgewidth": 1,
        "clip_on": False,
    }
    for axis, end in ((upper, 0), (lower, 1)):
        axis.plot([0], [end], transform=axis.transAxes, zorder=9, **look)


def aside(x: Iterable[float], number: int, of: int, by: float) -> list[float]:
    """x of line `number` among `of` of them, moved so that their bars stand beside each other; by: a factor if above 1."""
    steps = number - (of - 1) / 2
    return [place * by**steps if by > 1 else place + by * steps for place in x]


def counted(seeds: Iterable[int]) -> str:
    """How many seeds a line or a mark stands for: "one seed", "3 seeds", or, where that differs, "1 to 3 seeds"."""
    fewest, most = min(numbers := set(seeds)), max(numbers)
    return "one seed" if most == 1 else f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"


def marked(seeds: Iterable[int]) -> str:
    """What the marks and ticks of `over_seeds` are, of so many seeds each.

    >>> marked([1, 1]), marked([3, 3])
    ('every mark is one seed', 'marks: means over 3 seeds; ticks: single seeds')
    >>> marked([1, 2, 3])
    'marks: means over 1 to 3 seeds; ticks: single seeds, where there are several'
    """
    numbers = list(seeds)
    if max(numbers, default=1) == 1:
        return "every mark is one seed"
    where = ", where there are several" if min(numbers) == 1 else ""
    return f"marks: means over {counted(numbers)}; ticks: single seeds{where}"


def over_seeds(
    axis,
    x: Sequence[float],
    values: Sequence[Sequence[float]],
    colour: str,
    mark: str,
    label: str,
    line: str = "-",
    **look: Any,
) -> None:
    """Means over seeds joined by a line, a thin bar from the lowest seed to the highest, and every seed as a tick.

    Bars of a standard deviation would reach below zero, or a limit, where seeds scatter much. look: more of the means' line.
    """
    look = {"color": colour, "marker": mark, "linestyle": line, "label": label, "zorder": 3, **look}
    axis.plot(x, [np.mean(some) for some in values], **look)
    axis.vlines(x, [min(some) for some in values], [max(some) for some in values], color=colour, linewidth=0.9)
    seeds = [(place, value) for place, some in zip(x, values, strict=True) for value in some if len(some) > 1]
    if seeds:
        # Wider than a mean's mark, so that a seed near the mean is seen, too.
        axis.plot(*zip(*seeds, strict=True), "_", color=colour, markersize=11, zorder=look["zorder"] - 0.5)
