"""Fourier shell correlation of reconstructions with the true volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cryobench.figure.style import COLOURS, FAINT, INK, LINES, new, styled

# Level → what it is for.
THRESHOLDS = {
    0.5: "0.5, for a map against the truth, as here",
    0.143: "0.143, for two half maps, to compare",
}


@styled
def fsc(
    frequency: np.ndarray,
    curves: Mapping[str, np.ndarray],
    views: int,
    names: Mapping[str, str] | None = None,
    snr: float | None = None,
) -> Figure:
    """Curves (n,) by name over frequencies (n,) in 1/Å, and both thresholds with what they are for; views: images in each
    reconstruction; names: how a curve is called, where that is not its name; snr: of the noisy images, if all have one."""
    sheet = new(8.0, 4.2)
    axis = sheet.subplots()
    at = f" at SNR {snr:g}" if snr else ""
    for number, (name, curve) in enumerate(curves.items()):
        dash = LINES[number % len(LINES)]
        axis.plot(frequency, curve, dash, color=COLOURS[number % len(COLOURS)], label=(names or {}).get(name, name))
    for (level, words), dash, colour in zip(THRESHOLDS.items(), ("-", "--"), (INK, FAINT), strict=True):
        axis.axhline(level, color=colour, linestyle=dash, linewidth=0.8, label=words)
    axis.set(
        xlabel="spatial frequency (1/Å)",
        ylabel="FSC with the true volume",
        ylim=(min(-0.05, *map(min, curves.values())), 1.02),
        title=f"back-projection of {views} test images of one conformation{at},\nwith known angles",
    )
    handles, labels = axis.get_legend_handles_labels()
    sheet.legend(
        handles[: len(curves)], labels[: len(curves)], loc="outside right upper", title="images that were used"
    )
    sheet.legend(
        handles[len(curves) :],
        labels[len(curves) :],
        loc="outside lower center",
        ncols=2,
        title="thresholds at which a resolution is read off",
    )
    return sheet
