"""One run on several devices, here two CPU processes: what it learns, sees, writes, and how it ends."""

import json
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from functools import cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import failing_rank
import numpy as np
import pytest
from conftest import TINY

from cryobench.config.compose import compose, resolve
from cryobench.data.images import NoisyImages
from cryobench.errors import Killed, Stopped, reason_of
from cryobench.methods.base import Setting, Watch
from cryobench.methods.learned import ranks
from cryobench.methods.learned.autoencoder import Autoencoder
from cryobench.methods.learned.gan import WassersteinGan
from cryobench.methods.learned.training import checkpoints_of, learn, take
from cryobench.methods.learned.unet import UNet
from cryobench.noise.gaussian import Gaussian
from cryobench.runs.run import run
from cryobench.runs.store import Store
from cryobench.signals import stopping

pytestmark = pytest.mark.trains

N, HELD, BATCH, EPOCHS = 51, 8, 10, 2  # 43 images to train on, four batches an epoch; a rank validates on four


@dataclass(frozen=True)
class Spy(Gaussian):
    """Noise that notes, in a file for each rank, which images it is asked for, and which files that rank puts into place.

    stop_at: when rank 1 asks for this image for the first time, the process that started the ranks gets SIGTERM.
    """

    folder: str = ""
    stop_at: int = -1

    def add(self, clean, which, *, seed, split, draw=0):
        notes = Path(self.folder, f"rank{ranks.rank()}.jsonl")
        if not notes.exists():
            sys.addaudithook(lambda event, given: event == "os.rename" and note(notes, "moved", str(given[1])))
        note(notes, "asked", which.tolist())
        if self.stop_at in which and ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGUSR2)  # SLURM's word that time is nearly up comes to the ranks, too
            os.kill(os.getppid(), signal.SIGTERM)
        return super().add(clean, which, seed=seed, split=split, draw=draw)


def note(path, kind, value) -> None:
    with open(path, "a") as file:
        file.write(json.dumps([kind, value]) + "\n")


def noted(folder, rank, wanted) -> list:
    lines = (folder / f"rank{rank}.jsonl").read_text().splitlines()
    return [value for kind, value in map(json.loads, lines) if kind == wanted]


@cache
def clean() -> np.ndarray:
    """Soft discs of random place and size, 32 px."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    cx, cy = rng.uniform(-0.4, 0.4, (2, N, 1, 1))
    return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.05, 0.3, (N, 1, 1))).astype(np.float32)


LEARNED = {
    "autoencoder": (Autoencoder, {"net": "resnet", "width": 2}),
    "wgan_gp": (WassersteinGan, {"net": "conv", "width": 4, "checkpoint": "five_best"}),  # second derivatives
    "unet": (UNet, {"width": 2, "guide": "none", "draws": 2}),
}


def images(folder, **settings) -> NoisyImages:
    return NoisyImages("train", clean(), None, None, None, 1.0, Spy(0.1, folder=str(folder), **settings), seed=0)


def method_of(name, folder, devices):
    """In double precision: in single, Adam makes steps of full size out of rounding where a gradient is 0, as that of a
    bias before batch norm is."""
    cls, settings = LEARNED[name]
    method = cls(epochs=EPOCHS, batch_size=BATCH, lr=1e-3, **settings)
    watch = Watch(2, clean()[:4] + 0.1, clean()[:4])
    method.setting = Setting(workdir=folder, devices=devices, precision="64-true", watch=watch, checkpoint_minutes=0)
    return method


def learn_all(folder, stop) -> None:
    for name in LEARNED:
        learn(method_of(name, folder / name, 2), images(folder / name), stop)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    """Each method as one process trains it, with the folder of its checkpoints."""
    done = {}
    for name in LEARNED:
        folder = tmp_path_factory.mktemp(name)
        done[name] = method_of(name, folder, 1), folder
        done[name][0].fit(images(folder))
    return done


@pytest.mark.slow
def test_two_processes_learn_what_one_does_with_the_same_batches(alone, tmp_path):
    for name in LEARNED:
        (tmp_path / name).mkdir()
    ranks.on_each_device(2, "cpu", learn_all, tmp_path)
    for name in LEARNED:
        folder, (one, before) = tmp_path / name, alone[name]
        two = method_of(name, folder, 2)
        take(two, images(folder))
        agree(one, two)

        # Each image was seen once an epoch, by one rank, in the batch in which one process sees it.
        asked = [noted(folder, rank, "asked") for rank in (0, 1)]
        training = [[part for part in parts if part[0] < N - HELD] for parts in asked]
        assert all(len(part) == BATCH // 2 for parts in training for part in parts)
        batches = [sorted(a + b) for a, b in zip(*training, strict=True)]
        assert batches == [list(range(i, i + BATCH)) for i in range(0, 40, BATCH)] * EPOCHS
        validation = [i for parts in asked for part in parts if part[0] >= N - HELD for i in part]
        assert sorted(validation) == sorted([*range(N - HELD, N)] * EPOCHS)

        # The first rank alone wrote, and what it left is what one process leaves.
        assert noted(folder, 0, "moved") and not noted(folder, 1, "moved")
        left = [sorted(p.name for p in (place / "checkpoints").iterdir()) for place in (folder, before)]
        assert left[0] == left[1]


def agree(one, two) -> None:
    """Curves and weights differ by no more than batches' float32 images do."""
    for kind in ("curve", "watch"):
        a, b = numbers(one.report[kind]), numbers(two.report[kind])
        assert len(a) > 8 and b == pytest.approx(a, rel=1e-5)
    noisy = clean()[:7] + 0.1
    for a, b in zip(one.variants(), two.variants(), strict=True):
        np.testing.assert_allclose(b.denoise(noisy), a.denoise(noisy), atol=1e-6)
    assert one.report["images_seen"] == two.report["images_seen"] == 40 * EPOCHS


def numbers(node) -> list[float]:
    """All numbers in a part of a report."""
    if isinstance(node, dict):
        node = list(node.values())
    return [number for part in node for number in numbers(part)] if isinstance(node, list) else [node]


@pytest.mark.slow
def test_stopped_with_two_devices_it_goes_on_with_one(alone, tmp_path):
    """SIGTERM in the second batch of the first epoch; the rest is done by one process, to the same weights."""
    method = method_of("wgan_gp", tmp_path, 2)
    with stopping(), pytest.raises(Stopped):
        method.fit(images(tmp_path, stop_at=BATCH + 1))
    state = checkpoints_of(method).state()
    assert state["cryobench"]["batches_done"] in (1, 2, 3) and not state["curve"]
    assert not multiprocessing.active_children()
    method = method_of("wgan_gp", tmp_path, 1)
    method.fit(images(tmp_path))
    assert method.report["resumed"] == 1
    agree(alone["wgan_gp"][0], method)


@pytest.mark.parametrize("how", ["error", "killed"])
def test_a_rank_that_ends_early_ends_the_run_with_its_own_reason(how):
    with pytest.raises(MemoryError if how == "error" else Killed) as caught:
        ranks.on_each_device(2, "cpu", failing_rank.fail, how)
    assert reason_of(caught.value) == "memory" and not multiprocessing.active_children()
    if how == "error":
        assert "in fail" in str(caught.value.__cause__)


@pytest.mark.slow
def test_a_run_on_two_devices_has_the_record_of_one(cache, tmp_path):
    records = []
    for devices, folder in ((1, "one"), (2, "two")):
        config = resolve(
            compose(
                [
                    *TINY,
                    "method=gan",
                    f"trainer.devices={devices}",
                    "trainer.precision=64-true",
                    f"paths.cache={cache}",
                    f"paths.results={tmp_path / folder}",
                ]
            )
        )
        outcome = run(config)
        assert outcome.status == "done", outcome.error
        records.append(Store(tmp_path / folder).read(outcome.run_id))
    one, two = records
    assert one.run_id == two.run_id and two.config["trainer"]["devices"] == 2
    assert numbers(two.metrics) == pytest.approx(numbers(one.metrics), rel=1e-5)
    assert numbers(two.method["curve"]) == pytest.approx(numbers(one.method["curve"]), rel=1e-5)
    assert [p.name for p in (tmp_path / "two" / "runs").iterdir()] == [two.run_id]


def test_images_on_disk_go_to_another_process_by_name(tmp_path, monkeypatch):
    """A paper's training set is 1.6 GB."""
    np.save(tmp_path / "clean.npy", clean())
    lying = NoisyImages(
        "train", np.load(tmp_path / "clean.npy", mmap_mode="r"), None, None, None, 1.0, Gaussian(0.1), 0
    )
    monkeypatch.setattr(ForkingPickler, "_extra_reducers", {np.memmap: ranks.by_name})
    sent = ForkingPickler.dumps(lying.subset(slice(3, 9)))
    assert len(sent) < 2000
    np.testing.assert_array_equal(ForkingPickler.loads(sent).noisy(), lying.noisy(slice(3, 9)))


def test_bf16_trains_to_about_the_same(tmp_path):
    curves = []
    for precision in ("32-true", "bf16-mixed"):
        method = Autoencoder(net="conv", width=4, epochs=1, batch_size=BATCH, lr=1e-3)
        method.setting = Setting(workdir=tmp_path / precision, precision=precision)
        method.fit(images(tmp_path))
        assert all(weight.dtype.itemsize >= 4 for weight in method.weights().values())
        curves.append(method.report["curve"][0])
    assert curves[1]["loss"] != curves[0]["loss"]
    assert curves[1]["loss"] == pytest.approx(curves[0]["loss"], rel=0.05)
