"""Which order of methods on clean Gaussian noise survives the microscope? (sweep microscope)

NMSE of every method under white noise, through a CTF, with noise that is not white besides, and with shifts besides; as a
multiple of the Bayes limit that is told of the CTF and of the noise's spectrum; and whether what one method has over the next
under white noise is still there. Where each particle lies is told to no method but `refined`, and to the limit of shifted
particles, which is that of the same ones at the centre.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from cryobench import figure
from cryobench.evaluation import statistics
from cryobench.printed import multiple, named
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, text
from cryobench.tables.comparison import Measure

TITLE = "Which order of methods survives the microscope"
SETTINGS = ("white", "CTF", "CTF + coloured noise", "CTF + coloured noise + shifts")
LIMIT = "Bayes limit"
SNR = 0.1
MARGIN = 0.05  # methods closer than that, significantly, are equivalent
COLUMNS = ("method", "setting", "nmse", "spread", "n_seeds", "times_limit", "rank")
VARIANTS = (
    "BM3D, Non-local means and nets are told nothing, unless their name says so; not told: neither the CTF nor the noise's\n"
    "spectrum; not whitened: the CTF alone; whitened: the noise is made white by its spectrum in the corners; in given poses:\n"
    "told each particle's pose, which the limit is not; flipped: the net is shown the image with the sign of every frequency\n"
    "put right; with the CTF as a channel: the net is shown the CTF as a second image"
)
WHERE = "numbers, where marks are too near to each other to be told apart: the microscope's table"
SIGNS = {"×": r"$\times$"}
# Written before the runs: what a method that is told of the CTF has to reach. (method, setting, times, than which, words)
CRITERIA = (
    ("CWF", "CTF", 0.5, "CWF not told", "CWF told of the CTF has at most half the NMSE of CWF that is not"),
    ("exemplar", "CTF", 1.5, LIMIT, "exemplars told of the CTF are within 1.5 times the limit that is told of it"),
    (
        "ab initio",
        "CTF",
        1.0,
        "CWF",
        "ab initio told of the CTF has no more NMSE than CWF told of it, on the same stack",
    ),
)
NOTES = (
    "NMSE: mean(standard deviation over seeds), SNR 0.1, and behind it its multiple of the limit; under a CTF the noise is "
    "what it would be without, and the signal less. × is the mean over seeds of the ratio to the Bayes limit, which is told of "
    "the CTF and of the noise's spectrum; of shifted particles, to that of the same particles at the centre. Training and test "
    "particles come about alike; methods that can be told of the CTF are, those that assume white noise have it whitened by "
    "the spectrum in the corners, and exemplars are told how far a particle may be off the centre, unless their name says not. "
    "Refined: told the pose and the place of each noisy training image, in given poses those of the image that is denoised, "
    "too, which no limit is told, so that it can be below it. Flipped: the net is shown the image with the sign of every "
    "frequency put right; as a channel: it is shown the CTF as a second image. BM3D, non-local means and other nets are told "
    "nothing; nets learn from clean images.",
    "An image is far from the clean one after its CTF even without noise (an amplitude contrast of 10 % leaves a tenth of its "
    "level): what is told nothing, and sees no clean images, can hardly do better than that.",
)
VERDICTS = (
    "Verdicts: docs/statistics.md, on the NMSE of each test image, Holm's correction over the pairs of one setting; holds: the "
    "first is significantly lower there, too; reversed: significantly higher; equivalent: significantly closer than 5 %."
)

Values = dict[tuple[str, str], dict[int, np.ndarray]]  # (method, setting) → seed → NMSE of each test image


def write(store: Store) -> list[Path]:
    """Write table_microscope.md, .csv and .tex, and fig_microscope.png and .svg."""
    runs = frame.frame(store.all())
    wanted = frame.sweep_rows("microscope")
    chosen = frame.chosen(runs[runs["snr"] == SNR], wanted)
    values = nmse_of(chosen.runs, runs)
    lines = summary(values, wanted)
    parts = [f"# {TITLE}", text.pipes(grid(lines)), "## What this table was to show", *asked(values)]
    if len(order := order_of(lines, "white")) > 1:
        parts += ["## Which order survives", VERDICTS, text.pipes(survival(values, order))]
    return [
        *text.write(
            store,
            "table_microscope",
            {
                "md": text.page(parts[0], NOTES[0], *parts[1:], *NOTES[1:], *chosen.notes),
                "csv": text.sheet(COLUMNS, lines),
                "tex": text.booktabs(TITLE, "tab:microscope", len(grid([])[0]), grid([]), [grid(lines)[1:]], SIGNS),
            },
        ),
        *draw(store, lines, values, chosen.runs["record"]),
    ]


def nmse_of(chosen: pd.DataFrame, runs: pd.DataFrame) -> Values:
    """The NMSE of each test image of the chosen runs; an older one whose images are in no newer record is left out."""
    measure = Measure(runs.loc[runs["done"].astype(bool), "record"])
    values: Values = {}
    for run in chosen.itertuples():
        if (nmse := measure.nmse_of_images(run.record)) is not None:
            method, _, setting = run.row.rpartition(", ")
            values.setdefault((method, setting), {})[int(run.seed)] = nmse
    return values


def limit_of(values: Values, setting: str) -> dict[int, np.ndarray]:
    """The limit's NMSE by seed."""
    return values.get((LIMIT, of_limit(setting)), {})


def of_limit(setting: str) -> str:
    """The setting whose limit it has: that of shifted particles is that of the same ones at the centre."""
    return SETTINGS[2] if setting == SETTINGS[3] else setting


def summary(values: Values, rows: Iterable[str]) -> list[dict]:
    """One dict of COLUMNS for each method and setting with records; rank: by NMSE, in its setting, without the limit."""
    lines = []
    for row in rows:
        method, _, setting = row.rpartition(", ")
        by_seed = {seed: float(np.nanmean(one)) for seed, one in values.get((method, setting), {}).items()}
        if not by_seed:
            continue
        floors = {seed: float(np.nanmean(one)) for seed, one in limit_of(values, setting).items()}
        times = [nmse / floors[seed] for seed, nmse in by_seed.items() if seed in floors]
        mean, spread = statistics.mean_and_spread(list(by_seed.values()))
        lines.append(
            {
                "method": method,
                "setting": setting,
                "nmse": mean,
                "spread": spread,
                "n_seeds": len(by_seed),
                "times_limit": float(np.mean(times)) if times else None,
                "rank": None,
            }
        )
    for setting in SETTINGS:
        for rank, method in enumerate(order_of(lines, setting), start=1):
            next(line for line in lines if (line["method"], line["setting"]) == (method, setting))["rank"] = rank
    return lines


def order_of(lines: list[dict], setting: str) -> list[str]:
    """Methods with a number in this setting, the best first, without the limit."""
    at_setting = [line for line in lines if line["setting"] == setting and line["method"] != LIMIT]
    return [line["method"] for line in sorted(at_setting, key=lambda line: line["nmse"])]


def grid(lines: list[dict]) -> list[list[str]]:
    """Texts under a heading: a method's NMSE in each setting, and behind it the multiple of the limit."""
    out = [["NMSE, × limit", *SETTINGS]]
    at = {(line["method"], line["setting"]): line for line in lines}
    for method in dict.fromkeys(line["method"] for line in lines):
        cells = [named(method)]
        for setting in SETTINGS:
            line = at.get((method, setting))
            nmse = "–" if line is None else text.formatted("mse", line["nmse"], line["spread"])
            times = None if line is None else line["times_limit"]
            cells.append(nmse if times is None else f"{nmse}, {multiple(times)} ×")
        out.append(cells)
    return out


def asked(values: Values) -> list[str]:
    """Each of CRITERIA with what came: yes or no, from how many seeds."""
    out = []
    for method, setting, most, other, words in CRITERIA:
        base = limit_of(values, setting) if other == LIMIT else values.get((other, setting), {})
        by_seed = values.get((method, setting), {})
        times = [float(np.nanmean(by_seed[seed]) / np.nanmean(base[seed])) for seed in sorted(set(by_seed) & set(base))]
        if not times:
            out.append(f"- {words} ({setting}): not run.")
            continue
        count = "1 seed" if len(times) == 1 else f"{len(times)} seeds"
        verdict = "yes" if max(times) <= most else "no"
        out.append(f"- {words} ({setting}): {verdict} ({', '.join(f'{value:.2f}' for value in times)} times; {count}).")
    return out


def survival(values: Values, order: list[str]) -> list[list[str]]:
    """For each method and the next worse one under white noise: whether it is lower, in every setting."""
    logs = {
        row: {seed: float(np.log(np.nanmean(one))) for seed, one in by_seed.items()} for row, by_seed in values.items()
    }
    kinds = {row: "net" if row[0].startswith(("l2-", "(")) else "classical" for row in values}
    columns = []
    for setting in SETTINGS:
        spread = statistics.spreads({row: one for row, one in logs.items() if row[1] == setting}, kinds)
        compared = []
        for first, second in pairwise(order):
            a, b = (first, setting), (second, setting)
            known = a in values and b in values
            compared.append(statistics.compare(values[a], values[b], spread.get(a), spread.get(b)) if known else None)
        columns.append([in_words(answer) for answer in statistics.judge(compared, MARGIN)])
    pairs = [f"{named(first)} below {named(second)}" for first, second in pairwise(order)]
    return [["under white noise", *SETTINGS], *([pair, *cells] for pair, *cells in zip(pairs, *columns, strict=True))]


def in_words(answer: statistics.Answer) -> str:
    """ "holds (−12 %)": the answer, and how much lower or higher the first method is."""
    if answer.comparison is None:
        return answer.says
    return f"{answer.says} ({answer.comparison.effect * 100:+.0f} %)".replace("-", "−")


@figure.styled
def draw(store: Store, lines: list[dict], values: Values, records: Iterable[Record]) -> list[Path]:
    """A column for each setting, a row for each method, its variants, hollow, below it; NMSE to the right, the limit dashed.

    Shifted particles have the limit of the same ones at the centre, as in the table."""
    methods = list(dict.fromkeys(line["method"] for line in lines))[::-1]
    canvas = figure.new(9.0, 0.24 * len(methods) + 2.6)
    for axis, setting in zip(canvas.subplots(1, len(SETTINGS), sharex=True, sharey=True), SETTINGS, strict=True):
        at = of_limit(setting)
        limit = next((line["nmse"] for line in lines if (line["method"], line["setting"]) == (LIMIT, at)), None)
        nmse = {
            method: [float(np.nanmean(one)) for one in by_seed.values()]
            for (method, where), by_seed in values.items()
            if where == setting
        }
        panel(axis, nmse, methods, limit)
        axis.set(title=setting.replace(" + ", "\n+ "), xlabel="NMSE\n(1: a flat image)")
    axis.set_yticks(range(len(methods)), [named(method) for method in methods])
    handles = {name: one for axis in canvas.axes for one, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    marks = figure.marked(line["n_seeds"] for line in lines)
    title = f"NMSE at SNR {SNR:g}; {marks}; no mark: not run\n{WHERE}\n{VARIANTS}"
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=2, title=title)
    return figure.save(canvas, store.results, "fig_microscope", figure.images_of(records))


def base(method: str) -> str:
    """The method that another one is a variant of; itself, if it is none."""
    return re.split(r" (?:not |whitened|flipped|with the CTF|in given poses)", method)[0]


def panel(axis, nmse: dict[str, list[float]], methods: list[str], limit: float | None) -> None:
    """One setting: a mark for the mean of each method that was run, on the line of its place in `methods`, every seed a tick;
    its limit, if known."""
    looks = (
        (
            "a method, told of the CTF and the noise's spectrum if it can be",
            figure.COLOURS[0],
            figure.COLOURS[0],
            lambda m: m == base(m),
        ),
        ("a variant of the method above it", figure.COLOURS[1], "none", lambda m: m != base(m)),
    )
    for label, colour, inside, fits in looks:
        shown = [method for method in nmse if method != LIMIT and fits(method)]
        places = [methods.index(method) for method in shown]
        axis.plot([np.mean(nmse[m]) for m in shown], places, "o", color=colour, markerfacecolor=inside, label=label)
        ticks(axis, {m: nmse[m] for m in shown}, methods, colour)
    if limit is not None:
        axis.axvline(limit, color=figure.INK, linestyle="--", linewidth=1, label=f"{LIMIT} of centred particles")
    if LIMIT in nmse:
        axis.plot(np.mean(nmse[LIMIT]), methods.index(LIMIT), "D", color=figure.INK)
        ticks(axis, {LIMIT: nmse[LIMIT]}, methods, figure.INK)
    axis.axvline(1.0, color=figure.FAINT, linewidth=0.8, label="a flat image")
    axis.set_xscale("log")
    figure.log_ticks(axis.xaxis, "{:g}".format)


def ticks(axis, nmse: dict[str, list[float]], methods: list[str], colour: str) -> None:
    """A tick for each seed of a method that has several, higher than the mark of their mean."""
    seeds = [(value, methods.index(method)) for method, some in nmse.items() for value in some if len(some) > 1]
    if seeds:
        axis.plot(*zip(*seeds, strict=True), "|", color=colour, markersize=11, zorder=1.9)
