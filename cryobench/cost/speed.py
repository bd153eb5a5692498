"""How fast one method is at one size: seconds to fit for each image seen, and to denoise one, from small slices.

A fit is timed on two sizes, after a first one that warms up unless it took long; their difference is free of what a fit
costs whatever its size. Size is the number of training images, for PGGAN those of a growth phase. On a CPU with one thread
seconds are the process's own, so what else the machine does doesn't count.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cryobench.config.compose import build
from cryobench.data.images import NoisyImages
from cryobench.methods.device import compute_device
from cryobench.methods.learned.trained import Trained, validation_part
from cryobench.runs.denoising import denoise, setting

# Settings that change a result, not what it costs.
FREE = {
    "_target_",
    "name",
    "alpha",
    "beta",
    "lam",
    "lr",
    "lr_discriminator",
    "epochs",
    "checkpoint",
    "score_map",
    "batch_norm",
    "sigma",
    "loss",
    "phase_images",
}
STEPS = (2, 2, 6)  # training steps of the three fits; even, since a discriminator learns every other step
ON_GPU = (20, 20, 120)  # the same on a GPU, where the first ones load and record what the others start
PHASES = (5, 5, 10)  # the same in a growth phase of PGGAN, which has five parts
SLICES = (50, 100, 300)  # images of the three fits of a method without batches
SLOW = 5.0  # seconds of a first fit that serves as the second, too
DENOISED = 64  # images at most, and fewer where one takes long:
ENOUGH = 0.5  # seconds are


def cost_key(config: dict) -> dict:
    """What decides the speed of a run: its method's settings that matter, the image size, precision, device."""
    method = {key: value for key, value in config["method"].items() if key not in FREE}
    trainer = config["trainer"]
    return {
        "method": config["method"]["name"],
        "image_size": config["data"]["image_size"],
        **method,
        "accelerator": trainer["accelerator"],
        "precision": trainer["precision"],
        **({} if trainer.get("cuda_graphs", True) else {"cuda_graphs": False}),
    }


def measure(config: dict, train: NoisyImages, test: NoisyImages, threads: int) -> dict:
    """Seconds per image of fit and of denoise, and bytes of weights and checkpoints, of the method of a config."""
    clock, sizes = clock_for(config, threads), fit_sizes(config)
    with TemporaryDirectory() as scratch, torch_threads(threads):

        def timed_fit(size: int, epochs: int = 1):
            folder = Path(tempfile.mkdtemp(dir=scratch))
            method = method_of(config, folder, threads, size, epochs)
            part = train if grows(config) else train.subset(slice(0, size))
            start = clock()
            method.fit(part.only(method.side_information))
            return clock() - start, method, folder

        small, *_ = timed_fit(sizes[0])
        if small > SLOW:
            sizes[1] = sizes[0]
        else:
            small, *_ = timed_fit(sizes[1])
        large, method, folder = timed_fit(sizes[2])
        seen = [images_seen(config, size) for size in sizes]
        per_image = max(0.0, large - small) / max(seen[2] - seen[1], 1)
        once = 0.0
        if getattr(method, "prepares", False):
            longer, *_ = timed_fit(sizes[2], epochs=2)
            step = max(0.0, longer - large) / max(seen[2], 1)
            once, per_image = max(0.0, per_image - step), step
        weights = method.weights() or {}
        return {
            "cores": threads,
            "fit_s_per_image": per_image,
            "fit_s_once_per_image": once,
            "fit_s": max(0.0, small - (per_image + once) * seen[1]),
            "denoise_s_per_image": denoise_seconds(method, test, clock),
            "weights_bytes": sum(tensor.nbytes for tensor in weights.values()),
            "checkpoint_bytes": sum(path.stat().st_size for path in folder.rglob("*.ckpt")),
        }


def computes_on_gpu(config: dict) -> bool:
    """Whether a config's method computes on a GPU here."""
    return compute_device(config["trainer"]["accelerator"]).type != "cpu"


def clock_for(config: dict, threads: int) -> Callable[[], float]:
    """The clock that a config's method is timed by: the process's own where it has one thread on a CPU, else the wall's."""
    return time.process_time if threads == 1 and not computes_on_gpu(config) else time.perf_counter


def grows(config: dict) -> bool:
    """Whether training goes by images of a growth phase, and not by those that there are."""
    return "phase_images" in config["method"]


def fit_sizes(config: dict) -> list[int]:
    """Of the three fits."""
    batch = config["method"].get("batch_size")
    if grows(config):
        return [steps * batch for steps in PHASES]
    if not batch:
        return list(SLICES)
    return [validation_part(0) + n * batch for n in (ON_GPU if computes_on_gpu(config) else STEPS)]


def images_needed(config: dict) -> int:
    """Training images that `measure` asks for."""
    return validation_part(0) + config["method"]["batch_size"] if grows(config) else fit_sizes(config)[-1]


def images_seen(config: dict, size: int, epochs: int = 1) -> int:
    """Images that go through a fit of this size: the validation part is seen by nets, but not trained on."""
    batch = config["method"].get("batch_size")
    if grows(config) or not batch:
        return size
    return epochs * ((size - validation_part(size)) // batch * batch)


def method_of(config: dict, folder: Path, threads: int, size: int, epochs: int):
    """The method, set to so many epochs, or images of a phase, if it has any."""
    short = {"epochs": epochs, "phase_images": size}
    short = {key: value for key, value in short.items() if key in config["method"]}
    trainer = config["trainer"] | {"threads": threads, "workers": threads}
    changed = config | {"method": config["method"] | short, "trainer": trainer}
    method = build(changed, "method")
    method.setting = setting(changed, folder, False)
    return method


def denoise_seconds(method, test: NoisyImages, clock: Callable[[], float]) -> float:
    """Seconds per image: of the first two, once more if they were slow (a pool of processes starts but once), and of more
    and more of them until the clock shows half a second."""

    def timed(n: int) -> float:
        part = test.subset(slice(0, n))
        clean, noisy = part.clean(), part.noisy()
        start = clock()
        denoise(method, part, noisy, clean)
        return clock() - start

    n, most = 2, min(DENOISED, len(test))
    seconds = timed(n)
    if seconds > ENOUGH:
        seconds = timed(n)
    while seconds < ENOUGH and n < most:
        n = min(4 * n, most)
        seconds = timed(n)
    return seconds / n


@contextmanager
def torch_threads(threads: int):
    """In the body torch has this many threads; afterwards as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def simulation(volumes: np.ndarray, rotations: np.ndarray) -> float:
    """Seconds to simulate one image."""
    from cryobench.data.project import Projector
    from cryobench.data.simulate import rescale

    projector = Projector(np.asarray(volumes[0]))
    rescale(projector(rotations[:2]))
    start = time.process_time()
    rescale(projector(rotations[:16]))
    return (time.process_time() - start) / len(rotations[:16])


def learned(config: dict) -> bool:
    """Whether the method is trained in epochs, with a validation after each."""
    from hydra.utils import get_class

    return issubclass(get_class(config["method"]["_target_"]), Trained)
