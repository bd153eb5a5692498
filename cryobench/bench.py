"""How fast training is through Lightning, beside a bare loop over the same nets in the same process.

Both do what one training step does (noise, forward, backward, optimizer), on the same images, one after the other in
turn; what is reported is the median of the ratios, which does not depend on the machine as times do.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from cryobench.config import build, cache_folder, compose, resolve
from cryobench.methods.base import Setting
from cryobench.methods.gan import ADAM
from cryobench.scores import discriminator_loss, generator_loss


def training(overrides: list[str], repeats: int = 5, images: int = 400) -> dict:
    """Images per second of one epoch of a GAN through Lightning and in a bare loop; medians over `repeats` turns."""
    from cryobench.data.pairs import open_pairs

    config = resolve(compose(["method=gan", *overrides, "method.epochs=1"]))
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=True)
    train = pairs.images("train", build(config, "noise"), config["seed"])
    train = train.subset(slice(0, min(images, len(train)))).only({"clean"})
    speeds: dict[str, list[float]] = {"lightning": [], "bare": []}
    for _ in range(repeats):
        for name, loop in (("lightning", through_lightning), ("bare", bare_loop)):
            seconds, steps = loop(build(config, "method"), train)
            speeds[name].append(steps * config["method"]["batch_size"] / seconds)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = [a / b for a, b in zip(speeds["lightning"], speeds["bare"], strict=True)]
    return {
        "scale": config["scale"]["name"],
        "image_size": train.image_size,
        "width": config["method"]["width"],
        "threads": torch.get_num_threads(),
        "images_per_s": {name: round(value, 2) for name, value in medians.items()},
        "ratio": round(statistics.median(ratios), 4),
    }


def through_lightning(method, train) -> tuple[float, int]:
    """Seconds and steps of one epoch as a run does it, without its validation."""
    from pytorch_lightning import Trainer

    from cryobench.methods.trained import quiet_lightning

    with TemporaryDirectory() as folder, quiet_lightning():
        method.setting = Setting(workdir=Path(folder))
        module = method.module(train.image_size)
        module.on_train_epoch_end = lambda: None  # no curve without a validation
        trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                          enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0)  # fmt: skip
        loader = method.loader(train, drop_last=True)
        start = time.perf_counter()
        trainer.fit(module, loader)
        return time.perf_counter() - start, len(loader)


def bare_loop(method, train) -> tuple[float, int]:
    """The same steps written out, with nothing around them."""
    from cryobench.methods.trained import as_batch

    module = method.module(train.image_size)
    generator, discriminator, rule = module.generator, module.discriminator, method.rule()
    optimizers = [torch.optim.Adam(generator.parameters(), lr=method.lr, betas=ADAM),
                  torch.optim.Adam(discriminator.parameters(), lr=method.lr_discriminator, betas=ADAM)]  # fmt: skip
    steps = len(train) // method.batch_size
    start = time.perf_counter()
    for index in range(steps):
        chosen = np.arange(index * method.batch_size, (index + 1) * method.batch_size)
        noisy, clean = as_batch(train.noisy(chosen)), as_batch(train.clean(chosen))
        denoised = generator(noisy)
        if index % 2 == 0:
            scores = torch.sigmoid(discriminator(clean)), torch.sigmoid(discriminator(denoised.detach()))
            optimizers[1].zero_grad(set_to_none=True)
            discriminator_loss(rule, *scores).backward()
            optimizers[1].step()
        discriminator.requires_grad_(False)
        loss = (
            generator_loss(rule, torch.sigmoid(discriminator(denoised))) + method.lam * (denoised - clean).abs().mean()
        )
        optimizers[0].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[0].step()
        discriminator.requires_grad_(True)
    return time.perf_counter() - start, steps


def ssim(images: int = 100, size: int = 64) -> dict:
    """Seconds for SSIM here over seconds of a plain loop over scikit-image, medians of five turns."""
    from skimage.metrics import structural_similarity

    from cryobench import metrics

    rng = np.random.default_rng(0)
    clean, noisy = rng.random((2, images, size, size))
    ratios = []
    for _ in range(5):
        start = time.perf_counter()
        metrics.ssim(clean, noisy)
        middle = time.perf_counter()
        for one, other in zip(clean, noisy, strict=True):
            structural_similarity(one, other, data_range=1.0)
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return {"ratio": round(statistics.median(ratios), 3)}
