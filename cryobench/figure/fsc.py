"""Fourier shell correlation of reconstructions with the true volume."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.figure import Figure

from cryobench.figure.style import COLOURS, FAINT, GRID, INK, LINES, new, styled
from cryobench.printed import called

LETTERS = 26  # of a line of the legend
# Level → what it is for.
THRESHOLDS = {
    0.5: "0.5, for a map against the truth, as here",
    0.143: "0.143, for two half maps, shown for comparison",
}


READ_AT = 0.5  # the threshold of the resolutions that stand in the legend
FROM_CLEAN = {"exemplar": "holds"}  # method → how it comes to clean images; any other learnt from them


def used(method: dict, told: Collection[str]) -> str:
    """What images denoised by a method of these settings are called; told: its side information.

    One that knows clean images of the molecule says so: what it shows may come from them and not from the noisy image.

    >>> used({"name": "exemplar"}, ["clean", "labels"])
    'exemplar (holds clean images of this molecule)'
    >>> used({"name": "cwf"}, [])
    'CWF'
    """
    how = FROM_CLEAN.get(method["name"], "learnt from")
    return called(method) + (f" ({how} clean images of this molecule)" if "clean" in told else "")


@styled
def fsc(
    frequency: np.ndarray,
    curves: Mapping[str, np.ndarray],
    resolutions: Mapping[str, float | None],
    views: int,
    names: Mapping[str, str] | None = None,
    snr: float | None = None,
) -> Figure:
    """Curves (n,) by name over frequencies (n,) in 1/Å, and both thresholds with what they are for; resolutions: of each curve
    at READ_AT, in Å, None where it has none; views: images in each reconstruction; names: how a curve is called, where that
    is not its name; snr: of the noisy images, if all have one. The last frequency is Nyquist's."""
    sheet = new(9.0, 4.4)
    axis = sheet.subplots()
    at = f" at SNR {snr:g}" if snr else ""
    for number, (name, curve) in enumerate(curves.items()):
        dash = LINES[number % len(LINES)]
        read = resolutions[name]
        words = f"{(names or {}).get(name, name)}: " + ("none" if read is None else f"{read:.1f} Å")
        words += " (Nyquist)" if min(curve) >= READ_AT else ""
        label = textwrap.fill(words.replace(" Å", "\u00a0Å"), LETTERS, break_on_hyphens=False)
        axis.plot(frequency, curve, dash, color=COLOURS[number % len(COLOURS)], label=label)
    for (level, words), dash, colour in zip(THRESHOLDS.items(), ("-", "--"), (INK, FAINT), strict=True):
        axis.axhline(level, color=colour, linestyle=dash, linewidth=0.8, label=words)
    axis.axvline(frequency[-1], color=GRID, linewidth=4, zorder=0.5, label=f"Nyquist, {1 / frequency[-1]:.1f} Å")
    axis.set(
        xlabel="spatial frequency (1/Å)",
        ylabel="FSC with the true volume",
        ylim=(min(-0.05, *map(min, curves.values())), 1.02),
        title=f"back-projection of {views} test images of one conformation{at},\nwith known angles",
    )
    handles, labels = axis.get_legend_handles_labels()
    sheet.legend(
        handles[: len(curves)],
        labels[: len(curves)],
        loc="outside right upper",
        title=f"images that were used:\nresolution at {READ_AT:g}",
    )
    sheet.legend(
        handles[len(curves) :],
        labels[len(curves) :],
        loc="outside lower center",
        ncols=3,
        title="thresholds at which a resolution is read off, and the highest frequency",
    )
    return sheet
