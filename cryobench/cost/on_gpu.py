"""What is done differently on a GPU, and what it gains there: ratios for the methods of some runs, both ways in turn."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cryobench.config.compose import build, cache_folder
from cryobench.cost.turns import Ratio, in_turn
from cryobench.data.pairs import open_pairs
from cryobench.methods.learned.graphs import asked_for
from cryobench.runs.denoising import setting

STEPS = 200  # of a training: some of them warm up, and are recorded
EXEMPLARS, DENOISED = 1000, 64  # training images and noisy ones


def gains(config: dict) -> Iterator[Ratio]:
    """Of a net whose training steps would be recorded (methods/learned/graphs.py), and of the exemplars' and ab initio's products
    of all orders at once (methods/posterior/by_order.py); of other methods none."""
    from cryobench.methods.learned.trained import Trained
    from cryobench.methods.posterior.abinitio import AbInitio
    from cryobench.methods.posterior.exemplar import Exemplar

    method = build(config, "method")
    asked = asked_for(replace(setting(config, None, False), cuda_graphs=True))
    if asked and isinstance(method, Trained) and method.module(config["data"]["image_size"]).recordable:
        yield recorded_steps(config, method)
    if isinstance(method, Exemplar):
        yield products_at_once(config, method)
    if isinstance(method, AbInitio):
        yield expectation_at_once(config, method)


def recorded_steps(config: dict, method) -> Ratio:
    """Images a second of STEPS steps and a validation."""
    from cryobench.methods.learned.trained import validation_part

    n, size = STEPS * method.batch_size, config["data"]["image_size"]
    train, _ = images_of(config, n + validation_part(n), 1)

    def speed(recorded: bool) -> Callable[[], float]:
        def timed() -> float:
            method = build(config, "method")
            method.epochs = 1
            with TemporaryDirectory() as folder:
                method.setting = replace(setting(config, Path(folder), False), cuda_graphs=recorded)
                start = time.perf_counter()
                method.fit(train.only(method.side_information))
                return n / (time.perf_counter() - start)

        return timed

    what = f"training {config['method']['name']}, {size} px, d = {method.width}, {config['trainer']['precision']}"
    against = "steps started kernel by kernel"
    return in_turn(f"{what}, recorded steps", against, "images/s", speed(True), speed(False))


def products_at_once(config: dict, method) -> Ratio:
    """Images a second of denoising."""
    from cryobench.methods.posterior.by_order import ByOrder

    train, test = images_of(config, EXEMPLARS, DENOISED)
    method.setting = setting(config, None, False)
    method.fit(train.only(method.side_information))
    noisy, hints = test.noisy(), test.hints(method.side_information)

    def speed(at_once: bool) -> Callable[[], float]:
        other = copy.deepcopy(method)
        orbits = other.fitted.orbits
        orbits.real, orbits.imaginary = (
            ByOrder(part.matrix, orbits.basis.blocks, filled=at_once) for part in (orbits.real, orbits.imaginary)
        )

        def timed() -> float:
            start = time.perf_counter()
            other.denoise(noisy, **hints)
            return len(noisy) / (time.perf_counter() - start)

        return timed

    what = f"denoising by {EXEMPLARS} exemplars, {train.image_size} px, products of all orders at once"
    return in_turn(what, "order by order", "images/s", speed(True), speed(False))


def expectation_at_once(config: dict, method) -> Ratio:
    """Images a second of a step of expectation of ab initio, of clean images of a volume over all poses of a stage."""
    import torch

    from cryobench.methods.device import compute_device
    from cryobench.methods.posterior.band import Band
    from cryobench.methods.posterior.pose_mixture import Contrast, PoseMixture
    from cryobench.methods.posterior.steerable import fourier_bessel
    from cryobench.methods.posterior.structure import batch_of, mixture, poses_of

    device, size = compute_device(setting(config, None, False).accelerator), config["data"]["image_size"]
    pairs = open_pairs(build(config, "data"), cache_folder(config))
    volume, basis = torch.from_numpy(pairs.volumes[0].copy()).to(device), fourier_bessel(size).to(device)
    mix = mixture(basis, volume, poses_of(size, method.step, device), Contrast(0.01, 0.0, 1e-3))
    band = Band(basis, mix.views[:, None], mix.norms.new_ones(len(mix)))
    some = band.take(torch.arange(min(len(mix), batch_of(mix, band)), device=device))

    def speed(at_once: bool) -> Callable[[], float]:
        other = PoseMixture(basis, mix.views, mix.angles, mix.contrast, at_once=at_once)

        def timed() -> float:
            start = time.perf_counter()
            other.sums(some)  # reads numbers at its end, so it waits for the GPU
            return len(some) / (time.perf_counter() - start)

        return timed

    what = f"ab initio's step of expectation, {size} px, products of all orders at once"
    return in_turn(what, "order by order", "images/s", speed(True), speed(False))


def images_of(config: dict, n_train: int, n_test: int):
    """So many training and test images of a config's data set."""
    pairs = open_pairs(replace(build(config, "data"), n_train=n_train, n_test=n_test), cache_folder(config))
    return (pairs.images(split, build(config, "noise"), config["seed"]) for split in ("train", "test"))
