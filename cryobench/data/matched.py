"""Recorded particles and the projections that they are pairs with.

    clean   the map's projection at the particle's angles and shift, with its CTF, cropped, resampled to image_size
    noisy   the recorded image, contrast as in the map, cropped and resampled alike

on one scale: the recorded image y is brought to mean 0 and deviation 1 outside the circle inscribed in the image; one
factor a for the whole set, the regression of training images on their projections x, makes y/a a noisy picture of x;
and both get the x − min x over max x − min x that brings the clean image to [0, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from cryobench.data.io.listing import Listing
from cryobench.data.io.stack import Stack, crop_centre, resample
from cryobench.data.listed import ctf_of, pose_of
from cryobench.data.poses import shift_phases
from cryobench.data.project import Projector
from cryobench.errors import InputError
from cryobench.noise.background import border_level, outside_circle

if TYPE_CHECKING:
    from cryobench.data.recorded import Particles

BLOCK = 64  # particles in memory at a time
REGRESSED = 500  # training images that decide the factor a
ALIKE = 0.5  # correlation of noise above which it is not independent; a half and its whole have 0.7


class PairMaker:
    """Pairs of a Particles data set, for any rows of its star file. labels (n,) and poses of all its rows."""

    def __init__(self, data: Particles):
        star = data.particles
        self.data, self.star, self.spacing = data, star, data.spacing
        self.poses, self.labels = pose_of(star, self.spacing, len(data.maps))
        self.ctf = ctf_of(star, data.spacing) if data.ctf else None
        self.projectors = [Projector(density) for density in data.densities()]
        self.outside = outside_circle(data.image_size)
        # RELION puts the centre of an odd image one pixel further than L//2, as it does in its projections.
        self.centre = star.size // 2 + star.size % 2

    def pairs(self, rows: np.ndarray, sources: list[tuple[Stack | Listing, float]]) -> list[np.ndarray]:
        """Clean images, and for each source of recorded ones the noisy images: (b, L, L) float32, all on one scale.

        sources: images of the star file's particles, row by row, and what they are divided by.
        """
        corrected = self.data.reference == "corrected"
        clean = self.projections(rows, applied=not corrected)
        low, high = clean.min(axis=(1, 2), keepdims=True), clean.max(axis=(1, 2), keepdims=True)
        if not (high > low).all():
            raise InputError("data.maps: expected maps with something in them, got a projection without any contrast")
        level = border_level(clean) - low
        if corrected and self.ctf is not None:  # what is left of a level after the CTF
            level = level * self.ctf[rows].transfer(self.data.image_size)[:, :1, :1]
        images = [(clean - low) / (high - low)]
        for source, factor in sources:
            noisy = self.recorded(rows, source)
            if self.data.normalise == "background":
                noisy = (noisy / factor + level) / (high - low)
            images.append(noisy)
        return [one.astype(np.float32) for one in images]

    def factor(self, rows: np.ndarray, source: Stack | Listing) -> float:
        """a in y ≈ a x over these rows, evenly spaced ones if there are many. Raises InputError unless it is above 0."""
        rows = rows[:: max(1, len(rows) // REGRESSED)]
        products, squares, norms = 0.0, 0.0, 0.0
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            x, y = (images.astype(np.float64) for images in (self.projections(block), self.recorded(block, source)))
            x -= border_level(x)
            products, squares, norms = products + (x * y).sum(), squares + (x * x).sum(), norms + (y * y).sum()
        if not products > 0:
            correlation = products / max((squares * norms) ** 0.5, 1e-30)
            raise InputError(
                f"expected particles that look like the map's projections, got a correlation of {correlation:.3g}; "
                f"is data.contrast={self.data.contrast} right, and are the angles of this map?"
            )
        return products / squares

    def projections(self, rows: np.ndarray, applied: bool = True) -> np.ndarray:
        """What the map looks like in these particles, noise-free: (b, L, L) float32 in the map's units.

        applied: through their CTFs, if the data set has any.
        """
        size, box = self.data.cropped, max(self.star.size // 2 * 2, self.data.cropped)
        images = np.empty((len(rows), size, size), np.float32)
        for k, projector in enumerate(self.projectors):
            selected = self.labels[rows] == k
            if selected.any():
                images[selected] = projector(self.poses.rotations[rows][selected])
        if self.ctf is not None or self.poses.displaced[rows].any():
            # In the whole recorded box, since the CTF spreads the molecule beyond the crop.
            pad = (box - size) // 2
            images = np.pad(images - border_level(images), [(0, 0), (pad, box - size - pad), (pad, box - size - pad)])
            spectrum = scipy.fft.rfft2(images) * shift_phases(self.poses.displaced[rows], box)
            if self.ctf is not None and applied:
                spectrum *= self.ctf[rows].transfer(box)
            images = crop_centre(scipy.fft.irfft2(spectrum, s=(box, box)), size, centre=pad + size // 2)
        return resample(images, self.data.image_size)

    def recorded(self, rows: np.ndarray, source: Stack | Listing) -> np.ndarray:
        """The particle images themselves: (b, L, L) float32, contrast as in the map, background normalised if asked for."""
        images = source.read(rows)
        if self.ctf is not None:
            images = self.ctf[rows].as_before(images)
        images = resample(crop_centre(images, self.data.cropped, centre=self.centre), self.data.image_size)
        if self.data.contrast == "dark":
            images = -images
        if self.data.normalise == "none":
            return images
        deviation = images[:, self.outside].std(axis=1)
        if not (deviation > 0).all():  # what is blank all over was found before
            raise InputError(
                f"{source.path}: expected noise around the particle, got one value there, after cropping, in "
                f"{source.named(rows[~(deviation > 0)])}; leave it out"
            )
        return (images - border_level(images)) / deviation[:, None, None]

    def refuse_shared_noise(self, rows: np.ndarray, *halves: Stack | Listing) -> None:
        """Raise InputError if the noise around the particles is alike in both halves: a stack given twice, or the whole one."""
        rows = rows[:: max(1, len(rows) // BLOCK)][:BLOCK]
        one, other = (self.recorded(rows, half)[:, self.outside].ravel() for half in halves)
        if (correlation := np.corrcoef(one, other)[0, 1]) > ALIKE:
            raise InputError(
                "data.halves: expected two halves of the exposure, each with noise of its own, got a correlation of "
                f"{correlation:.2f} around the particles of {halves[0].path} and {halves[1].path}"
            )
