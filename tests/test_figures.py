"""Pictures: one style for all, readable in light and dark; what they draw is what was measured."""

import ast
import inspect
import math
import re
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pytest
from cryobench.experiments import (
    fig1_stability,
    fig3_clustering,
    fig4_pggan,
    fig_exemplars,
    fig_image_size,
    fig_robust_rates,
    fig_scale_up,
    scale_up,
)
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from scipy.stats import pearsonr

from cryobench import figure
from cryobench.errors import InputError
from cryobench.evaluation import metrics
from cryobench.evaluation.chance import guessing
from cryobench.figure import images, style
from cryobench.figure.images import in_lines
from cryobench.particles import compare, verdict
from cryobench.particles.recorrupted import Agreement, Losses
from cryobench.particles.trust import Answers
from cryobench.printed import called
from cryobench.runs import denoising
from cryobench.tables import frame

ROOT = Path(__file__).parents[1]
STYLE = ROOT / "cryobench" / "figure" / "style.py"
DRAWING = [
    path
    for folder in ("cryobench", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != STYLE and re.search(r"cryobench\.figure|import figure", path.read_text("utf-8"))
]


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("path", DRAWING, ids=lambda p: str(p.relative_to(ROOT)))
def test_colours_and_letters_are_named_in_the_style_alone(path):
    text = path.read_text("utf-8")
    named = r'fontsize=\d|#[0-9a-fA-F]{6}"|colou?r="(?:black|white|gr[ea]y|0\.\d)|rcParams|dpi='
    assert not re.findall(named, text)


@pytest.mark.parametrize("path", DRAWING, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_makes_a_figure_is_drawn_in_the_style(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        makes = [
            call
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and re.fullmatch(r"(figures?\.)?new", ast.unparse(call.func))
        ]
        if makes:
            assert "styled" in " ".join(map(ast.unparse, node.decorator_list)), node.name


def test_letters_stay_readable_at_half_size():
    letters = re.compile(r"(font|axes|xtick|ytick|legend|figure)\..*size$")
    assert min(value for key, value in style.STYLE.items() if letters.match(key)) >= 9


def test_ink_and_paper_change_places_in_the_dark_and_series_are_seen_on_both():
    dark = style.DARK
    for ink in (style.INK, style.FAINT):
        assert contrast(ink, style.PAPER) >= 4.5 and contrast(dark[ink], dark[style.PAPER]) >= 4.5
    for colour in style.COLOURS:
        assert contrast(colour, style.PAPER) >= 3 and contrast(dark[colour], dark[style.PAPER]) >= 4.5


def over(colour: str, ground: str, density: float) -> str:
    """The colour of a fill of that density on that ground."""
    parts = zip(matplotlib.colors.to_rgb(colour), matplotlib.colors.to_rgb(ground), strict=True)
    return matplotlib.colors.to_hex([density * one + (1 - density) * other for one, other in parts])


def test_bands_are_told_from_both_grounds_and_lines_from_the_bands():
    """Hulls with a contrast of 1.11 to 1.18 to the dark ground were seen to be too faint."""
    for colour in style.COLOURS:
        for ground, line, density in (
            (style.PAPER, colour, style.BAND),
            (style.DARK[style.PAPER], style.DARK[colour], style.DARK_BAND),
        ):
            band = over(line, ground, density)
            assert contrast(band, ground) >= 1.2 and contrast(line, band) >= 2, colour


def test_a_band_is_denser_in_the_dark():
    sheet = plotted()
    axis = sheet.axes[0]
    axis.fill_between([1, 10], [1e-3, 1e-3], [2e-2, 2e-2], alpha=figure.BAND, linewidth=0)
    axis.fill([1, 10, 10], [1e-3, 1e-3, 2e-2], alpha=figure.BAND, linewidth=0)
    drawn = set(re.findall(r'style="fill: #[0-9a-f]{6}; ((?:fill-)?opacity: [0-9.]+)', figure.to_svg(sheet, "name")))
    assert drawn == {f"fill-opacity: {figure.BAND}", f"opacity: {figure.BAND}"}  # of a collection, of a path
    rules = figure.to_svg(sheet, "name").partition("</style>")[0]
    for selector, rule in (("fill-opacity", "fill-opacity"), ("; opacity", "opacity")):
        assert f'[style*="{selector}: {figure.BAND}"]{{{rule}:{style.DARK_BAND}!important}}' in rules


@figure.styled
def plotted() -> Figure:
    sheet = figure.new(4, 3)
    axis = sheet.subplots()
    axis.plot([1, 10], [1e-3, 2e-2], label="a")
    axis.set(xscale="log", yscale="log", xlabel="x", title="y")
    axis.legend()
    return sheet


def test_an_svg_has_a_dark_rule_for_all_it_draws():
    svg = figure.to_svg(plotted(), "name")
    drawn = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg.partition("</style>")[2]))
    ruled = set(re.findall(r'\[style\*="(?:fill|stroke): (#[0-9a-f]{6})"\]', svg.partition("</style>")[0]))
    assert "@media (prefers-color-scheme:dark)" in svg
    assert {style.INK, style.GRID, style.PAPER, style.COLOURS[0]} <= drawn <= ruled
    assert figure.to_svg(plotted(), "name") == svg


def test_a_logarithmic_axis_is_marked_as_tables_print():
    axis = plotted().axes[0]
    figure.log_ticks(axis.yaxis)
    labels = [tick.get_text() for tick in axis.get_yticklabels()]
    assert {"1e-3", "2e-3", "5e-3", "1e-2"} <= set(labels) and not axis.yaxis.get_minorticklocs().size
    axis.set_ylim(2.7e-3, 2.3e-2)
    figure.log_ticks(axis.yaxis)
    seen = [place for place in axis.get_yticks() if 2.7e-3 < place < 2.3e-2]
    assert np.diff(np.log10(seen)).min() > 0.14, "9e-3 and 1e-2 lay over each other"


def test_seeds_are_drawn_themselves_and_no_bar_leaves_their_range():
    axis = figure.new(4, 3).subplots()
    values = [[1e-3, 4e-2, 1e-3], [2e-3]]
    figure.over_seeds(axis, [1, 2], values, style.COLOURS[0], "o", "a")
    means, dots = (line.get_xydata() for line in axis.lines)
    assert np.allclose(means[:, 1], [1.4e-2, 2e-3]) and dots[:, 1].tolist() == values[0]
    bars = np.array(axis.collections[0].get_segments())
    assert bars[0, :, 1].tolist() == [1e-3, 4e-2]  # the standard deviation, 2.3e-2, would reach below zero


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_trend_has_the_band_of_its_interval_up_to_the_papers_scale(seeds):
    rng, axis = np.random.default_rng(0), figure.new(4, 3).subplots()
    series = [
        scale_up.Point("row", "m", n, n, 16, tuple(5e-3 * n**-0.1 * rng.lognormal(0, 0.1, seeds)))
        for n in (1000, 4000, 16_000)[: 2 if seeds == 1 else 3]
    ]
    fig_scale_up.draw(axis, series, "images", scale_up.METHODS[0])
    bands = [one for one in axis.collections if isinstance(one, PolyCollection)]
    if seeds == 1:  # two runs leave no scatter to tell from
        assert not bands
        return
    corners = bands[0].get_paths()[0].vertices
    at_paper = corners[np.isclose(corners[:, 0], scale_up.PAPER["images"]), 1]
    _, interval = scale_up.trend(series, "images").at(scale_up.PAPER["images"])
    assert np.allclose([at_paper.min(), at_paper.max()], interval)


def test_an_outline_holds_its_cluster_and_lines_have_none():
    axis, points = figure.new(3, 3).subplots(), np.random.default_rng(0).normal(size=(2, 30))
    fig3_clustering.outline(axis, points, style.COLOURS[0], "a")
    (hull,) = axis.patches
    wider = points.mean(axis=1) + 1.001 * (hull.get_xy() - points.mean(axis=1))  # corners are points, too
    assert Outline(wider).contains_points(points.T).all()
    assert {tuple(corner) for corner in hull.get_xy()} <= {tuple(point) for point in points.T}
    for none in (np.zeros((2, 5)), points[:, :2], points[:, :1], points[:, :0], np.array([[0, 1, 2], [0, 2, 4.0]])):
        fig3_clustering.outline(axis, none, style.COLOURS[0], "b")
    assert len(axis.patches) == 1


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_points_that_coincide_are_told_of(spread):
    axis, rng = figure.new(3, 3).subplots(), np.random.default_rng(0)
    points = np.repeat([[0.0, 1.0], [0.0, 0.0]], 30, axis=1) + spread * rng.normal(size=(2, 60))
    shown = {"points": points.tolist(), "right": ["1" * 60], "correct": [60]}
    fig3_clustering.scatter(axis, {"each": 30, "isomap": shown}, "isomap", "clean", "57.4 on average", 54)
    assert axis.get_title() == "clean (paper: 54)\n60 of 60 here, 57.4 on average"
    assert ["coincide" in text.get_text() for text in axis.texts] == ([] if spread else [True])


def test_each_curve_of_figure_1_has_its_own_number_of_seeds():
    step = np.arange(10, 110, 10)
    run = {"step": step, **{curve: np.geomspace(0.1, 0.01, 10) for curve in fig1_stability.PANELS}}
    (shown,) = fig1_stability.draw({"JSGAN": [run, run], "JSGAN + l1": [run]}).legends
    assert [text.get_text().rpartition(", ")[2] for text in shown.get_texts()] == ["2 seeds", "one seed"]
    assert "lines: mean of the seeds" in shown.get_title().get_text()
    sheet = fig1_stability.draw({"JSGAN": [run]})
    assert sheet.legends[0].get_title().get_text() == "other measures: the table of stability"
    assert all("standard deviation of the MSE over the\nsecond half, one seed" in ax.get_xlabel() for ax in sheet.axes)
    assert figure.counted([3, 1, 3]) == "1 to 3 seeds" and figure.counted([3, 3]) == "3 seeds"


def test_a_single_number_of_images_is_seen_and_told():
    """A small mark beneath another method's line was seen by nobody."""
    axis = figure.new(3, 3).subplots()
    by_method = {"exemplar": [(4000, [1e-3])], "CWF": [(500, [2e-3]), (4000, [1.01e-3, 1e-3])]}
    fig_exemplars.panel(axis, by_method, fig_exemplars.spread([by_method]))
    lines = {line.get_label(): line for line in axis.lines}
    assert lines["exemplar"].get_zorder() > max(one.get_zorder() for one in axis.lines if one is not lines["exemplar"])
    assert lines["exemplar"].get_markersize() > lines["CWF"].get_markersize()
    assert fig_exemplars.in_words([by_method, {}]).splitlines() == [
        "marks: means over 1 to 2 seeds; ticks: single seeds, where there are several; no mark: not run",
        "each seed has noise of its own, on the same particles; limits: means over seeds",
        "marks that would overlap are shifted sideways",
        "learning without clean images: CWF; from clean images: exemplar",
    ]
    assert fig_exemplars.in_words([{"refined": [(500, [1e-3])]}]).splitlines() == [
        "every mark is one seed",
        "learning without clean images: refined",
        "told the poses of its training images: refined",
    ]
    told = fig_exemplars.in_words([{name: [(500, [1e-3])] for name in ("refined", "rebuilt")}]).splitlines()[-1]
    assert told == "told the poses of their training images: refined and rebuilt"


def test_images_in_which_a_method_found_nothing_by_its_own_account_have_an_open_mark():
    """Three lay on the line of those that were found, as if they were as good."""
    axis, by_method = figure.new(3, 3).subplots(), {"ab initio": [(250, [4e-3]), (500, [3e-3]), (1000, [2e-3])]}
    fig_exemplars.panel(axis, by_method, fig_exemplars.spread([by_method]), {"ab initio": {250, 1000}})
    full, hollow = axis.lines
    assert hollow.get_markerfacecolor() == style.PAPER and hollow.get_zorder() > full.get_zorder()
    assert hollow.get_xydata().tolist() == [[250, 4e-3], [1000, 2e-3]]
    assert hollow.get_marker() == full.get_marker() and hollow.get_markersize() >= full.get_markersize()
    assert "open mark: the method itself says that it found no structure" in fig_exemplars.in_words([by_method], True)
    said = fig_exemplars.in_words([by_method])
    assert "open" not in said and "not run" not in said, "no mark is missing"


def test_a_method_has_one_colour_and_mark_in_all_figures_and_no_other_has_both():
    """Pink triangles were ab initio in one figure of a report and the Bayes limit in the next."""
    looks = [look[:2] for look in style.LOOKS.values()]
    assert len(set(looks)) == len(looks)
    drawn = {row.rpartition(" ")[0] for row in frame.sweep_rows("exemplars")} & set(fig_exemplars.METHODS)
    drawn |= {row.rpartition(", ")[0] for row in frame.sweep_rows("image_size")} | set(scale_up.METHODS)
    assert drawn and drawn <= set(style.LOOKS)
    for module in (fig_exemplars, fig_image_size, fig_scale_up):
        assert "COLOURS" not in inspect.getsource(module), module.__name__


def test_marks_that_would_overlap_stand_beside_each_other_and_no_other_leaves_its_number_of_images():
    """Where all were moved, five methods' 500 images stood from 410 to 610."""
    by_method = {
        name: [(500, [value]), (4000, [1e-3])] for name, value in (("CWF", 9e-3), ("exemplar", 3e-3), ("refined", 1e-3))
    }
    places = fig_exemplars.places(by_method, fig_exemplars.spread([by_method]))
    assert [x for x, _ in places.values()] == [500] * 3
    beside = [places[name][1] for name in ("exemplar", "CWF", "refined")]
    assert np.allclose(np.diff(np.log(beside)), np.log(fig_exemplars.APART)) and beside[1] == pytest.approx(4000)


def test_a_limit_far_below_every_method_has_a_panel_of_its_own():
    """On one scale it took half of the height; one that a method comes near to stays with it."""
    drawn = [{"exemplar": [(4000, [1e-3, 2e-3])], "CWF": [(500, [3e-3])]}, {}]
    assert fig_exemplars.far(drawn, [1e-4, None]) and not fig_exemplars.far(drawn, [9e-4, None])
    assert not fig_exemplars.far(drawn, [None, 1e-4]), "no method is there"


def test_a_net_that_makes_one_image_for_all_is_told_from_one_that_denoises():
    clean = np.random.default_rng(0).random((4, 8, 8))
    apart = np.mean([pearsonr(one.ravel(), other.ravel()).statistic for one, other in combinations(clean, 2)])
    said = f"\nmean correlation of these 4 images: 1.00 with the same image in (b), {apart:.2f} with the other 3 there"
    assert fig4_pggan.likeness(clean, clean) == said
    one = np.repeat(clean.mean(axis=0, keepdims=True), 4, axis=0)
    own, others = re.findall(r"0\.\d\d", fig4_pggan.likeness(one, clean))
    assert own == others
    assert not fig4_pggan.likeness(clean[:1], clean[:1]) and not fig4_pggan.likeness(0 * clean, clean)


def test_a_lone_seed_is_no_line_each():
    point = {"images": 1, "val_mse": 1e-2, "variety": 1.0, "size": 4, "fading": False}
    record = SimpleNamespace(method={"curve": [point, {**point, "images": 2, "val_mse": 2e-2}]})
    (legend,) = fig4_pggan.training({"PGGAN + l1": [record, record], "PGGAN": [record]}).legends
    assert [text.get_text() for text in legend.get_texts()][:2] == [
        "PGGAN + ℓ1: 2 seeds, a line each",
        "PGGAN: one seed",
    ]


def test_the_bounds_curve_and_its_slope_are_told_apart_and_its_letters_named():
    results = [
        {
            "settings": {
                "epsilon": epsilon,
                "n": n,
                "p": 10,
                "alpha": 0,
                "beta": 0,
                "widths": [20],
                "discriminator": "bounded",
            },
            "location": {"gan": epsilon + n**-0.5 + seed / 1e3, "oracle": n**-0.5},
            "seed": seed,
        }
        for epsilon, n in ((0.1, 100), (0.2, 100), (0.1, 1000), (0.2, 1000))
        for seed in range(3)
    ]
    (shown,) = fig_robust_rates.figure(results).legends
    bound, slope = (
        handle
        for handle, text in zip(shown.legend_handles, shown.get_texts(), strict=True)
        if "bound" in text.get_text() and "within" not in text.get_text()
    )
    assert bound.get_linestyle() != slope.get_linestyle()
    panels = [text.get_text().partition(":")[0] for text in shown.get_texts() if "bound" in text.get_text()]
    assert panels == ["upper panels", *["lower panels"] * 2], (
        "above and below would be beyond the bound and short of it"
    )
    title = shown.get_title().get_text()
    assert "p = 10 is the dimension" in title and "C a constant" in title and "∨ takes the larger" in title
    assert "height is free" in bound.get_label(), "an upper bound drawn below all errors looks as if they broke it"
    assert "means over 3 seeds" in title
    assert "discriminators D1(κ,B): one hidden layer, bounded weights" in title


@pytest.mark.parametrize(("slope", "along_n"), [(-0.3, "worse"), (-0.7, "better")])
def test_verdicts_are_counted_for_gans_that_the_theorem_covers_and_apart_for_the_others(slope, along_n):
    """As the report does. Worse is as its words say: along n the error falls less than the bound."""
    rng = np.random.default_rng(0)
    results = [
        {
            "settings": {
                "epsilon": epsilon,
                "n": n,
                "p": 10,
                "alpha": alpha,
                "beta": beta,
                "widths": [20],
                "discriminator": "bounded",
            },
            "location": {"gan": (epsilon**2 if n > 1e5 else n**slope) * rng.uniform(0.99, 1.01), "oracle": n**-0.5},
            "seed": seed,
        }
        for alpha, beta in ((0, 0), (1, 1), (1, -1))
        for epsilon, n in ((0.1, 10**6), (0.2, 10**6), (1e-4, 100), (1e-4, 1000), (1e-4, 10**4))
        for seed in range(4)
    ]
    sheet = fig_robust_rates.figure(results)
    titles = [axis.get_title() for axis in sheet.axes if axis.get_title().startswith("Slopes")]
    for title, word in zip(titles, ("worse", along_n), strict=True):
        assert title.splitlines()[1:] == [f"2 GANs covered by it: 2 are {word}", f"1 GAN outside it: 1 is {word}"]
    said = sheet.legends[0].get_title().get_text()
    assert "worse: all of it is where the error grows more with ε, or falls less with n" in said
    better = "better: all of it is where the error grows less with ε, or falls more with n"
    assert (better in said) == (along_n == "better"), "a verdict that no GAN has"
    assert not re.search("agrees:|undecided:|seeds:", said)


@pytest.mark.parametrize("gaps", [0, 3])
def test_gaps_of_the_frc_are_explained_and_a_ring_between_two_is_seen(gaps):
    """Where the estimate of the particles' power is not above 0, there is no FRC."""
    rng, rings = np.random.default_rng(0), 8
    frc = np.linspace(0.9, 0.1, rings)
    frc[[3, 5, 7][:gaps]] = np.nan
    flat = np.zeros(rings)
    seen = Agreement(frc, flat, flat, 2, True, True, flat + 1, None)
    four = [rng.normal(size=(2, 16, 16)) for _ in range(4)]
    frequency = np.arange(1, rings + 1) / 16
    answers = Answers(*four, 2, 0.0, frequency, "px", seen, False, "", None, True, None)
    sheet = verdict.draw("it", answers)
    assert any("98 %" in axis.get_ylabel() for axis in sheet.axes), "the greys of the noisy row"
    label = sheet.legends[0].get_texts()[0].get_text()
    why = "; gaps: no power of particles is found in 3 of 8 rings"
    assert label == "denoised image and particle" + (why if gaps else "")
    curve = next(line for axis in sheet.axes for line in axis.lines if line.get_label() == label)
    assert curve.get_marker() == "."
    (residual,) = (axis for axis in sheet.axes if axis.get_title().endswith("(pure noise: 1)"))
    said = " ".join(residual.get_xlabel().split())
    assert said.endswith("above 1: particle left out or structure added; below 1: noise kept in the denoised image")


@pytest.mark.parametrize("foreign", [False, True])
def test_what_is_not_to_be_trusted_has_no_green_band(foreign):
    rng, rings = np.random.default_rng(0), 8
    frc, flat = np.append(np.linspace(0.9, 0.1, rings - 1), np.nan), np.zeros(rings)
    floor = np.where(np.arange(rings) == 6, -0.7, flat)  # below all other curves
    chance = np.where(np.arange(rings) > 5, np.inf, 0.1)
    excess = (0.2, 0.01) if foreign else (-0.2, 0.01)
    losses = Losses((0.3, 0.01), (0.2, 0.01), excess, 0.1, flat, flat + 1)
    seen = Agreement(frc, chance, floor, 4, True, True, flat + 1, losses)
    four = [rng.normal(size=(2, 16, 16)) for _ in range(4)]
    answers = Answers(*four, 2, 0.0, np.arange(1, rings + 1) / 16, "px", seen, False, "", None, True, None)
    sheet = verdict.draw("it", answers)
    assert sheet.get_suptitle().startswith("No:" if foreign else "Yes:")
    (panel,) = (axis for axis in sheet.axes if axis.get_ylabel() == "Fourier ring correlation")
    (band,) = panel.patches
    assert matplotlib.colors.to_hex(band.get_facecolor()) == (style.FAINT if foreign else style.COLOURS[2])
    assert ("not to be trusted" in band.get_label()) == foreign and band.get_label().startswith("agrees to ")
    assert panel.get_ylim()[0] < -0.7, "the noises' curve stays in the panel"
    said = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert "chance (3 σ), off the scale in 2 of 8 rings" in said and "two unrelated noises, denoised" in said
    figure.styled(sheet.draw_without_rendering)()
    box = sheet.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= sheet.bbox.x1


def test_methods_on_a_stack_have_the_scale_bar_on_a_denoised_image_and_the_line_at_one_half_named():
    rng, rings = np.random.default_rng(0), 8
    frc, flat = np.linspace(0.9, -0.6, rings), np.zeros(rings)
    four = [rng.normal(size=(2, 16, 16)) for _ in range(4)]
    seen = Agreement(frc, flat, flat, 2, True, True, flat + 1, None)
    answers = Answers(*four, 2, 0.0, np.arange(1, rings + 1) / 16, "px", seen, False, "", None, True, None)
    sheet = compare.draw([compare.Line("cwf", answers, "", 1.0)])
    recorded, denoised = (
        next(axis for axis in sheet.axes if axis.get_ylabel() == name) for name in ("recorded", "CWF")
    )
    assert denoised.texts and not recorded.texts
    assert "0.5, above which they agree" in [text.get_text() for text in sheet.legends[0].get_texts()]
    (panel,) = (axis for axis in sheet.axes if axis.get_ylabel() == "Fourier ring correlation")
    assert panel.get_ylim()[0] < -0.6


def test_a_scale_bar_is_seen_on_bright_images_and_a_row_of_noisy_ones_says_its_greys(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(images, "write", lambda sheet, path: drawn.append(sheet) or path)
    noisy = np.stack([np.eye(8), 100 * np.eye(8)])
    figure.beside([("noisy", noisy), ("Non-local means: MSE 1.71e-2", noisy)], tmp_path / "a.png", 3.2, "phantom")
    axes, words = drawn[0].axes, [one.get_text() for one in drawn[0].findobj(Text)]
    assert all(one.get_path_effects() for one in (*axes[1].lines, *axes[1].texts)) and len(axes[1].texts) == 1
    assert drawn[0].get_suptitle() == "MSE over all test images" and any("98 % of each)" in one for one in words)
    assert axes[1].images[0].get_clim() != axes[2].images[0].get_clim(), "of each, not of all"
    assert any("MSE\u00a01.71e-2" in one for one in words)


@pytest.mark.parametrize(("lowest", "off"), [(0.1, 0), (-0.6, 0), (-3.0, 1)])
def test_an_frc_below_0_stays_in_its_panel_and_one_that_cannot_is_told_of(lowest, off):
    rng, rings = np.random.default_rng(0), 8
    frc, flat = np.linspace(0.9, 0.2, rings), np.zeros(rings)
    frc[5] = lowest
    seen = Agreement(frc, flat, flat, 2, True, True, flat + 1, None)
    four = [rng.normal(size=(2, 16, 16)) for _ in range(4)]
    unseen = {"mse": {"known": [1e-3, 2e-3, 3e-3], "unseen": [2e-3, 3e-3, 4e-3]}, "which": "between those"}
    answers = Answers(*four, 2, 0.0, np.arange(1, rings + 1) / 16, "px", seen, False, "", None, True, unseen)
    sheet = verdict.draw("it", answers)
    curve = next(one for axis in sheet.axes for one in axis.lines if str(one.get_label()).startswith("denoised image"))
    assert curve.get_ydata()[5] == pytest.approx(max(lowest, -1.02))
    assert curve.axes.get_ylim()[0] < lowest or off
    assert ("off the scale in 1 of 8 rings" in curve.get_label()) == bool(off)
    (boxes,) = (axis for axis in sheet.axes if axis.get_title().startswith("MSE by conformation"))
    assert "simulated images" in boxes.get_title() and "clean ones are known" in boxes.get_title().replace("\n", " ")
    assert all(word in boxes.get_xlabel() for word in ("median", "quartiles", "1.5 × the box"))
    assert [label.get_text() for label in boxes.get_xticklabels()] == ["trained on", "unseen:\nbetween those"]


def test_a_strip_says_what_spans_the_greys_of_a_noisy_image(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(images, "write", lambda sheet, path: drawn.append(sheet) or path)
    blank = np.zeros((2, 8, 8), np.float32)
    figure.strip({"clean": blank, "noisy": blank + np.eye(8, dtype=np.float32)}, tmp_path / "a.png")
    said = [" ".join(text.get_text().split()) for text in drawn[0].findobj(Text)]
    assert "central 98 % of the grey values of each" in said


def test_a_strip_names_its_method_with_its_weight(tmp_path, monkeypatch):
    blank, drawn = np.zeros((2, 8, 8), np.float32), {}
    monkeypatch.setattr(
        figure, "strip", lambda rows, path, notes, size, words: drawn.update(rows=rows, notes=notes, words=words)
    )
    values = {name: np.ones(2) for name in metrics.NAMES}
    shown = SimpleNamespace(clean=blank, noisy=blank, pairs=SimpleNamespace(pixel_size=3.2))
    judged = SimpleNamespace(per_image=values, scores=[values], denoised=blank)
    method = called({"name": "gan", "alpha": 0.5, "beta": -0.5, "lam": 500})
    config = {"data": {"name": "phantom"}, "noise": {"snr": 0.05}, "seed": 2}
    denoising.leave_files(tmp_path, shown, judged, config, method)
    assert drawn["words"] == "phantom, 8 px, 3.2 Å/px, SNR 0.05, seed 2"
    assert list(drawn["rows"]) == ["clean", "noisy", "denoised by (.5,-.5)-GAN + ℓ1 (λ = 500)"]
    assert list(drawn["notes"]) == list(drawn["rows"])[-1:]
    lines = in_lines("denoised by (.5,-.5)-GAN + ℓ1 (λ = 500)").replace("\u00a0", " ").split("\n")
    assert lines == ["denoised by", "(.5,-.5)-GAN", "+ ℓ1 (λ = 500)"]
    assert in_lines("denoised by ℓ2-Autoencoder") == "denoised by\nℓ2-Autoencoder", "was broken within the name"
    assert in_lines("clean") == "clean" and in_lines("a_name_of_ones_own " * 9).count("\n") == 2


@pytest.mark.parametrize(("k", "between"), [(2, ""), (3, "2:"), (5, "2 to 4:")])
def test_conformations_are_named_from_open_to_closed(tmp_path, monkeypatch, k, between):
    grid = np.mgrid[:16, :16, :16] - 8
    volumes = np.stack([np.exp(-((grid[0] - i) ** 2 + grid[1] ** 2 + grid[2] ** 2) / 9) for i in range(k)])
    drawn = []
    monkeypatch.setattr(images, "write", lambda sheet, path: drawn.append(sheet) or path)
    figure.conformations(volumes.astype(np.float32), tmp_path / "a.png", images_are="phantom, 16 px")
    titles = [axis.get_title() for axis in drawn[0].axes if axis.get_title()]
    assert titles == ["1 (open)", *map(str, range(2, k)), f"{k} (closed)", "closed − open"]
    note, *way = drawn[0].texts
    assert [one.get_text().partition(" on")[0] for one in way] == ([between] if between else [])
    assert any("arbitrary units" in text.get_text() for text in drawn[0].findobj(Text))
    figure.styled(drawn[0].draw_without_rendering)()
    band = (drawn[0].axes[0].get_window_extent().y0 - note.get_window_extent().y1) / drawn[0].dpi
    assert not any(one.get_window_extent().overlaps(note.get_window_extent()) for one in way)
    assert 0 < band < 0.3, "inches: an empty band below the images"
    assert all(axis.title.get_window_extent().y1 <= drawn[0].bbox.y1 for axis in drawn[0].axes)


def test_guessing_two_clusters_gets_more_than_half():
    """The better of two labellings: n/2 + E|X − n/2| of a binomial X, which is n/2 (1 + C(n, n/2) / 2ⁿ)."""
    mean, _ = guessing(60)
    assert mean == pytest.approx(30 * (1 + math.comb(60, 30) / 2**60))


def test_images_have_a_scale_bar_of_round_length_and_a_bar_of_greys():
    images = [np.zeros((64, 64), dtype=np.float32), np.random.default_rng(0).normal(size=(64, 64))]
    sheet = figure.gallery([("clean", images[0]), ("noisy\nMSE 1e-1", images[1])], pixel_size=3.2)
    first = sheet.axes[0]
    assert [text.get_text() for text in first.texts] == ["50 Å"]
    (bar,) = first.lines
    assert np.ptp(bar.get_xdata()) == pytest.approx(50 / 3.2)
    assert sheet.axes[-1].get_ylabel().startswith("grey value")
    assert sheet.axes[1].get_xlabel().startswith("grey from −2")


def test_white_is_where_the_clean_image_hardly_has_brighter_pixels():
    """On a scale to 1 all denoised images of 128 px were dim: they stay below 0.5, and one clean pixel is 1."""
    clean = np.linspace(0, 0.5, 1000).reshape(20, 50)
    clean[0, 0] = 1
    sheet = figure.gallery([("clean", clean), ("noisy\nMSE 1e-1", clean - 1), ("CWF\nMSE 1e-3", clean / 2)])
    first, noisy, denoised = (axis.images[0].get_clim() for axis in sheet.axes[:3])
    assert first == denoised == (0, pytest.approx(np.quantile(clean, 0.998))) and first[1] < 0.51 and noisy[0] < 0
    assert sheet.axes[-1].get_yticklabels()[-1].get_text() == "0.5" and "99.8 %" in sheet.axes[-1].get_ylabel()
    assert figure.white(None) == (1, "grey value")


@pytest.mark.parametrize("number", [19, 20])
def test_a_gallery_says_at_its_foot_what_the_limits_are(number):
    """It stood in a place that the images left empty, and nowhere where they left none."""
    sheet = figure.gallery([("clean", np.eye(8))] * number, words=["one image", "Bayes limit: the lowest"])
    assert sheet.legends[0].get_title().get_text() == "one image\nBayes limit: the lowest"
    assert not [axis.texts for axis in sheet.axes if axis.texts]


def test_a_broken_axis_is_marked_on_both_sides_of_the_break():
    upper, lower = figure.new(3, 3).subplots(2, 1)
    figure.broken(upper, lower)
    (above,), (below,) = upper.lines, lower.lines
    assert above.get_transform() == upper.transAxes and (*above.get_xdata(), *above.get_ydata()) == (0, 0)
    assert below.get_transform() == lower.transAxes and (*below.get_xdata(), *below.get_ydata()) == (0, 1)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch, suffix):
    """The disk is full, or the program stopped, half-way through."""
    sheet, file = figure.new(1, 1), tmp_path / f"a.{suffix}"
    figure.write(sheet, file)
    before = file.read_bytes()
    assert before[:4] in (b"\x89PNG", b"<?xm")

    def half(self, out, **how):
        with open(out, "wb") if isinstance(out, Path) else nullcontext(out) as opened:
            opened.write(b"half" if isinstance(out, Path) else "half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    for target in (file, tmp_path / f"b.{suffix}"):
        with pytest.raises(InputError, match="No space"):
            figure.write(sheet, target)
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [file.name]
