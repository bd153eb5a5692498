"""Does a denoiser keep its promises? For denoisers what scikit-learn's check_estimator is for estimators."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from cryobench.data.images import NoisyImages
from cryobench.errors import BadImages, InputError
from cryobench.methods.base import SIDE_INFORMATION, Denoiser
from cryobench.printed import short

SMALL = {"train": 72, "test": 6}  # images of 32 px
CLOSE = 2e-5  # how far rounding may take a pixel in another batch


class BrokenContract(InputError):
    """A denoiser does not keep what `Denoiser` promises; `broken` names each promise."""

    def __init__(self, name: str, broken: list[str]):
        self.broken = broken
        super().__init__(
            f"{name}: expected a denoiser that keeps its promises, got {len(broken)} broken: "
            f"{'; '.join(broken)}; see docs/adding.md"
        )


def check_denoiser(denoiser: Denoiser, train: NoisyImages | None = None, test: NoisyImages | None = None) -> None:
    """Fit a denoiser and hold it to its contract. Raises BrokenContract, which names all that is broken.

    train, test: the images to do it on; without them 72 and 6 images of the phantom, 32 px, at SNR 0.1. The promises: side
    information in known words, and none used that isn't declared; denoised images of the noisy ones' shape, float32 and
    finite; an image's result alike in any batch and order; its input left as it was; an image with a NaN refused as
    BadImages, which names it; an MSE not above that of the noisy images. The denoiser is fitted afterwards.
    Raises InputError where the denoiser refuses these images for a reason of its own.
    """
    name = type(denoiser).__name__
    if unknown := sorted(set(denoiser.side_information) - set(SIDE_INFORMATION)):
        words = f"`side_information` has {', '.join(unknown)}, expected some of {', '.join(SIDE_INFORMATION)}"
        raise BrokenContract(name, [words])
    if train is None or test is None:
        with tempfile.TemporaryDirectory() as folder:
            train, test = phantoms(Path(folder))
    denoiser.fit(train.only(denoiser.side_information, name))
    if broken := broken_promises(denoiser, test):
        raise BrokenContract(name, broken)


def phantoms(folder: Path) -> tuple[NoisyImages, NoisyImages]:
    """Small training and test sets, simulated into a folder and held in memory."""
    from cryobench.data.molecules.phantom import Phantom
    from cryobench.data.simulate import simulate
    from cryobench.noise.gaussian import Gaussian

    molecule = Phantom(image_size=32, n_train=SMALL["train"], n_test=SMALL["test"])
    volumes = molecule.volumes()
    simulate(folder, volumes, SMALL, size=32, seed=0)

    def images(split: str) -> NoisyImages:
        clean, labels, rotations = (
            np.load(folder / f"{split}_{what}.npy") for what in ("clean", "labels", "rotations")
        )
        return NoisyImages(split, clean, labels, rotations, volumes, molecule.pixel_size, Gaussian(0.1), seed=0)

    return images("train"), images("test")


def denoised(denoiser: Denoiser, test: NoisyImages, index, noisy: np.ndarray | None = None) -> np.ndarray:
    """What a fitted denoiser makes of the test images at `index` (or of `noisy` in their place), told what it declares."""
    declared = test.hints(denoiser.side_information, index)
    if "truth" in denoiser.side_information:
        declared["truth"] = test.clean(index)
    return denoiser.denoise(test.noisy(index) if noisy is None else noisy, **declared)


def broken_promises(denoiser: Denoiser, test: NoisyImages) -> list[str]:
    """What a fitted denoiser does not keep, in words; none if it keeps all."""
    every = np.arange(len(test))
    noisy = test.noisy(every)
    before = noisy.copy()
    together, broken = denoised(denoiser, test, every, noisy), []
    if not np.array_equal(noisy, before):
        broken.append("it changes its input")
    if not isinstance(together, np.ndarray) or together.shape != noisy.shape or together.dtype != np.float32:
        kind = f"{getattr(together, 'dtype', type(together).__name__)} {np.shape(together)}"
        return [*broken, f"expected float32 {noisy.shape}, got {kind}"]
    if not np.isfinite(together).all():
        return [*broken, "some denoised pixels are not finite"]
    for some in (every[::-1][:3], every[len(every) // 2 :][:1]):
        away = np.abs(denoised(denoiser, test, some) - together[some]).max()
        if away > CLOSE:
            broken.append(
                f"an image's result depends on its batch (a pixel moves by {short(away, 2)} in a batch of {len(some)})"
            )
            break
    clean = test.clean(every)
    error, noise = (float(np.mean((images - clean) ** 2, dtype=np.float64)) for images in (together, before))
    if error > noise:
        broken.append(f"its MSE of {short(error)} is above the noisy images' {short(noise)}")
    return broken + unrefused(denoiser, test, before)


def unrefused(denoiser: Denoiser, test: NoisyImages, noisy: np.ndarray) -> list[str]:
    """Whether an image with a NaN is refused by its position, so that a run can leave it out and go on."""
    noisy[1, 4, 4] = np.nan
    try:
        denoised(denoiser, test, np.arange(len(test)), noisy)
    except BadImages as error:
        return [] if error.indices == [1] else [f"of images of which 1 has a NaN it refuses {error.indices}"]
    except Exception as error:
        return [f"expected BadImages for an image with a NaN, got {type(error).__name__}; call check_images first"]
    return ["expected BadImages for an image with a NaN, got an answer; call check_images first"]
