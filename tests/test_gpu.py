"""On a GPU: what the methods that compute there make of images is what they make of them on a CPU, but for rounding."""

import copy
import gc
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.methods.base import Setting
from cryobench.methods.learned import graphs, training
from cryobench.methods.learned.autoencoder import Autoencoder
from cryobench.methods.learned.batches import Batches, InOrder
from cryobench.methods.learned.gan import AlphaBetaGan, WassersteinGan
from cryobench.methods.learned.pggan import Pggan
from cryobench.methods.learned.unet import UNet
from cryobench.methods.posterior.band import band_of, places
from cryobench.methods.posterior.bayes import Bayes
from cryobench.methods.posterior.exemplar import Exemplar
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.half_maps import HalfMaps
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.pose_mixture import Contrast
from cryobench.methods.posterior.rebuilt import Rebuilt
from cryobench.methods.posterior.refined import Refined
from cryobench.methods.posterior.structure import Structure, iterate, poses_of
from cryobench.methods.posterior.wiener import Wiener
from cryobench.noise.ctf import Ctf
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.trains,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU and a torch that was built for it"),
]

POSTERIOR = {
    "exemplar": Exemplar(components=[200], angles=[36], n_validation=4),
    "exemplar, shifted": Exemplar(components=[200], angles=[36], n_validation=4, shift=1),
    "exemplar, through CTFs": Exemplar(components=[200], angles=[36], n_validation=4, shift=1, ctf="corrected"),
    "bayes": Bayes(step=6.0, components=100, draws=32, max_draws=32),
    "bayes, drawn adaptively": Bayes(step=6.0, components=100, ess=400, adapt_above=16),
    "bayes of images cut to [0, 1]": Bayes(step=6.0, components=100, draws=32, max_draws=32),
    "bayes, through CTFs": Bayes(step=6.0, components=100, ctf="corrected"),
    "rebuilt": Rebuilt(step=6.0, components=100, draws=32, max_draws=32),
    "wiener": Wiener(),
    "refined": Refined(rounds=2),
    "refined in given poses": Refined(rounds=2, pose="given"),
}
LEARNED = {
    "autoencoder": Autoencoder(width=4, epochs=1, batch_size=8),
    "precise": Autoencoder(width=4, epochs=1, batch_size=8, batch_norm="precise"),
    "wgan_gp": WassersteinGan(width=4, epochs=1, batch_size=8),
    "pggan": Pggan(width=4, phase_images=60, batch_size=4),
    "unet": UNet(width=8, epochs=1, batch_size=8, draws=1),
}


@pytest.fixture(scope="module")
def images(cache):
    pairs = open_pairs(Phantom(image_size=32, n_train=48, n_test=4), cache)
    return {split: pairs.images(split, Gaussian(0.1), 0) for split in ("train", "test")}


@pytest.fixture(scope="module")
def seen(cache):
    pairs = open_pairs(Phantom(image_size=32, n_train=48, n_test=4), cache)
    return {
        split: pairs.images(split, Microscope(0.1, ctf=True, box=204.8, train=True), 0) for split in ("train", "test")
    }


@pytest.fixture(scope="module")
def cut(cache):
    pairs = open_pairs(Phantom(image_size=32, n_train=48, n_test=4), cache)
    return {split: pairs.images(split, Gaussian(0.1, clip=True), 0) for split in ("train", "test")}


def denoised(method, test) -> np.ndarray:
    return method.denoise(test.noisy(), **test.hints(method.side_information))


@pytest.mark.parametrize("name", POSTERIOR)
def test_a_posterior_is_the_same_on_a_gpu(images, seen, cut, name):
    images = seen if "CTF" in name else cut if "cut" in name else images
    results = {}
    for accelerator in ("cpu", "gpu"):
        method = copy.deepcopy(POSTERIOR[name])
        method.setting = Setting(accelerator=accelerator)
        method.fit(images["train"].only(method.side_information))
        results[accelerator] = denoised(method, images["test"])
    spread = results["cpu"].std()
    assert np.sqrt(np.mean((results["gpu"] - results["cpu"]) ** 2)) < 0.02 * spread


@pytest.mark.parametrize(
    ("shift", "seen", "local"), [(0, False, False), (1, False, False), (0, True, False), (0, False, True)]
)
def test_a_step_of_ab_initio_is_the_same_on_a_gpu(images, shift, seen, local):
    """From a map that is known: from a random one, rounding decides which of many ways it goes. local: and a step after it."""
    train = images["train"]
    noisy, volume = train.noisy(), torch.from_numpy(np.array(train.volumes[0]))
    found = {}
    ctf = Ctf(np.tile([[9e3, 9e3, 0, 300, 2.7, 0.1, 0]], (len(noisy), 1)), 6.4)
    for device in ("cpu", "cuda"):
        where = places(np.zeros((len(noisy), 2)), 32, shift / 32, device=device)
        band = band_of(
            lambda rows: noisy[rows],
            len(noisy),
            32,
            np.full(len(noisy), 0.3),
            32,
            device,
            lambda rows: ctf.transfer(32)[rows] if seen else None,
            where,
        )
        there = volume.to(device)
        before = Structure(HalfMaps((there, there), there, torch.ones(17)), Contrast(0.01, 0.0, 1e-3))
        halves, poses = np.arange(len(noisy)) % 2, poses_of(32, 4.0, device)
        after = iterate(before, band, halves, poses, 1.0, 5, local=False)
        if local:
            after = iterate(after, band, halves, poses, 1.0, 5)
        found[device] = after.maps.both.cpu(), after.log_likelihood, after.rotations, after.shifts
    (one, *_), (other, *_) = found["cpu"], found["cuda"]
    assert (one - other).square().mean().sqrt() < 0.02 * one.std()
    assert found["cpu"][1] == pytest.approx(found["cuda"][1], rel=1e-4)
    for k in (2, 3):  # two poses may be as likely
        assert np.mean(np.isclose(found["cpu"][k], found["cuda"][k], atol=1e-4)) > 0.9


@pytest.mark.parametrize("repeat", [True, False])
def test_pairs_on_a_gpu_are_those_made_on_a_cpu(images, repeat):
    method = copy.deepcopy(LEARNED["autoencoder"])
    method.setting = Setting(accelerator="gpu")
    train, order = images["train"], InOrder(48, 20)
    batches = training.loader(method, train, method.pairs, order, repeat=repeat)
    for index, batch in zip(order, batches, strict=True):
        for ours, theirs in zip(batch, Batches(train, method.pairs).__getitems__(index), strict=True):
            assert ours.is_cuda == repeat and (repeat or ours.is_pinned())
            assert torch.equal(ours.cpu(), theirs)


RECORDED = {
    "autoencoder": (Autoencoder(width=4, epochs=5, batch_size=8, lr=1e-4), {()}),
    "precise": (Autoencoder(width=4, epochs=5, batch_size=8, lr=1e-4, batch_norm="precise"), {()}),
    "gan": (AlphaBetaGan(width=4, epochs=5, batch_size=8, lr=1e-4, lr_discriminator=1e-5), {True, False}),
    "wgan_gp": (WassersteinGan(width=4, epochs=5, batch_size=8, lr=1e-4, lr_discriminator=1e-5), {True, False}),
    "pggan": (Pggan(width=4, phase_images=60, batch_size=4), set()),
}


def counts(folder) -> list:
    """Whole numbers that a training leaves: the steps of each Adam, and the batches that each batch norm saw."""
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
    steps = [[float(one["step"]) for one in adam["state"].values()] for adam in state["optimizer_states"]]
    return [steps, {name: int(seen) for name, seen in state["state_dict"].items() if name.endswith("tracked")}]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_steps_learn_what_ordinary_ones_do(images, tmp_path, monkeypatch, name, precision):
    """Each kind of step is one graph. Steps are small, so that rounding, which differs, is not magnified.

    On a CPU weights that differ by 1e-7 move these MSEs by up to 0.033 of them in bf16-mixed, and losses by 0.031; with steps ten
    times as large an MSE by 0.18 of it. That a step depends on nothing else is tested on a CPU (test_graphs.py).
    """
    trained, kinds = RECORDED[name]
    recorded, curves, counted = [], {}, {}
    record = graphs.Recorded.__init__

    def noted(self, work, tensors, kind, stream):
        recorded.append(kind.get("both", ()))
        record(self, work, tensors, kind, stream)

    monkeypatch.setattr(graphs.Recorded, "__init__", noted)
    for wanted in (False, True):
        method = copy.deepcopy(trained)
        folder = tmp_path / str(wanted)
        method.setting = Setting(workdir=folder, accelerator="gpu", precision=precision, cuda_graphs=wanted)
        method.fit(images["train"].only(method.side_information))
        curves[wanted], counted[wanted] = method.report["curve"], counts(folder)
        assert len(recorded) == (len(kinds) if wanted else 0)
    assert set(recorded) == kinds and counted[True] == counted[False]
    for one, other in zip(curves[True], curves[False], strict=True):
        assert one.keys() == other.keys()
        for key in one.keys() - {"parts"} if kinds else ():
            close = {"rel": 0.06} if key.endswith("mse") else {"rel": 0.05, "abs": 0.06}
            assert one[key] == pytest.approx(other[key], **close), key


def test_recorded_steps_give_their_memory_back(images, tmp_path):
    """At once, and not when Python comes to look for what is referred to in circles."""
    kept = []
    gc.disable()
    try:
        for time in range(3):
            method = AlphaBetaGan(width=4, epochs=3, batch_size=8)
            method.setting = Setting(workdir=tmp_path / str(time), accelerator="gpu")
            method.fit(images["train"].only(method.side_information))
            kept.append(torch.cuda.memory_reserved())
    finally:
        gc.enable()
    assert kept[2] <= kept[0] + 2**20


@pytest.mark.parametrize(("first", "then"), [("gpu", "cpu"), ("cpu", "gpu")])
def test_a_training_goes_on_on_another_device(images, tmp_path, first, then):
    """With its steps recorded, Adam's own count of them lies on the GPU."""
    for epochs, accelerator in ((2, first), (4, then)):
        method = AlphaBetaGan(width=4, epochs=epochs, batch_size=8)
        method.setting = Setting(workdir=tmp_path, accelerator=accelerator)
        method.fit(images["train"].only(method.side_information))
    assert len(method.report["curve"]) == 4
    assert method.report["resumed"] == 1


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
@pytest.mark.parametrize("name", LEARNED)
def test_a_net_trains_on_a_gpu_and_denoises_there_as_on_a_cpu(images, tmp_path, name, precision):
    """Trained at any of Lightning's precisions; what it learned is looked at in single precision."""
    method = copy.deepcopy(LEARNED[name])
    method.setting = Setting(workdir=tmp_path, accelerator="gpu", precision=precision)
    method.fit(images["train"].only(method.side_information))
    results = {}
    for accelerator in ("gpu", "cpu"):
        method.setting = replace(method.setting, accelerator=accelerator)
        results[accelerator] = denoised(method, images["test"])
    assert np.isfinite(results["gpu"]).all()
    assert np.sqrt(np.mean((results["gpu"] - results["cpu"]) ** 2)) < 0.02 * max(results["cpu"].std(), 0.1)


def test_products_of_all_orders_at_once_are_those_of_each(images):
    """As a GPU takes them, and a CPU does."""
    basis = fourier_bessel(32)
    coefficients = basis.coefficients(images["train"].clean())
    some = basis.coefficients(images["test"].noisy(slice(0, 3)))
    there = Orbits(basis.to("cuda"), coefficients.cuda(), 36)
    here = Orbits(basis, coefficients, 36)
    torch.testing.assert_close(there.inner_products(some.cuda()).cpu(), here.inner_products(some))
    weights = torch.softmax(here.inner_products(some).flatten(1), 1).view(-1, *here.shape)
    torch.testing.assert_close(there.weighted_sum(weights.cuda()).cpu(), here.weighted_sum(weights))
