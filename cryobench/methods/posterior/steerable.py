"""A steerable basis: image functions f_k(r)·exp(i m_k θ), in which turning an image is a phase and mirroring a conjugate.

An image in its span is x(r, θ) = Re Σ_k conj(c_k) F_k(r, θ) with F_k = f_k(r)·exp(i m_k θ), m_k ≥ 0, orthonormal, so
that c_k = Σ_pixels x F_k and ‖x‖² = Σ|c_k|². Turned by α (from +x towards +y) its coefficients are c_k·exp(i m_k α);
mirrored (y → -y) they are conj(c_k).

Fourier-Bessel functions are such a basis (Zhao & Singer 2013, "Fourier-Bessel rotational invariant eigenimages"), and
so are the principal components of images seen in every rotation, since their covariance splits by m (Zhao, Shkolnisky
& Singer 2016, "Fast steerable principal component analysis").
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
import torch
from scipy.special import jn_zeros, jv

from cryobench.errors import InputError


class SteerableBasis:
    """Functions F_k on the pixels of an image.

    orders: (K,) int64, m_k, ascending; functions: (2K, L·L) float32, the real and then the imaginary parts of F_k, whose
    √2 for m > 0 is in them (the imaginary parts of m = 0 are zeros). blocks: order → the slice of its functions, if known.
    """

    def __init__(self, orders: torch.Tensor, functions: torch.Tensor, blocks: dict[int, slice] | None = None):
        self.orders, self.functions = orders, functions
        self.size = round(functions.shape[1] ** 0.5)
        self.blocks = blocks_of(orders) if blocks is None else blocks

    def __len__(self) -> int:
        return len(self.orders)

    def to(self, device) -> SteerableBasis:
        """The same basis on another device."""
        if self.functions.device == torch.device(device):
            return self
        return SteerableBasis(self.orders.to(device), self.functions.to(device), self.blocks)

    @cached_property
    def spectra(self) -> torch.Tensor:
        """(2K, L·(L/2+1)) complex64, rfft2 of the functions; its products over the half plane are those over pixels."""
        half = torch.fft.rfft2(self.functions.unflatten(1, (self.size, self.size)), norm="ortho")
        twice = torch.full((half.shape[-1],), 2**0.5, device=half.device)  # most columns stand for two
        twice[0] = 1
        if self.size % 2 == 0:
            twice[-1] = 1
        return (half * twice).flatten(1)

    def gram(self, transfer: np.ndarray) -> dict[int, torch.Tensor]:
        """m → (k, k) float32, products of the functions of order m seen through a transfer function (L, L/2+1).

        With them ‖T x‖² = Σ_m Re(c_mᴴ G_m c_m), the mean over all in-plane angles of x where T is not round.
        """
        seen = torch.view_as_real(self.spectra * torch.from_numpy(transfer).to(self.spectra.device).flatten()).flatten(
            1
        )
        real, imaginary = seen.chunk(2)
        grams = {}
        for m, block in self.blocks.items():
            grams[m] = real[block] @ real[block].T
            if m:  # each of the two parts has half of what is in a coefficient
                grams[m] = (grams[m] + imaginary[block] @ imaginary[block].T) / 2
        return grams

    def coefficients(self, images: torch.Tensor | np.ndarray) -> torch.Tensor:
        """(n, L, L) float32 → (n, K) complex64, on the basis's device."""
        images = torch.as_tensor(images, dtype=torch.float32, device=self.functions.device)
        parts = images.flatten(1) @ self.functions.T
        return torch.complex(parts[:, : len(self)], parts[:, len(self) :])

    def render(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(n, K) complex64 → (n, L, L) float32."""
        parts = torch.cat([coefficients.real, coefficients.imag], dim=1)
        return (parts @ self.functions).unflatten(1, (self.size, self.size))


def blocks_of(orders: torch.Tensor) -> dict[int, slice]:
    """Order → the slice of its functions, of ascending orders (K,)."""
    values, counts = torch.unique_consecutive(orders, return_counts=True)
    ends = counts.cumsum(0).tolist()
    return {m: slice(a, b) for m, a, b in zip(values.tolist(), [0, *ends[:-1]], ends, strict=True)}


# Those in use, by size, band and where they are: one of 128 px is 0.6 GiB, and takes many seconds to make.
IN_USE: WeakValueDictionary[tuple[int, float, torch.device], SteerableBasis] = WeakValueDictionary()


def fourier_bessel(size: int, *, band: float = 0.5, device: torch.device | str = "cpu") -> SteerableBasis:
    """A constant, and Fourier-Bessel functions J_m(ρ_mq r/R)·exp(imθ) on the disc of radius R = size//2 px about its centre.

    The centre is pixel size//2, that of the projections. band: highest frequency in cycles/px, at most 0.5 (Nyquist);
    ρ_mq is the q-th zero of J_m, kept where the next one is below 2π·band·R (the sampling criterion of Zhao & Singer).
    The constant is for the level of the background, which functions on a disc can't follow into the corners.
    Raises InputError for an image too small to hold any function.
    """
    if size < 8:
        raise InputError(f"expected images of at least 8 x 8 px for a steerable basis, got {size} x {size}")
    where = torch.empty(0, device=device).device  # with its number
    if (basis := IN_USE.get((size, band, where))) is None:
        basis = IN_USE[size, band, where] = _sampled(size, band).to(where)
    return basis


def _sampled(size: int, band: float) -> SteerableBasis:
    """`fourier_bessel`, made anew."""
    radius = size // 2
    y, x = np.mgrid[:size, :size].reshape(2, -1) - radius
    inside, theta = np.hypot(x, y) < radius, np.arctan2(y, x)
    # Bessel functions are dear, and few radii differ.
    distances, which = np.unique(np.hypot(x, y)[inside], return_inverse=True)
    radial = np.zeros(size * size)
    limit = 2 * np.pi * band * radius
    orders, cosines, sines = [], [], []
    for m in range(int(limit) + 1):
        cosine, sine = np.cos(m * theta), np.sin(m * theta)
        zeros = jn_zeros(m, int((limit - m) / np.pi) + 2)  # neighbours lie more than π apart, the first beyond m
        for zero in zeros[:-1][zeros[1:] <= limit]:
            # Unit norm on the plane; sampled on pixels it would depend on how the function falls on the grid.
            norm = (1 if m == 0 else np.sqrt(2)) / (np.sqrt(np.pi) * radius * abs(jv(m + 1, zero)))
            radial[inside] = (norm * jv(m, zero * distances / radius))[which]
            orders.append(m)
            cosines.append((radial * cosine).astype(np.float32))
            sines.append((radial * sine).astype(np.float32))
    isotropic = orders.count(0)
    round_ones, _ = np.linalg.qr(np.stack([np.ones(size * size), *cosines[:isotropic]], axis=1, dtype=np.float64))
    cosines[:isotropic] = round_ones.T.astype(np.float32)
    sines.insert(0, np.zeros(size * size, np.float32))
    return SteerableBasis(torch.tensor([0, *orders]), torch.from_numpy(np.stack(cosines + sines)))


def principal(basis: SteerableBasis, batches: Iterable[torch.Tensor | np.ndarray], components: int) -> SteerableBasis:
    """The `components` best combinations of a basis for images, batches of (b, L, L), in all rotations and mirrors.

    Components are counted as real numbers: one for m = 0, two for m > 0. The second moments of a set of images together
    with all their rotations and mirror images are Re(C_mᴴ C_m)/n in order m, and zero between orders.
    """
    moments = {m: torch.zeros((), device=basis.functions.device) for m in basis.blocks}
    for batch in batches:
        coefficients = basis.coefficients(batch).to(torch.complex128)
        for m, block in basis.blocks.items():
            moments[m] = moments[m] + (coefficients[:, block].mH @ coefficients[:, block]).real
    spectra = [torch.linalg.eigh(moment) for moment in moments.values()]
    price = torch.where(basis.orders > 0, 2, 1)
    power = torch.cat([values for values, _ in spectra]) / price
    best = power.argsort(descending=True)
    keep = torch.zeros(len(basis), dtype=torch.bool, device=power.device)
    keep[best[price[best].cumsum(0) <= components]] = True
    combine = torch.block_diag(*(vectors for _, vectors in spectra))[:, keep].T.float()
    real, imaginary = basis.functions.chunk(2)
    return SteerableBasis(basis.orders[keep], torch.cat([combine @ real, combine @ imaginary]))
