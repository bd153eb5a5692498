"""What a star file says of its particles: their poses, and the CTFs that they were seen through, checked.

Numbers that no microscope has are refused, odd ones told, and so is what the file says and nothing here makes use of.
"""

from __future__ import annotations

import numpy as np

from cryobench.data.io.listing import Listing
from cryobench.data.io.star import DEFOCUS, FLIPPED, MICROSCOPE, PREMULTIPLIED
from cryobench.data.poses import Poses
from cryobench.errors import InputError, note
from cryobench.noise.ctf import Ctf

# RELION's units (metadata_label.h): Å, positive for underfocus; degrees; kV; mm; a share. What no microscope has is a mistake.
PHASE = "rlnPhaseShift"
RANGES = (
    (("rlnDefocusU", "rlnDefocusV"), -1e6, 1e6, " Å"),
    (("rlnDefocusAngle", PHASE), -360.0, 360.0, "°"),
    (("rlnVoltage",), 10.0, 3000.0, " kV"),
    (("rlnSphericalAberration",), 0.0, 100.0, " mm"),
    (("rlnAmplitudeContrast",), 0.0, 1.0, ""),
)
NEAR_FOCUS = 100.0  # Å; no particle is seen so near to focus, but 2 μm typed as they are lie below
ASIDE = "leave the CTF aside (denoise --ctf none; data.ctf=false in a run)"


def pose_of(star: Listing, spacing: float, maps: int) -> tuple[Poses, np.ndarray]:
    """Poses and labels (n,). Raises InputError for missing columns, and for more classes than there are maps."""
    note_unused(star)
    poses = star.poses(spacing)
    classes = star.column("rlnClassNumber", 1).astype(np.int64) - 1
    labels = classes if maps > 1 else np.zeros(len(star), np.int64)
    if not (0 <= labels.min() and labels.max() < maps):
        raise InputError(f"data.maps: expected a map for each rlnClassNumber up to {labels.max() + 1}, got {maps}")
    return poses, labels


def ctf_of(star: Listing, pixel_size: float) -> Ctf:
    """The CTFs of a star file's particles, in images of this pixel size in Å.

    Raises InputError for missing columns, values that no microscope has, and particles that were multiplied by their CTFs.
    """
    missing = [name for name in (*DEFOCUS, *MICROSCOPE) if name not in star.columns]
    if missing:
        raise InputError(
            f"{star.path}: expected columns {', '.join(missing)} for the CTF, got none; "
            "data.ctf=false compares with projections without one"
        )
    if (multiplied := star.column(PREMULTIPLIED, 0.0) != 0).any():
        raise InputError(
            f"{star.path}: expected particles whose noise is as recorded, got {PREMULTIPLIED} = 1 for "
            f"{star.named(np.flatnonzero(multiplied))}: each was multiplied by its CTF, and so was its noise; extract them "
            f"without that, or {ASIDE}"
        )
    columns = {name: star.column(name) for name in (*DEFOCUS, *MICROSCOPE)} | {PHASE: star.column(PHASE, 0.0)}
    check_ranges(star, columns)
    note_unused(star)
    flipped = star.column(FLIPPED, 0.0) != 0
    return Ctf(np.stack(list(columns.values()), axis=-1), pixel_size, flipped if flipped.any() else None)


def check_ranges(star: Listing, columns: dict[str, np.ndarray]) -> None:
    """Raise InputError for numbers that no microscope has; say so where they are odd."""
    for names, low, high, unit in RANGES:
        for name in names:
            if (wrong := ~((columns[name] >= low) & (columns[name] <= high))).any():
                raise InputError(
                    f"{star.path}: expected {low:g} to {high:g}{unit} in {star.called(name)}, got "
                    f"{columns[name][wrong][0]:g} for {star.named(np.flatnonzero(wrong))}; correct it, or {ASIDE}"
                )
    mean = (columns["rlnDefocusU"] + columns["rlnDefocusV"]) / 2
    for odd, what in (
        (np.abs(mean) < NEAR_FOCUS, "are they in μm? Å are expected"),
        (mean <= -NEAR_FOCUS, "overfocus"),
    ):
        if odd.any():
            span = " to ".join(dict.fromkeys(f"{value:g}" for value in (mean[odd].min(), mean[odd].max())))
            note(f"{star.path}: defoci of {span} Å for {star.named(np.flatnonzero(odd))}: {what}")


def note_unused(star: Listing) -> None:
    """Say which of the file's words on the microscope are not made use of."""
    if names := star.unused():
        note(f"{star.path}: not used, though they are not those of an ideal microscope: {', '.join(names)}")
