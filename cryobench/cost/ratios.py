"""What two ways need for the same work, in turn, on one core if nothing else is said: ratios, which do not depend on the machine
as times do.

Of training a GAN (loops.py): Lightning's loop as a run goes through it, a bare loop of the same steps, and the loop of the
paper's released code. Of the bare loop: what it gains by keeping memory between steps and what by Adam's fused step, and its
share of what the same core does in a product of matrices. The same share of ab initio's step of expectation, where its time
goes. Of images inserted into a volume: torch-fourier-slice. Of images in a steerable basis: its functions at every pixel. Of
several images' products with exemplars, and of the limit's draws for several images: one image after the other. Of the limit on
several cores: on one. Of projections: ASPIRE's simulation, if it is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch

from cryobench.config.compose import build, cache_folder, compose, resolve
from cryobench.cost import loops
from cryobench.cost.speed import torch_threads
from cryobench.cost.turns import Ratio, in_turn
from cryobench.runs.environment import cores

IMAGES = 80  # of a turn of training
PROJECTED = 256  # projections of a turn: a data set has some thousand of each volume
INSERTED = 64  # images inserted in a turn
EXEMPLARS, BATCH, COMPONENTS = 4000, 4, 400  # exemplars, images asked for at a time, and the size of their basis
COARSE = 5.6  # px between the cells of the limit, four times as far as in a run, so that it is fitted in seconds
MATRIX = 1024  # rows and columns of the matrices multiplied


def all_of(overrides: list[str]) -> Iterator[Ratio]:
    """Every ratio, for the GAN, the image size and the width of a command line."""
    from cryobench.data.pairs import open_pairs

    config = resolve(compose(["method=gan", *overrides, "method.epochs=1"]))
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=True)
    train = pairs.images("train", build(config, "noise"), config["seed"])
    train = train.subset(slice(0, min(IMAGES, len(train)))).only({"clean"})
    size = f"{train.image_size} px, d = {config['method']['width']}"

    def speed(loop: Callable) -> Callable[[], float]:
        return lambda: loop(build(config, "method"), train)

    what, unit = f"training a GAN, {size}", "images/s"
    by_lightning, bare = speed(loops.through_lightning), speed(loops.bare)
    yield in_turn(f"{what}, Lightning", "a bare loop", unit, by_lightning, bare)
    yield in_turn(f"{what}, Lightning", "the released code's loop", unit, by_lightning, speed(loops.released))
    yield in_turn(f"{what}, bare loop", "one that keeps no memory", unit, bare, speed(loops.unkept))
    yield in_turn(f"{what}, bare loop with Adam's fused step", "a bare loop", unit, speed(loops.fused), bare)
    work = loops.flops_per_image(build(config, "method"), train) / 1e9
    counted = (lambda: work * loops.bare(build(config, "method"), train)), multiplied
    yield in_turn(f"{what}, bare loop", "products of matrices", "GFLOP/s", *counted)
    yield expectation(np.asarray(pairs.volumes[0]))
    yield insertions(pairs.test.clean[:INSERTED], pairs.test.rotations)
    yield in_a_basis(train.clean()[:INSERTED])
    yield batch_of_images(train.clean())
    yield from the_limit(np.asarray(pairs.volumes[0]), pairs.test.rotations)
    if find_spec("aspire"):
        yield projections(np.asarray(pairs.volumes[0]), pairs.test.rotations)


def multiplied() -> float:
    """GFLOP a second in products of two matrices in single precision."""
    a, b = torch.rand(2, MATRIX, MATRIX, generator=torch.Generator().manual_seed(0))
    start, products = time.process_time(), 10
    for _ in range(products):
        a @ b
    return products * 2 * MATRIX**3 / 1e9 / (time.process_time() - start)


def expectation(volume: np.ndarray) -> Ratio:
    """A step of expectation of ab initio, of images of a volume (L, L, L) over all poses of a stage.

    Counted are its products of matrices, 8 operations for each image, view and coefficient forward and 16 back; its FFTs and
    all else are overhead.
    """
    from cryobench.methods.posterior.abinitio import AbInitio
    from cryobench.methods.posterior.band import band_of
    from cryobench.methods.posterior.fourier_bessel import fourier_bessel
    from cryobench.methods.posterior.pose_mixture import Contrast
    from cryobench.methods.posterior.structure import mixture, poses_of

    size, n = volume.shape[-1], 16
    poses = poses_of(size, AbInitio.step, "cpu")
    mix = mixture(fourier_bessel(size), torch.from_numpy(volume.copy()), poses, Contrast(0.01, 0.0, 1e-3))
    images = mix.basis.render(mix.views[:n]).numpy() + np.random.default_rng(0).normal(size=(n, size, size))
    band = band_of(lambda rows: images[rows].astype(np.float32), n, size, np.ones(n), size, "cpu")
    work = 24 * n * len(mix) * len(mix.basis) / 1e9

    def step() -> float:
        start = time.process_time()
        mix.sums(band)
        return work / (time.process_time() - start)

    return in_turn(f"expectation of ab initio, {size} px", "products of matrices", "GFLOP/s", step, multiplied)


def insertions(images: np.ndarray, rotations: np.ndarray) -> Ratio:
    """Images (n, L, L) of known orientation (n, 3, 3) added to a volume's transform, beside torch-fourier-slice."""
    from torch_fourier_slice import insert_central_slices_rfft_3d_multichannel

    from cryobench.data.backproject import padded, slices
    from cryobench.data.insertion import insert

    n, size = min(len(images), INSERTED), images.shape[-1]
    planes, turns = slices(torch.from_numpy(images[:n].copy())), torch.from_numpy(rotations[:n]).float()
    weights = torch.ones((n, 1, 1))

    def of_ours() -> float:
        start = time.process_time()
        insert(planes, weights, turns)
        return n / (time.process_time() - start)

    def of_package() -> float:
        start = time.process_time()
        both = torch.stack([planes, weights.to(planes.dtype).expand_as(planes)], dim=1)
        insert_central_slices_rfft_3d_multichannel(both, padded(size), turns)
        return n / (time.process_time() - start)

    return in_turn(f"{n} images inserted, {size} px", "torch-fourier-slice", "images/s", of_ours, of_package)


def in_a_basis(images: np.ndarray) -> Ratio:
    """Images (n, L, L) as coefficients in a Fourier-Bessel basis and back, beside the same functions kept at every pixel."""
    from cryobench.methods.posterior.every_pixel import EveryPixel
    from cryobench.methods.posterior.fourier_bessel import fourier_bessel
    from cryobench.methods.posterior.steerable import SteerableBasis

    basis, there = fourier_bessel(images.shape[-1]), torch.from_numpy(images.copy())
    plain = EveryPixel(basis.orders, basis.functions, basis.blocks)

    def speed(basis: SteerableBasis) -> Callable[[], float]:
        def timed() -> float:
            start, times = time.process_time(), 10
            for _ in range(times):
                basis.render(basis.coefficients(there))
            return times * len(there) / (time.process_time() - start)

        return timed

    what = f"{len(there)} images in a steerable basis and back, {basis.size} px, an eighth of the disc kept"
    return in_turn(what, "every pixel", "images/s", speed(basis), speed(plain))


def batch_of_images(images: np.ndarray) -> Ratio:
    """Products of images with all exemplars within the orders of a steerable basis, BATCH at a time, beside one by one.

    What a batch may speed up in the exemplars' posterior. images (n, L, L), clean; exemplars are these over and over.
    """
    from cryobench.methods.posterior.by_order import ByOrder
    from cryobench.methods.posterior.fourier_bessel import fourier_bessel
    from cryobench.methods.posterior.steerable import principal

    size, clean = images.shape[-1], torch.from_numpy(images.copy())
    basis = principal(fourier_bessel(size), [clean], COMPONENTS)
    plain = basis.coefficients(clean).real
    exemplars = ByOrder(plain.repeat(-(-EXEMPLARS // len(plain)), 1)[:EXEMPLARS].T.contiguous(), basis.blocks)
    rows = plain[: 2 * BATCH].contiguous()  # of each image two: the real and the imaginary part

    def asked(at_once: int) -> float:
        start, times = time.process_time(), 20
        for _ in range(times):
            for part in rows.split(2 * at_once):
                exemplars.times_left(part)
        return times * BATCH / (time.process_time() - start)

    what, unit = f"{BATCH} images with {EXEMPLARS} exemplars, {size} px, at once", "images/s"
    return in_turn(what, "one by one", unit, lambda: asked(BATCH), lambda: asked(1))


def the_limit(volume: np.ndarray, rotations: np.ndarray) -> Iterator[Ratio]:
    """Noisy images of a volume (L, L, L) in orientations (n, 3, 3), denoised by the limit: with one round of draws for BATCH of
    them at a time, beside one by one; and on all cores, each with an image of its own, beside one core, by the clock."""
    from cryobench.data.project import Projector
    from cryobench.data.simulate import rescale
    from cryobench.methods.posterior.bayes import Bayes
    from cryobench.noise.gaussian import Gaussian

    noise = Gaussian(snr=0.1)
    clean = rescale(Projector(volume)(rotations[: 8 * BATCH]))
    noisy, sigma = noise.add(clean, np.arange(len(clean)), seed=0, split="test"), noise.sigma(clean)

    def fitted(max_draws: int) -> Bayes:
        bayes = Bayes(step=COARSE, max_draws=max_draws)
        bayes.prepare(volume[None].copy())
        return bayes

    one_round, whole = fitted(Bayes.draws), fitted(Bayes.max_draws)

    def denoised(bayes: Bayes, clock: Callable[[], float], threads: int = 1, at_once: int = 1) -> Callable[[], float]:
        def timed() -> float:
            bayes.sampler.images_at_once = at_once
            start = clock()
            with torch_threads(threads):
                bayes.denoise(noisy, sigma=sigma)
            return len(noisy) / (clock() - start)

        return timed

    what, unit, clock = f"the limit, {volume.shape[-1]} px", "images/s", time.process_time
    together, one_by_one = denoised(one_round, clock, at_once=BATCH), denoised(one_round, clock)
    yield in_turn(f"{what}, draws for {BATCH} images at once", "one by one", unit, together, one_by_one)
    if (n := min(cores(), whole.sampler.threads, len(noisy))) > 1:
        several, one = denoised(whole, time.perf_counter, threads=n), denoised(whole, time.perf_counter)
        yield in_turn(f"{what}, {n} threads", "one thread", unit, several, one)


def projections(volume: np.ndarray, rotations: np.ndarray) -> Ratio:
    """Projections of one volume (L, L, L) in orientations (n, 3, 3), its transform included, beside ASPIRE's simulation."""
    from cryobench.data.project import Projector

    # By name, as all that is ours for ASPIRE's sake is reached; it would take over the root logger.
    import_module("cryobench.baselines.aspire").import_aspire()
    from aspire.source import Simulation
    from aspire.utils import Rotation
    from aspire.volume import Volume

    rotations = rotations[:PROJECTED]
    angles, theirs = Rotation(rotations.astype(np.float32)).angles.astype(np.float32), Volume(volume)

    def of_ours() -> float:
        start = time.process_time()
        Projector(volume)(rotations)
        return len(rotations) / (time.process_time() - start)

    def of_aspire() -> float:
        still = {"offsets": 0.0, "amplitudes": 1.0, "seed": 0, "dtype": np.float32}
        start = time.process_time()
        _ = (
            Simulation(L=volume.shape[-1], n=len(rotations), vols=theirs, angles=angles, **still)
            .clean_images[:]
            .asnumpy()
        )
        return len(rotations) / (time.process_time() - start)

    return in_turn(
        f"{len(rotations)} projections, {volume.shape[-1]} px", "ASPIRE's simulation", "images/s", of_ours, of_aspire
    )
