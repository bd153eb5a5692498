"""PGGAN: what grows, how it fades in, and that a run killed within a phase ends as one that ran through."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PATIENCE

from cryobench.config.compose import compose, resolve
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError
from cryobench.methods.base import Setting, Watch
from cryobench.methods.learned import growth
from cryobench.methods.learned import pggan as pggan_method
from cryobench.methods.learned.growth import PARTS, schedule
from cryobench.methods.learned.modules.pggan import PgganModule
from cryobench.methods.learned.nets import pggan
from cryobench.methods.learned.pggan import Pggan
from cryobench.noise.gaussian import Gaussian


def discs(images: int = 40, size: int = 16) -> NoisyImages:
    """Soft discs of random place and size."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    cx, cy = rng.uniform(-0.4, 0.4, (2, images, 1, 1))
    clean = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.05, 0.3, (images, 1, 1))).astype(np.float32)
    return NoisyImages("train", clean, None, None, None, 1.0, Gaussian(0.1), seed=0)


def small(folder, minutes=60.0, **settings) -> Pggan:
    method = Pggan(**{"phase_images": 60, "width": 4, "batch_size": 4, "lr": 0.01, **settings})
    method.setting = Setting(workdir=folder, checkpoint_minutes=minutes)
    return method


def net(role, size: int = 16):
    """A net whose last layers are not 0, as they are before training."""
    built = pggan.build(role, 4, size, seed=0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in getattr(built, "to_image", []):
            layer.weight.normal_(generator=draw)
    return built


def noise(*shape) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_images_of_two_precisions_blend_at_that_of_the_new_one():
    """Autocast on a GPU leaves an image that was enlarged in single precision and a new one in half."""
    old, new = torch.full((2, 1, 4, 4), 1.0), torch.full((2, 1, 4, 4), 3.0, dtype=torch.bfloat16)
    torch.testing.assert_close(pggan.blend(old, new, 0.25), torch.full_like(new, 1.5))
    torch.testing.assert_close(pggan.blend(new, old, 0.25), torch.full_like(old, 2.5))


def test_the_papers_schedule():
    """2e5 images in each phase, batches of 16, and of 8 at 128 px: 4×4, then a fade-in and a stable phase per size."""
    parts = schedule(128, 200_000, 16)
    phases = {(part.size, part.fading): part.steps * part.batch * PARTS for part in parts}
    assert list(phases) == [(4, False)] + [(size, f) for size in (8, 16, 32, 64, 128) for f in (True, False)]
    assert set(phases.values()) == {200_000} and len(parts) == 11 * PARTS
    assert {(part.size < 128, part.batch) for part in parts} == {(True, 16), (False, 8)}
    assert [part.shown for part in parts[:3]] == [0, 40_000, 80_000]


def test_a_block_fades_in_from_0_to_1_within_its_phase():
    parts = [part for part in schedule(16, 60, 4) if part.size == 8]
    shares = [part.fade(step) for part in parts for step in range(part.steps)]
    fading = len(shares) // 2
    assert np.allclose(shares[:fading], np.arange(fading) / fading) and set(shares[fading:]) == {1.0}
    assert parts[PARTS - 1].fade(parts[PARTS - 1].steps) == 1.0


def test_growth_changes_nothing_at_the_moment_it_begins():
    """A new block with no share leaves the generator's image, the critic's score and the target as they were."""
    generator, critic, noisy = net(pggan.Generator), net(pggan.Discriminator), noise(3, 1, 16, 16)
    before, new = generator(noisy, 8), generator(noisy, 16, fade=0.0)
    assert torch.equal(new, pggan.enlarge(before)) and not torch.allclose(generator(noisy, 16), new)
    assert torch.allclose(critic(noisy, fade=0.0), critic(pggan.shrink(noisy, 8)), atol=1e-6)
    assert torch.equal(pggan.target(noisy, 16, 0.0), pggan.enlarge(pggan.target(noisy, 8, 1.0)))
    blocks = noisy.numpy().reshape(3, 1, 4, 4, 4, 4).mean(axis=(3, 5))
    assert np.allclose(pggan.target(noisy, 4, 1.0).numpy(), blocks, atol=1e-6)


def test_equalised_layers_keep_the_variance_and_pixel_norm_the_length():
    """A layer with gain 1 and weights N(0, 1) has outputs of its inputs' mean square, whatever its width."""
    for inputs in (4, 64):
        layer = pggan.Equal(inputs, 256, 3, gain=1.0)
        with torch.no_grad():
            layer.weight.normal_(generator=torch.Generator().manual_seed(2))
            assert float(layer(noise(8, inputs, 12, 12)).square().mean()) == pytest.approx(1.0, rel=0.1)
    assert torch.allclose(pggan.pixel_norm(noise(2, 9, 3, 3)).square().mean(dim=1), torch.ones(2, 3, 3), atol=1e-5)


def test_without_the_last_pixel_norm_a_pixel_follows_the_length_of_its_features():
    """Twice the features before the layer to pixels are twice the image (its bias is 0); with the norm they are the same."""
    for norm_last, times in ((True, 1), (False, 2)):
        generator = pggan.build(pggan.Generator, 4, 16, seed=0, norm_last=norm_last)
        with torch.no_grad():
            generator.to_image[-1].weight.normal_(generator=torch.Generator().manual_seed(1))
        last = generator.blocks[-1][-1]
        before = generator(noise(3, 1, 16, 16))
        with torch.no_grad():
            last.weight.mul_(2)
        assert torch.allclose(generator(noise(3, 1, 16, 16)), times * before, rtol=1e-4, atol=1e-5)


def test_all_of_the_noisy_image_passes_the_bottleneck():
    generator, noisy = net(pggan.Generator), noise(3, 1, 16, 16)
    assert generator.encoder(noisy).shape == (3, pggan.channels(4, 16, 4), 4, 4) and not torch.equal(
        *generator(noisy)[:2]
    )
    generator.bottleneck.register_forward_hook(lambda _, __, out: torch.ones_like(out))
    assert torch.equal(*generator(noisy)[:2]), "with that the same, nothing of the image is left: no skips"


def test_the_critic_sees_how_much_a_batch_differs():
    critic, images = net(pggan.Discriminator), noise(4, 1, 16, 16)
    alone, among_copies = critic(images)[0], critic(images[:1].expand(4, -1, -1, -1))[0]
    assert not torch.allclose(alone, among_copies)


@pytest.mark.trains
def test_it_learns_and_a_fully_grown_part_is_chosen(tmp_path):
    """Wide and only 8 px across, so that every seed learns: with a width of 4, at 16 px, one in five comes to nothing."""
    method, images = small(tmp_path, phase_images=160, width=32), discs(200, size=8)
    method.fit(images)
    clean, curve, report = images.clean(), method.report["curve"], method.report
    mean_image = np.mean((clean - clean.mean(axis=0)) ** 2)
    assert np.mean((method.denoise(images.noisy()) - clean) ** 2) < 0.9 * mean_image, "each image has its own"
    assert curve[-1]["variety"] > 0.2, "of what clean images differ by; hardly any once all outputs are one"
    assert len(curve) - PARTS < report["chosen_epoch"] <= len(curve)
    assert report["val_mse"] == min(point["val_mse"] for point in curve[-PARTS:])
    assert report["images_seen"] == curve[-1]["images"] == 3 * 160
    assert report["parameters"] == sum(p.numel() for p in method.generator.parameters())


@pytest.mark.trains
def test_without_l1_the_critic_alone_teaches(tmp_path):
    """λ = 0: the generator's gradient is the critic's, and no ℓ1 is in it."""
    gradients = {}
    for lam in (0.0, 100.0):
        module = small(tmp_path, lam=lam).module(16)
        clean = torch.from_numpy(discs().clean(slice(0, 4)))[:, None]
        out = module.generator(noise(4, 1, 16, 16), 4)
        (adversarial,) = torch.autograd.grad(-module.critic(out).mean(), out, retain_graph=True)
        l1 = (out - pggan.target(clean, 4, 1.0)).abs().mean()
        (gradients[lam],) = torch.autograd.grad(-module.critic(out).mean() + lam * l1, out)
        assert torch.equal(gradients[lam], adversarial) is (lam == 0)


KILLED = """
import os, signal, sys
import torch
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_pggan import PgganModule, discs, small
torch.set_num_threads({threads})
step = PgganModule.training_step
def kill(module, batch, index):
    if (module.part.size, module.part.fading, module.part.number, index) == (8, True, 2, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(module, batch, index)
PgganModule.training_step = kill
small(Path({folder!r}), minutes=0.0).fit(discs())
"""


def last(folder) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.trains
def test_killed_within_a_phase_it_ends_with_the_same_weights(tmp_path, monkeypatch):
    """By SIGKILL in the middle of the third part of the phase in which 8×8 fades in, a checkpoint after each step."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    small(whole).fit(discs())
    code = KILLED.format(tests=os.path.dirname(__file__), threads=torch.get_num_threads(), folder=str(killed))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (len(last(killed)["curve"]), last(killed)["cryobench"]["batches_done"]) == (PARTS + 2, 1)

    steps = count_steps(monkeypatch)
    small(killed).fit(discs())
    assert steps[0] == 3 * 5 * PARTS - (3 * (PARTS + 2) + 1), "only what was missing is trained"
    resumed, expected = last(killed), last(whole)
    assert resumed["curve"] == expected["curve"]
    assert resumed["state_dict"].keys() == expected["state_dict"].keys()
    assert {name.split(".")[0] for name in resumed["state_dict"]} == {"generator", "critic"}
    for name, weight in expected["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], weight), name


def count_steps(monkeypatch) -> list[int]:
    count, step = [0], PgganModule.training_step

    def counted(module, batch, index):
        count[0] += 1
        return step(module, batch, index)

    monkeypatch.setattr(PgganModule, "training_step", counted)
    return count


@pytest.mark.parametrize("override", ["method.net=conv", "method.epochs=3", "method.score_map=sum"])
def test_what_it_has_not_got_is_no_setting(override):
    with pytest.raises(InputError, match="unknown key"):
        resolve(compose(["method=pggan", override]))


@pytest.mark.parametrize(("settings", "words"), [({"phase_images": 0}, "phase_images"), ({"lam": -1.0}, "lam")])
def test_a_setting_out_of_range_is_refused(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        small(tmp_path, **settings)


def test_an_image_that_no_doubling_reaches_is_refused(tmp_path):
    with pytest.raises(InputError, match="power of two"):
        small(tmp_path).fit(discs(size=24))


@pytest.mark.trains
def test_the_sweep_ends_in_its_table_and_figures(cli, tmp_path, monkeypatch):
    """Smoke scale, with phases of a third: the paper's two numbers beside ours, sharpness and steadiness, both figures."""
    monkeypatch.setattr(pggan_method, "schedule", lambda size, images, batch: schedule(size, images // 3, batch))
    words = ["row='PGGAN + l1',PGGAN,oracle", "data.n_train=36", "data.n_test=6", "trainer.threads=1"]
    status, _, err = cli("+sweep=pggan", *words, "paths.results=out")
    assert status == 0, err
    table = pd.read_csv(tmp_path / "out/tables/table_pggan.csv").set_index(["row", "metric"])
    assert table.loc[("PGGAN + l1", "mse"), ["paper", "paper_spread"]].tolist() == [8.09e-3, 1.46e-3]
    assert table.loc[("PGGAN", "mse"), ["paper", "paper_spread"]].tolist() == [1.01e-2, 1.81e-3]
    curves = {json.loads(p.read_text())["run_id"]: json.loads(p.read_text()) for p in tmp_path.rglob("record.json")}
    for row, lam in (("PGGAN + l1", 100), ("PGGAN", 0)):
        (record,) = (r for r in curves.values() if r["config"]["method"].get("lam") == lam)
        last = record["method"]["curve"][-PARTS:]
        assert table.loc[(row, "mse"), "mean"] == pytest.approx(record["metrics"]["mse"]["mean"], rel=1e-5)
        assert table.loc[(row, "val_mse_std"), "mean"] == pytest.approx(np.std([p["val_mse"] for p in last]), rel=1e-4)
        outer = record["analysis"]["sharpness"]["power_ratio"][8:]
        assert table.loc[(row, "high_power"), "mean"] == pytest.approx(np.prod(outer) ** (1 / 8), rel=1e-4)
    text = (tmp_path / "out/tables/table_pggan.md").read_text()
    assert "8.09e-3(1.46e-3)" in text and "1.01e-2(1.81e-3)" in text and "FRC ½ (Å)" in text
    svg = (tmp_path / "out/figures/fig4_pggan.svg").read_text()
    assert svg.count("<image") == 3 * 6 + 1, "(a) with ℓ1, (b) clean, (c) without, and a grey bar"
    for name in ("fig4_pggan", "fig4_pggan_training"):
        assert all((tmp_path / f"out/figures/{name}.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))


@pytest.mark.trains
def test_the_watch_counts_steps_where_parts_differ_in_length(tmp_path, monkeypatch):
    """At full size batches are half as large and parts twice as long; a look at the end of each part, and every fourth step."""
    monkeypatch.setattr(growth, "HALVED_FROM", 16)
    method, images = small(tmp_path), discs()
    few = images.subset(slice(0, 3))
    method.setting = Setting(workdir=tmp_path, watch=Watch(4, few.noisy(), few.clean()))
    method.fit(images)
    ends = np.cumsum([part.steps for part in method.parts])
    assert len({part.steps for part in method.parts}) == 2
    expected = sorted({*ends, *range(4, ends[-1] + 1, 4)})
    assert method.report["watch"]["step"] == expected
