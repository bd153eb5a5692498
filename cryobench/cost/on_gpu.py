"""What is done differently on a GPU, and what it gains there: ratios for the methods of some runs, both ways in turn."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cryobench.config.compose import build, cache_folder
from cryobench.cost.turns import Ratio, in_turn
from cryobench.data.pairs import open_pairs
from cryobench.methods.learned.graphs import asked_for
from cryobench.runs.denoising import setting

STEPS = 200  # of a training: some of them warm up, and are recorded
EXEMPLARS, DENOISED = 1000, 64  # training images and noisy ones
VIEWS = 300  # that ab initio has not ruled out for the images of a batch


def gains(config: dict) -> Iterator[Ratio]:
    """Of a net whose training steps would be recorded (methods/learned/graphs.py), of the exemplars' and ab initio's products
    of all orders at once (methods/posterior/by_order.py), and of the limit's draws for many images at once (sampling.py there);
    of other methods none."""
    from cryobench.methods.learned.trained import Trained
    from cryobench.methods.posterior.abinitio import AbInitio
    from cryobench.methods.posterior.bayes import Bayes
    from cryobench.methods.posterior.exemplar import Exemplar

    method = build(config, "method")
    asked = asked_for(replace(setting(config, None, False), cuda_graphs=True))
    if asked and isinstance(method, Trained) and method.module(config["data"]["image_size"]).recordable:
        yield recorded_steps(config, method)
    if isinstance(method, Exemplar):
        yield products_at_once(config, method)
    if isinstance(method, AbInitio):
        yield expectation_at_once(config, method)
    if isinstance(method, Bayes):
        yield draws_at_once(config, method)


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
    """Images a second of denoising: many together, all orders at once, and one after the other as on a CPU."""
    from cryobench.methods.posterior.by_order import ByOrder

    train, test = images_of(config, EXEMPLARS, DENOISED)
    method.setting = setting(config, None, False)
    method.fit(train.only(method.side_information))
    noisy, hints = test.noisy(), test.hints(method.side_information)

    def speed(at_once: bool) -> Callable[[], float]:
        other = copy.deepcopy(method)
        orbits, together = other.fitted.orbits, other.fitted.images_at_once
        other.fitted.images_at_once = together if at_once else 1
        orbits.real, orbits.imaginary = (
            ByOrder(part.matrix, orbits.basis.blocks, filled=at_once) for part in (orbits.real, orbits.imaginary)
        )

        def timed() -> float:
            start = time.perf_counter()
            other.denoise(noisy, **hints)
            return len(noisy) / (time.perf_counter() - start)

        return timed

    together = method.fitted.images_at_once
    what = f"denoising by {EXEMPLARS} exemplars, {train.image_size} px, {together} images and all orders at once"
    return in_turn(what, "image by image, order by order", "images/s", speed(True), speed(False))


def expectation_at_once(config: dict, method) -> Ratio:
    """Images a second of a step of expectation of ab initio with few views left, as in its large maps: so many images together
    as on a GPU, all orders at once; so many as on a CPU, order by order. The images are clean ones of a volume."""
    import torch

    from cryobench.methods.device import compute_device
    from cryobench.methods.posterior.band import Band
    from cryobench.methods.posterior.fourier_bessel import fourier_bessel
    from cryobench.methods.posterior.pose_mixture import Contrast, PoseMixture
    from cryobench.methods.posterior.structure import batch_of, mixture, poses_of

    device, size = compute_device(setting(config, None, False).accelerator), config["data"]["image_size"]
    train, _ = images_of(config, DENOISED, 1)
    volume, basis = torch.from_numpy(np.array(train.volumes[0])).to(device), fourier_bessel(size, device=device)
    mix = mixture(basis, volume, poses_of(size, method.step, device), Contrast(0.01, 0.0, 1e-3))
    band = Band(basis, mix.views[:, None], mix.norms.new_ones(len(mix)))
    rows = torch.arange(min(len(mix), batch_of(mix, band, on_gpu=True)), device=device)
    few = torch.arange(min(len(mix), VIEWS), device=device)

    def speed(on_gpu: bool) -> Callable[[], float]:
        step = batch_of(mix, band, on_gpu)
        views = PoseMixture(basis, mix.views, mix.angles, mix.contrast, at_once=on_gpu)

        def timed() -> float:
            start = time.perf_counter()
            for some in rows.split(step):  # each reads numbers at its end, so it waits for the GPU
                views.of(few).sums(band.take(some))
            return len(rows) / (time.perf_counter() - start)

        return timed

    what = f"ab initio's step of expectation over {len(few)} views, {size} px, up to {len(rows)} images and all orders at once"
    against = f"up to {batch_of(mix, band, False)} images, order by order"
    return in_turn(what, against, "images/s", speed(True), speed(False))


def draws_at_once(config: dict, method) -> Ratio:
    """Images a second of denoising: draws for many together, and for one after the other."""
    train, test = images_of(config, EXEMPLARS, DENOISED)
    method.setting = setting(config, None, False)
    method.fit(train.only(method.side_information))
    noisy, hints, together = test.noisy(), test.hints(method.side_information), method.sampler.images_at_once

    def speed(images_at_once: int) -> Callable[[], float]:
        def timed() -> float:
            method.sampler.images_at_once = images_at_once
            start = time.perf_counter()
            method.denoise(noisy, **hints)
            return len(noisy) / (time.perf_counter() - start)

        return timed

    what = f"denoising by {config['method']['name']}, {train.image_size} px, draws for {together} images at once"
    return in_turn(what, "image by image", "images/s", speed(together), speed(1))


def images_of(config: dict, n_train: int, n_test: int):
    """So many training and test images of a config's data set."""
    pairs = open_pairs(replace(build(config, "data"), n_train=n_train, n_test=n_test), cache_folder(config))
    return (pairs.images(split, build(config, "noise"), config["seed"]) for split in ("train", "test"))
