"""The CTFs of a stack's particles: whether a method is told of them, and what its images are then."""

from __future__ import annotations

import numpy as np

from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack
from cryobench.data.io.star import DEFOCUS, FLIPPED, MICROSCOPE, PREMULTIPLIED
from cryobench.errors import InputError
from cryobench.methods.imaging import Imaging
from cryobench.noise.ctf import Ctf
from cryobench.particles.model import Model

CHOICES = ("corrected", "applied", "none")


def tell(
    model: Model, source: Stack | Listing, rows: np.ndarray, asked: str | None, say=lambda text: None
) -> Ctf | None:
    """Settle whether the method is told of these particles' CTFs, before it is fitted; None where it is not.

    asked: "corrected" (told; denoised images are without a CTF), "applied" (told; they are as the microscope records them),
    "none" (not told), or None: corrected, where the star file has CTFs and the method can be told. Says what will be; raises
    InputError for what can't be.
    """
    from cryobench.data.listed import ctf_of

    if asked not in (None, *CHOICES):
        raise InputError(f"--ctf: expected {', '.join(CHOICES)}, got {asked}")
    method, name = model.method, model.config["method"]["name"]
    trained_with = "ctf" in method.side_information
    able, listed = can_be_told(model), lists_ctf(source)
    if asked == "none" and trained_with and not isinstance(method, Imaging):
        raise InputError(
            f"--ctf none: expected corrected or applied for {name}, a net that was trained with the CTF, got none"
        )
    if asked in ("corrected", "applied") and not able:
        raise InputError(
            f"--ctf {asked}: expected a method that can be told of the CTF (cwf, abinitio, refined, wiener, exemplar, "
            f"rebuilt, or a net trained with method.ctf_input=flip or channel), got {name}; give --ctf none"
        )
    wanted = asked in ("corrected", "applied") or (asked is None and able and (listed or trained_with))
    if not wanted:
        if listed:
            say(f"the CTFs in {source.path} are left aside: {name} is not told of them, and corrects nothing")
        if isinstance(method, Imaging):
            method.ctf = "none"
        return None
    if not (listed and isinstance(source, Listing)):
        columns = ", ".join((*DEFOCUS, *MICROSCOPE))
        raise InputError(
            f"{source.path}: expected a .star or .cs file with {columns}, as {name} is to be told of the CTF, got none; "
            "--ctf none leaves it aside"
        )
    size = model.image_size or source.size
    pixel_size = source.pixel_size and source.pixel_size * source.size / size
    if not pixel_size:
        raise InputError(f"{source.path}: expected a pixel size, which the CTF needs, got none; give --pixel-size")
    ctf = ctf_of(source.take(rows), pixel_size)
    if isinstance(method, Imaging):
        if not trained_with and model.background:  # measured on images without a CTF, which takes most of a level away
            mean, spread = model.background
            model.background = mean * float(ctf[:1].transfer(size)[0, 0, 0]), spread
        method.ctf = asked or ("applied" if method.ctf == "applied" else "corrected")
    kept = "denoised images have it, as recorded ones do"
    if ctf.flipped is not None:
        say(f"the phases that {FLIPPED} says were flipped are flipped back before {name} is told of the CTF")
    gone = "denoised images are corrected for it: whoever reads the star file must not correct them again"
    say(
        f"{name} is told of each image's CTF; "
        + (kept if applied(model, asked) else f"{gone} (--ctf applied leaves the CTF in)")
    )
    return ctf


def can_be_told(model: Model) -> bool:
    """Whether the method can be told of each image's CTF."""
    return "ctf" in model.method.side_information or isinstance(model.method, Imaging)


def lists_ctf(source: Stack | Listing) -> bool:
    """Whether the file has the CTF of each of its particles."""
    return isinstance(source, Listing) and all(column in source.columns for column in (*DEFOCUS, *MICROSCOPE))


def as_recorded(model: Model, source: Stack | Listing, rows: np.ndarray, say=lambda text: None) -> Ctf | None:
    """As `tell`, for denoised images that are to be held against recorded ones: they keep the CTF. Who can do without is not
    told of the CTFs that images were multiplied by."""
    asked = "applied" if can_be_told(model) and lists_ctf(source) else None
    if asked and isinstance(model.method, Imaging) and isinstance(source, Listing):
        if (source.take(rows).column(PREMULTIPLIED, 0.0) != 0).any():
            say(f"{source.path}: by {PREMULTIPLIED} images were multiplied by their CTFs, and so was their noise")
            asked = "none"
    return tell(model, source, rows, asked, say)


def applied(model: Model, asked: str | None) -> bool:
    """Whether denoised images have a CTF."""
    return asked == "applied" or (isinstance(model.method, Imaging) and model.method.ctf == "applied")
