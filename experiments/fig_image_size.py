"""MSE and NMSE against the image size, every seed a point (sweep image_size)."""

from __future__ import annotations

from pathlib import Path

from cryobench.experiments import image_size
from matplotlib.ticker import PercentFormatter

from cryobench import figure
from cryobench.printed import short
from cryobench.runs.store import Store
from cryobench.tables import frame

RESULTS = image_size.RESULTS
PAPERS = 128  # px


@figure.styled
def write(store: Store) -> list[Path]:
    """Write fig_image_size.png and .svg: two panels, means joined by lines, every seed a dot; the paper's MSE as hollow marks."""
    points = image_size.points(frame.frame(store.all()))
    canvas = figure.new(8.0, 4.2)
    for axis, (metric, heading) in zip(canvas.subplots(1, 2), image_size.METRICS.items(), strict=True):
        methods = list(dict.fromkeys(point.method for point in points))
        for number, method in enumerate(methods):
            of_method = sorted((p for p in points if p.method == method), key=lambda p: p.size)
            colour, mark = figure.COLOURS[number % len(figure.COLOURS)], figure.MARKS[number % len(figure.MARKS)]
            values = [getattr(p, metric) for p in of_method]
            name = method.replace("l1", "ℓ1")
            x = figure.aside((p.size for p in of_method), number, len(methods), by=1.015)
            figure.over_seeds(axis, x, values, colour, mark, name)
            if metric == "mse" and (paper := image_size.published(method)) is not None:
                hollow = {"color": colour, "markersize": 10, "markerfacecolor": "none", "linestyle": ""}
                place = figure.aside([PAPERS], number, len(methods), by=1.015)
                axis.plot(place, [paper], marker=mark, label=f"{name}, the paper's", **hollow)
        axis.set(xscale="log", xlabel="image size (px)", ylabel=f"{heading}, SNR {image_size.SNR:g}", ylim=(0, None))
        figure.ticks(axis.xaxis, (point.size for point in points))
    left, right = canvas.axes
    left.yaxis.set_major_formatter(lambda value, _: short(value, 1) if value else "0")
    right.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
    if points:
        canvas.legend(
            *left.get_legend_handles_labels(), loc="outside lower center", ncols=4, title="dots: single seeds"
        )
    return figure.save(canvas, store.results, "fig_image_size")
