"""The same images by each method, what trust finds of each, and one sentence that recommends one or none."""

from __future__ import annotations

import textwrap
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cryobench import figure
from cryobench.config.compose import compose, resolve
from cryobench.config.sweep import parse
from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack
from cryobench.errors import InputError, RunFailed
from cryobench.particles import verdict
from cryobench.particles.model import Model, from_file, from_overrides
from cryobench.particles.optics import as_recorded
from cryobench.particles.prepared import prepare
from cryobench.particles.recorrupted import HALF, Losses
from cryobench.particles.trust import Answers, ask, stack_images
from cryobench.printed import named, percent
from cryobench.signals import told_to_end
from cryobench.source import in_words

RESAMPLED = 2000  # bootstrap samples of the images, for whether one method loses more than another
LEVEL = 0.05
COLUMNS = """\
trust: whether what is shown is in the particles, from low frequencies to "agrees to"
lost: the share of the particles' variance that is missing or wrong (NMSE); a flat image loses 100 %
contrast of noise: the contrast of pure noise, denoised, over that of denoised particles; 0 % would be best"""


@dataclass(frozen=True)
class Line:
    """A method's name, its answers or why it failed, and its seconds; log: the traceback where that says more."""

    name: str
    answers: Answers | None
    error: str
    seconds: float
    log: str = ""


def models(names: list[str], settings: list[str], files: list[str]) -> dict[str, Callable[[], Model]]:
    """What makes each method ready, by the name that it is shown under: methods by name, and exported files by their titles.

    Settings are looked at and files read at once. Raises InputError for a setting that some of the methods don't have, and for a
    file that is none of ours; two of one title are told apart by their names.
    """
    parse(settings)  # refuses two choices for one group, of which the last would win
    ready: dict[str, Callable[[], Model]] = {}
    wrong = []
    for name in names:
        overrides = [f"method={name}", *settings]
        try:
            resolve(compose(overrides))
        except InputError as error:
            wrong.append(f"{name}: {error}")
        ready[name] = lambda overrides=overrides: from_overrides(overrides)  # type: ignore[misc]
    if wrong:
        raise InputError("; ".join(wrong))
    nets = {file: from_file(file, []) for file in files}
    titles = [net.title for net in nets.values()]
    for file, net in nets.items():
        title = net.title if titles.count(net.title) == 1 else f"{net.title} ({file})"
        ready[title] = lambda net=net: net  # type: ignore[misc]
    return ready


def compare(
    ready: dict[str, Callable[[], Model]],
    source: Stack | Listing,
    rows: np.ndarray,
    contrast: str,
    n: int,
    say=lambda text: None,
    progress: bool = False,
) -> list[Line]:
    """Each method on the same at most n images of these rows; one that fails is named, and the others go on."""
    lines = []
    for number, (name, make) in enumerate(ready.items(), start=1):
        say(f"{name} ({number} of {len(ready)})")
        start, answers, error, log = time.monotonic(), None, "", ""
        try:
            with told_to_end():
                model = make()
                ctf = as_recorded(model, source, rows, say)
                judged = stack_images(model, prepare(model, source, rows, contrast, say, ctf), n, say)
                answers = ask(model, judged, None, progress)
        except (Exception, MemoryError) as reason:
            error = in_words(reason)
            log = "" if isinstance(reason, InputError | RunFailed) else traceback.format_exc()
        lines.append(Line(name, answers, error, time.monotonic() - start, log))
        left = len(ready) - number
        say(f"{in_short(lines[-1])}{f'; {left} left' if left else ''}")
    return lines


def in_short(line: Line) -> str:
    """A method's verdict, what it loses, and its seconds."""
    took = f"{line.seconds:.0f} s"
    if line.answers is None:
        return f"{line.name} failed: {line.error}; {took}"
    reach, losses = verdict.resolution(line.answers), line.answers.agreement.losses
    foreign = "these particles don't look like those that it was trained on"
    trust = f"yes, to {reach:.3g} {line.answers.unit}" if trusted(line) and reach else "no"
    trust = f"no, {foreign}" if verdict.foreign(line.answers) else trust
    return f"{line.name}: {trust}; lost {lost(losses)}; {took}"


def lost(losses: Losses | None) -> str:
    """Share of the particles' variance in %, with its error; in words where there is none, or its error is larger."""
    if losses is None or not verdict.measured(losses.lost):
        return "not measurable"
    return percent(*losses.lost)


def recommendation(lines: list[Line]) -> str:
    """Which method, if any, and why, in one sentence.

    Of those that agree with the particles, the one that loses least of their variance (recorrupted.py); those that lose
    not significantly more, image by image, are named beside it.
    """
    able = [(line.name, line.answers, losses) for line in lines if (losses := trusted(line)) and line.answers]
    if not able:
        if not any(line.answers for line in lines):
            return "Recommended: none, since all methods failed."
        nothing = "nothing that any of these methods shows of these images can be trusted"
        return f"Recommended: none, since {nothing}; {verdict.INSTEAD}."
    if not (able := [one for one in able if one[2].lost[0] < 1]):
        return "Recommended: none, since a flat image would be nearer to the particles than what any of these methods leaves."
    able.sort(key=lambda one: one[2].lost[0])
    name, answers, best = able[0]
    alike = [other for other, _, losses in able[1:] if not loses_more(losses, best)]
    beside = (
        f"; {' and '.join(alike)} {'does' if len(alike) == 1 else 'do'} not lose significantly more" if alike else ""
    )
    least = "the only one that can be trusted" if len(able) == 1 else "least of all that can be trusted"
    return (
        f"Recommended: {name}, which loses {percent(*best.lost)} of the particles' variance, {least}, "
        f"and agrees with them to {verdict.resolution(answers):.3g} {answers.unit}{beside}."
    )


def trusted(line: Line) -> Losses | None:
    """What a method loses whose verdict is yes; None for one whose verdict is no, or that failed."""
    if line.answers is None or verdict.resolution(line.answers) is None or verdict.foreign(line.answers):
        return None
    return line.answers.agreement.losses


def loses_more(one: Losses, other: Losses) -> bool:
    """Whether the first loses significantly more of the same images: one-sided, by a bootstrap over images, paired."""
    shares = [losses.errors / losses.power.mean() for losses in (one, other)]  # a net may see them on another scale
    differences = shares[0] - shares[1]
    drawn = np.random.default_rng(0).integers(len(differences), size=(RESAMPLED, len(differences)))
    return bool((differences[drawn].mean(axis=1) <= 0).mean() < LEVEL)


def to_markdown(lines: list[Line]) -> str:
    """A table, a line for each method in the order given, the recommendation before it, what its columns mean behind it."""
    unit = next((line.answers.unit for line in lines if line.answers), "Å")
    rows = [
        recommendation(lines),
        "",
        f"| method | trust | agrees to ({unit}) | lost (%) | contrast of noise (%) | s |",
        "|:--|:--|--:|--:|--:|--:|",
    ]
    for line in lines:
        if line.answers is None:
            rows.append(f"| {line.name} | failed: {line.error.replace('|', '/')} | | | | {line.seconds:.0f} |")
            continue
        reach, losses = verdict.resolution(line.answers), line.answers.agreement.losses
        rows.append(
            f"| {line.name} | {'no' if trusted(line) is None else 'yes'} | {f'{reach:.3g}' if reach else ''} | "
            f"{lost(losses).removesuffix(' %')} | "
            f"{100 * line.answers.invented:.0f} | {line.seconds:.0f} |"
        )
    return "\n".join([*rows, "", COLUMNS])


@figure.styled
def draw(lines: list[Line]):
    """The recommendation; the first images as recorded and by each method; each method's FRC with the particles."""
    lines = [replace(line, name=named(line.name)) for line in lines]
    able = [(line.name, line.answers) for line in lines if line.answers is not None]
    few = len(able[0][1].images) if able else 0
    shown = figure.new(9.0, max(4.8, 1.25 * (len(able) + 1) + 0.9))
    shown.suptitle("\n".join(textwrap.wrap(recommendation(lines), 95)), weight="bold")
    if not able:
        return shown
    grid, first = shown.add_gridspec(1, 2, width_ratios=(1, 1.1)), able[0][1]
    axes = grid[0].subgridspec(len(able) + 1, few).subplots(squeeze=False)
    for row, (name, images) in enumerate([("recorded", first.images), *((n, a.denoised) for n, a in able)]):
        low, high = np.percentile(images, [1, 99])
        for column, axis in enumerate(axes[row]):
            figure.show(axis, images[column], low, high)
        axes[row, 0].set_ylabel("\n".join(textwrap.wrap(name, 14)))
        figure.grey_bar(shown, list(axes[row]), low, high, "")
    figure.scale_bar(axes[1, 0], first.images.shape[-1], verdict.pixel_size(first), first.unit)
    panel = shown.add_subplot(grid[1])
    foot = verdict.lowest(*(answers.agreement.frc for _, answers in able))
    for number, (name, answers) in enumerate(able):
        colour, frequency = figure.COLOURS[number % len(figure.COLOURS)], answers.frequency
        agreement = answers.agreement
        mark = "" if verdict.verdict(name, answers).startswith("Yes") else " (no)"
        label = f"{name}{mark}{verdict.off(agreement.frc, foot)}"
        panel.plot(frequency, np.clip(agreement.frc, foot, verdict.HIGHEST), color=colour, label=label)
        panel.plot(frequency, np.clip(agreement.chance, 0, verdict.HIGHEST), ":", color=colour, linewidth=0.8)
    panel.axhline(HALF, color=figure.FAINT, linewidth=0.8, label=f"{HALF:g}, above which they agree")
    panel.set(
        xlabel=f"spatial frequency (1/{first.unit})",
        ylabel="Fourier ring correlation",
        ylim=(foot, verdict.HIGHEST),
    )
    panel.set_title("agreement with the particles; dotted: what chance gives")
    handles = panel.get_legend_handles_labels()
    title = "where a dotted line is at 1, any correlation may be chance"
    by_chance = any((answers.agreement.chance >= 1).any() for _, answers in able)
    shown.legend(*handles, loc="outside lower right", ncols=3, title=title if by_chance else None)
    return shown
