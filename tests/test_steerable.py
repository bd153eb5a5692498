"""Steerable bases: Fourier-Bessel functions against SciPy's at pixels, and kept on an eighth of the disc against every pixel."""

import numpy as np
import pytest
import torch
from scipy.special import jn_zeros, jv

from cryobench.data.simulate import rescale
from cryobench.methods.posterior import orbits as posterior_orbits
from cryobench.methods.posterior.by_order import ByOrder
from cryobench.methods.posterior.every_pixel import EveryPixel
from cryobench.methods.posterior.folded import Folded
from cryobench.methods.posterior.fourier_bessel import fourier_bessel, interpolated
from cryobench.methods.posterior.frequencies import frequencies
from cryobench.methods.posterior.orbits import Orbits
from cryobench.methods.posterior.steerable import principal
from cryobench.noise.ctf import through

SIZES = (8, 9, 16, 17, 30, 33)  # even and odd, and halves of both kinds


def noise(n: int, size: int) -> torch.Tensor:
    return torch.randn(n, size, size, generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize("size", SIZES)
def test_an_eighth_of_the_disc_is_as_good_as_every_pixel(size):
    folded, images = fourier_bessel(size), noise(5, size)
    assert isinstance(folded, Folded)
    plain = EveryPixel(folded.orders, folded.functions, folded.blocks)
    found = folded.coefficients(images)
    torch.testing.assert_close(found, plain.coefficients(images))
    torch.testing.assert_close(folded.render(found), plain.render(found))


@pytest.mark.parametrize("size", SIZES)
def test_grams_are_products_of_functions_seen_through_a_transfer_function(size):
    basis = fourier_bessel(size)
    down, right = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    transfer = np.cos(20 * down**2 + 35 * right**2 - 8 * down * right).astype(np.float32)  # not round
    if size % 2 == 0:
        transfer[:, -1] = transfer[size // 2] = 0.5  # of frequencies that are their own opposites
    grams = basis.gram(transfer)
    for m in basis.blocks:
        real, imaginary = (
            through(part.unflatten(1, (size, size)).numpy(), np.repeat(transfer[None], len(part), 0)).reshape(
                len(part), -1
            )
            for part in basis.of_order(m).chunk(2)
        )
        expected = real @ real.T if m == 0 else (real @ real.T + imaginary @ imaginary.T) / 2
        np.testing.assert_allclose(grams[m].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("size", [9, 16])
def test_norms_through_a_transfer_function_are_means_over_orbits(size, filled):
    basis, down, right = fourier_bessel(size), np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    transfer = np.cos(20 * down**2 + 35 * right**2 - 8 * down * right).astype(np.float32)  # not round
    if size % 2 == 0:
        transfer[:, -1] = transfer[size // 2] = 0.5
    images = noise(3, size)
    orbits = Orbits(basis, basis.coefficients(images))
    orbits.real, orbits.imaginary = (
        ByOrder(part.matrix, basis.blocks, filled=filled) for part in (orbits.real, orbits.imaginary)
    )
    turns = 4 * int(basis.orders.max())
    angle = 2 * torch.pi / turns * torch.arange(turns)[:, None] * basis.orders
    phases = torch.polar(torch.ones_like(angle), angle)
    for norm, plain in zip(orbits.norms_through(transfer), orbits.coefficients, strict=True):
        orbit = basis.render(torch.cat([plain * phases, plain.conj() * phases])).numpy()
        seen = through(orbit, np.repeat(transfer[None], len(orbit), 0))
        assert float(norm) == pytest.approx((seen**2).sum() / len(seen), rel=1e-5)


def test_inner_products_are_sums_over_pixels_however_many_are_made_at_a_time(monkeypatch):
    basis = fourier_bessel(16)
    stack, pictures = basis.coefficients(noise(7, 16)), noise(2, 16)
    stacked, images = Orbits(basis, stack), basis.coefficients(pictures)
    found = stacked.inner_products(images)
    angle = 2 * torch.pi / stacked.angles * torch.arange(stacked.angles)[:, None, None] * basis.orders
    phases = torch.polar(torch.ones_like(angle), angle)
    elements = torch.stack([stack * phases, stack.conj() * phases])
    rendered = basis.render(elements.flatten(0, 2)).unflatten(0, elements.shape[:3])
    expected = torch.einsum("byx,sanyx->bsan", pictures, rendered)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(posterior_orbits, "ELEMENTS", 3 * 4 * stacked.angles)
    torch.testing.assert_close(stacked.inner_products(images), found)
    parts, products = zip(*stacked.in_parts(images, 5), strict=True)
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 5), (5, 7)]
    torch.testing.assert_close(torch.cat(products, dim=2).transpose(2, 3), found)


@pytest.mark.parametrize("size", SIZES)
def test_products_of_functions_are_sums_over_their_pixels(size):
    basis = fourier_bessel(size)
    real, imaginary = basis.functions.double().chunk(2)
    for m, block in basis.blocks.items():
        expected = real[block] @ real[block].T + imaginary[block] @ imaginary[block].T
        torch.testing.assert_close(basis.products(m), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_an_eighth_of_the_frequencies_stands_for_all(size):
    rng, of = np.random.default_rng(0), frequencies(size, torch.device("cpu"))
    image = torch.from_numpy(rng.standard_normal((size, size)))
    power = torch.fft.rfft2(image, norm="ortho").abs().square()
    assert of.sums(power).sum() == pytest.approx(float(image.square().sum()))
    ones = torch.fft.fft2(image)
    down, right = np.divmod(of.kept.numpy(), size // 2 + 1)
    for each, d, r in zip(of.sums(power), down, right, strict=True):
        places = {(a % size, b % size) for p, q in ((d, r), (r, d)) for a in (p, -p) for b in (q, -q)}
        expected = sum(float(ones[place].abs().square()) for place in places) / size**2
        assert float(each) == pytest.approx(expected)


@pytest.mark.parametrize("size", SIZES)
def test_both_ways_to_make_a_basis_make_the_same_functions(size):
    folded, plain = fourier_bessel(size), fourier_bessel(size, folded=False)
    assert isinstance(plain, EveryPixel) and folded.blocks == plain.blocks
    for m in plain.blocks:
        ours, other = folded.of_order(m), plain.of_order(m)
        if m == 0:  # a decomposition leaves their signs open
            real = other.chunk(2)[0]
            signs = (ours.chunk(2)[0] * real).sum(dim=1, keepdim=True).sign()
            assert bool(signs.all()) and not bool(ours.chunk(2)[1].any())
            other = torch.cat([real * signs, torch.zeros_like(real)])
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-6)
    assert folded.whole == pytest.approx(size, rel=1e-6)
    torch.testing.assert_close(folded.coefficients(torch.ones(1, size, size))[0, 0].real, torch.tensor(folded.whole))


@pytest.mark.parametrize("size", SIZES)
def test_its_functions_are_scipys_bessel_functions(size):
    basis, radius = fourier_bessel(size), size // 2
    for m, q, y, x in ((1, 0, 2, 3), (2, 1, -2, 1), (3, 0, 2, 2), (4, 0, -2, -2), (5, 0, 0, 3), (1, 1, -3, 0)):
        if m not in basis.blocks or q >= basis.blocks[m].stop - basis.blocks[m].start:
            continue  # an image of 8 px holds few
        zero = jn_zeros(m, q + 1)[q]
        norm = np.sqrt(2 / np.pi) / (radius * abs(jv(m + 1, zero)))
        value = norm * jv(m, zero * np.hypot(x, y) / radius) * np.exp(1j * m * np.arctan2(y, x))
        pixel, k = (y + radius) * size + x + radius, basis.blocks[m].stop - basis.blocks[m].start
        real, imaginary = basis.of_order(m)[[q, k + q], pixel].tolist()
        assert real == pytest.approx(value.real, abs=2e-7) and imaginary == pytest.approx(value.imag, abs=2e-7)


def test_interpolated_bessel_functions_are_scipys():
    bessel, x = interpolated(100.0), np.random.default_rng(0).uniform(0, 100, 2000)
    assert max(np.abs(bessel(m)(x) - jv(m, x)).max() for m in (0, 1, 2, 37, 99, 100)) < 1e-9


@pytest.mark.parametrize("size", SIZES)
def test_turned_and_mirrored_images_have_turned_and_conjugate_coefficients(size):
    basis, images = fourier_bessel(size), torch.zeros(3, size, size)
    inner = slice(size // 2 - size // 2 + 1, 2 * (size // 2))  # the pixels whose counterparts are there, too
    images[:, inner, inner] = noise(3, size)[:, inner, inner]
    found, turned, mirrored = basis.coefficients(images), images.clone(), images.clone()
    turned[:, inner, inner] = images[:, inner, inner].rot90(-1, (1, 2))  # from +x to +y, which points down
    mirrored[:, inner, inner] = images[:, inner, inner].flip(1)
    phases = torch.tensor([1, 1j, -1, -1j])[basis.orders % 4]
    torch.testing.assert_close(basis.coefficients(turned), found * phases, rtol=0, atol=1e-5)
    torch.testing.assert_close(basis.coefficients(mirrored), found.conj().resolve_conj(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("components", [12, 150])
def test_principal_components_are_the_same(components):
    size = 24
    images = torch.from_numpy(rescale(through(noise(40, size).numpy(), np.exp(-np.mgrid[:size, :13].sum(0) / 4)[None])))
    folded, plain = (
        principal(fourier_bessel(size, folded=folded), [images[:20], images[20:]], components)
        for folded in (True, False)
    )
    assert folded.orders.tolist() == plain.orders.tolist()
    kept = [basis.render(basis.coefficients(images)) for basis in (folded, plain)]
    torch.testing.assert_close(*kept, rtol=0, atol=1e-5)


def test_it_takes_a_tenth_of_the_memory():
    """So that one of 256 px, 10 GB at every pixel, can be had."""
    basis = fourier_bessel(64)
    assert isinstance(basis, Folded)
    kept = [*basis.cosines, *basis.sines, basis.both]
    assert sum(one.numel() for one in kept) < 0.11 * 2 * len(basis) * basis.size**2
