"""The nets have the published sizes and keep the random state to themselves."""

import pytest
import torch

from cryobench.errors import InputError
from cryobench.methods.learned.nets import NETS
from cryobench.methods.learned.nets.build import build, parameters

# Parameters in millions at d = 64, as counted in the released code.
PUBLISHED = {
    ("resnet", "generator"): 4.20,
    ("resnet", "discriminator"): 2.80,
    ("conv", "generator"): 5.51,
    ("conv", "discriminator"): 2.76,
}


@pytest.mark.parametrize(("net", "role"), PUBLISHED)
def test_parameters_are_the_published_number(net, role):
    built = build(net, role, width=64, image_size=128, seed=0)
    assert parameters(built) / 1e6 == pytest.approx(PUBLISHED[net, role], abs=0.005)


@pytest.mark.parametrize(("net", "size"), [("resnet", 13), ("conv", 5)])
def test_score_map_at_128_px(net, size):
    built = build(net, "discriminator", width=4, image_size=128, seed=0)
    assert built(torch.zeros(2, 1, 128, 128)).shape == (2, 1, size, size)


SIZES = [(net, size) for net in ("resnet", "conv") for size in (32, 48, 64, 96)] + [("deep", 256)]


def test_every_net_is_tested():
    assert {net for net, _ in SIZES} == set(NETS)


@pytest.mark.parametrize(("net", "size"), SIZES)
def test_generator_keeps_the_size_and_the_range(net, size):
    built = build(net, "generator", width=4, image_size=size, seed=0)
    image = torch.randn(3, 1, size, size, generator=torch.Generator().manual_seed(0))
    out = built(image)
    assert out.shape == image.shape and out.abs().max() <= 1
    assert build(net, "discriminator", width=4, image_size=size, seed=0)(image).shape[:2] == (3, 1)


def test_weights_follow_the_seed_and_leave_the_global_state_alone():
    before = torch.random.get_rng_state()
    one, same, other = (build("resnet", "generator", width=4, image_size=32, seed=s) for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    first = [dict(net.named_parameters())["encoder.0.resample.weight"] for net in (one, same, other)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    assert float(dict(one.named_parameters())["encoder.2.units.0.conv.weight"].detach().std()) == pytest.approx(
        0.02, rel=0.1
    )


@pytest.mark.parametrize(
    ("net", "size"), [("resnet", 24), ("resnet", 44), ("conv", 72), ("conv", 24), ("deep", 128), ("deep", 288)]
)
def test_a_size_that_a_net_cant_take_is_refused(net, size):
    with pytest.raises(InputError, match="expected an image size"):
        build(net, "generator", width=4, image_size=size, seed=0)


def test_the_deep_net_has_512_channels_at_4_px_and_one_score_at_256_px():
    generator = build("deep", "generator", width=64, image_size=256, seed=0)
    widths = [level.resample.out_channels for level in generator.encoder]
    assert widths == [64, 128, 256, 512, 512, 512] and len(generator.decoder) + 1 == 6
    discriminator = build("deep", "discriminator", width=4, image_size=256, seed=0)
    assert discriminator(torch.zeros(2, 1, 256, 256)).shape == (2, 1, 1, 1)


def out_of_place(generator: torch.nn.Module, noisy: torch.Tensor) -> torch.Tensor:
    """What the ResNet's generator computes, as its docstring has it, with nothing done in place."""

    def stage(part, x, skip=None):
        x = part.norm(part.resample(x))
        x = x if skip is None else x + skip
        for unit in part.units:
            x = x.relu()
            x = x + unit.norm(unit.conv(x))
        return x

    first = stage(generator.encoder[0], noisy)
    second = stage(generator.encoder[1], first.relu())
    x = stage(generator.encoder[2], second.relu())
    x = stage(generator.decoder[0], x.relu(), second)
    x = stage(generator.decoder[1], x.relu(), first)
    return torch.tanh(generator.last_norm(generator.last(x.relu())))


def test_what_is_done_in_place_changes_no_bit():
    """Neither of the images nor of a gradient: a sum made in place may spoil what a skip still needs."""
    noisy = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = []
    for forward in (lambda net: net(noisy), lambda net: out_of_place(net, noisy)):
        net = build("resnet", "generator", width=4, image_size=32, seed=0)
        images = forward(net)
        images.square().mean().backward()
        found.append([images.detach(), *(weight.grad for weight in net.parameters())])
    assert len(found[0]) > 50 and all(map(torch.equal, *found))
