"""Figures made from the committed records can be read: nothing covers anything, nothing is cut, names and axes are said."""

import importlib
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from cryobench import figure
from cryobench.runs.store import Store
from cryobench.tables import text as tables

RESULTS = Path(__file__).parents[1] / "results"
DRAWN = {
    "fig1_stability": "rnap_ecoli-desk",
    "fig2_gallery": "rnap_ecoli-desk128",
    "fig2_lambda": "rnap_ecoli-desk128",
    "fig3_clustering": "rnap_ecoli-desk",
    "fig4_pggan": "rnap_ecoli-desk",
    "fig_exemplars": "rnap_ecoli-desk",
    "fig_image_size": "rnap_ecoli-desk128",
    "fig_reconstruction_fsc": "rnap_ecoli-desk",
    "fig_scale_up": "rnap_ecoli-desk",
    "contamination": "rnap_ecoli-desk",
    "table_microscope": "rnap_ecoli-desk",
    "robust_rates": "robust",
}
OTHER_NAMES = r"\b(cwf|ksvd|nlm|bm3d|K-SVD|abinitio|wgan_gp|autoencoder|linear limit|0\.5,|l[12])\b|e0\b"


@pytest.fixture(scope="module")
def records():
    """Results folder → its records, read once."""
    return {}


@pytest.fixture(params=DRAWN)
def drawn(request, records, monkeypatch) -> dict[str, Figure]:
    """What a module draws from the committed records: name → figure, laid out; no file is written."""
    figures: dict[str, Figure] = {}
    whole = Store.all

    def all_of(store, task="denoising"):
        key = (store.results, task)
        if key not in records:
            records[key] = whole(store, task)
        return records[key]

    monkeypatch.setattr(Store, "all", all_of)
    monkeypatch.setattr(tables, "write", lambda *_: [])
    monkeypatch.setattr(figure, "save", lambda sheet, _, name: figures.update({name: sheet}) or [])
    importlib.import_module(f"cryobench.experiments.{request.param}").write(Store(RESULTS / DRAWN[request.param]))
    assert figures
    for sheet in figures.values():
        figure.styled(sheet.draw_without_rendering)()
    return figures


def test_it_can_be_read(drawn):
    for name, sheet in drawn.items():
        assert not cut(sheet), name
        assert not overlapping(sheet), name
        assert not covered(sheet), name
        assert not unsaid(sheet), name
        assert not [one for one in words(sheet) if re.search(OTHER_NAMES, one)], name


def words(sheet: Figure) -> list[str]:
    return [one.get_text() for one in sheet.findobj(Text) if one.get_visible() and one.get_text()]


def tick_labels(axis: Axes) -> list[Text]:
    """Those in view."""
    shown = []
    for one in (axis.xaxis, axis.yaxis):
        low, high = sorted(one.get_view_interval())
        ticks = [tick for tick in one.get_major_ticks() if low <= tick.get_loc() <= high]
        shown += [tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]
    return shown


def boxes(sheet: Figure) -> dict[str, object]:
    """What is written → the box it takes: legends whole, texts one by one, ticks that are in view."""
    legends = [*sheet.legends, *(axis.get_legend() for axis in sheet.axes if axis.get_legend())]
    within = {id(one) for legend in legends for one in legend.findobj(Text)}
    of_ticks = {
        id(label)
        for axis in sheet.axes
        for one in (axis.xaxis, axis.yaxis)
        for tick in (*one.get_major_ticks(), *one.get_minor_ticks())
        for label in (tick.label1, tick.label2)
    }
    texts = [one for one in sheet.findobj(Text) if id(one) not in within | of_ticks and one.get_text().strip()]
    texts += [label for axis in sheet.axes if axis.axison for label in tick_labels(axis)]
    found = {f"legend {number}": legend.get_window_extent() for number, legend in enumerate(legends)}
    visible = [one for one in texts if one.get_visible()]
    return found | {f"{one.get_text()} {number}": one.get_window_extent() for number, one in enumerate(visible)}


def cut(sheet: Figure) -> list[str]:
    """What reaches beyond the sheet."""
    room = sheet.bbox.padded(1)
    return [name for name, box in boxes(sheet).items() if not all(room.contains(*corner) for corner in box.corners())]


def overlapping(sheet: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of which one lies over the other."""
    pairs = combinations(boxes(sheet).items(), 2)
    return [(a, b) for (a, one), (b, other) in pairs if one.padded(-1).fully_overlaps(other.padded(-1))]


def covered(sheet: Figure) -> list[str]:
    """Legends that lie over a point of a line, or a line between two."""
    legends = [*sheet.legends, *(axis.get_legend() for axis in sheet.axes if axis.get_legend())]
    lines = [
        line.get_transform().transform(np.column_stack(line.get_data(orig=False)))
        for axis in sheet.axes
        for line in axis.lines
        if line.get_transform() == axis.transData
    ]
    steps = np.linspace(0, 1, 20)[:, None, None]
    paths = [(points[:-1] * (1 - steps) + points[1:] * steps).reshape(-1, 2) for points in lines if len(points) > 1]
    points = np.concatenate([*paths, *lines, np.empty((0, 2))])
    return [str(legend) for legend in legends if legend.get_window_extent().count_contains(points)]


def unsaid(sheet: Figure) -> list[str]:
    """Axes with numbers at their left, but neither a label of their own nor of the one whose scale they share."""
    return [
        axis.get_title()
        for axis in sheet.axes
        if axis.axison
        and any(
            re.match(r"[−-]?\d", label.get_text()) for label in tick_labels(axis) if label in axis.get_yticklabels()
        )
        and not any(one.get_ylabel() for one in axis.get_shared_y_axes().get_siblings(axis))
    ]
