"""How fast one method is at one size: seconds to fit for each image seen, and to denoise one, from small slices.

A fit is timed on two sizes, after a first one that warms up; their difference is free of what a fit costs whatever its
size. On a CPU with one thread seconds are the process's own, so what else the machine does doesn't count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from cryobench.config import build
from cryobench.methods.batches import validation_part
from cryobench.methods.trained import Trained
from cryobench.noise import NoisyImages
from cryobench.run import denoise, setting

# Settings that change a result, not what it costs.
FREE = {"_target_", "name", "alpha", "beta", "lam", "lr", "lr_discriminator", "epochs", "checkpoint", "score_map", "batch_norm",
        "sigma", "loss"}  # fmt: skip
STEPS = (2, 2, 6)  # training steps of the three fits; even, since a discriminator learns every other step
SLICES = (50, 100, 300)  # images of the three fits of a method without batches
DENOISED = 64  # images at most, and fewer where one takes long


def cost_key(config: dict) -> dict:
    """What decides the speed of a run: its method's settings that matter, the image size, precision, device."""
    method = {key: value for key, value in config["method"].items() if key not in FREE}
    trainer = config["trainer"]
    return {"method": config["method"]["name"], "image_size": config["data"]["image_size"], **method,
            "accelerator": trainer["accelerator"], "precision": trainer["precision"]}  # fmt: skip


def measure(config: dict, train: NoisyImages, test: NoisyImages, threads: int) -> dict:
    """Seconds per image of fit and of denoise, and bytes of weights and checkpoints, of the method of a config."""
    clock = clock_for(config, threads)
    sizes = fit_sizes(config, len(train))
    seconds = []
    with TemporaryDirectory() as scratch, torch_threads(threads):
        for turn, size in enumerate(sizes):
            folder = Path(scratch) / str(turn)
            folder.mkdir()
            method = method_of(config, folder, threads)
            start = clock()
            method.fit(train.subset(slice(0, size)).only(method.knows))
            seconds.append(clock() - start)
        checkpoints = sum(path.stat().st_size for path in folder.rglob("*.ckpt"))
        weights = method.weights() or {}
        seen = images_seen(config, sizes[2]) - images_seen(config, sizes[1])
        per_image = max(0.0, seconds[2] - seconds[1]) / seen if seen else 0.0
        return {
            "cores": threads,
            "fit_s_per_image": per_image,
            "fit_s": max(0.0, seconds[1] - per_image * images_seen(config, sizes[1])),
            "denoise_s_per_image": denoise_seconds(method, test, clock),
            "weights_bytes": sum(tensor.nbytes for tensor in weights.values()),
            "checkpoint_bytes": checkpoints,
        }


def clock_for(config: dict, threads: int) -> Callable[[], float]:
    return time.process_time if threads == 1 and config["trainer"]["accelerator"] == "cpu" else time.perf_counter


def fit_sizes(config: dict, available: int) -> list[int]:
    """Training images of the three fits."""
    batch = config["method"].get("batch_size")
    wanted = [validation_part(0) + steps * batch for steps in STEPS] if batch else SLICES
    return [min(n, available) for n in wanted]


def images_seen(config: dict, n: int, epochs: int = 1) -> int:
    """Images that go through a fit on n of them: the validation part is seen by nets, but not trained on."""
    batch = config["method"].get("batch_size")
    return epochs * ((n - validation_part(n)) // batch * batch) if batch else n


def method_of(config: dict, folder: Path, threads: int):
    """The method, set to one epoch if it has any."""
    epochs = {"epochs": 1} if "epochs" in config["method"] else {}
    trainer = config["trainer"] | {"threads": threads, "workers": threads}
    changed = config | {"method": config["method"] | epochs, "trainer": trainer}
    method = build(changed, "method")
    method.setting = setting(changed, folder, False)
    return method


def denoise_seconds(method, test: NoisyImages, clock: Callable[[], float]) -> float:
    """Seconds per image: of the first two, and of more of them until the clock shows half a second."""
    n = 2
    while True:
        part = test.subset(slice(0, n))
        clean, noisy = part.clean(), part.noisy()
        start = clock()
        denoise(method, part, noisy, clean)
        seconds = clock() - start
        if seconds > 0.5 or n >= min(DENOISED, len(test)):
            return seconds / n
        n = min(4 * n, DENOISED, len(test))


@contextmanager
def torch_threads(threads: int):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def simulation(volumes: np.ndarray, rotations: np.ndarray) -> float:
    """Seconds to simulate one image."""
    from cryobench.data.pairs import rescale
    from cryobench.data.project import Projector

    projector = Projector(np.asarray(volumes[0]))
    rescale(projector(rotations[:2]))
    start = time.process_time()
    rescale(projector(rotations[:16]))
    return (time.process_time() - start) / len(rotations[:16])


def learned(config: dict) -> bool:
    """Whether the method is trained in epochs, with a validation after each."""
    from hydra.utils import get_class

    return issubclass(get_class(config["method"]["_target_"]), Trained)
