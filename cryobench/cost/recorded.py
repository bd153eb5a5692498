"""What recording a training step gains on a GPU (methods/learned/graphs.py): a training with it and without, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cryobench.config.compose import build, cache_folder
from cryobench.cost.ratios import Ratio, in_turn
from cryobench.runs.denoising import setting

STEPS = 200  # of a training: some tens of them warm up and are recorded


def gain(config: dict) -> Iterator[Ratio]:
    """For the learned method of a config whose steps can be recorded: images a second of STEPS steps and a validation."""
    from cryobench.data.pairs import open_pairs
    from cryobench.methods.learned.trained import Trained, validation_part

    method = build(config, "method")
    if not isinstance(method, Trained) or not method.module(config["data"]["image_size"]).recordable:
        return
    n = STEPS * method.batch_size
    pairs = open_pairs(replace(build(config, "data"), n_train=n + validation_part(n), n_test=1), cache_folder(config))
    train = pairs.images("train", build(config, "noise"), config["seed"]).only(method.side_information)

    def speed(recorded: bool) -> Callable[[], float]:
        def timed() -> float:
            method = build(config, "method")
            method.epochs = 1
            with TemporaryDirectory() as folder:
                method.setting = replace(setting(config, Path(folder), False), cuda_graphs=recorded)
                start = time.perf_counter()
                method.fit(train)
                return n / (time.perf_counter() - start)

        return timed

    size, precision = config["data"]["image_size"], config["trainer"]["precision"]
    what = f"training {config['method']['name']}, {size} px, d = {method.width}, {precision}"
    yield in_turn(f"{what}, recorded steps", "steps started kernel by kernel", "images/s", speed(True), speed(False))
