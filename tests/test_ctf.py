"""The CTF as side information, and noise that is not white: against other libraries, brute force and linear algebra."""

import numpy as np
import pytest
import scipy.fft
import torch
from cryobench.baselines.aspire import import_aspire, transfer_filter
from cryobench.baselines.cwf import CWF

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.project import Projector
from cryobench.data.rotations import random_rotations
from cryobench.data.simulate import rescale
from cryobench.errors import InputError, Undeclared
from cryobench.evaluation.metrics import nmse
from cryobench.methods.base import Setting
from cryobench.methods.learned.autoencoder import Autoencoder
from cryobench.methods.learned.unet import UNet
from cryobench.methods.posterior.bayes import Bayes
from cryobench.methods.posterior.exemplar import Exemplar
from cryobench.methods.posterior.fourier_bessel import fourier_bessel
from cryobench.methods.posterior.linear import Filter
from cryobench.methods.posterior.mixture import elements
from cryobench.methods.posterior.wiener import Wiener
from cryobench.noise.ctf import Ctf, phase_flipped, through
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope
from cryobench.noise.spectrum import border_spectrum

SIZE = 32
OPTICS = {"ctf": True, "box": 204.8, "train": True}


@pytest.fixture(scope="module")
def pairs(cache):
    return open_pairs(Phantom(image_size=SIZE, n_train=400, n_test=40), cache)


def split(pairs, noise):
    return {name: pairs.images(name, noise, 0) for name in ("train", "test")}


@pytest.fixture(scope="module")
def seen(pairs):
    """The phantom through CTFs, training and test images alike."""
    return split(pairs, Microscope(0.1, **OPTICS))


def defocused(*defocus, phase=0.0, pixel_size=3.2) -> Ctf:
    return Ctf(np.array([[u, u, 0.0, 300.0, 2.7, 0.1, phase] for u in defocus]), pixel_size)


def error(method, images) -> float:
    test = images["test"]
    return float(nmse(test.clean(), method.denoise(test.noisy(), **test.hints(method.side_information))).mean())


def fitted(method, images):
    method.fit(images["train"].only(method.side_information))
    return method


@pytest.mark.parametrize("phase", [0.0, 40.0, 90.0, 120.0])
def test_a_round_ctf_is_aspires_with_the_sign_of_the_image(phase):
    """sin(χ − arcsin alpha) there, −sin(χ − φ − arctan …) here, by two groups' code; with a phase plate, too."""
    import_aspire()
    ctf = defocused(8000.0, 21000.0, phase=phase)
    y, x = scipy.fft.fftfreq(64)[:, None], scipy.fft.rfftfreq(64)[None]
    omega = 2 * np.pi * np.stack([(x + 0 * y).ravel(), (y + 0 * x).ravel()])
    for row, ours in zip(ctf.values, ctf.transfer(64), strict=True):
        theirs = transfer_filter(row, None).evaluate(omega, pixel_size=3.2).reshape(ours.shape)
        np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_phase_flipping_twice_is_the_image_and_once_rights_every_sign(seen):
    test = seen["test"].only({"clean", "ctf"})
    transfer = test.ctf(slice(3)).transfer(SIZE)
    noisy = test.noisy(slice(3))
    flipped = phase_flipped(noisy, transfer)
    np.testing.assert_allclose(phase_flipped(flipped, transfer), noisy, atol=1e-5)
    assert np.abs(flipped - noisy).max() > 0.1
    clean = test.clean(slice(3))
    righted = scipy.fft.rfft2(phase_flipped(through(clean, transfer), transfer)) * scipy.fft.rfft2(clean).conj()
    assert righted.real.min() > -1e-3 * righted.real.max()


def test_training_images_come_through_the_ctf_where_they_are_to_and_tell_it_to_who_declares_it(pairs, seen):
    train = seen["train"]
    bare = split(pairs, Gaussian(0.1))["train"]
    told = train.only({"ctf", "clean"})
    noise = bare.noisy(slice(5)) - bare.clean(slice(5))
    signal = through(told.clean(slice(5)), told.ctf(slice(5)).transfer(SIZE))
    np.testing.assert_allclose(train.noisy(slice(5)), signal + noise, atol=1e-5)
    assert told.subset(np.array([7, 3])).ctf().values[1].tolist() == told.ctf().values[3].tolist()
    with pytest.raises(Undeclared, match="'ctf'"):
        train.only({"clean"}).ctf()
    with pytest.raises(InputError, match="expected train images with a known CTF"):
        fitted(CWF(ctf="corrected"), split(pairs, Microscope(0.1, ctf=True)))
    with pytest.raises(InputError, match=r"method\.ctf: expected one of none, corrected, applied"):
        Exemplar(ctf="yes")


def test_settings_that_came_later_leave_every_run_its_name():
    for name in ("cwf", "exemplar", "bayes", "rebuilt", "wiener", "abinitio", "nlm", "bm3d", "ksvd"):
        plain = resolve(compose([f"method={name}", "noise=microscope", "noise.ctf=true"]))
        old = {
            **plain,
            "method": {k: v for k, v in plain["method"].items() if k not in ("ctf", "whiten", "defocus_step")},
        }
        old["noise"] = {k: v for k, v in plain["noise"].items() if k not in ("colour", "train")}
        assert run_id(old) == run_id(plain)


@pytest.mark.trains
def test_cwf_told_of_the_ctf_is_aspire_on_the_same_stack_and_filters(seen):
    train = seen["train"].subset(slice(200))
    method = fitted(CWF(sigma="known", ctf="corrected", defocus_step=5000.0), {"train": train})
    told = train.only({"ctf", "sigma"})

    import_aspire()
    from aspire.basis import FFBBasis2D
    from aspire.denoising import DenoiserCov2D
    from aspire.operators import RadialCTFFilter
    from aspire.source import ArrayImageSource

    # Of these images, whose sign is that of ASPIRE's CTF, −y are what it expects.
    source = ArrayImageSource(-train.noisy().astype(np.float64), pixel_size=train.pixel_size)
    defocus = 5000 * np.round(told.ctf().values[:, 0] / 5000)
    steps, source.filter_indices = np.unique(defocus, return_inverse=True)
    source.unique_filters = [RadialCTFFilter(300, step, 2.7, 0.1) for step in steps]
    basis = FFBBasis2D((SIZE, SIZE), dtype=np.float64)
    aspire = DenoiserCov2D(source, basis, var_noise=np.mean(told.sigma() ** 2))
    ours = method.denoise(train.noisy(slice(20)), **told.hints(method.side_information, slice(20)))
    np.testing.assert_allclose(ours, aspire.denoise[:20].asnumpy(), atol=2e-5)
    assert method.report["defocus_groups"] == len(steps) == 5


@pytest.mark.trains
@pytest.mark.parametrize(
    "net",
    [
        lambda **kw: Autoencoder(net="conv", width=8, epochs=1, batch_size=20, **kw),
        lambda **kw: UNet(width=8, epochs=1, batch_size=20, draws=2, **kw),
    ],
)
def test_a_net_is_shown_flipped_images_in_training_and_after(seen, net):
    method, plain = net(ctf_input="flip"), net()
    assert method.side_information >= {"clean", "ctf"} and "ctf" not in plain.side_information
    train = seen["train"].subset(slice(60))
    if isinstance(method, UNet):
        method.exemplar.components, method.exemplar.angles, method.exemplar.n_validation = [100], [24], 4
    method.fit(train.only(method.side_information))
    test = seen["test"].subset(slice(4))
    hints = test.hints(method.side_information)
    transfer = hints["ctf"].transfer(SIZE)
    shown = method.inputs(test.noisy(), hints["ctf"])[:, 0].numpy()
    np.testing.assert_allclose(shown, phase_flipped(test.noisy(), transfer), atol=1e-6)
    if not isinstance(method, UNet):
        pair, _ = method.pairs(train.only(method.side_information), np.arange(3), 0)
        first = train.only({"ctf"}).ctf(slice(3)).transfer(SIZE)
        np.testing.assert_allclose(pair, phase_flipped(train.noisy(slice(3)), first), atol=1e-6)
    assert np.isfinite(method.denoise(test.noisy(), **hints)).all()


@pytest.mark.trains
@pytest.mark.parametrize("net", ["conv", "resnet"])
def test_a_net_is_shown_the_ctf_as_a_second_image(seen, net):
    method = Autoencoder(net=net, width=8, epochs=1, batch_size=20, ctf_input="channel")
    train = seen["train"].subset(slice(60))
    method.fit(train.only(method.side_information))
    test = seen["test"].subset(slice(4))
    hints = test.hints(method.side_information)
    shown = method.inputs(test.noisy(), hints["ctf"]).numpy()
    np.testing.assert_array_equal(shown[:, 0], test.noisy())
    # The CTF as torch-ctf gives it over the frequencies of a whole transform, its origin moved to the centre.
    half = np.fft.fftshift(shown[:, 1], axes=(1, 2))[:, :, : SIZE // 2 + 1]
    np.testing.assert_allclose(half[:, :, :-1], hints["ctf"].transfer(SIZE)[:, :, :-1], atol=1e-5)
    denoised = method.denoise(test.noisy(), **hints)
    turned = hints["ctf"][::-1]  # the other images' CTFs: the net looks at them
    assert np.abs(method.denoise(test.noisy(), ctf=turned) - denoised).max() > 0
    again = Autoencoder(net=net, width=8, ctf_input="channel")
    again.load_weights(method.weights(), SIZE)
    np.testing.assert_array_equal(again.denoise(test.noisy(), **hints), denoised)
    with pytest.raises(InputError, match="none, flip"):
        UNet(ctf_input="channel")


def every_element(method) -> np.ndarray:
    """All exemplars in all rotations and mirrored, in pixels and double precision: (N, L, L)."""
    orbits = method.mixture.orbits
    return orbits.basis.render(elements(orbits, torch.arange(2 * orbits.angles * len(orbits)))).double().numpy()


def test_the_exemplars_told_of_the_ctf_are_brute_force(pairs):
    """Every element through the CTF by the FFT, distances and weights in double precision. Exemplars of low frequency, which a
    grid of pixels can turn."""
    noise = Microscope(0.03, **OPTICS | {"defocus": [2.0, 3.0]})
    train = pairs.images("train", noise, 0).subset(slice(60))
    method = Exemplar(tau=1.0, components=[30], angles=[24], n_validation=4, ctf="corrected", sigma="known")
    method.fit(train.only(method.side_information))
    stack, test = every_element(method), pairs.images("test", noise, 0)
    noisy, hints = test.noisy(slice(4)), test.hints(method.side_information, slice(4))
    ours = method.denoise(noisy, **hints)
    for i in range(4):
        transfer = hints["ctf"][i : i + 1].transfer(SIZE).astype(np.float64)
        spectra = scipy.fft.rfft2(stack) * transfer
        distance = ((scipy.fft.irfft2(spectra, s=(SIZE, SIZE)) - noisy[i]) ** 2).sum(axis=(1, 2))
        weight = np.exp((distance.min() - distance) / (2 * hints["sigma"][i] ** 2))
        direct = np.tensordot(weight / weight.sum(), stack, axes=1)
        assert 1 / ((weight / weight.sum()) ** 2).sum() > 5, "many elements matter"
        assert np.linalg.norm(ours[i] - direct) < 1e-5 * np.linalg.norm(direct)


def test_the_limit_told_of_the_ctf_agrees_with_brute_force_over_random_poses(cache):
    pairs = open_pairs(Phantom(image_size=24, n_train=4, n_test=6, conformations=2), cache)
    images = split(pairs, Microscope(0.05, **OPTICS))
    method, test = fitted(Bayes(ctf="corrected"), images), images["test"]
    noisy, hints = test.noisy(), test.hints(method.side_information)
    rng = np.random.default_rng(0)
    poses = np.concatenate([rescale(Projector(np.array(v))(random_rotations(8_000, rng))) for v in pairs.volumes])
    denoised, excess, untold = method.denoise(noisy, **hints), [], []
    predicted = method.report["per_image"]["predicted_mse"]
    for i in range(6):
        distance = ((through(poses, hints["ctf"][i : i + 1].transfer(24)) - noisy[i]) ** 2).sum(axis=(1, 2))
        weights = np.exp((distance.min() - distance) / (2 * hints["sigma"][i] ** 2))
        mean = np.tensordot(weights / weights.sum(), poses, axes=1)
        excess.append(((mean - denoised[i]) ** 2).mean() / predicted[i])
        distance = ((poses - noisy[i]) ** 2).sum(axis=(1, 2))
        weights = np.exp((distance.min() - distance) / (2 * hints["sigma"][i] ** 2))
        untold.append(((np.tensordot(weights / weights.sum(), poses, axes=1) - denoised[i]) ** 2).mean() / predicted[i])
    assert np.mean(excess) < 0.05 < 0.15 < np.mean(untold)


def test_the_linear_limit_through_a_ctf_is_linear_algebra_on_pixels():
    """μ + Σ Hᵀ (H Σ Hᵀ + σ²I)⁻¹ (y − H μ), with H a matrix of pixels and Σ that of Gaussian images, both known."""
    size, variance = 32, 0.09
    basis, rng = fourier_bessel(size, band=0.25), np.random.default_rng(0)
    real, imaginary = (part.double().numpy() for part in basis.functions.chunk(2))
    variances = rng.uniform(0.02, 1.0, len(basis)) / (1 + basis.orders.numpy())
    weights = np.where(basis.orders == 0, rng.normal(size=len(basis)), 0.0)
    weights *= np.sign(real[:, size * (size + 1) // 2])  # the same image, whatever the functions' signs
    mean, covariance = weights @ real, (real.T * variances) @ real + (imaginary.T * variances) @ imaginary
    blocks = {m: torch.from_numpy(np.diag(variances[b] * (2 if m else 1))) for m, b in basis.blocks.items()}
    ours = Filter(basis, torch.from_numpy(weights), blocks, variance)
    drawn = rng.normal(size=(2, 30, len(basis))) * np.sqrt(variances)
    clean = ((drawn[0] + weights) @ real + drawn[1] @ imaginary).reshape(30, size, size)
    for ctf in (defocused(20000.0, pixel_size=4.0), defocused(9000.0, pixel_size=4.0)):
        transfer = ctf.transfer(size)
        matrix = through(np.eye(size**2).reshape(-1, size, size), transfer).reshape(size**2, -1).astype(np.float64)
        noisy = through(clean, transfer) + np.sqrt(variance) * rng.standard_normal(clean.shape)
        gain = np.linalg.solve(matrix @ covariance @ matrix.T + variance * np.eye(size**2), matrix @ covariance)
        exact = (mean + (noisy.reshape(30, -1) - mean @ matrix.T) @ gain).reshape(clean.shape)
        got = ours.through(noisy.astype(np.float32), np.repeat(transfer, 30, axis=0))
        assert ((got - exact) ** 2).mean() < 2e-2 * ((exact - clean) ** 2).mean(), (
            "a square grid mixes orders a little: 0.003 to 0.012 of it for other draws"
        )


@pytest.mark.parametrize(
    "method", [CWF, Wiener, lambda **kw: Exemplar(components=[200], angles=[48], n_validation=10, **kw)]
)
def test_who_is_told_of_the_ctf_is_much_better_and_can_put_it_back(seen, method):
    told, untold = fitted(method(ctf="corrected"), seen), fitted(method(), seen)
    assert error(told, seen) < 0.9 * error(untold, seen)
    test = seen["test"].subset(slice(3))
    hints = test.hints(told.side_information)
    corrected = told.denoise(test.noisy(), **hints)
    told.ctf = "applied"
    np.testing.assert_allclose(
        told.denoise(test.noisy(), **hints), through(corrected, hints["ctf"].transfer(SIZE)), atol=1e-5
    )
    assert "ctf" in told.side_information and "ctf" not in untold.side_information


def test_coloured_noise_has_the_spectrum_that_it_says_and_the_same_variance(pairs):
    noise = Microscope(0.1, colour=8.0, train=True)
    images = split(pairs, noise)["train"]
    coloured = images.noisy() - images.clean()
    assert coloured.var() == pytest.approx(np.mean(images.sigma() ** 2), rel=0.02)
    power = (np.abs(scipy.fft.fft2(coloured)) ** 2).mean(axis=0)
    assert power[0, SIZE // 2] * 8.0 == pytest.approx(power[:2, :2].mean(), rel=0.25)
    expected = images.spectrum()[1:, 1:]
    ratio = power[1:, 1 : SIZE // 2 + 1] / power.mean() / expected
    assert np.abs(ratio - 1).mean() < 0.1, "400 images: 5 % each"


@pytest.mark.parametrize("size", [63, 64, 65])
def test_the_spectrum_in_the_corners_is_that_of_the_noise(size):
    for colour in (1.0, 8.0):
        noise = Microscope(0.1, colour=colour, train=True)
        rng = np.random.default_rng(0)
        power = noise.spectrum(size, split="train") if colour != 1 else np.ones((size, size // 2 + 1), np.float32)
        pure = through(rng.standard_normal((1000, size, size)), np.sqrt(power))
        found = border_spectrum(iter([pure[:500], pure[500:]]))
        assert found.shape == power.shape
        assert np.abs(found / power - 1).max() < 0.25 and np.abs(found / power - 1).mean() < 0.06


@pytest.mark.parametrize("size", [32, 33])
def test_a_whitening_filter_has_its_frequencies_for_aspire_too(size):
    """ASPIRE is told the frequency in rad per pixel: 2π k/L for the L/2+1 frequencies k of rfft2."""
    import_aspire()
    radius = np.hypot(scipy.fft.fftfreq(size)[:, None], scipy.fft.rfftfreq(size))
    found = transfer_filter(None, 1 + radius.astype(np.float64)).evaluate(
        2 * np.pi * np.array([[0.125, 0.25, 0.45], [0] * 3])
    )
    np.testing.assert_allclose(found, [1.125, 1.25, 1.45], rtol=1e-6)


@pytest.mark.parametrize("whiten", ["border", "known"])
def test_whitening_helps_who_assumes_white_noise(pairs, whiten):
    images = split(pairs, Microscope(0.1, colour=20.0, train=True))
    settings = {"setting": Setting(workers=1)}
    for method in (lambda **kw: Exemplar(components=[200], angles=[48], n_validation=10, **kw), CWF):
        plain, white = method(), method(whiten=whiten)
        plain.setting = white.setting = settings["setting"]
        assert error(fitted(white, images), images) < 0.95 * error(fitted(plain, images), images), method
    assert white.side_information == ({"spectrum"} if whiten == "known" else set())


def test_white_noise_needs_no_whitening(pairs):
    """By the true spectrum nothing changes at all."""
    images = split(pairs, Microscope(0.1, **OPTICS))
    one, other = (fitted(Wiener(ctf="corrected", whiten=whiten), images) for whiten in ("none", "known"))
    test = images["test"].subset(slice(4))
    np.testing.assert_array_equal(
        *(method.denoise(test.noisy(), **test.hints(method.side_information)) for method in (one, other))
    )
