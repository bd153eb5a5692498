"""The U-Net: what it is shown in which epoch, that it sees the whole particle, and that no image is its own exemplar."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.plugins import MixedPrecision

from cryobench.data.images import NoisyImages
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.project import project
from cryobench.data.rotations import random_rotations
from cryobench.errors import InputError
from cryobench.methods.base import Setting, Watch
from cryobench.methods.learned.lightning import quiet_lightning
from cryobench.methods.learned.nets import unet
from cryobench.methods.learned.symmetries import COUNT, turned, turned_back
from cryobench.methods.learned.training import in_order, loader
from cryobench.methods.learned.unet import UNet
from cryobench.methods.posterior.exemplar import Exemplar
from cryobench.noise.gaussian import Gaussian

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def pairs(cache):
    return open_pairs(Phantom(image_size=32, n_train=40, n_test=4), cache)


@pytest.fixture(scope="module")
def images(pairs):
    return pairs.images("train", Gaussian(0.1), 0)


def test_a_symmetry_of_the_grid_is_one_of_the_particles_pose(pairs):
    """Turning a projection is projecting the turned particle, by the projector's own convention."""
    rotation, volume = random_rotations(1, np.random.default_rng(1)), np.asarray(pairs.volumes[0])
    image = np.asarray(project(volume, rotation))
    turns = [np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    behind = np.diag([1.0, -1.0, -1.0])  # from behind, a projection is seen mirrored
    poses = [rotation[0] @ side @ turn for turn in turns for side in (np.eye(3), behind)]
    matches = []
    for projected in np.asarray(project(volume, np.stack(poses))):
        apart = [((turned(image, which)[0] - projected) ** 2).mean() for which in range(COUNT)]
        matches.append(int(np.argmin(apart)))
        assert min(apart) < 1e-3 * sorted(apart)[1]  # all but the projector's interpolation
    assert sorted(matches) == list(range(COUNT))


@pytest.mark.parametrize("size", [8, 9])
def test_turning_back_undoes_turning(size):
    image = np.random.default_rng(0).standard_normal((2, size, size))
    assert len({turned(image, which).tobytes() for which in range(COUNT)}) == COUNT
    for which in range(COUNT):
        assert np.array_equal(turned_back(turned(image, which), which), image)
        centre = turned(image, which)[:, size // 2, size // 2]
        assert np.array_equal(centre, image[:, size // 2, size // 2])


def test_an_image_is_not_its_own_exemplar(images):
    """Hardly any noise: an exemplar knows itself, unless it is left out."""
    quiet = NoisyImages("train", images.clean(), images.labels, None, None, 1.0, Gaussian(100.0), seed=0)
    method = Exemplar(tau=1.0, components=[400], angles=[72], n_validation=2)
    method.fit(quiet)
    index = np.array([3, 11, 30])
    noisy, clean = quiet.noisy(index), quiet.clean(index)
    itself = method.widened(noisy, (1.0,))
    others = method.widened(noisy, (1.0, 4.0), leave_out=index)
    assert others.shape == (3, 2, 32, 32)
    error = [((guide[:, 0] - clean) ** 2).mean((1, 2)) for guide in (itself, others)]
    assert (error[1] > 10 * error[0]).all()
    assert np.allclose(itself[:, 0], method.denoise(noisy), atol=1e-6)


def test_each_noise_and_symmetry_is_shown_once_before_any_comes_again(images):
    method = UNet(width=8, epochs=1, batch_size=8, guide="none", draws=3)
    index = np.array([0, 7, 12])
    shown = [method.pairs(images, index, epoch) for epoch in range(3 * COUNT)]
    for row in range(3):
        assert len({noisy[row].tobytes() for noisy, _ in shown}) == 3 * COUNT
        assert len({clean[row].tobytes() for _, clean in shown}) == COUNT
    again = method.pairs(images, index, 3 * COUNT)
    assert np.array_equal(again[0], shown[0][0]) and np.array_equal(again[1], shown[0][1])
    noise = np.stack([noisy - clean for noisy, clean in shown[:3]]).reshape(3, -1)
    assert np.abs(np.corrcoef(noise)[np.triu_indices(3, 1)]).max() < 0.1  # turned differently, of course


def test_the_guide_is_its_own_images_whatever_part_of_the_set_is_asked(images, tmp_path):
    method = UNet(width=8, epochs=1, batch_size=8, draws=2)
    method.exemplar = Exemplar(tau=1.0, components=[200], angles=[36], n_validation=2)
    method.setting = Setting(workdir=tmp_path)
    seen = {}
    pairs = method.pairs

    def watched(part, index, epoch):
        inputs, clean = pairs(part, index, epoch)
        seen.update({int(part.indices[i]): inputs[row, 2] for row, i in enumerate(index)})
        seen["inputs"] = inputs.shape[1]
        return inputs, clean

    method.pairs = watched
    method.fit(images)
    assert seen["inputs"] == 4
    expected = method.exemplar.widened(images.noisy([5]), (1.0,), leave_out=np.array([5]))[0, 0]
    distance = [float(np.abs(turned(expected, which) - seen[5]).max()) for which in range(COUNT)]
    assert min(distance) < 1e-3  # float16 on disk
    assert not (tmp_path / "guides").exists()


def test_turning_the_image_turns_the_answer(images, tmp_path):
    method = UNet(width=8, epochs=1, batch_size=8, guide="none")
    method.setting = Setting(workdir=tmp_path)
    method.fit(images)
    noisy = images.noisy(slice(0, 3))
    plain = method.denoise(noisy)
    for which in (1, 4, 7):
        assert np.allclose(method.denoise(turned(noisy, which).copy()), turned(plain, which), atol=1e-4)


def test_every_pixel_is_in_the_field_of_the_central_one():
    net = unet.build(8, 64, inputs=1, base=None, seed=0)
    torch.nn.init.ones_(net.last[-1].weight)
    image = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    for group in [m for m in net.modules() if isinstance(m, torch.nn.GroupNorm)]:
        group.forward = lambda x: x  # which would see everything by itself
    net(image)[0, 0, 32, 32].backward()
    assert (image.grad != 0).float().mean() > 0.99


def test_it_begins_as_the_channel_that_it_adds_to():
    inputs = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(unet.build(8, 32, inputs=4, base=2, seed=0)(inputs), inputs[:, 2:3])


def test_wrong_sizes_and_settings_are_refused():
    with pytest.raises(InputError, match="multiple of 16"):
        unet.build(8, 40, inputs=1, base=None, seed=0)
    with pytest.raises(InputError, match="multiple of 8"):
        unet.build(12, 32, inputs=1, base=None, seed=0)
    with pytest.raises(InputError, match=r"method\.guide"):
        UNet(guide="oracle")
    with pytest.raises(InputError, match=r"method\.draws"):
        UNet(draws=0)
    with pytest.raises(InputError, match="needs the training images"):
        UNet().load_weights({}, 32)


def guided(folder, watch=None, **settings) -> UNet:
    method = UNet(**{"width": 8, "epochs": 1, "batch_size": 8, "draws": 1, "checkpoint": "last", **settings})
    method.exemplar = Exemplar(tau=1.0, components=[200], angles=[36], n_validation=2)
    method.setting = Setting(workdir=folder, watch=watch)
    return method


def test_the_watch_sees_what_the_guided_net_gives(images, tmp_path):
    few = images.subset(slice(0, 3))
    method = guided(tmp_path, Watch(1000, few.noisy(), few.clean()))
    method.fit(images)
    error = float(((method.denoise(few.noisy()) - few.clean()) ** 2).mean())
    assert method.report["watch"]["test_mse"] == [pytest.approx(error, rel=1e-4)]


def test_a_fit_without_a_folder_trains_and_touches_nothing_of_the_users(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "mine.txt").write_text("keep")
    curves = []
    for lr in (1e-3, 1e-2):
        method = guided(None, lr=lr)
        method.fit(images)
        assert method.report["resumed"] == 0 and method.setting.workdir is None
        curves.append(method.report["curve"])
    assert curves[0] != curves[1], "the second fit found what the first one left, and trained nothing"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["guides", "mine.txt"]


def test_gradients_are_cut_to_the_same_length_at_half_precision(images, tmp_path):
    """float16's gradients are multiplied by a number, here 256, until the optimizer's step: cut before, they would be
    next to nothing after it."""
    norms: dict[str, float] = {}

    def note(trainer, module, *_, name: str) -> None:
        norms[name] = float(torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm())

    method = UNet(width=8, epochs=1, batch_size=8, guide="none")
    for name in ("32-true", "16-mixed"):
        half = (
            [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=256))]
            if name == "16-mixed"
            else None
        )
        module = method.module(32)
        module.generator.last[-1].weight.data.fill_(1.0)  # so that gradients are longer than 1
        trainer = pl.Trainer(
            max_epochs=1,
            limit_train_batches=1,
            accelerator="cpu",
            plugins=half,
            logger=False,
            default_root_dir=tmp_path,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
            callbacks=LambdaCallback(on_train_batch_end=partial(note, name=name)),
        )
        with quiet_lightning():
            training = loader(method, images, method.pairs, module.order(len(images), 8, done=0, epoch=0), repeat=False)
            trainer.fit(module, training, in_order(method, images))
    assert norms["32-true"] == pytest.approx(1, rel=1e-3)
    assert norms["16-mixed"] == pytest.approx(1, rel=1e-2)
