"""MSE and NMSE against the image size, every seed a point (sweep image_size)."""

from __future__ import annotations

from pathlib import Path

from cryobench.experiments import image_size

from cryobench import figure
from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame

RESULTS = image_size.RESULTS
PAPERS, BESIDE = 128, 180  # px: the paper's images, and where its values stand on the axis
APART = 1.035  # between two methods at one size, as a factor of the size
LIMIT = "Bayes limit"


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_image_size.png and .svg: MSE and NMSE, means joined by lines, every seed a tick; the paper's MSE beside them."""
    points = image_size.points(frame.frame(store.all()))
    return figure.save(
        draw(points), store.results, "fig_image_size", figure.images_of(one for p in points for one in p.records)
    )


@figure.styled
def draw(points: list[image_size.Point]):
    """A column for each metric; all on one axis, the limit too, which is above the others' finest images at the coarsest."""
    canvas = figure.new(9.0, 6.4)
    axes = canvas.subplots(1, 2)
    methods = sorted(
        {point.method for point in points}, key=lambda name: (name == LIMIT, [p.method for p in points].index(name))
    )
    beside = len(methods) - (LIMIT in methods)  # the limit, far below the others of its size, is not moved
    for axis, (metric, heading) in zip(axes, image_size.METRICS.items(), strict=True):
        for number, method in enumerate(methods):
            of_method = sorted((p for p in points if p.method == method), key=lambda p: p.size)
            colour, mark, line = figure.LOOKS[method]
            x = figure.aside((p.size for p in of_method), *((0, 1) if method == LIMIT else (number, beside)), by=APART)
            values = [getattr(p, metric) for p in of_method]
            figure.over_seeds(axis, x, values, colour, mark, named(method), line)
            if metric == "mse" and (paper := image_size.published(method)) is not None:
                place = figure.aside([BESIDE], number, beside, by=APART)
                axis.plot(place, [paper], marker=mark, color=colour, linestyle="")
        axis.set(xscale="log", yscale="log", ylabel=heading, xlabel="image size (px)")
        figure.log_ticks(axis.yaxis, *([percent] if metric == "nmse" else []))
        sizes = sorted({point.size for point in points})
        papers = {BESIDE} if metric == "mse" and points else set()
        figure.ticks(axis.xaxis, {*sizes, *papers}, lambda x: f"{PAPERS},\nthe paper" if x == BESIDE else f"{x:g}")
        axis.set_title(f"{'MSE (images in [0, 1])' if metric == 'mse' else 'NMSE: share of the variance that is lost'}")
    canvas.align_xlabels(axes)
    handles = {name: one for axis in axes for one, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    if points:
        title = (
            f"SNR {image_size.SNR:g}; {figure.marked(len(point.mse) for point in points)}{alone(points)}\n"
            "marks of one size are shifted sideways so as not to overlap\n"
            "the paper's numbers: CWF of its Table 2, (.5,.5) of its Table 1; for the ℓ1-Autoencoder λ = 10000 of its Table 3"
        )
        canvas.legend(handles.values(), handles, loc="outside lower center", ncols=5, title=title)
    return canvas


def alone(points: list[image_size.Point]) -> str:
    """Where there is one seed, if not everywhere: "; one seed: Bayes limit at 64 and 96 px"."""
    single = {
        name: [p.size for p in points if p.method == name and len(p.mse) == 1] for p in points for name in [p.method]
    }
    if all(len(point.mse) == 1 for point in points) or not any(single.values()):
        return ""
    words = (f"{named(name)} at {' and '.join(map(str, sorted(sizes)))} px" for name, sizes in single.items() if sizes)
    return f"; one seed: {', '.join(words)}"


def percent(share: float) -> str:
    """0.15 → 15 %, 0.002 → 0.2 %."""
    return f"{100 * share:g} %"
