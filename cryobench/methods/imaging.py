"""What stands between a clean image x and a noisy one y, for methods that can be told of it.

    y = H x + n,   n of power σ²P        W y = W H x + white noise of σ²,   W = P^(−1/2)

H is the contrast transfer function of each image, P the power spectrum of the noise, of mean 1. Methods with a likelihood,
and linear filters, take T = W H in place of the identity (`Imaging`); others are shown W y, and what they make of it is
coloured back by W⁻¹ (`Whitening`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cryobench.checks import one_of, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Denoiser, NotFitted

if TYPE_CHECKING:
    from cryobench.noise.ctf import Ctf

BATCH = 256  # images in memory at a time
FOR_SPECTRUM = 2000  # training images that the spectrum is estimated from


@dataclass
class Whitening(Denoiser):
    """A denoiser that assumes white noise.

    whiten: "none" (the noise is taken for white), "border" (whitened by the spectrum in the corners of the training images), or
    "known" (by the true spectrum).
    """

    whiten: str = field(default="none", kw_only=True, metadata={"later": True})
    _whitener: np.ndarray | None = field(default=None, init=False, repr=False, compare=False)
    _has_learned: bool = field(default=False, init=False, repr=False, compare=False)

    def check_whiten(self) -> None:
        """Raise InputError for a setting that is none of the above."""
        refuse("method", one_of(self, whiten=("none", "border", "known")))

    @property
    def side_information(self) -> frozenset[str]:
        """The spectrum, where `whiten` is "known", beside what else the method uses."""
        return super().side_information | ({"spectrum"} if self.whiten == "known" else set())

    @property
    def whitener(self) -> np.ndarray | None:
        """W, (L, L/2+1), or None for the identity. Raises NotFitted where it is to be learned and was not."""
        if self.whiten != "none" and not self._has_learned:
            raise NotFitted(self)
        return self._whitener

    def learn_spectrum(self, train: NoisyImages) -> None:
        """Find W; the report tells the power of the noise at the lowest and the highest frequency."""
        power = None
        if self.whiten == "known":
            power = train.spectrum()
        elif self.whiten == "border":
            from cryobench.noise.spectrum import border_spectrum

            few = min(len(train), FOR_SPECTRUM)
            power = border_spectrum(train.noisy(slice(at, min(at + BATCH, few))) for at in range(0, few, BATCH))
        self._whitener, self._has_learned = None if power is None else power**-0.5, True
        if power is not None:
            self.report["noise_power"] = {"lowest": float(power[0, 1]), "nyquist": float(power[0, -1])}

    def whitened(self, images: np.ndarray) -> np.ndarray:
        """W y: (n, L, L) → (n, L, L) float32. Raises NotFitted."""
        from cryobench.noise.ctf import through

        return images if self.whitener is None else through(images, self.whitener)

    def coloured(self, images: np.ndarray) -> np.ndarray:
        """W⁻¹ of images (n, L, L): float32. Raises NotFitted."""
        from cryobench.noise.ctf import through

        return images if self.whitener is None else through(images, 1 / self.whitener)


def given(ctf: Ctf | None) -> Ctf:
    """The CTFs of some images. Raises InputError for a method that was to be told, and was not."""
    if ctf is None:
        raise InputError("expected the CTF of each image, which this method is to be told, got none")
    return ctf


@dataclass
class Imaging(Whitening):
    """A denoiser that can be told of the CTF.

    ctf: "none" (not told), "corrected" (told; its images are estimates of x, without a CTF), or "applied" (told; of H x, as the
    microscope would have recorded them without noise).
    """

    ctf: str = field(default="none", kw_only=True, metadata={"later": True})

    def check_imaging(self) -> None:
        """Raise InputError for settings that are none of the above."""
        self.check_whiten()
        refuse("method", one_of(self, ctf=("none", "corrected", "applied")))

    @property
    def side_information(self) -> frozenset[str]:
        """The CTF, unless `ctf` is "none", beside what else the method uses."""
        return super().side_information | ({"ctf"} if self.ctf != "none" else set())

    def transfers(self, ctf: Ctf | None, n: int, size: int) -> np.ndarray | None:
        """T of n images of L = `size` px, (n, L, L/2+1) float32; None where nothing stands between."""
        if self.ctf == "none":
            return None if self.whitener is None else np.broadcast_to(self.whitener, (n, *self.whitener.shape))
        transfer = given(ctf).transfer(size)
        return transfer if self.whitener is None else transfer * self.whitener

    def as_asked(self, corrected: np.ndarray, ctf: Ctf | None) -> np.ndarray:
        """Estimates of x (n, L, L) → what `ctf` asks for."""
        from cryobench.noise.ctf import through

        return through(corrected, given(ctf).transfer(corrected.shape[-1])) if self.ctf == "applied" else corrected
