"""The simulated pairs: what they are, that how they were made does not matter, and that the cache is never half."""

import errno
import importlib
import os
import resource
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cryobench.data import cache as cache_module
from cryobench.data import simulate as module
from cryobench.data.cache import content_hash
from cryobench.data.dataset import DataSet
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.project import project
from cryobench.data.simulate import draw_poses, rescale
from cryobench.errors import InputError
from cryobench.noise.base import generator
from cryobench.noise.gaussian import Gaussian

L = 16


@dataclass
class Blobs(DataSet):
    """Three volumes of a few Gaussians. data_dir: a file that gets a line whenever they are made."""

    width: float = 4.0
    data_dir: str | None = None

    def volumes(self):
        if self.data_dir:
            with open(self.data_dir, "a") as log:
                print(os.getpid(), file=log)
        rng = np.random.default_rng(0)
        grid = np.stack(np.mgrid[:L, :L, :L], axis=-1) - L // 2
        return np.stack(
            [sum(np.exp(-((grid - c) ** 2).sum(-1) / self.width) for c in rng.uniform(-4, 4, (6, 3))) for _ in range(3)]
        ).astype(np.float32)


def make(n_train=12, n_test=5, **settings):
    return Blobs(image_size=L, n_train=n_train, n_test=n_test, **settings)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return open_pairs(make(), tmp_path_factory.mktemp("cache"))


def test_images_are_rescaled_projections(pairs):
    for split, n in ((pairs.train, 12), (pairs.test, 5)):
        assert split.clean.shape == (n, L, L) and split.clean.dtype == np.float32
        assert split.labels.dtype == np.int64 and split.rotations.dtype == np.float64
        np.testing.assert_array_equal(split.clean.min(axis=(1, 2)), 0)
        np.testing.assert_array_equal(split.clean.max(axis=(1, 2)), 1)
        for image, label, rotation in zip(split.clean, split.labels, split.rotations, strict=True):
            expected = project(np.array(pairs.volumes[label]), rotation[None])[0].astype(float)
            expected = (expected - expected.min()) / np.ptp(expected)
            np.testing.assert_allclose(image, expected, atol=1e-5)
    assert pairs.volumes.shape == (3, L, L, L) and pairs.pixel_size == 204.8 / L


def test_what_is_opened_can_not_be_changed(pairs):
    for array in (pairs.train.clean, pairs.test.clean, pairs.volumes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_small_set_is_the_beginning_of_a_large_one(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4 * L * L * 3)  # three images at a time instead of all
    large = open_pairs(make(n_train=20, n_test=9), tmp_path)
    for small, big in ((pairs.train, large.train), (pairs.test, large.test)):
        n = len(small.labels)
        np.testing.assert_array_equal(small.labels, big.labels[:n])
        np.testing.assert_array_equal(small.rotations, big.rotations[:n])
        np.testing.assert_allclose(small.clean, big.clean[:n], atol=1e-6)


def test_poses_are_uniform_and_of_their_own():
    labels, rotations = draw_poses(3000, 5, seed=0, split="train")
    assert np.bincount(labels, minlength=5).min() > 500
    np.testing.assert_allclose(rotations.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    other = draw_poses(100, 5, seed=0, split="test")[1], draw_poses(100, 5, seed=1, split="train")[1]
    everything = np.concatenate([rotations, *other]).reshape(-1, 9).round(6)
    assert len(np.unique(everything, axis=0)) == 3200
    # The stream is not that of the noise, which has the same (seed, split, index).
    quaternion = generator(0, "train", 0).standard_normal(4)
    assert not np.isclose(abs(np.trace(rotations[0])), abs(4 * quaternion[3] ** 2 / (quaternion @ quaternion) - 1))


def test_noisy_images_have_the_snr(pairs):
    images = pairs.images("train", Gaussian(snr=0.5), seed=3)
    np.testing.assert_array_equal(images.clean(), pairs.train.clean)
    np.testing.assert_array_equal(images.labels, pairs.train.labels)
    noise = images.noisy() - images.clean()
    snr = images.clean().var(axis=(1, 2)) / noise.var(axis=(1, 2))
    assert np.mean(snr) == pytest.approx(0.5, rel=0.1)
    assert images.pixel_size == pairs.pixel_size and images.volumes.shape == (3, L, L, L)


def test_made_once_and_volumes_shared(tmp_path):
    log = tmp_path / "log"
    first = open_pairs(make(data_dir=str(log)), tmp_path / "cache")
    again = open_pairs(make(data_dir=str(log)), tmp_path / "cache")
    more = open_pairs(make(n_train=20, seed=7, data_dir=str(log)), tmp_path / "cache")
    assert len(log.read_text().split()) == 1
    assert first.key == again.key != more.key
    other = open_pairs(make(width=5.0, data_dir=str(log)), tmp_path / "cache")
    assert len(log.read_text().split()) == 2 and other.key != first.key


def test_many_at_once_build_it_once(tmp_path, monkeypatch):
    log, writes = tmp_path / "log", []
    plain = module.simulate
    monkeypatch.setattr(module, "simulate", lambda *args, **rest: (writes.append(1), plain(*args, **rest)))
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_pairs(make(data_dir=str(log)), tmp_path / "cache"), range(4)))
    assert len(writes) == 1 and len(log.read_text().split()) == 1
    assert len({pairs.folder for pairs in opened}) == 1


SLOW = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_pairs import *
module.BLOCK = 4 * L * L * 3
plain, calls = module.rescale, []
def slow(images):
    calls.append(1)
    if len(calls) > 4:
        print("busy", flush=True)
        time.sleep(60)
    return plain(images)
module.rescale = slow
open_pairs(make(), sys.argv[1])
"""


def test_another_process_waits_and_takes_over_from_a_killed_one(pairs, tmp_path):
    first = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"busy\n"
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(open_pairs, make(), tmp_path)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.5)  # it waits for the first, which has written a part
        (left,) = tmp_path.rglob("*.partial")
        assert (left / "train_clean.npy").exists() and not (left / "meta.json").exists()
        first.kill()
        np.testing.assert_array_equal(second.result(timeout=30).train.clean, pairs.train.clean)
    first.communicate()
    assert not left.exists()


def test_leftovers_of_another_build_are_removed(tmp_path):
    left = tmp_path / "pairs" / "0123.partial"
    left.mkdir(parents=True)
    (left / "train_clean.npy").write_bytes(b"half")
    open_pairs(make(), tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "meta"])
def test_a_damaged_cache_is_built_again(pairs, tmp_path, damage):
    folder = open_pairs(make(), tmp_path).folder
    clean = folder / "train_clean.npy"
    if damage == "cut":
        os.truncate(clean, clean.stat().st_size - 100)
    elif damage == "gone":
        clean.unlink()
    else:
        (folder / "meta.json").write_text("{")
    np.testing.assert_array_equal(open_pairs(make(), tmp_path).train.clean, pairs.train.clean)


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), caught.value


def test_no_room_is_said_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    refused(lambda: open_pairs(make(), tmp_path), "GB free", "paths.cache")
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))  # volumes still fit, images don't
    try:
        refused(lambda: open_pairs(make(n_train=200), tmp_path), os.strerror(errno.EFBIG), "paths.cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "pairs").glob("*[!k]")) and not list(tmp_path.rglob("*.partial"))
    assert len(open_pairs(make(n_train=200), tmp_path).train.clean) == 200


def test_a_place_that_can_not_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    refused(lambda: open_pairs(make(), tmp_path / "file"), str(tmp_path / "file"), "paths.cache")


def test_a_file_that_a_data_set_lacks_is_not_taken_for_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(Blobs, "volumes", lambda self: np.load(tmp_path / "elsewhere" / "map.npy"))
    with pytest.raises(FileNotFoundError, match=r"map\.npy"):
        open_pairs(make(), tmp_path / "cache")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_memory_is_that_of_a_block(tmp_path, monkeypatch):
    """40 MB of images, made by a fast stand-in for the projector, pass through less than 4 MB."""

    class Fast:
        def __init__(self, volume):
            self.image = np.arange(64.0**2, dtype=np.float32).reshape(64, 64)

        def __call__(self, rotations):
            return np.repeat(self.image[None], len(rotations), axis=0)

    @dataclass
    class Empty(DataSet):
        def volumes(self):
            return np.zeros((2, 4, 4, 4), np.float32)

    monkeypatch.setattr(module, "BLOCK", 2**20)
    monkeypatch.setattr(module, "Projector", Fast)
    monkeypatch.setattr(module, "draw_poses", lambda n, k, **_: (np.arange(n) % k, np.tile(np.eye(3), (n, 1, 1))))
    tracemalloc.start()
    pairs = open_pairs(Empty(64, 2500, 10), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs.train.clean.nbytes == 2500 * 64 * 64 * 4
    assert peak < 4e6


def test_an_empty_volume_is_refused():
    refused(lambda: rescale(np.zeros((2, 4, 4), np.float32)), "contrast")


OWN = """
from dataclasses import dataclass

import numpy as np
from cryobench.data.dataset import DataSet


@dataclass
class A(DataSet):
    def volumes(self):
        y, x = np.mgrid[-8:8, -8:8]
        return np.tile(np.exp(-(x**2 + y**2) / {width}), (1, 16, 1, 1)).astype(np.float32)
"""


def test_volumes_are_those_of_a_class_and_not_of_another_of_its_name(tmp_path, monkeypatch):
    """Two classes called A in files of their own, one of them edited, and one that is derived from it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    derived = "from one_a import A as Base\n\n\nclass A(Base):\n    pass\n"
    written = [("one_a", OWN, 4), ("two_a", OWN, 9), ("one_a", OWN, 16), ("three_a", derived, 0), ("one_a", OWN, 25)]
    keys = []
    for name, text, width in written:
        (tmp_path / f"{name}.py").write_text(text.replace("{width}", str(width)))
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        data = importlib.import_module(name).A(image_size=16, n_train=2, n_test=1)
        pairs = open_pairs(data, tmp_path / "cache")
        np.testing.assert_array_equal(pairs.volumes, data.volumes())
        keys.append(pairs.key)
    del sys.modules["three_a"]
    base = importlib.import_module("three_a").A(image_size=16, n_train=2, n_test=1)
    assert len({*keys, open_pairs(base, tmp_path / "cache").key}) == 6, "the last one's base has changed"
    for name, _, _ in written:
        sys.modules.pop(name, None)


def test_the_keys_of_cryobenchs_own_data_sets_are_what_they_were():
    assert Phantom(image_size=32, n_train=1, n_test=1).key().keys().isdisjoint({"code"})
    assert content_hash(Phantom(image_size=32, n_train=36, n_test=6).key()) == "4708d23d619c476a62a9"
