"""What `trust` found, in words and in one figure; the verdict stands first, and is yes or no."""

from __future__ import annotations

import textwrap

import numpy as np

from cryobench import figure
from cryobench.particles.recorrupted import HALF, Agreement
from cryobench.particles.trust import Answers
from cryobench.printed import listed, named, percent, short

CERTAIN = 1.96  # standard errors beyond which a filter is said to do better than a method
HIGHEST = 1.02  # where an axis of correlations ends
EVEN = 0.05  # how far from 1 a ratio of variances still counts as 1
INSTEAD = "more particles, larger pixels (relion_image_handler --rescale_angpix) or class averages instead"


def resolution(answers: Answers) -> float | None:
    """Å (or px) up to which denoised images agree with the particles; None where they don't.

    Linear between rings where the FRC falls below ½; where it falls to chance, the last ring before.
    """
    agreement, frequency = answers.agreement, answers.frequency
    if not agreement.reach:
        return None
    last = frequency[agreement.reach - 1]
    if agreement.reach < len(frequency) and agreement.above_chance:
        before, after = agreement.frc[agreement.reach - 1 : agreement.reach + 1]
        if before > HALF > after:
            last += (before - HALF) / (before - after) * (frequency[agreement.reach] - last)
    return float(1 / last)


def foreign(answers: Answers) -> bool:
    """Whether particles are unlike what a method was trained on: a filter from their power spectrum alone does better."""
    losses = answers.agreement.losses
    return answers.trained and losses is not None and losses.excess[0] > CERTAIN * losses.excess[1]


def verdict(name: str, answers: Answers) -> str:
    """Yes or no, and why, in one sentence; a second one where a flat image would do as well."""
    agreement, n = answers.agreement, answers.number
    if (losses := agreement.losses) is not None and foreign(answers):
        whose = (
            f"{name} has not learnt them"
            if answers.own
            else f"these particles don't look like those that {name} was trained on"
        )
        return (
            f"No: {whose}; it loses {percent(losses.lost[0])} of their variance, a filter from their power spectrum alone "
            f"{percent(losses.filter[0])}."
        )
    if not agreement.reach:
        if agreement.above_chance:
            return (
                f"No: what {name} shows of these {n} images is above chance, but from the lowest frequencies on its "
                "correlation with the particles is below one half."
            )
        images = "" if agreement.seen else ", and neither is any particle in the images themselves"
        return f"No: nothing that {name} shows of these {n} images is above chance{images}."
    reach = f"Yes: what {name} shows agrees with these {n} particles to {resolution(answers):.3g} {answers.unit}"
    yet = beside_flat(losses.lost) if losses else ""
    if agreement.reach == len(answers.frequency):
        return f"{reach}, the finest detail that such pixels hold.{yet}"
    if agreement.above_chance:
        return f"{reach}; in finer detail than that, its correlation with them is below one half.{yet}"
    return f"{reach}; finer detail than that is not above chance.{yet}"


def findings(name: str, answers: Answers) -> str:
    """The verdict, and a line for each further question."""
    found = {
        "what to do": advice(answers),
        "fitted on": answers.how and f"{answers.how}, never on those that it is judged on",
        "too few images": answers.few and answers.few.beside,
        "NMSE": lost(answers),
        "left out": left_out(answers),
        "pure noise": pure_noise(answers),
        "model bias": bias(answers),
        "unseen conformations": unseen(answers),
    }
    return "\n".join([verdict(name, answers), *(f"- {what}: {text}" for what, text in found.items() if text)])


def advice(answers: Answers) -> str:
    """What the verdict allows, and what it does not."""
    if foreign(answers):
        return (
            "train it longer"
            if answers.own
            else "a method that learns from these particles (method=cwf), or a net that did; what this one learnt may differ "
            "in the molecule, but also in image size, pixel size, CTF or noise level alone"
        )
    losses, reach = answers.agreement.losses, resolution(answers)
    if reach is None:
        return INSTEAD
    if losses is not None and beside_flat(losses.lost):
        return "another method: this one leaves too much noise, or too little of the particles"
    return (
        f"look, pick, sort and cluster with the denoised images, down to {reach:.3g} {answers.unit}; refine the recorded ones, "
        "since what a method puts into all images comes back as structure"
    )


def beside_flat(lost: tuple[float, float]) -> str:
    """In a sentence, where a loss is measured and not significantly below a flat image's, which is 1; else "".

    The verdict's criterion is the correlation with the particles, which doesn't say how much noise is left beside them.
    """
    share, error = lost
    if share + CERTAIN * error < 1 or not measured(lost):
        return ""
    near = "nearer to" if share - CERTAIN * error > 1 else "as near to"
    return f" Yet a flat image would be {near} them: it loses {percent(*lost)} of their variance."


def measured(share: tuple[float, float]) -> bool:
    """Whether a share is larger than its error."""
    return share[0] > share[1]


def lost(answers: Answers) -> str:
    """How much of the particles' variance, beside what a flat image and a filter lose."""
    if (losses := answers.agreement.losses) is None:
        return ""
    own, other = percent(*losses.lost), percent(*losses.filter)
    if not measured(losses.lost):
        return f"what is lost of the particles' variance can't be measured with {answers.number} images ({own})"
    flat = "a flat image loses 100 %"
    if abs(losses.lost[0] - 1) <= CERTAIN * losses.lost[1]:
        flat = f"in {answers.number} images no significant difference to a flat image, which loses 100 %"
    beside = f", a filter from their power spectrum alone {other}" if measured(losses.filter) else ""
    return f"it loses {own} of the particles' variance; {flat}{beside}"


def left_out(answers: Answers) -> str:
    """What y − x̂ holds, beside what it should."""
    agreement, losses = answers.agreement, answers.agreement.losses
    if losses is None or np.isnan(ratio := remaining(agreement)):
        return ""
    meaning = "as pure noise has" if abs(ratio - 1) < EVEN else "pure noise would have 1.00"
    text = f"{ratio:.2f} times the variance of the noise ({meaning})"
    if not measured(losses.lost):
        return f"{text}; how much of the particles is in it can't be measured"
    return f"{text}; {percent(max(losses.left, 0))} of the particles' power is in it (0 % would be best)"


def pure_noise(answers: Answers) -> str:
    """How flat what it makes of noise is."""
    flat = "flat, as it should be" if answers.invented < 0.1 else "not flat: some of what it shows is not in the image"
    return f"made into images with {percent(answers.invented)} of the contrast that particles get ({flat})"


def bias(answers: Answers) -> str:
    """What images of unrelated noises have in common: low rings, a molecule from memory or the images' mean; the last ones, a
    pattern of a net's own, as a checkerboard. Nothing where that is no ring."""
    floor = answers.agreement.floor
    if not len(alike := np.flatnonzero(floor >= HALF)):
        return ""
    where = in_words([stretch(answers, rings) for rings in np.split(alike, np.flatnonzero(np.diff(alike) > 1) + 1)])
    return (
        f"denoised unrelated noises are alike in {len(alike)} of {len(floor)} rings, {where}: that much it shows there whatever "
        'is in an image ("Einstein from noise")'
    )


def stretch(answers: Answers, rings: np.ndarray) -> str:
    """Neighbouring rings (positions) by their resolutions: at 205 Å, or from 34.1 to 12.8 Å."""
    first, last = (f"{1 / answers.frequency[ring]:.3g}" for ring in (rings[0], rings[-1]))
    return f"at {first} {answers.unit}" if first == last else f"from {first} to {last} {answers.unit}"


def in_words(parts: list[str]) -> str:
    """One, two and three; of more than four the first three, and how many there are besides."""
    if len(parts) > 4:
        parts = [*parts[:3], f"in {len(parts) - 3} stretches more"]
    return listed(parts)


def unseen(answers: Answers) -> str:
    """Conformations that the method was never trained on, beside those that it was."""
    if answers.unseen is None:
        return ""
    known, others = (np.array(answers.unseen["mse"][side]) for side in ("known", "unseen"))
    error = np.hypot(known.std() / len(known) ** 0.5, others.std() / len(others) ** 0.5)
    return (
        f"those that it was never trained on come out with an MSE of {short(others.mean())}, known ones with "
        f"{short(known.mean())} (standard error of the difference {short(error, 1)})"
    )


def remaining(agreement: Agreement) -> float:
    """Variance of what is left out over the noise's: rings weigh as they have coefficients. NaN where no ring has noise."""
    rings = np.flatnonzero(np.isfinite(agreement.remaining))
    return float(np.average(agreement.remaining[rings], weights=rings + 1)) if len(rings) else np.nan


@figure.styled
def draw(name: str, answers: Answers):
    """The verdict; images and noise, in and out, on one grey scale each; agreement; what is left out; known and unseen."""
    shown = figure.new(9.0, 7.4)
    shown.suptitle("\n".join(textwrap.wrap(verdict(named(name), answers), 95)), weight="bold")
    grid = shown.add_gridspec(2, 1, height_ratios=(1, 1))
    few = len(answers.images)
    top = grid[0].subgridspec(2, 2 * few).subplots(squeeze=False)
    low, high = np.percentile(answers.denoised, [1, 99])
    for column in range(few):
        for start, pair, what in (
            (0, (answers.images, answers.denoised), "particle"),
            (few, (answers.noise, answers.from_noise), "pure noise"),
        ):
            for row, images in enumerate(pair):
                image = images[column]
                limits = np.percentile(image, [1, 99]) if row == 0 else (low, high)
                figure.show(top[row, start + column], image, *limits)
                top[row, start + column].set_title(what if row == 0 else "denoised", fontsize=figure.SMALL)
    top[0, 0].set_ylabel("black to white:\ncentral 98 %\nof each image", color=figure.FAINT)
    figure.scale_bar(top[1, 0], answers.images.shape[-1], pixel_size(answers), answers.unit)
    figure.grey_bar(shown, top, low, high, "denoised, grey value")
    widths = (1.6, 1, 0.8) if answers.unseen else (1.7, 1)
    panels = grid[1].subgridspec(1, len(widths), width_ratios=widths).subplots(squeeze=False)[0]
    agreement, frequency = answers.agreement, answers.frequency
    foot = lowest(agreement.frc, agreement.floor)
    curves = (
        (frc_label(agreement), agreement.frc, ".-"),
        ("chance (3 σ)", agreement.chance, ":"),
        ("two unrelated noises, denoised", agreement.floor, "--"),
    )
    for (label, curve, dash), colour in zip(curves, figure.COLOURS, strict=False):
        panels[0].plot(frequency, np.clip(curve, foot, HIGHEST), dash, color=colour, label=label + off(curve, foot))
    panels[0].axhline(HALF, color=figure.FAINT, linewidth=0.8, label=f"{HALF:g}, above which they agree")
    if (reach := resolution(answers)) is not None:
        colour, words = (
            (figure.FAINT, f"agrees to {reach:.3g} {answers.unit}; not to be trusted")
            if foreign(answers)
            else (figure.COLOURS[2], f"agrees to {reach:.3g} {answers.unit}")
        )
        panels[0].axvspan(0, 1 / reach, color=colour, alpha=figure.BAND, linewidth=0, label=words)
    inverse = f"spatial frequency (1/{answers.unit})"
    panels[0].set(xlabel=inverse, ylabel="Fourier ring correlation", ylim=(foot, HIGHEST), xlim=(0, frequency[-1]))
    panels[0].set_title("is what it shows in the particle?", fontsize=figure.SMALL)
    shown.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    panels[1].plot(frequency, agreement.remaining, color=figure.COLOURS[4])
    panels[1].axhline(1, color=figure.FAINT, linewidth=0.8)
    panels[1].set(
        xlabel=f"{inverse}\nabove 1: particle left out or\nstructure added; below 1: noise\nkept in the denoised image",
        ylabel="power / power of the noise",
        xlim=(0, frequency[-1]),
        ylim=(0, max(1.5, 1.05 * float(np.nanmax(agreement.remaining)))),
    )
    panels[1].set_title("residual: power over that of the noise\n(pure noise: 1)", fontsize=figure.SMALL)
    if answers.unseen:
        sides = ("known", "unseen")
        median = {"color": figure.COLOURS[1]}
        panels[2].boxplot(
            [answers.unseen["mse"][side] for side in sides], showfliers=False, widths=0.5, medianprops=median
        )
        panels[2].set_xticks([1, 2], ["trained on", f"unseen:\n{answers.unseen['which']}"])
        panels[2].set(ylabel="MSE of a denoised image", yscale="log")
        panels[2].set_xlabel("box: quartiles, median;\nwhiskers: to the last image\nwithin 1.5 × the box")
        panels[2].set_title(
            "MSE by conformation\n(simulated images, whose\nclean ones are known)", fontsize=figure.SMALL
        )
        figure.log_ticks(panels[2].yaxis)
    return shown


def lowest(*curves: np.ndarray) -> float:
    """The lower end of an axis of correlations: below all of them, as far as correlations go."""
    least = min(float(np.nanmin(curve, initial=0)) for curve in curves)
    return max(-HIGHEST, min(-0.1, least - 0.05))


def off(curve: np.ndarray, foot: float) -> str:
    """In how many rings a curve leaves an axis from `foot` to HIGHEST, where it can't be seen; "" if it stays.

    Estimates of a correlation can lie beyond ±1, where no axis reaches; chance is infinite where no particles are found.
    """
    beyond = int(((curve < foot) | (curve > HIGHEST)).sum())
    return f", off the scale in {beyond} of {len(curve)} rings" if beyond else ""


def frc_label(agreement: Agreement) -> str:
    """Of the FRC, which has no value in a ring where y₁ and y₂ have nothing in common, S ≤ 0 (recorrupted.py)."""
    gaps, rings = int(np.isnan(agreement.frc).sum()), len(agreement.frc)
    why = f"; gaps: no power of particles is found in {gaps} of {rings} rings"
    return "denoised image and particle" + (why if gaps else "")


def pixel_size(answers: Answers) -> float:
    """Å, or 1 where the images have no pixel size: the last ring lies at Nyquist."""
    size = answers.images.shape[-1]
    return size // 2 / size / float(answers.frequency[-1])
