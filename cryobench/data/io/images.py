"""A file of images, whatever lists them: a stack, a .star file of RELION, or a .cs file of cryoSPARC."""

from __future__ import annotations

from pathlib import Path

from cryobench.data.io.cs import Cs, read_cs
from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack
from cryobench.data.io.star import Star, read_star
from cryobench.errors import note

LISTS = (Star.ending, Cs.ending)


def open_images(path: Path | str, pixel_size: float | None = None) -> Stack | Listing:
    """A stack, or what lists images in stacks, in the order of its rows; pixel_size: in place of what they say.

    Raises InputError.
    """
    if Path(path).suffix.lower() in LISTS:
        return open_listing(path, pixel_size)
    stack = Stack(path, pixel_size)
    # No reason to refuse it: RELION, up to 5.0, calls its maps image stacks (ISPG 0), but with MZ = NZ; mrcfile, unless told
    # otherwise, writes images as a volume.
    if len(stack) == stack.size > 1 and (stack.is_volume or stack.header["mz"] == len(stack)):
        note(
            f"{stack.path}: a cube, by its header a map; its {len(stack)} sections are taken for images, as of a stack"
        )
    return stack


def open_listing(path: Path | str, pixel_size: float | None = None) -> Listing:
    """A .cs file by its ending, else a .star file. Raises InputError."""
    return (read_cs if Path(path).suffix.lower() == Cs.ending else read_star)(path, pixel_size)
