"""The page's plots, made from records and tables, and the figures that lie in RESULTS/figures, all within the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryobench import figure
from cryobench.report.captions import OPEN, caption
from cryobench.report.tables import standard
from cryobench.runs.store import Store

COLOURS = (*figure.COLOURS, "#000000")


def all_plots(store: Store, runs: pd.DataFrame) -> list[dict]:
    """{"title", "image", "alt"} of each plot that there are numbers for."""
    made = (
        against_paper(store.results / "tables" / "table1.csv", "(α,β)", "Table 1: MSE by (α,β)"),
        against_paper(store.results / "tables" / "table3.csv", "λ", "Table 3: MSE by λ"),
        curves(runs),
    )
    return [plot for plot in made if plot]


def against_paper(file: Path, label: str, title: str) -> dict | None:
    """Ours and the paper's MSE row by row, one panel for each noise level."""
    lines = [line for line in standard(file) if line["metric"] == "mse" and line["mean"] and line["paper"]]
    if not lines:
        return None
    snrs = list(dict.fromkeys(line["snr"] for line in lines))
    sheet = Figure(figsize=(4.6 * len(snrs), 3.2), layout="constrained")
    FigureCanvasAgg(sheet)
    for axis, snr in zip(sheet.subplots(1, len(snrs), squeeze=False)[0], snrs, strict=True):
        at_snr = [line for line in lines if line["snr"] == snr]
        for key, spread, colour, marker, name in (
            ("mean", "spread", COLOURS[0], "o", "ours"),
            ("paper", "paper_spread", COLOURS[1], "s", "paper"),
        ):
            values, spreads = ([float(line[column] or 0) for line in at_snr] for column in (key, spread))
            axis.errorbar(range(len(at_snr)), values, spreads, fmt=marker, color=colour, label=name, capsize=3)
        axis.set_xticks(range(len(at_snr)), [line["row"] for line in at_snr], rotation=40, ha="right")
        axis.set(ylabel="MSE", xlabel=label, title=f"SNR {float(snr):g}")
        axis.set_ylim(0)
        axis.legend(frameon=False)
    return {"title": title, "image": inline(sheet), "alt": f"{title}: ours and the paper's, with their spreads"}


def curves(runs: pd.DataFrame) -> dict | None:
    """Validation MSE after each epoch, one line a learned method (its first seed at SNR 0.1)."""
    lines: dict[str, tuple[int, list[dict]]] = {}
    shown = runs[runs["done"].astype(bool) & (runs["snr"] == 0.1) & (runs["protocol"] == "described")]
    for record in shown["record"]:
        curve = [p for p in record.method.get("curve") or [] if "epoch" in p and p.get("val_mse")]
        method = record.config["method"]
        if len(curve) < 2 or method.get("lam") not in (None, 10.0):
            continue
        kind = {
            "gan": f"({method.get('alpha'):g},{method.get('beta'):g})-GAN" if "alpha" in method else "GAN",
            "autoencoder": f"{method.get('loss')}-autoencoder",
        }.get(method["name"], method["name"])
        name = f"{kind}, {method.get('net')}" if "net" in method else kind
        if name not in lines or record.seed < lines[name][0]:
            lines[name] = (record.seed, curve)
    if not lines:
        return None
    sheet = Figure(figsize=(9.2, 4.2), layout="constrained")
    FigureCanvasAgg(sheet)
    axis = sheet.subplots()
    for number, (name, (_, curve)) in enumerate(sorted(lines.items())):
        axis.plot(
            [p["epoch"] for p in curve],
            [p["val_mse"] for p in curve],
            color=COLOURS[number % len(COLOURS)],
            linestyle=("-", "--", ":", "-.")[number // len(COLOURS) % 4],
            marker=".",
            label=name,
        )
    axis.set(xlabel="epoch", ylabel="MSE on the validation part", yscale="log", title="SNR 0.1, first seed")
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return {
        "title": "Training curves",
        "image": inline(sheet),
        "alt": "Validation MSE after each epoch of each learned method",
    }


def inline(figure: Figure) -> str:
    """A figure as a PNG in a data URI."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return uri(out.getvalue(), "png")


def uri(content: bytes, suffix: str) -> str:
    """The content of a "png" or "svg" file as a data URI."""
    kind = {"png": "image/png", "svg": "image/svg+xml"}[suffix]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def figures(stores: list[Store], room: int) -> tuple[list[dict], list[str]]:
    """The figures of each RESULTS/figures, the smaller of PNG and SVG of each, while they fit into `room` bytes; and the rest."""
    files: dict[str, Path] = {}
    for file in (file for store in stores for file in sorted((store.results / "figures").glob("*.*"))):
        if file.suffix in (".png", ".svg") and (
            file.stem not in files or file.stat().st_size < files[file.stem].stat().st_size
        ):
            files[file.stem] = file
    shown, left_out = [], []
    for name, file in files.items():
        if (size := 4 * file.stat().st_size // 3) > room:
            left_out.append(file.name)
            continue
        room -= size
        image = uri(file.read_bytes(), file.suffix[1:])
        shown.append({"name": name, "caption": caption(name), "image": image, "open": name in OPEN})
    return shown, left_out
