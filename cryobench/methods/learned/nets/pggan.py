"""A denoiser whose generator grows from 4×4 to full size, and the critic that grows with it (supplemental note 6).

    noisy L×L → encoder → bottleneck, 4×4 → generator 4×4, 8×8, …, L×L            no skips

The encoder sees the whole noisy image at every stage; only what comes out grows. Equalised learning rate, pixel norm and
the standard deviation over the minibatch (in the critic alone) are those of Karras et al. 2018; the encoder has batch
norm. A map of r×r pixels has min(8d, dL/2r) channels: at d = 64 and 128 px from 512 down to 32.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cryobench.errors import InputError
from cryobench.methods.learned.growth import START, sizes
from cryobench.methods.learned.nets.build import Net, channels_last


def check_size(image_size: int) -> None:
    """Doublings of 4×4 must lead to the image. Raises InputError."""
    if image_size < 2 * START or image_size & (image_size - 1):
        raise InputError(
            f"method pggan: expected an image size that is a power of two and at least 8, got {image_size}"
        )


def channels(width: int, image_size: int, size: int) -> int:
    """Channels at `size` px across: half of `width` at full size, twice as many for each halving, at most 8 times it."""
    return min(8 * width, max(width * image_size // (2 * size), 1))


class Equal(nn.Module):
    """A convolution whose weights are N(0, 1) and scaled by He's constant when used, so that Adam moves all alike.

    gain: √2 before a leaky ReLU, 1 before nothing (Karras et al. 2018, section 4.1).
    """

    spread = 1.0  # standard deviation of the weights at the start

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, gain: float = 2**0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / (inputs * kernel**2) ** 0.5
        self.stride, self.padding = stride, padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


def encoding(convolution: Equal, outputs: int) -> nn.Module:
    """With batch norm, without which noise drowns what sets images apart, and all become one."""
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


class ToImage(Equal):
    """The last layer of a stage, from features to pixels. It begins at 0: a stage fades in from black, not from noise."""

    spread = 0.0

    def __init__(self, inputs: int):
        super().__init__(inputs, 1, 1, gain=1.0)


def pixel_norm(x: torch.Tensor) -> torch.Tensor:
    """Each pixel's channels to mean square 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with a slope of 0.2 below zero."""
    return F.leaky_relu(x, 0.2)


def enlarge(image: torch.Tensor, times: int = 2) -> torch.Tensor:
    """Each pixel becomes a square of `times`² pixels."""
    return F.interpolate(image, scale_factor=times, mode="nearest") if times > 1 else image


def shrink(image: torch.Tensor, size: int) -> torch.Tensor:
    """Average pooling to size × size."""
    times = image.shape[-1] // size
    return F.avg_pool2d(image, times) if times > 1 else image


def blend(old: torch.Tensor, new: torch.Tensor, fade: float) -> torch.Tensor:
    """(1 − fade)·old + fade·new; in mixed precision the two may come in different ones."""
    return torch.lerp(old.to(new.dtype), new, fade)


def target(clean: torch.Tensor, size: int, fade: float) -> torch.Tensor:
    """What a generator of this size should make of `clean` (b, 1, L, L): while a size fades in, so does its detail."""
    image = shrink(clean, size)
    return image if fade == 1 else blend(enlarge(shrink(image, size // 2)), image, fade)


class Generator(nn.Module):
    """(b, 1, L, L) noisy → (b, 1, r, r), about [0, 1]; r = L unless a smaller `size` is asked for.

    norm_last: pixel norm before the layer to pixels, too, as Karras et al. have it. Each pixel's features then have one
    length, and its grey value can come from their direction alone.
    """

    def __init__(self, width: int, image_size: int, norm_last: bool = True):
        super().__init__()
        self.norm_last = norm_last
        self.sizes = sizes(image_size)
        wide = [channels(width, image_size, size) for size in self.sizes]
        down = wide[-2::-1]  # after the first halving, after the second, …, at 4×4
        self.encoder = nn.Sequential(
            *(encoding(Equal(before, after, 4, 2, 1), after) for before, after in zip([1, *down], down, strict=False))
        )
        self.bottleneck = encoding(Equal(wide[0], wide[0], 3, 1, 1), wide[0])
        self.first = Equal(wide[0], wide[0], 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Equal(before, after, 3, 1, 1), Equal(after, after, 3, 1, 1)])
            for before, after in zip(wide, wide[1:], strict=False)
        )
        self.to_image = nn.ModuleList(ToImage(count) for count in wide)

    def forward(self, noisy: torch.Tensor, size: int | None = None, fade: float = 1.0) -> torch.Tensor:
        """fade: the share of the newest block in the image, the rest is the image of the size before, enlarged."""
        features = leaky(self.first(pixel_norm(self.bottleneck(self.encoder(noisy)))))
        stage = self.sizes.index(size or self.sizes[-1])
        for block in self.blocks[:stage]:
            before, x = features, enlarge(pixel_norm(features))
            for layer in block.children():
                features = leaky(layer(x))
                x = pixel_norm(features)
        image = self.pixels(stage, features)
        return image if fade == 1 else blend(enlarge(self.pixels(stage - 1, before)), image, fade)

    def pixels(self, stage: int, features: torch.Tensor) -> torch.Tensor:
        """The image that a stage makes of its last layer's features, before pixel norm."""
        return self.to_image[stage](pixel_norm(features) if self.norm_last else features)


class Discriminator(nn.Module):
    """(b, 1, r, r) image of any size that the generator makes → (b, 1, 1, 1) raw scores."""

    def __init__(self, width: int, image_size: int):
        super().__init__()
        self.sizes = sizes(image_size)
        wide = [channels(width, image_size, size) for size in self.sizes]
        self.from_image = nn.ModuleList(Equal(1, count, 1) for count in wide)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Equal(after, after, 3, 1, 1), Equal(after, before, 3, 1, 1)])
            for before, after in zip(wide, wide[1:], strict=False)
        )
        self.last = nn.ModuleList([Equal(wide[0] + 1, wide[0], 3, 1, 1), Equal(wide[0], wide[0], START)])
        self.score = Equal(wide[0], 1, 1, gain=1.0)

    def forward(self, image: torch.Tensor, fade: float = 1.0) -> torch.Tensor:
        stage = self.sizes.index(image.shape[-1])
        x = leaky(self.from_image[stage](image))
        for k in range(stage, 0, -1):
            for layer in self.blocks[k - 1].children():
                x = leaky(layer(x))
            x = F.avg_pool2d(x, 2)
            if k == stage and fade < 1:
                x = blend(leaky(self.from_image[k - 1](F.avg_pool2d(image, 2))), x, fade)
        # How much the images of this batch differ, as one more channel: a generator that collapses gives itself away.
        spread = (x.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        x = torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], dim=1)
        for layer in self.last:
            x = leaky(layer(x))
        return self.score(x)


def build(role: type[Net], width: int, image_size: int, seed: int, **options) -> Net:
    """A `Generator` or a `Discriminator`, its weights drawn from `seed`, channels-last. Raises InputError."""
    check_size(image_size)
    net = role(width, image_size, **options)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, Equal):
                layer.weight.normal_(generator=draw).mul_(layer.spread)
    return channels_last(net)
