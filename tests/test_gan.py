"""Adversarial training: whose weights move when, which gradients flow, and a penalty that acts."""

import numpy as np
import pytest
import torch

from cryobench.data.images import NoisyImages
from cryobench.errors import RunFailed
from cryobench.methods.base import Setting
from cryobench.methods.learned.autoencoder import Autoencoder
from cryobench.methods.learned.batches import Batches, InOrder, Kept
from cryobench.methods.learned.gan import AlphaBetaGan, WassersteinGan
from cryobench.methods.learned.losses import discriminator_loss, generator_loss
from cryobench.methods.learned.modules import denoising
from cryobench.methods.learned.modules.gan import ADAM, GanModule, gradient_penalty, map_mean, map_sum, shares_of_step
from cryobench.methods.learned.trained import Trained
from cryobench.noise.gaussian import Gaussian

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def images():
    """Soft discs of random place and size, 32 px."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    cx, cy = rng.uniform(-0.4, 0.4, (2, 80, 1, 1))
    clean = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.05, 0.3, (80, 1, 1))).astype(np.float32)
    return NoisyImages("train", clean, None, None, None, 1.0, Gaussian(0.1), seed=0)


def small(cls, folder, **settings):
    method = cls(**{"width": 4, "epochs": 1, "batch_size": 10, **settings})
    method.setting = Setting(workdir=folder)
    return method


def test_one_discriminator_step_for_two_generator_steps_and_one_pass_each(images, tmp_path, monkeypatch):
    method = small(AlphaBetaGan, tmp_path)
    module = method.module(32)
    calls = {"generator": 0, "discriminator steps": 0}
    inner = module.generator.forward

    def counted(noisy):
        calls["generator"] += module.training
        return inner(noisy)

    module.generator.forward = counted
    learn = module.learn_discriminator

    def gradients() -> list[torch.Tensor]:
        return [p.grad.clone() for p in module.generator.parameters() if p.grad is not None]

    def watched(*arguments):
        calls["discriminator steps"] += 1
        before = gradients()
        loss = learn(*arguments)
        assert all(map(torch.equal, gradients(), before)), "the generator gets no gradient in this step"
        return loss

    module.learn_discriminator = watched
    monkeypatch.setattr(method, "module", lambda size: module)
    method.fit(images)  # 72 images to train on: seven batches of ten
    assert calls == {"generator": 7, "discriminator steps": 4}


@pytest.mark.parametrize("batch", [7, 80])
def test_pairs_that_are_kept_are_those_made_anew_in_every_epoch(images, batch):
    kept = Kept(images, Trained.pairs.__get__(small(AlphaBetaGan, None)), torch.device("cpu"), batch)
    assert len(kept) == len(images)
    order = InOrder(len(images), 24, epoch=0)
    # Round and round, as PGGAN has them; past an epoch's end; any; one alone.
    others = [[len(images) - 1, 0, 1], [len(images) - 1, len(images), len(images) + 1], [3, 5, 4], [7]]
    for _ in range(2):  # epochs
        for index in [*order, *others]:
            for ours, theirs in zip(kept.__getitems__(index), Batches(images).__getitems__(index), strict=True):
                assert torch.equal(ours, theirs)


def test_losses_that_are_read_late_are_those_read_at_once(images, tmp_path, monkeypatch):
    """On a GPU losses stay there until the epoch's end; here a device that is not called cpu stands in for it."""
    curves, readings = {}, {}
    for at_once in (True, False):
        method = small(AlphaBetaGan, tmp_path / str(at_once), epochs=2)
        module = method.module(32)
        monkeypatch.setattr(denoising, "read_at_once", lambda device, at_once=at_once: at_once)
        monkeypatch.setattr(method, "module", lambda size, module=module: module)
        read, readings[at_once] = module.read, []

        def counted(read=read, module=module, sizes=readings[at_once]):
            sizes.append(len(module._unread))
            read()

        monkeypatch.setattr(module, "read", counted)
        method.fit(images)
        curves[at_once] = method.report["curve"]
    assert curves[True] == curves[False]
    assert all(np.isfinite(point["train_mse"]) and len(point["parts"]["train_mse"]) == 7 for point in curves[True])
    assert max(readings[True]) == 1
    assert sorted(filter(None, readings[False])) == [7, 7]  # all of an epoch


def test_the_generators_gradient_is_slope_times_score_plus_lambda_l1(images, tmp_path):
    """Against autograd through the score's own closed form: (1,1) has S(t,0) = −t²/2."""
    module = small(AlphaBetaGan, tmp_path, alpha=1.0, beta=1.0, lam=3.0).module(32)
    noisy, clean = Batches(images).__getitems__(list(range(10)))

    def gradient(adversarial):
        module.zero_grad()
        denoised = module.generator(noisy)
        (adversarial(module.score(denoised)) + 3.0 * (denoised - clean).abs().mean()).backward()
        return module.generator.last.weight.grad.clone()

    by_slope = gradient(lambda t: generator_loss(module.rule, t))
    closed = gradient(lambda t: (-t.square() / 2).mean())
    assert torch.allclose(by_slope, closed, rtol=1e-4, atol=1e-8)


def test_summing_over_the_map_is_the_mean_times_its_size():
    scores = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    assert float(map_sum(scores)) == pytest.approx(25 * float(map_mean(scores)), rel=1e-5)


@pytest.mark.parametrize("net", ["resnet", "conv"])
def test_the_gradient_penalty_moves_the_critics_gradients_to_1(images, tmp_path, net):
    method = small(WassersteinGan, tmp_path, net=net)
    module = method.module(32)
    _, clean = Batches(images).__getitems__(list(range(20)))
    denoised = 0.5 * clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(module.discriminator.parameters(), lr=1e-3, betas=ADAM)

    def norms() -> torch.Tensor:
        between = (0.5 * clean + 0.5 * denoised).requires_grad_(True)
        (slope,) = torch.autograd.grad(module.score(between).mean((1, 2, 3)).sum(), between)
        return slope.flatten(1).norm(dim=1)

    before = float((norms() - 1).abs().mean())
    for step in range(80):
        loss = discriminator_loss(module.rule, module.score(clean), module.score(denoised))
        optimizer.zero_grad()
        share = shares_of_step(clean, 0, 0, step)
        (loss + module.penalty(clean, denoised, share)).backward()
        optimizer.step()
    after = float((norms() - 1).abs().mean())
    assert after < 0.35 and after < before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_gradient_penalty_is_one_of_single_precision_where_training_is_not(dtype):
    """A slope of 1e5 is inf in half precision, and its square beyond it in any case; here its norm is known: ‖w‖."""
    weights = torch.zeros(64, 1)
    weights[:2, 0] = torch.tensor([3e5, 4e5])
    images = torch.rand(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def critic(image: torch.Tensor) -> torch.Tensor:
        return (image.flatten(1) @ weights)[:, :, None, None]

    with torch.autocast("cpu", dtype=dtype):
        assert critic(images[0]).dtype == dtype
        penalty = gradient_penalty(critic, images[0], images[1].to(dtype), shares_of_step(images[0], 0, 0, 1))
    assert float(penalty) == pytest.approx((5e5 - 1) ** 2, rel=1e-5)


def test_the_released_penalty_never_acts_and_weights_are_clipped(images, tmp_path):
    method = small(WassersteinGan, tmp_path, lipschitz="clip")
    module = method.module(32)
    assert module.drawn(torch.zeros(2, 1, 32, 32), 0) == ()
    assert module.penalty(None, None) == 0.0
    method.module = lambda size: module
    method.fit(images)
    assert max(float(p.detach().abs().max()) for p in module.discriminator.parameters()) <= 0.01


def test_training_twice_gives_the_same_weights_and_another_seed_others(images, tmp_path):
    def weights(seed, folder):
        method = small(AlphaBetaGan, tmp_path / folder)
        method.setting = Setting(seed=seed, workdir=tmp_path / folder)
        method.fit(images)
        return method.weights()["last.weight"]

    assert torch.equal(weights(0, "a"), weights(0, "b")) and not torch.equal(weights(0, "c"), weights(1, "d"))


def test_an_autoencoder_learns(images, tmp_path):
    method = Autoencoder(width=8, epochs=6, batch_size=10, loss="l2")
    method.setting = Setting(workdir=tmp_path)
    method.fit(images)
    curve = [point["train_mse"] for point in method.report["curve"]]
    assert curve[-1] < 0.5 * curve[0]
    assert method.report["val_mse"] == min(point["val_mse"] for point in method.report["curve"])


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(images, tmp_path):
    with pytest.raises(RunFailed, match=r"at step \d+ \(epoch 1\)"):
        small(Autoencoder, tmp_path, lr=1e30).fit(images)


def test_a_run_that_died_goes_on_to_the_same_five_epochs(images, tmp_path, monkeypatch):
    def method(folder):
        return small(AlphaBetaGan, tmp_path / folder, epochs=7, checkpoint="five_best")

    class Killed(Exception):
        pass

    def killed(self, batch, index):
        if self.current_epoch == 5 and index == 3:
            raise Killed
        return step(self, batch, index)

    undisturbed, resumed = method("a"), method("b")
    undisturbed.fit(images)
    step = GanModule.training_step
    monkeypatch.setattr(GanModule, "training_step", killed)
    with pytest.raises(Killed):
        method("b").fit(images)
    monkeypatch.setattr(GanModule, "training_step", step)
    steps = []
    monkeypatch.setattr(GanModule, "penalty", lambda self, *_: steps.append(self.current_epoch) or 0.0)
    resumed.fit(images)
    assert set(steps) == {5, 6}, "and does no epoch again"
    ours, theirs = (
        {k: v for k, v in m.report.items() if k not in ("training_s", "resumed")} for m in (resumed, undisturbed)
    )
    assert ours == theirs
    for one, other in zip(undisturbed.variants(), resumed.variants(), strict=True):
        for name, value in one.weights().items():
            assert torch.equal(value, other.weights()[name]), name


def test_the_five_epochs_with_the_lowest_training_mse_are_kept(images, tmp_path):
    method = small(Autoencoder, tmp_path, epochs=7, lr=0.05, checkpoint="five_best")
    method.fit(images)
    by_mse = sorted(method.report["curve"], key=lambda point: point["train_mse"])[:5]
    assert method.report["epochs_kept"] == [point["epoch"] for point in by_mse]
    assert method.report["chosen_epoch"] == by_mse[0]["epoch"]
    noisy, kept = images.noisy(slice(0, 4)), list(method.variants())
    assert len(kept) == 5 and kept[0] is method
    denoised = [variant.denoise(noisy) for variant in kept]
    last = small(Autoencoder, tmp_path / "last", epochs=7, lr=0.05, checkpoint="last")
    last.fit(images)
    place = [point["epoch"] for point in by_mse].index(7)
    assert np.array_equal(denoised[place], last.denoise(noisy)), "weights are those at the end of their epoch"
    assert len({image.tobytes() for image in denoised}) == 5
    few = small(Autoencoder, tmp_path / "few", epochs=2, checkpoint="five_best")
    few.fit(images)
    assert len(list(few.variants())) == 2


def test_weights_go_out_and_come_back(images, tmp_path):
    method = small(Autoencoder, tmp_path / "a")
    method.fit(images)
    noisy = images.noisy(slice(0, 5))
    other = small(Autoencoder, tmp_path / "b")
    other.load_weights(method.weights(), 32)
    assert np.array_equal(method.denoise(noisy), other.denoise(noisy))


def test_batch_norm_in_training_mode_makes_an_image_depend_on_its_batch(images, tmp_path):
    noisy = images.noisy(slice(0, 6))
    for mode, depends in (("eval", False), ("train", True)):
        method = small(Autoencoder, tmp_path / mode, batch_norm=mode)
        method.fit(images)
        alone = method.denoise(noisy[:2])
        assert np.allclose(alone, method.denoise(noisy)[:2], atol=1e-5) is not depends
        assert np.array_equal(alone, method.denoise(noisy[:2])), "a call leaves no trace"


def test_precise_batch_norm_has_the_statistics_of_training_batches_and_the_weights_of_any_other(images, tmp_path):
    """Each statistic is the mean, over whole training batches, of what a batch has with the weights as they ended."""
    running, precise = (
        small(Autoencoder, tmp_path / mode, epochs=2, batch_norm=mode, checkpoint="last")
        for mode in ("eval", "precise")
    )
    running.fit(images)
    precise.fit(images)
    for name, value in running.generator.named_parameters():
        assert torch.equal(value, precise.generator.get_parameter(name)), "training itself is not touched"

    norm, seen = precise.generator.encoder[0].norm, []
    hook = norm.register_forward_hook(lambda layer, given, _: seen.append(given[0].detach()))
    for start in range(0, 70, 10):  # 72 images to train on
        batch = torch.from_numpy(images.noisy(slice(start, start + 10)))[:, None]
        precise.generator.train()(batch)
    hook.remove()
    kept = torch.load(tmp_path / "precise" / "checkpoints" / "epoch_2.ckpt", weights_only=True)
    mean = torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    variance = torch.stack([x.var(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    torch.testing.assert_close(kept["generator.encoder.0.norm.running_mean"], mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(kept["generator.encoder.0.norm.running_var"], variance, rtol=1e-4, atol=1e-6)


def test_the_validation_mse_is_that_of_the_statistics_kept(images, tmp_path):
    method = small(Autoencoder, tmp_path, epochs=2, batch_norm="precise", checkpoint="last")
    method.fit(images)
    held = slice(72, 80)
    error = ((method.denoise(images.noisy(held)) - images.clean(held)) ** 2).mean()
    assert method.report["val_mse"] == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_score_depends_on_the_batch_under_batch_norm_alone(images, tmp_path, norm):
    """So the penalty is on the slope at each image only without it (Gulrajani et al. 2017, section 4)."""
    critic = small(WassersteinGan, tmp_path, critic_norm=norm).module(32).discriminator.train()
    batch = torch.from_numpy(images.clean(slice(0, 8)))[:, None]
    together, fewer = critic(batch)[:2], critic(batch[:2])
    assert torch.allclose(together, fewer, rtol=1e-3, atol=1e-7) is (norm != "batch")
