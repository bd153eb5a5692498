"""The table in docs/particles.md: what `trust` says and what the truth says, printed by `python tests/trust_measured.py CACHE`.

It needs the structures and the map that tests/conftest.py names; no test is in here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from conftest import SHARED

from cryobench.config.compose import build, compose, resolve
from cryobench.data.io.stack import Stack, read_map, resample
from cryobench.data.pairs import open_pairs
from cryobench.data.project import Projector
from cryobench.data.rotations import random_rotations
from cryobench.evaluation.analysis import sharpness
from cryobench.evaluation.metrics import nmse
from cryobench.noise.background import outside_circle
from cryobench.noise.gaussian import Gaussian
from cryobench.particles import trust, verdict
from cryobench.particles.model import from_file, from_overrides
from cryobench.particles.prepared import Prepared, prepare

GAN = Path(__file__).parents[1] / "results/rnap_ecoli-desk/runs/gan-5afb16153176/model.safetensors"
SNR, N = 0.1, 200


def told(name: str, model, images, clean, pixel_size: float = 3.2) -> None:
    """One line: the verdict, the resolution against the truth, lost as estimated and as it is."""
    answers = trust.ask(model, trust.Judged(images, pixel_size, [np.arange(len(images))]))
    denoised = model.method.denoise(images)
    truth = sharpness.analyse(SimpleNamespace(clean=clean, denoised=denoised, pixel_size=pixel_size))  # type: ignore[arg-type]
    losses = answers.agreement.losses
    print(
        f"{name}: {verdict.verdict(model.name, answers)[:110]} | {truth['resolution']} Å | "
        f"{losses.lost[0] if losses else float('nan'):.3f} | {nmse(clean, denoised).mean():.3f}",
        flush=True,
    )


def simulated(name: str, cache: Path):
    """A data set of 64 px, and its noisy and clean test images."""
    words = [
        f"data={name}",
        "data.image_size=64",
        "data.n_train=400",
        f"data.n_test={N}",
        f"paths.data={SHARED / 'structures'}",
    ]
    pairs = open_pairs(build(resolve(compose(words)), "data"), cache)
    test = pairs.images("test", Gaussian(SNR), 0)
    return pairs.images("train", Gaussian(SNR), 0), test.noisy(), np.array(test.clean())


def main(cache: Path) -> None:
    """Print all lines."""
    train, noisy, clean = simulated("phantom", cache)
    for name in ("wiener", "cwf"):
        method = build(resolve(compose([f"method={name}"])), "method")
        method.fit(train.only(method.side_information))
        told(f"{name}, phantom", SimpleNamespace(name=name, method=method, fits_stack=name == "cwf"), noisy, clean)
    net = from_file(GAN, [])
    volume = resample(read_map(next((SHARED / "relion").glob("*vol*.mrc")))[0], 64, axes=(0, 1, 2))
    ribosome = Projector(volume)(random_rotations(N, np.random.default_rng(0)))
    sets = {name: simulated(name, cache)[1:] for name in ("rnap_ecoli", "rnap_mtb", "phantom")}
    sets["ribosome"] = Gaussian(SNR).add(ribosome, np.arange(N), seed=0, split="test"), ribosome
    for name, (noisy, clean) in sets.items():
        outside, (mean, spread) = noisy[:, outside_circle(64)], net.background
        level, gain = outside.mean(1)[:, None, None], outside.std(1)[:, None, None] / spread
        noisy, clean = (((images - level) / gain + mean).astype(np.float32) for images in (noisy, clean))
        told(f"{net.name}, {name}", net, noisy, clean)
    cwf, real = from_overrides(["method=cwf"]), Stack(SHARED / "particles" / "sample.mrcs")
    white = SimpleNamespace(
        path="white",
        size=64,
        pixel_size=3.2,
        raw=lambda rows: np.stack([np.random.default_rng([1, row]).normal(size=(64, 64)) for row in rows]).astype(
            np.float32
        ),
    )
    for source, prepared in (
        ("white", Prepared(white, np.arange(N), 64, (0.0, 1.0))),
        ("real", prepare(cwf, real, np.arange(17), "white")),
    ):
        print(
            f"cwf, {source}: {verdict.verdict('cwf', trust.ask(cwf, trust.stack_images(cwf, prepared, N)))}", flush=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
