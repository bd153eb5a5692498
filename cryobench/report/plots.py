"""The page's plots, made from records and tables, and the figures that lie in RESULTS/figures, all within the page."""

from __future__ import annotations

import base64
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from cryobench import figure
from cryobench.printed import named, short
from cryobench.report.captions import OPEN, caption
from cryobench.report.tables import standard
from cryobench.runs.store import Store
from cryobench.tables import frame

COLOURS = (*figure.COLOURS[:5], figure.INK)  # the sixth is too near the first for thin lines
SHAPES = {"image": False, "narrow": True}
COMPARED = "Our MSE and the paper's, mean and standard deviation over seeds, for"


def all_plots(store: Store, runs: pd.DataFrame) -> list[dict]:
    """{"title", "caption", "image", "narrow", "alt", "open"} of each plot that there are numbers for.

    narrow: its panels one below the other, whose letters can be read on a phone, too; open: seen before anybody asks for it.
    """
    made = (
        against_paper(
            store.results / "tables" / "table1.csv",
            "(α,β)",
            f"{COMPARED} each (α,β) of Table 1.",
        ),
        against_paper(
            store.results / "tables" / "table3.csv",
            "λ",
            f"{COMPARED} each λ of Table 3.",
        ),
        curves(runs),
    )
    return [plot for plot in made if plot]


@figure.styled
def against_paper(file: Path, label: str, title: str) -> dict | None:
    """Ours and the paper's MSE row by row, one panel for each noise level."""
    lines = [line for line in standard(file) if line["metric"] == "mse" and line["mean"] and line["paper"]]
    if not lines:
        return None
    images = {name: inline(compared_panels(lines, label, narrow), title) for name, narrow in SHAPES.items()}
    return {"title": title, "alt": title, "caption": "", "open": True, **images}


def compared_panels(lines: list[dict], label: str, narrow: bool) -> Figure:
    """Lines of a table's csv, an axis for each noise level."""
    snrs = list(dict.fromkeys(line["snr"] for line in lines))
    sheet, axes = panels(len(snrs), 4.4, 3.6, narrow=narrow)
    for axis, snr in zip(axes, snrs, strict=True):
        at_snr = [line for line in lines if line["snr"] == snr]
        for key, spread, colour, mark, name, aside in (
            ("mean", "spread", COLOURS[0], figure.MARKS[0], "ours", -0.12),
            ("paper", "paper_spread", COLOURS[1], figure.MARKS[1], "paper", 0.12),
        ):
            values, spreads = ([float(line[column] or 0) for line in at_snr] for column in (key, spread))
            places = [place + aside for place in range(len(at_snr))]
            axis.errorbar(places, values, spreads, fmt=mark, color=colour, label=name)
        axis.set_xticks(range(len(at_snr)), [line["row"] for line in at_snr], rotation=40, ha="right")
        axis.set(ylabel="MSE", xlabel=label, title=f"SNR {float(snr):g}")
        axis.set_ylim(0)
        axis.yaxis.set_major_formatter(lambda value, _: short(value, 2).replace(".0", "") if value else "0")
    # Below the axes and at the left, where a phone shows it: within them its marks could be taken for values.
    sheet.legend(*sheet.axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return sheet


@figure.styled
def curves(runs: pd.DataFrame) -> dict | None:
    """Validation MSE after each epoch, one line a learned row of Tables 1 and 2 (its first seed at SNR 0.1)."""
    tables = {
        f"Table {number}": learned(runs, frame.sweep_rows(name)) for number, name in ((1, "alpha_beta"), (2, "methods"))
    }
    tables = {name: lines for name, lines in tables.items() if lines}
    if not tables:
        return None
    return {
        "title": "The MSE on the validation part after each epoch, of the nets of Tables 1 and 2.",
        "caption": "Of each net that is validated on clean images. Tables have the net of its best epoch, not of the last.",
        "alt": "Validation MSE after each epoch of each learned method",
        "open": False,
        **{name: inline(curve_panels(tables, narrow), "curves") for name, narrow in SHAPES.items()},
    }


def curve_panels(tables: dict[str, dict[str, list[dict]]], narrow: bool) -> Figure:
    """Table → row → curve, an axis for each table."""
    sheet, axes = panels(len(tables), 5.0, 5.0, narrow=narrow, shared=not narrow)
    for axis, (title, lines) in zip(axes, tables.items(), strict=True):
        for number, (name, curve) in enumerate(lines.items()):
            axis.plot(
                [p["epoch"] for p in curve],
                [p["val_mse"] for p in curve],
                color=COLOURS[number % len(COLOURS)],
                linestyle=figure.LINES[number // len(COLOURS) % 4],
                marker=figure.MARKS[number % 8],
                label=named(name),
            )
        axis.set(xlabel="epoch", yscale="log", title=f"{title}, SNR 0.1, first seed")
        axis.locator_params(axis="x", integer=True)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    values = [p["val_mse"] for lines in tables.values() for curve in lines.values() for p in curve]
    for axis in sheet.axes:
        enclosing_ticks(axis.yaxis, min(values), max(values))
    for axis in sheet.axes if narrow else sheet.axes[:1]:
        axis.set_ylabel("MSE on the validation part")
    return sheet


@figure.styled
def panels(
    number: int, width: float, height: float, *, narrow: bool, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of axes of so many inches, side by side or, narrow, one below the other; shared: of one vertical axis."""
    across, down = (1, number) if narrow else (number, 1)
    sheet = figure.new(width * across, height * down)
    return sheet, list(sheet.subplots(down, across, squeeze=False, sharey=shared).flat)


def enclosing_ticks(axis: Axis, low: float, high: float) -> None:
    """Ticks of a logarithmic axis, from the last at or below all values to the first at or above them."""
    figure.log_ticks(axis)
    places = axis.get_major_locator().tick_values(low / 10, high * 10)
    axis.set_view_interval(max(p for p in places if p <= low), min(p for p in places if p >= high), ignore=True)


def learned(runs: pd.DataFrame, rows: dict[str, dict]) -> dict[str, list[dict]]:
    """Row → its first seed's curve, of runs with the shipped settings that have one against clean images."""
    found: dict[str, list[dict]] = {}
    for row, wanted in rows.items():
        for record in frame.usual(runs, {**wanted, "noise.snr": 0.1}).sort_values("seed")["record"]:
            curve = [p for p in record.method.get("curve") or [] if "epoch" in p and p.get("val_mse")]
            if len(curve) > 1 and "clean" in record.side_information:
                found.setdefault(row, curve)
    return found


def inline(sheet, name: str) -> str:
    """A figure as an SVG in a data URI, light or dark as the page is."""
    return uri(figure.to_svg(sheet, name).encode(), "svg")


def uri(content: bytes, suffix: str) -> str:
    """The content of a "png" or "svg" file as a data URI."""
    kind = {"png": "image/png", "svg": "image/svg+xml"}[suffix]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def figures(stores: list[Store], room: int) -> tuple[list[dict], list[str]]:
    """The figures of each RESULTS/figures, an SVG where there is one, while they fit into `room` bytes; and the rest."""
    files: dict[str, Path] = {}
    for store in stores:
        for suffix in (".png", ".svg"):  # the latter turns dark with the page
            files |= {file.stem: file for file in sorted((store.results / "figures").glob(f"*{suffix}"))}
    files = dict(sorted(files.items()))
    shown, left_out = [], []
    for name, file in files.items():
        if (size := 4 * file.stat().st_size // 3) > room:
            left_out.append(file.name)
            continue
        room -= size
        image = uri(file.read_bytes(), file.suffix[1:])
        title, more = caption(name)
        shown.append({"name": name, "title": title, "caption": more, "image": image, "open": name in OPEN})
    return shown, left_out
