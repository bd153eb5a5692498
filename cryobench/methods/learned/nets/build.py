"""A net by its name, with random weights of its own."""

from __future__ import annotations

import importlib
from typing import TypeVar

import torch
from torch import nn

from cryobench.errors import InputError
from cryobench.methods.learned.nets import NETS

Net = TypeVar("Net", bound=nn.Module)


def build(
    name: str, role: str, *, width: int, image_size: int, seed: int, norm: str = "batch", inputs: int = 1
) -> nn.Module:
    """A net of `NETS` in the role "generator" or "discriminator", weights drawn from `seed`, channels-last.

    (b, inputs, L, L) → (b, 1, L, L) in (-1, 1) for a generator, (b, 1, L, L) → (b, 1, m, m) raw scores for a discriminator.
    norm (of NORMS): "batch", as in the paper's nets; "layer", over the channels and pixels of each image; "none".
    Raises InputError for an unknown name or an image size that the net can't take.
    """
    if name not in NETS:
        raise InputError(f"method.net: expected one of {', '.join(NETS)}, got {name}")
    module = importlib.import_module(f"cryobench.methods.learned.nets.{name}")
    module.check_size(image_size)
    with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws from the global state; ours follows
        generates = role == "generator"
        net = module.Generator(width, image_size, inputs) if generates else module.Discriminator(width, image_size)
    draw_weights(net, torch.Generator().manual_seed(seed))
    if norm != "batch":
        replace_batch_norm(net, norm)
    return channels_last(net)


def channels_last(net: Net) -> Net:
    """The same net with its weights in the order that convolutions on a CPU are fastest in."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def draw_weights(net: nn.Module, generator: torch.Generator) -> None:
    """Convolution weights N(0, 0.02), biases 0, batch norm at the identity (the released code's initialisation)."""
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                layer.weight.normal_(0.0, 0.02, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()


def replace_batch_norm(net: nn.Module, norm: str) -> None:
    """Put layer norm in the place of each batch norm in `net`, or nothing."""
    for parent in list(net.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(1, layer.num_features) if norm == "layer" else nn.Identity())


def parameters(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
