"""What denoised images have to do with the particles, without a clean image: two noisy versions that share nothing but them.

Let y = x + e be an image and n noise drawn anew with the spectrum of e, both Gaussian. Then

    y₁ = y + αn,   y₂ = y − n/α

have the particle x in common and nothing else, since their errors e + αn and e − n/α are independent (Oliveira, Lei &
Tibshirani, "Unbiased risk estimation in the normal means problem via coupled bootstrap techniques", 2021; Pang, Zheng, Quan &
Ji, "Recorrupted-to-recorrupted", CVPR 2021). What D(y₁) has in common with y₂ it therefore has in common with x. With sums over
images and the coefficients of a ring of Fourier space

    A = Σ|D(y₁)|²   B = Σ Re D(y₁) y₂*   S = Σ Re y₁ y₂* ≈ Σ|x|²   P = Σ|y₁|²

    FRC of D(y₁) and x    B / √(A S)
    lost                  Σ|D(y₁) − x|² / Σ|x|² = 1 + (A − 2B) / S, over all rings: NMSE, at 1 + α² times the noise
    filter                the same of a filter from the power spectra alone, S/P in each ring: 1 − Σ (S²/P) / Σ S

What all images share (their mean) is left out of the FRC: a method that shows it whatever is in an image (model bias, "Einstein
from noise": Henderson, PNAS 110, 2013) would agree there with any particle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2

from cryobench.noise.background import border_level, outside_circle

ALPHA = 0.5  # y₁ has 1 + α² times the noise of y: little more, since a net knows one level
SIGMAS = 3.0  # of chance: as van Heel & Schatz (J. Struct. Biol. 151, 2005) draw it
HALF = 0.5  # FRC with the particle at which a resolution is given, as against a true map (Rosenthal & Henderson 2003)
LOW = 3  # the first rings, which hold few coefficients, are judged together,
CERTAIN = 4.0  # and by so many σ, since they alone decide between yes and no: 17 images can't reach them
ITERATIONS = (
    2  # towards the spectrum behind the window: enough for noise that is coloured, and more would amplify errors
)
RESAMPLED = 500  # bootstrap samples of the images


@dataclass(frozen=True)
class Recorrupted:
    """first, second: y₁ and y₂, (n, L, L) float32; spread (L//2,): relative standard error of the noise's power by ring."""

    first: np.ndarray
    second: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Losses:
    """What a method loses of the particles.

    lost, filter: the shares of the particles' variance that the method and a filter lose, and excess, of the first over the
    second, each with its standard error over images; left: share of the particles' power in what is left out, 1 − B/S over
    all rings; errors, power (n,): A − 2B + S and S of each image, the ratio of whose sums `lost` is.
    """

    lost: tuple[float, float]
    filter: tuple[float, float]
    excess: tuple[float, float]
    left: float
    errors: np.ndarray
    power: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """How a method's images agree with the particles, ring by ring (1 … L//2), and over all.

    frc, chance (L//2,): FRC with the particles, NaN where the images hold none, and what it must exceed not to be by chance;
    floor (L//2,): FRC of denoised unrelated noises, its model bias; reach: rings from low frequency up to the first
    failure; above_chance: whether that one is above chance, and fails for an FRC below ½; seen: whether the images
    themselves show particles above chance; remaining (L//2,): power of what is left out, y₁ − D(y₁), over the noise's;
    losses: what it loses of them, None unless `seen`.
    """

    frc: np.ndarray
    chance: np.ndarray
    floor: np.ndarray
    reach: int
    above_chance: bool
    seen: bool
    remaining: np.ndarray
    losses: Losses | None


def noise_like(images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian noise (n, L, L) float32 like that of the images, and the relative standard error of its power, (L//2,).

    Each has its image's mean and deviation outside the inscribed circle, exactly: an image brought to a background carries
    the errors of that, and so must its noise. The shape of the power spectrum, by rings, is that of all images there, freed
    from what looking through the corners alone does to it (`seen_through`).
    """
    size = images.shape[-1]
    outside, ring = outside_circle(size), ring_of(size)
    mean, deviation = (
        values(images[:, outside].astype(np.float64), axis=1)[:, None, None] for values in (np.mean, np.std)
    )
    power = np.stack(
        [
            ring_mean(np.abs(rfft2(np.where(outside, (image - m) / d, 0))) ** 2, ring)
            for image, m, d in zip(images, mean, deviation, strict=True)
        ]
    )
    seen, mixing = power.mean(axis=0), seen_through(outside)
    level = np.ones(len(seen))
    for _ in range(ITERATIONS):
        level *= seen / (mixing @ level)
    level[0] = level[1]
    noise = irfft2(rfft2(rng.standard_normal(images.shape)) * np.sqrt(level[ring]), s=(size, size))
    around = noise[:, outside]
    noise = (noise - around.mean(axis=1)[:, None, None]) / around.std(axis=1)[:, None, None]
    error = power.std(axis=0) / np.sqrt(len(images)) / seen
    return (mean + deviation * noise).astype(np.float32), error[1 : size // 2 + 1]


def seen_through(window: np.ndarray) -> np.ndarray:
    """What a window (L, L) of 0 and 1 makes of a power spectrum by rings: (rings, rings), seen = matrix @ true.

    Of noise e with power P, less its mean in the window w, the power is Σ_q' |ŵ(q−q') − ŵ(q) ŵ(q')*/ŵ(0)|² P(q')/L², as in
    the pseudo-spectra of the microwave background (Hivon et al., Astrophys. J. 567, 2002).
    """
    size, ring, full = len(window), ring_of(len(window)), np.fft.fftfreq(len(window)) * len(window)
    everywhere = np.rint(np.hypot(full[:, None], full)).astype(int)
    w = np.fft.fft2(window.astype(np.float64))
    spread, columns = np.fft.fft2(np.abs(w) ** 2), []
    for k in range(ring.max() + 1):
        inside = (everywhere == k).astype(np.float64)
        direct = np.fft.ifft2(np.fft.fft2(inside) * spread).real
        crossed = np.fft.ifft2(np.fft.fft2(inside * w) * np.fft.fft2(w))
        total = (
            direct
            - 2 * (np.conj(w) * crossed).real / w[0, 0].real
            + np.abs(w) ** 2 * (np.abs(w) ** 2 * inside).sum() / w[0, 0].real ** 2
        )
        columns.append(ring_mean(total[:, : size // 2 + 1], ring))
    return np.stack(columns, axis=1) / size**2


def recorrupt(images: np.ndarray, rng: np.random.Generator) -> Recorrupted:
    """y₁ and y₂ of images (n, L, L) whose corners hold nothing but noise, all brought to one level there."""
    noise, spread = noise_like(images, rng)
    level = border_level(images)
    noise, images = noise - level, images - level + level.mean()
    return Recorrupted((images + ALPHA * noise).astype(np.float32), (images - noise / ALPHA).astype(np.float32), spread)


def agreement(pair: Recorrupted, denoised: np.ndarray, from_noise: np.ndarray, folds: list[np.ndarray]) -> Agreement:
    """denoised: D(y₁); from_noise: n unrelated noises, denoised; folds: which of the n images one fit of the method saw.

    The chance level of a ring is that of a permutation of the images: were D(y₁) of one image paired with y₂ of another, B
    would vary with the variance Σ g²/(n − 1), g the double-centred matrix of all pairings (Hoeffding 1951). The error of the
    noise's spectrum, which would make y₁ and y₂ agree by themselves, is added.
    """
    size = denoised.shape[-1]
    d, first, second = (rfft2(images) for images in (denoised, pair.first, pair.second))
    sums = {
        "A": by_ring(d, d, size),
        "B": by_ring(d, second, size),
        "S": by_ring(first, second, size),
        "P": by_ring(first, first, size),
    }
    remaining = by_ring(first - d, first - d, size).sum(axis=0)
    for spectra in (d, first, second):
        for fold in folds:
            spectra[fold] -= spectra[fold].mean(axis=0)
    a, b, s, p = (by_ring(*both, size).sum(axis=0) for both in ((d, d), (d, second), (first, second), (first, first)))
    error = pair.spread / (1 + ALPHA**2)
    deviation = np.hypot(permuted(d, second, folds, size), np.abs(by_ring(d, first, size).sum(axis=0)) * error)
    raw = np.hypot(permuted(first, second, folds, size), p * error)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(a * np.where(s > 0, s, np.nan))
        frc, chance = np.minimum(b / scale, 1), np.where(s > 0, levels(len(s)) * deviation / scale, np.inf)
        noise = (sums["P"] - sums["S"]).sum(axis=0)
        remaining = remaining / np.where(noise > 0, noise, np.nan)
    reach, above = counted(together(a), together(b), together(s), together(deviation**2) ** 0.5)
    shown = s > SIGMAS * raw
    seen = bool(shown.any() or s[:LOW].sum() > SIGMAS * np.hypot.reduce(raw[:LOW]))
    return Agreement(
        frc,
        chance,
        floor_of(from_noise, folds, size),
        reach,
        above,
        seen,
        remaining,
        losses_of(sums, shown) if seen else None,
    )


def counted(a: np.ndarray, b: np.ndarray, s: np.ndarray, deviation: np.ndarray) -> tuple[int, bool]:
    """How many rings from low frequency pass, and whether the first that doesn't is above chance all the same."""
    above = b > levels(len(b)) * deviation
    passes = above & (b >= HALF * np.sqrt(np.maximum(a * s, 0)))  # where S < 0 by chance, Σ|x|² is at least B²/A
    if passes.all():
        return len(passes), True
    first = int(np.argmin(passes))
    return first, bool(above[first])


def levels(rings: int) -> np.ndarray:
    """Of each ring, how many σ above 0 are above chance."""
    return np.where(np.arange(rings) < LOW, CERTAIN, SIGMAS)


def together(values: np.ndarray) -> np.ndarray:
    """Sums by ring, the first LOW of them replaced by their sum."""
    return np.concatenate([np.full(min(LOW, len(values)), values[:LOW].sum()), values[LOW:]])


def losses_of(sums: dict[str, np.ndarray], shown: np.ndarray) -> Losses:
    """By a bootstrap over images; shown (K,): rings that hold particles."""
    a, b, s = (sums[name].sum(axis=1) for name in "ABS")
    gain = np.where(shown, np.clip(sums["S"].sum(axis=0) / sums["P"].sum(axis=0), 0, 1), 0)
    own = s + a - 2 * b
    other = s + (gain**2 * sums["P"] - 2 * gain * sums["S"]).sum(axis=1)
    drawn = np.random.default_rng(0).integers(len(s), size=(RESAMPLED, len(s)))
    total = s[drawn].sum(axis=1)

    def share(errors: np.ndarray) -> tuple[float, float]:
        return float(errors.sum() / s.sum()), float(np.std(errors[drawn].sum(axis=1) / total))

    return Losses(share(own), share(other), share(own - other), float(1 - b.sum() / s.sum()), own, s)


def floor_of(from_noise: np.ndarray, folds: list[np.ndarray], size: int) -> np.ndarray:
    """FRC of denoised noises with the next ones of their fold, over all images: (L//2,)."""
    spectra = rfft2(from_noise)
    others = spectra.copy()
    for fold in folds:
        others[fold] = spectra[np.roll(fold, 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(by_ring(spectra, others, size).sum(axis=0) / by_ring(spectra, spectra, size).sum(axis=0))


def permuted(one: np.ndarray, other: np.ndarray, folds: list[np.ndarray], size: int) -> np.ndarray:
    """Standard deviation, over permutations within folds, of Σ Re one other* in each ring: (L//2,). Both centred."""
    ring, weight, out = ring_of(size), np.sqrt(weights(size)), np.zeros(size // 2)
    for k in range(1, size // 2 + 1):
        inside = ring == k
        left, right = (spectra[:, inside] * weight[inside] for spectra in (one, other))
        for fold in folds:
            pairings = (left[fold] @ right[fold].conj().T).real
            out[k - 1] += np.square(pairings, dtype=np.float64).sum() / (len(fold) - 1)
    return np.sqrt(out)


def by_ring(one: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    """Σ Re one other* over the coefficients of each ring, of each image: two (n, L, L/2+1) → (n, L//2) float64."""
    ring, weight = ring_of(size).ravel(), weights(size)
    rows = (((x * y.conj()).real * weight).ravel() for x, y in zip(one, other, strict=True))
    return np.stack([np.bincount(ring, row)[1 : size // 2 + 1] for row in rows])


def ring_of(size: int) -> np.ndarray:
    """Which ring each coefficient of rfft2 is in: (L, L/2+1) int."""
    y, x = np.fft.fftfreq(size)[:, None] * size, np.fft.rfftfreq(size)[None] * size
    return np.rint(np.hypot(y, x)).astype(int)


def ring_mean(values: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Mean over each ring, from ring 0."""
    return np.bincount(ring.ravel(), values.ravel()) / np.bincount(ring.ravel())


def weights(size: int) -> np.ndarray:
    """How many coefficients of the full transform one of rfft2 stands for: (L, L/2+1), 1 or 2."""
    weight = np.full((size, size // 2 + 1), 2.0)
    weight[:, 0] = 1
    if size % 2 == 0:
        weight[:, -1] = 1
    return weight
