"""The images of one split as a method sees them: noisy ones, and of the rest what it declares as side information."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from cryobench.data.poses import Poses
from cryobench.errors import InputError, Undeclared
from cryobench.noise.base import NoiseModel

if TYPE_CHECKING:
    from cryobench.noise.ctf import Ctf


class NoisyImages:
    """The images of one split with their noise, made when asked for: `clean`, `noisy` and `sigma` take an index array.

    noise: a NoiseModel.
    split: "train" or "test"; clean: (n, L, L) float32 in [0, 1], usually memory-mapped; labels (n,) conformations;
    rotations (n, 3, 3); volumes (k, L, L, L); pixel_size in Å; `indices` names the images that belong to this view.
    recorded: (n, L, L), as a microscope recorded them, which a model with `recorded` wants; halves: two (n, L, L), the same
    particles from two halves of the exposure, or None; optics: the CTFs of recorded images, None where they are not known, or
    where the clean images have them, too; displaced (n, 2): how far recorded particles lie off the centre, as data.poses has it.
    `only(...)` narrows what can be asked for to what a method declares as side information.
    """

    def __init__(
        self,
        split,
        clean,
        labels,
        rotations,
        volumes,
        pixel_size,
        noise: NoiseModel,
        seed,
        indices=None,
        recorded=None,
        halves=None,
        optics: Ctf | None = None,
        displaced: np.ndarray | None = None,
    ):
        if noise.recorded and recorded is None:
            raise InputError(
                "noise=recorded: expected recorded images (data=particles), got a simulated data set; "
                "give noise=gaussian"
            )
        self.split, self.pixel_size, self.noise, self.seed = split, pixel_size, noise, seed
        self._clean, self._labels, self._rotations, self._volumes = clean, labels, rotations, volumes
        self.indices = np.arange(len(clean)) if indices is None else np.asarray(indices)
        self.allowed: frozenset[str] | None = None
        self._recorded, self._halves, self._optics, self._displaced = recorded, halves, optics, displaced
        self.method = "a denoiser"

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def image_size(self) -> int:
        """L in pixels."""
        return self._clean.shape[-1]

    def _view(self, indices, allowed, method) -> NoisyImages:
        view = copy.copy(self)
        view.indices, view.allowed, view.method = indices, allowed, method
        return view

    def subset(self, index) -> NoisyImages:
        """The images at `index` (positions in this view), with the noise that they always have."""
        return self._view(self.indices[index], self.allowed, self.method)

    def only(self, side_information, method: str = "a denoiser") -> NoisyImages:
        """The same images, of which `method` can see only the noisy ones and what `side_information` names."""
        return self._view(self.indices, frozenset(side_information), method)

    def _permit(self, what: str) -> None:
        if self.allowed is not None and what not in self.allowed:
            raise Undeclared(
                f"{self.method}: expected '{what}' to be declared before it is asked for; add it to `side_information`"
            )

    def noisy(self, index=slice(None), draw: int = 0) -> np.ndarray:
        """(b, L, L) float32, the noisy images at these positions; with another `draw` than 0, under other noise.

        Draws are side information: the mean of many is the clean image. Raises Undeclared without it, InputError for recorded
        images, which have one noise (`independent` gives the two halves of an exposure).
        """
        which = self.indices[index]
        if draw:
            self._permit("draws")
        if self.noise.recorded:
            if draw:
                raise InputError(
                    f"{self.method}: expected simulated images, whose noise can be drawn again, got recorded ones"
                )
            return np.array(self._recorded[which])
        return self.noise.add(self._clean[which], which, seed=self.seed, split=self.split, draw=draw)

    def independent(self, index, draw: int) -> np.ndarray:
        """(b, L, L) float32: number `draw` (from 0) of the noisy images of each particle whose noise is independent.

        Simulated images have as many as are asked for, of which the first is their own. Recorded ones have two, from the two
        halves of the exposure, each with half of its signal-to-noise ratio; the recorded image itself, their sum, is not
        among them. Raises Undeclared without "draws", InputError for a draw that was not recorded.
        """
        self._permit("draws")
        if not self.noise.recorded:
            return self.noisy(index, draw)
        if self._halves is None:
            raise InputError(
                f"{self.method}: expected a second recording of each training particle under independent noise, got one; "
                "data.halves=[FIRST,SECOND] names the stacks from two halves of the exposure"
            )
        if draw not in (0, 1):
            raise InputError(
                f"{self.method}: expected two draws of recorded images, one for each half of the exposure, got a "
                f"demand for {draw + 1}; give method.draws=2"
            )
        return np.array(self._halves[draw][self.indices[index]])

    def clean(self, index=slice(None)) -> np.ndarray:
        """(b, L, L) float32 in [0, 1]; contaminated references among them if the noise says so."""
        self._permit("clean")
        which = self.indices[index]
        return self.noise.reference(np.asarray(self._clean[which]), which, seed=self.seed, split=self.split)

    def contaminated(self) -> dict[str, list[int]]:
        """Of these images, those with a contaminated "reference" or "input"; for the record, not for a method."""
        self._permit("contaminated")
        return self.noise.contaminated(self.indices, seed=self.seed, split=self.split)

    def sigma(self, index=slice(None)) -> np.ndarray:
        """(b,) float64, the true standard deviation of the noise."""
        self._permit("sigma")
        return self.noise.sigma(self._clean[self.indices[index]])

    @property
    def has_ctf(self) -> bool:
        """Whether the noisy images were seen through CTFs that are known, and the clean ones were not."""
        return self._ctf(slice(0, 1)) is not None

    def ctf(self, index=slice(None)) -> Ctf:
        """The CTFs of the images at these positions. Raises Undeclared without "ctf" in `side_information`, InputError where
        none is known."""
        self._permit("ctf")
        ctf = self._ctf(index)
        if ctf is None:
            raise InputError(
                f"{self.method}: expected {self.split} images with a known CTF, got images without; simulated ones have it with "
                "noise=microscope noise.ctf=true noise.train=true, recorded ones with data.reference=corrected"
            )
        return ctf

    def _ctf(self, index) -> Ctf | None:
        which = self.indices[index]
        if self.noise.recorded:
            return None if self._optics is None else self._optics[which]
        return self.noise.optics(which, self.image_size, seed=self.seed, split=self.split)

    def poses(self, index=slice(None)) -> Poses:
        """The poses of the images at these positions. Raises Undeclared without "rotations" or "poses" in `side_information`,
        InputError where none is known."""
        if self.allowed is None or "rotations" not in self.allowed:
            self._permit("poses")
        if self._rotations is None:
            raise InputError(
                f"{self.method}: expected images of known orientation, got images without; a .star or .cs file has it in "
                "its columns"
            )
        which = self.indices[index]
        return Poses(self._rotations[which], np.zeros((len(which), 2)) if (off := self._off(which)) is None else off)

    def _off(self, which) -> np.ndarray | None:
        if self.noise.recorded:
            return None if self._displaced is None else self._displaced[which]
        return self.noise.displaced(which, seed=self.seed, split=self.split)

    def spectrum(self) -> np.ndarray | None:
        """(L, L/2+1), the true power of the noise over the frequencies of rfft2, of mean 1; None for white noise."""
        self._permit("spectrum")
        return self.noise.spectrum(self.image_size, split=self.split)

    def hints(self, side_information, index=slice(None)) -> dict[str, Any]:
        """Of the images at these positions, what `Denoiser.denoise` is told of each by its `side_information`, but for the
        clean image itself."""
        told = {"sigma": self.sigma, "ctf": self.ctf, "poses": self.poses}
        return {name: tell(index) for name, tell in told.items() if name in side_information}

    @property
    def labels(self) -> np.ndarray:
        """(n,) int64, the conformation of each image. Raises Undeclared if the method does not know it."""
        self._permit("labels")
        return self._labels[self.indices]

    @property
    def rotations(self) -> np.ndarray:
        """(n, 3, 3), the orientation of each image. Raises Undeclared if the method does not know it."""
        self._permit("rotations")
        return self._rotations[self.indices]

    @property
    def volumes(self) -> np.ndarray:
        """(k, L, L, L), the volume of each conformation. Raises Undeclared if the method does not know them."""
        self._permit("volumes")
        return self._volumes
