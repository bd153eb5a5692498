"""Figures made from the committed records can be read: nothing covers anything, nothing is cut, names and axes are said."""

import functools
import importlib
import io
import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cryobench.experiments import fig3_clustering, fig_exemplars, image_size
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from cryobench import figure
from cryobench.figure import style
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables import text as tables

RESULTS = Path(__file__).parents[1] / "results"
DESK, DESK128 = "rnap_ecoli-desk", "rnap_ecoli-desk128"
DRAWN = [
    ("fig1_stability", DESK),
    ("fig1_stability", DESK128),
    ("fig2_gallery", DESK128),
    ("fig2_lambda", DESK128),
    ("fig3_clustering", DESK),
    ("fig3_clustering", DESK128),
    ("fig4_pggan", DESK),
    ("fig_exemplars", DESK),
    ("fig_exemplars", DESK128),
    ("fig_image_size", DESK128),
    ("fig_reconstruction_fsc", DESK),
    ("fig_scale_up", DESK),
    ("contamination", DESK),
    ("contamination", DESK128),
    ("table_microscope", DESK),
    ("fig_robust_rates", "robust"),
]
WITHOUT_SNR = ("fig4_pggan", "fig_robust_rates")  # images alone, whose caption says it; no images
MARGIN = 3  # px at the sheet's edge that nothing reaches into
OTHER_NAMES = r"\b(cwf|ksvd|nlm|bm3d|K-SVD|abinitio|wgan_gp|autoencoder|linear limit|0\.5,|l[12])\b|e0\b"


@pytest.fixture(scope="module")
def records():
    """Results folder → its records, read once."""
    return {}


@pytest.fixture(params=DRAWN, ids="-".join)
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
    monkeypatch.setattr(style, "write", lambda sheet, file: figures.update({file.stem: sheet}))
    module, folder = request.param
    importlib.import_module(f"cryobench.experiments.{module}").write(Store(RESULTS / folder))
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
        assert not [one for one in words(sheet) if re.search(r"\$[\^_]|[\^_]\{|\$\\", one)], (
            f"{name}: formulas are not set"
        )
        assert not alike(sheet), name
        assert not cut_as_svg(sheet), name
        assert any("SNR" in one for one in words(sheet)) or name in WITHOUT_SNR, name


def test_its_images_are_named_at_its_foot(drawn, request):
    """Seen alone, without the page around it, a figure says of which molecule it is and how large its images are."""
    module, folder = request.node.callspec.params["drawn"]
    images = {DESK: "rnap_ecoli, 64 px, 3.2 Å/px", DESK128: "rnap_ecoli, 128 px, 1.6 Å/px"}.get(folder)
    if module == "fig_image_size":
        images = "rnap_ecoli, 32 to 128 px, 1.6 to 6.4 Å/px"
    for name, sheet in drawn.items():
        feet = [one for one in sheet.texts if one.get_position()[1] < 0.02 and one.get_text() == images]
        assert len(feet) == (images is not None), name


only = functools.partial(pytest.mark.parametrize, "drawn", indirect=True)


@only(argvalues=[("table_microscope", DESK)], ids="-".join)
def test_the_microscopes_rows_are_the_tables_and_its_variants_are_explained(drawn):
    sheet = drawn["fig_microscope"]
    rows = [label.get_text() for label in sheet.axes[0].get_yticklabels()]
    table = (RESULTS / DESK / "tables" / "table_microscope.md").read_text("utf-8")
    assert rows and all(f"| {row} " in table for row in rows)
    variants = {row.removeprefix(other).strip() for row in rows for other in rows if row.startswith(f"{other} ")}
    title = " ".join(sheet.legends[0].get_title().get_text().split())
    assert len(variants) > 4 and not [one for one in variants if f"{one}:" not in title and f"{one}," not in title]


@only(argvalues=[("table_microscope", DESK)], ids="-".join)
def test_shifted_particles_have_the_limit_that_their_multiples_are_of(drawn):
    panels = drawn["fig_microscope"].axes
    limits = [[line.get_xdata()[0] for line in axis.lines if line.get_linestyle() == "--"] for axis in panels]
    assert all(len(one) == 1 for one in limits) and limits[3] == limits[2] != limits[1]
    assert all(axis.get_xlabel().startswith("NMSE") for axis in panels)


@only(argvalues=[("contamination", DESK), ("contamination", DESK128)], ids="-".join)
def test_each_panel_has_a_contaminated_share_and_seeds_are_told(drawn):
    for sheet in drawn.values():
        for axis in sheet.axes:
            assert axis.axison and max(max(line.get_xdata()) for line in axis.lines) > 0.05
            assert re.search(r"at \d+ %: MSE ×", axis.get_title())
        assert "seeds" in sheet.get_suptitle() and "ticks: single seeds" in sheet.get_suptitle()
        said = [text.get_text() for text in sheet.legends[0].get_texts()]
        assert said[0] == "A: noise in place of the clean reference"


@only(argvalues=[("fig_exemplars", DESK128), ("fig_image_size", DESK128)], ids="-".join)
def test_marks_that_stand_beside_their_tick_are_said_to(drawn):
    for sheet in drawn.values():
        title = sheet.legends[0].get_title().get_text()
        assert "ticks: single seeds" in title and "shifted sideways" in title


@only(argvalues=[("fig_exemplars", DESK), ("fig_exemplars", DESK128)], ids="-".join)
def test_marks_stay_at_their_number_of_images_and_the_linear_limit_is_drawn(drawn):
    """Shifts of a fifth put 500 images at 410 and at 610."""
    for axis in drawn["fig_exemplars"].axes:
        for line in axis.lines:
            if line.get_marker() in list(figure.MARKS):
                counts = 250 * 2 ** np.round(np.log2(np.array(line.get_xdata()) / 250))
                assert np.abs(np.log(line.get_xdata() / counts)).max() < 0.1
    upper = [axis for axis in drawn["fig_exemplars"].axes if axis.get_title()]
    assert all([line.get_linestyle() for line in axis.lines].count(":") == 1 for axis in upper) and len(upper) == 2


@only(argvalues=[("fig_exemplars", DESK)], ids="-".join)
def test_numbers_of_images_in_which_nothing_was_found_are_those_of_the_records(drawn):
    titles = {axis.get_title(): axis for axis in drawn["fig_exemplars"].axes}
    hollow = {
        title: [
            round(x / 250)
            for line in axis.lines
            if line.get_markerfacecolor() == figure.PAPER
            for x in line.get_xdata()
        ]
        for title, axis in titles.items()
    }
    assert hollow == {"SNR 0.1": [], "SNR 0.05": [1, 2, 4]}
    assert "open mark" in drawn["fig_exemplars"].legends[0].get_title().get_text()


@only(argvalues=[("fig_image_size", DESK128)], ids="-".join)
def test_the_limit_is_on_the_axis_of_the_others(drawn):
    """In a panel below, whose range overlapped that above, 3e-3 stood at two heights."""
    sheet = drawn["fig_image_size"]
    assert [axis.get_ylabel() for axis in sheet.axes] == ["MSE", "NMSE"]
    assert all(any(line.get_label() == "Bayes limit" for line in axis.lines) for axis in sheet.axes)


@pytest.mark.parametrize("rebuilt", [False, True])
def test_an_axis_is_broken_where_nothing_is_near_the_limit_and_that_is_told(monkeypatch, rebuilt):
    """Volumes rebuilt from clean images of known pose reach the limit; without them it lies far below all marks."""
    sheets = []
    kept = tuple(one for one in fig_exemplars.METHODS if rebuilt or one != "rebuilt")
    monkeypatch.setattr(fig_exemplars, "METHODS", kept)
    monkeypatch.setattr(style, "write", lambda sheet, file: sheets.append(sheet))
    fig_exemplars.write(Store(RESULTS / DESK128))
    title, axes = sheets[0].legends[0].get_title().get_text(), sheets[0].axes
    assert ("the vertical axis is broken" in title) != rebuilt
    broken = sum(any(line.get_transform() == axis.transAxes for line in axis.lines) for axis in axes)
    assert broken == (0 if rebuilt else 4)


@only(argvalues=[("fig_exemplars", DESK128)], ids="-".join)
def test_no_mark_lies_on_another(drawn):
    """At 4,000 images four methods were one blot."""
    for axis in drawn["fig_exemplars"].axes:
        by_method = [
            axis.transData.transform(np.column_stack(line.get_data()))
            for line in axis.lines
            if line.get_marker() in list(figure.MARKS)
        ]
        for one, other in combinations(by_method, 2):
            apart = np.linalg.norm(one[:, None] - other[None], axis=-1).min()
            assert apart > 16, "px, a large mark's width"


@only(argvalues=[("fig_reconstruction_fsc", DESK)], ids="-".join)
def test_the_fsc_names_its_snr(drawn):
    assert " at SNR 0.1," in drawn["reconstruction_fsc"].axes[0].get_title()


@only(argvalues=[("fig_reconstruction_fsc", DESK)], ids="-".join)
def test_the_fsc_says_who_knows_clean_images_and_the_resolution_of_each(drawn):
    """An exemplar's resolution alone was read as what denoising gains."""
    curves, beside = drawn["reconstruction_fsc"].legends
    said = dict(" ".join(text.get_text().split()).rsplit(": ", 1) for text in curves.get_texts())
    about = json.loads((RESULTS / DESK / "reconstruction" / "fsc.json").read_text("utf-8"))
    values = [f"{one['resolution_0.5']:.1f} Å" for one in about["resolutions"]]
    assert [value.removesuffix(" (Nyquist)") for value in said.values()] == values and said["clean"].endswith(
        "(Nyquist)"
    )
    assert [name.partition(" (")[2] for name in said if "clean images" in name] == [
        "λ = 500) (learnt from clean images of this molecule)",
        "holds clean images of this molecule)",
    ]
    assert beside.get_texts()[-1].get_text() == "Nyquist, 6.4 Å"


def methods_of(sheet) -> int:
    titles = [axis.get_title().split("\n")[0].rstrip(",") for axis in sheet.axes if axis.get_title()]
    return len(set(titles) - {"clean", "noisy", "Linear limit", "Bayes limit"})


@only(argvalues=[("fig2_gallery", DESK128)], ids="-".join)
def test_the_readmes_count_the_gallerys_methods(drawn):
    count = methods_of(drawn["fig2_gallery_snr0.1"])
    for page in (RESULTS.parent / "README.md", RESULTS / "README.md"):
        text = page.read_text("utf-8")
        assert f"noisy, {count} times denoised" in text and f"what {count} rows of Table 2" in text


@only(argvalues=[("fig2_gallery", DESK), ("fig2_gallery", DESK128), ("fig2_lambda", DESK128)], ids="-".join)
def test_a_gallery_says_whose_its_numbers_are_and_what_its_nets_and_limits(drawn):
    for name, sheet in drawn.items():
        foot = sheet.legends[0].get_title().get_text()
        assert "this one image, seed 0;" in foot
        assert ("nets: ResNet" if name == "fig2_lambda" else "nets: convolutions only; noise2noise: ResNet") in foot
        assert ("Table 3" if name == "fig2_lambda" else "Table 2") in foot
        for limit in ("Linear limit", "Bayes limit"):
            assert (f"\n{limit}: the " in foot) == any(axis.get_title().startswith(limit) for axis in sheet.axes)


@only(argvalues=[("fig2_gallery", DESK128)], ids="-".join)
def test_the_gallerys_order_is_told(drawn):
    """By this image's MSE; the clean image first, the Bayes limit last; the linear one, which is in the table, among them."""
    for sheet in drawn.values():
        titles = [axis.get_title() for axis in sheet.axes if axis.get_title()]
        values = [float(title.rpartition("MSE ")[2]) for title in titles[1:-1]]
        assert titles[0] == "clean" and titles[-1].startswith("Bayes limit") and values == sorted(values)[::-1]
        assert sheet.get_suptitle().endswith("the highest first, the Bayes limit last")
        assert any(title.startswith("Linear limit\n") for title in titles)


@only(argvalues=[("fig4_pggan", DESK)], ids="-".join)
def test_figure_4s_lines_are_in_the_papers_order(drawn):
    lines = [axis for axis in drawn["fig4_pggan"].axes if any(one.startswith("(") for one in words(axis))]
    found = [
        re.match(r"\((.)\) .*(denoised|clean)\b", next(one for one in words(axis) if one[0] == "(")) for axis in lines
    ]
    kinds = ("denoised", "clean", "denoised")  # the clean ones once: both nets denoise the same images
    assert [one.groups() for one in found if one] == list(zip("abc", kinds, strict=True))


@only(argvalues=[("fig3_clustering", DESK), ("fig3_clustering", DESK128)], ids="-".join)
def test_one_draw_is_said_to_be_one_and_has_the_tables_mean_beside_it(drawn, request):
    """52 of 60 contradicted a mean of 57.4: of all draws it is the least."""
    table = pd.read_csv(RESULTS / request.node.callspec.params["drawn"][1] / "tables" / "table_clustering.csv")
    for name, view in (("fig3_clustering", "random"), ("fig3_clustering_fixed_view", "motion")):
        sheet = drawn[name]
        assert "one draw of 60, seed 0" in sheet.legends[0].get_title().get_text()
        shown = table[(table["view"] == view) & (table["embedding"] == "isomap")]
        expected = [
            f"{mean:.1f} on average{fig3_clustering.FEW.get(seeds, '')}"
            for mean, seeds in zip(shown["mean"], shown["seeds"], strict=True)
        ]
        means = [re.search(r" of 60 here, (.*)", axis.get_title()) for axis in sheet.axes]
        assert [one[1] for one in means if one][: len(shown)] == expected and all(means)
        said, titles = sheet.legends[0].get_title().get_text(), "".join(axis.get_title() for axis in sheet.axes)
        assert all((f"{sign}: of " in said) == (sign in titles) for sign in fig3_clustering.FEW.values()), "signs used"
        for part in sheet.subfigs:
            box, lines = part._suptitle.get_window_extent(), part.get_suptitle().split("\n")
            foot = box.y1 - box.height * len([line for line in lines if line]) / len(lines)
            assert foot > max(axis.title.get_window_extent().y1 for axis in part.axes) + 5, "px"


@only(argvalues=[("fig_image_size", DESK128)], ids="-".join)
def test_marks_of_one_seed_are_told(drawn):
    title = drawn["fig_image_size"].legends[0].get_title().get_text()
    alone = [p for p in image_size.points(frame.frame(Store(RESULTS / DESK128).all())) if len(p.mse) == 1]
    assert "marks: means over" in title and ("; one seed: " in title) == bool(alone)
    assert all(f"{p.size}" in title.partition("; one seed: ")[2].partition("\n")[0] for p in alone)


@only(argvalues=[("table_microscope", DESK)], ids="-".join)
def test_the_microscopes_seeds_are_ticks_and_its_numbers_are_named(drawn):
    sheet = drawn["fig_microscope"]
    said = sheet.legends[0].get_title().get_text()
    assert "ticks: single seeds" in said and "the microscope's table" in said
    for axis in sheet.axes:
        marks, ticks = (
            sum(len(line.get_xdata()) for line in axis.lines if line.get_marker() in signs) for signs in ("oD", "|")
        )
        assert ticks == 3 * marks > 0


@only(argvalues=[("fig3_clustering", DESK128)], ids="-".join)
def test_a_panel_whose_points_coincide_says_so(drawn):
    for name, sheet in drawn.items():
        noted = [
            axis.get_title().split("\n")[0]
            for axis in sheet.axes
            if any("coincide" in t.get_text() for t in axis.texts)
        ]
        assert noted == (["clean"] if "fixed" in name else [])


def words(sheet: Figure | Axes) -> list[str]:
    return [one.get_text() for one in sheet.findobj(Text) if one.get_visible() and one.get_text()]


def tick_labels(axis: Axes) -> list[Text]:
    """Those in view."""
    shown = []
    for one in (axis.xaxis, axis.yaxis):
        low, high = sorted(one.get_view_interval())
        ticks = [tick for tick in one.get_major_ticks() if low <= tick.get_loc() <= high]
        shown += [tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]
    return shown


def boxes(sheet: Figure, renderer=None) -> dict[str, object]:
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
    found = {f"legend {number}": legend.get_window_extent(renderer) for number, legend in enumerate(legends)}
    visible = [one for one in texts if one.get_visible()]
    return found | {f"{one.get_text()} {number}": one.get_window_extent(renderer) for number, one in enumerate(visible)}


def cut(sheet: Figure, renderer=None) -> list[str]:
    """What reaches beyond the sheet, or to its very edge."""
    room, found = sheet.bbox.padded(-MARGIN * sheet.dpi / 130), boxes(sheet, renderer)
    return [name for name, box in found.items() if not all(room.contains(*corner) for corner in box.corners())]


def cut_as_svg(sheet: Figure) -> list[str]:
    """What reaches beyond the view box of an SVG, whose letters are a little wider than a PNG's, which have whole pixels."""
    sheet.dpi = 72
    renderer = RendererSVG(*sheet.bbox.size, io.StringIO())
    figure.styled(sheet.draw)(renderer)
    return cut(sheet, renderer)


def alike(sheet: Figure) -> list[str]:
    """Entries of a legend that look like an earlier one."""
    found = []
    for legend in sheet.legends:
        looks = [look(handle) for handle in legend.legend_handles]
        found += [text.get_text() for n, text in enumerate(legend.get_texts()) if looks[n] in looks[:n]]
    return found


def look(handle) -> tuple:
    """Colour, line and mark of an entry; handles of another kind are told apart by themselves."""
    if isinstance(handle, Line2D):
        mark = (handle.get_marker(), handle.get_markerfacecolor(), handle.get_markersize())
        return (handle.get_color(), handle.get_linestyle(), handle.get_linewidth(), *mark)
    return (type(handle).__name__, id(handle))


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


@only(argvalues=[("fig1_stability", DESK128), ("contamination", DESK128)], ids="-".join)
def test_the_lowest_values_lie_above_a_label(drawn):
    for sheet in drawn.values():
        for axis in sheet.axes:
            low, high = axis.get_ylim()
            lowest = min(value for line in axis.lines for value in line.get_ydata() if low <= value <= high)
            assert min(tick for tick in axis.get_yticks() if tick >= low) <= lowest


@only(argvalues=[("fig3_clustering", DESK128)], ids="-".join)
def test_the_papers_counts_stand_beside_random_views_as_theirs_are(drawn):
    titles = {name: [axis.get_title() for axis in sheet.axes] for name, sheet in drawn.items()}
    assert any("paper" in title for title in titles["fig3_clustering"])
    assert not any("paper" in title for title in titles["fig3_clustering_fixed_view"])
