"""The exemplar posterior against brute force, its symmetries, and what it says of itself."""

from copy import copy

import numpy as np
import pytest
import torch
from one_device import OneDevice, moved

from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.errors import BadImages, InputError
from cryobench.evaluation.metrics import mse
from cryobench.methods.posterior import mixture
from cryobench.methods.posterior.elements import contenders, draws, elements, energies_of, weights_and_evidence
from cryobench.methods.posterior.exemplar import Exemplar
from cryobench.methods.posterior.mixture import Mixture
from cryobench.noise.background import border_sigma
from cryobench.noise.contaminated import Contaminated
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.microscope import Microscope


@pytest.fixture(scope="module")
def images(cache):
    pairs = open_pairs(Phantom(image_size=32, n_train=150, n_test=12), cache)
    return {split: pairs.images(split, Gaussian(0.1), 0) for split in ("train", "test")}


@pytest.fixture(scope="module")
def fitted(images):
    method = Exemplar(components=[200], angles=[48], n_validation=10)
    method.fit(images["train"].only(method.side_information))
    return method


def rendered(fitted, sigma: float, image: np.ndarray):
    """Every element in pixels and its weight, in double precision: (N, 32, 32), (N,), and the training image of each."""
    orbits = fitted.mixture.orbits
    where = torch.arange(2 * orbits.angles * len(orbits))
    stack = orbits.basis.render(elements(orbits, where)).double().numpy()
    exponent = -((image.astype(float) - stack) ** 2).sum(axis=(1, 2)) / (2 * sigma**2 * fitted.mixture.tau)
    weight = np.exp(exponent - exponent.max())
    return stack, weight / weight.sum(), (where % len(orbits)).numpy()


def test_it_equals_brute_force_over_every_rotated_and_mirrored_exemplar(fitted, images):
    """Every element rendered to pixels, distances and weights in double precision, for one image."""
    noisy = images["test"].noisy(slice(0, 2))
    for image, ours in zip(noisy, fitted.denoise(noisy), strict=True):
        stack, weight, _ = rendered(fitted, border_sigma(image[None])[0], image)
        direct = np.tensordot(weight, stack, axes=1)
        assert np.linalg.norm(ours - direct) < 2e-4 * np.linalg.norm(direct)


def turned(stack: np.ndarray) -> np.ndarray:
    """A quarter turn about the pixel L//2, which all projections have as their centre."""
    return np.roll(np.rot90(stack, axes=(1, 2)), 1, axis=1)


def mirrored(stack: np.ndarray) -> np.ndarray:
    return np.roll(stack[:, ::-1], 1, axis=1)


@pytest.mark.parametrize("act", [turned, mirrored])
def test_turning_or_mirroring_the_input_does_it_to_the_output(fitted, images, act):
    noisy = images["test"].noisy(slice(0, 4))
    method = Exemplar(components=[200], angles=[48], n_validation=10, sigma="0.5")
    method.mixture = Mixture(fitted.mixture.orbits, images["train"].labels, 1.6)
    assert np.abs(method.denoise(act(noisy)) - act(method.denoise(noisy))).max() < 1e-4


def test_an_exemplar_itself_is_found_again(images):
    """With hardly any noise, the posterior of a training image is that image and its conformation."""
    train = images["train"]
    method = Exemplar(components=[300], angles=[48], n_validation=10, sigma="0.05", tau=1.0)
    method.fit(train.only(method.side_information))
    clean = train.clean(slice(0, 6))
    assert mse(clean, method.denoise(clean)).max() < 5e-4
    assert method.report["per_image"]["conformation"] == train.labels[:6].tolist()
    assert max(method.report["per_image"]["effective_exemplars"]) < 1.5


def test_more_exemplars_are_better(images):
    test = images["test"]

    def error(n: int) -> float:
        method = Exemplar(components=[200], angles=[48], n_validation=10, n_exemplars=n)
        method.fit(images["train"].only(method.side_information))
        return float(mse(test.clean(), method.denoise(test.noisy())).mean())

    assert error(150) < error(20)


def test_chosen_by_the_median_it_minds_no_noise_among_the_pairs_that_choose(cache):
    """A fifth of all pairs has noise for its reference or its input: the mean error is theirs, the median is not."""
    pairs = open_pairs(Phantom(image_size=32, n_train=150, n_test=30), cache)
    errors = {}
    for name, noise in (("kept", Gaussian(0.1)), ("broken", Contaminated(snr=0.1, type="C", share=0.1))):
        train, test = (pairs.images(split, noise, 0) for split in ("train", "test"))
        for chosen_by in ("mean", "median"):
            method = Exemplar(components=[20, 200], angles=[48], n_validation=20, chosen_by=chosen_by)
            method.fit(train.only(method.side_information))
            errors[name, chosen_by] = mse(test.clean(), method.denoise(test.noisy())).mean()
    assert errors["broken", "mean"] > 1.2 * errors["kept", "mean"], "the coarsest basis there is was chosen"
    assert errors["broken", "median"] < 1.1 * errors["kept", "median"]


def test_its_uncertainty_equals_brute_force(fitted, images):
    noisy = images["test"].noisy(slice(0, 2))
    fitted.denoise(noisy)
    uncertainty, report = fitted.uncertainty, fitted.report["per_image"]
    for i, image in enumerate(noisy):
        stack, weight, which = rendered(fitted, border_sigma(image[None])[0], image)
        mean = np.tensordot(weight, stack, axes=1)
        variance = np.tensordot(weight, (stack - mean) ** 2, axes=1)
        # 128 draws leave 1/16 of noise in a pixel's deviation, and more where only a rare element has something
        assert (np.abs(uncertainty.deviation[i] / np.sqrt(variance) - 1) < 0.2).mean() > 0.9
        assert np.sqrt(np.mean(uncertainty.deviation[i] ** 2)) == pytest.approx(np.sqrt(variance.mean()), rel=0.05)
        assert report["predicted_mse"][i] == pytest.approx(variance.mean(), rel=1e-2)
        share = np.bincount(which, weight)
        assert report["effective_exemplars"][i] == pytest.approx(1 / (share**2).sum(), rel=1e-2)
        labels = images["train"].labels
        np.testing.assert_allclose(uncertainty.conformations[i], np.bincount(labels, share), atol=1e-3)


def test_weights_are_bayes_rule_and_none_is_too_small_for_its_form():
    energies = torch.randn((3, 2, 5, 40), generator=torch.Generator().manual_seed(0)) * 30
    heats = torch.tensor([0.5, 20.0, 3.0])
    found, evidence = weights_and_evidence(energies.clone(), heats)
    exact = energies.double().flatten(1) / heats[:, None]
    torch.testing.assert_close(found.flatten(1).double(), exact.softmax(dim=1), rtol=1e-4, atol=1e-30)
    torch.testing.assert_close(evidence.double(), exact.logsumexp(dim=1), rtol=1e-6, atol=0)
    assert float(found.min()) > torch.finfo(torch.float32).tiny


def test_who_is_no_contender_has_next_to_no_weight():
    energies = torch.randn((3, 2, 5, 400), generator=torch.Generator().manual_seed(0)) * 30
    heats, alone = torch.tensor([0.5, 2.0, 1.0]), set()
    for i in range(3):
        found, which = contenders(energies[i : i + 1], heats[i : i + 1])
        torch.testing.assert_close(found, energies[i : i + 1, ..., which])
        assert 0 < len(which) < 400
        exact = (energies[i].double() / heats[i]).flatten().softmax(dim=0).view(energies.shape[1:])
        assert float(exact[..., which].sum()) == pytest.approx(1, abs=1e-9)
        alone |= set(which.tolist())
    _, which = contenders(energies, heats)
    assert which.tolist() == sorted(alone), "of several images, whoever contends for one of them"


def test_it_equals_brute_force_where_contenders_are_few(fitted, images):
    method = copy(fitted)
    method.sigma = "0.35"
    noisy = images["test"].noisy(slice(0, 3))
    for image, ours in zip(noisy, method.denoise(noisy), strict=True):
        orbits, heat = method.mixture.orbits, 0.35**2 * method.mixture.tau
        energies = orbits.inner_products(orbits.basis.coefficients(image[None])) - orbits.norms / 2
        assert 1 < len(contenders(energies, torch.tensor([heat]))[1]) < len(orbits)
        stack, weight, _ = rendered(method, 0.35, image)
        direct = np.tensordot(weight, stack, axes=1)
        assert np.linalg.norm(ours - direct) < 2e-4 * np.linalg.norm(direct)


def in_groups(method: Exemplar, images_at_once: int) -> Exemplar:
    """The same, which looks at so many images together as on a GPU."""
    method, method.mixture = copy(method), copy(method.mixture)
    method.mixture.images_at_once = images_at_once
    return method


@pytest.mark.parametrize(("rendered_together", "images_at_once"), [(1, 1), (40, 1), (128, 4), (1, 6)])
def test_images_are_denoised_alike_in_any_company(fitted, images, monkeypatch, rendered_together, images_at_once):
    """Also where several are looked at or rendered together, or one by one."""
    monkeypatch.setattr(mixture, "RENDERED", rendered_together)
    noisy = images["test"].noisy(slice(0, 6))
    for sigma in ("0.1", "0.5"):
        method = copy(fitted)
        method.sigma = sigma
        groups = in_groups(method, images_at_once)
        together, deviation, noted = groups.denoise(noisy), groups.uncertainty.deviation, groups.report["per_image"]
        for i in (0, 4):
            np.testing.assert_allclose(method.denoise(noisy[i : i + 1])[0], together[i], atol=1e-6 * images_at_once)
            np.testing.assert_allclose(method.uncertainty.deviation[0], deviation[i], atol=1e-6 * images_at_once)
            alone = {name: values[0] for name, values in method.report["per_image"].items()}
            assert alone == pytest.approx({name: values[i] for name, values in noted.items()}, 1e-4)


def test_no_more_is_rendered_together_than_told(images, monkeypatch):
    """Also where many images are looked at together, each at many shifts."""
    method = Exemplar(components=[200], angles=[48], n_validation=10, shift=2)
    method.fit(images["train"].only(method.side_information))
    groups, rendered = in_groups(method, 12), []
    render = type(method.mixture.orbits.basis).render

    def noted(basis, coefficients):
        rendered.append(len(coefficients))
        return render(basis, coefficients)

    monkeypatch.setattr(type(method.mixture.orbits.basis), "render", noted)
    groups.denoise(images["test"].noisy())
    most = mixture.KEPT * (mixture.DRAWS + 1)  # those of the last image
    assert len(rendered) > 2 and max(rendered) < mixture.RENDERED + most


def test_groups_of_images_are_seen_through_their_own_ctfs_at_their_own_shifts(cache):
    """And each leaves out its own exemplar, where several are looked at together."""
    method = Exemplar(components=[200], angles=[48], n_validation=10, shift=2, ctf="corrected")
    pairs = open_pairs(Phantom(image_size=32, n_train=150, n_test=12), cache)
    train = pairs.images("train", Microscope(0.1, ctf=True, box=204.8, train=True), 0)
    method.fit(train.only(method.side_information))
    rows = np.arange(5)
    noisy, hints = train.noisy(rows), train.hints(method.side_information, rows)
    groups = in_groups(method, 3)
    np.testing.assert_allclose(groups.denoise(noisy, **hints), method.denoise(noisy, **hints), atol=1e-5)
    off = groups.uncertainty.deviation - method.uncertainty.deviation  # a mark may fall on the next element
    assert np.linalg.norm(off) < 1e-2 * np.linalg.norm(method.uncertainty.deviation)
    alone, together = (one.widened(noisy, (1.0, 2.0), leave_out=rows, **hints) for one in (method, groups))
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(alone - method.widened(noisy, (1.0, 2.0), **hints)).max() > 1e-3, "its own exemplar would count"


def test_settings_are_chosen_alike_in_groups(fitted, images, monkeypatch):
    monkeypatch.setattr(mixture, "images_at_once", lambda orbits: 4)
    method = Exemplar(components=[200], angles=[48], n_validation=10)
    method.fit(images["train"].only(method.side_information))
    assert method.report["val_mse"] == pytest.approx(fitted.report["val_mse"], rel=1e-5)
    assert method.report["tau"] == fitted.report["tau"] and method.mixture.images_at_once == 4


def test_draws_take_each_element_as_often_as_it_weighs():
    weight = torch.rand((2, 3, 5), generator=torch.Generator().manual_seed(0))
    weight /= weight.sum()
    for some, drawn in zip((weight, weight.flip(2)), draws(torch.stack([weight, weight.flip(2)]), 1000), strict=True):
        counts = torch.bincount(drawn, minlength=30)
        assert (counts - 1000 * some.flatten()).abs().max() <= 1


def shifted(stack: np.ndarray, down: int, right: int) -> np.ndarray:
    return np.roll(stack, (down, right), (1, 2))


def test_a_shift_search_finds_particles_off_the_centre_and_leaves_them_there(images):
    test, train = images["test"], images["train"]
    clean, noisy = test.clean(slice(0, 6)), test.noisy(slice(0, 6))
    errors = {}
    for shift in (0, 2):
        method = Exemplar(components=[200], angles=[48], n_validation=10, shift=shift)
        method.fit(train.only(method.side_information))
        off = method.denoise(shifted(noisy, 2, 0))
        errors[shift] = mse(shifted(clean, 2, 0), off).mean()
        assert (method.uncertainty.deviation > 0).any() and np.isfinite(method.uncertainty.deviation).all()
    centred = mse(clean, method.denoise(noisy)).mean()
    assert errors[2] < 0.6 * errors[0] and errors[2] < 1.3 * centred


def test_settings_and_images_that_cant_be_used_are_named(fitted, images):
    with pytest.raises(InputError, match=r"method\.tau"):
        Exemplar(tau=0.0)
    with pytest.raises(InputError, match=r"method\.components"):
        Exemplar(components=[])
    with pytest.raises(InputError, match=r"method\.shift"):
        Exemplar(shift=-1)
    with pytest.raises(InputError, match=r"method\.sigma_factor"):
        Exemplar(sigma_factor=0.0)
    with pytest.raises(InputError, match="expected images of 32 pixels"):
        fitted.denoise(np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32))
    flat = images["test"].noisy(slice(0, 2))
    flat[1] = 0.3
    with pytest.raises(BadImages) as error:
        fitted.denoise(flat)
    assert error.value.indices == [1]


def test_what_exemplars_tell_of_images_is_computed_where_they_are(fitted, monkeypatch):
    """On a device that computes nothing and is on every machine; positions, which it can't find, are given."""
    monkeypatch.setattr(torch, "nonzero", lambda _: torch.arange(7, device="meta")[:, None])
    here = fitted.mixture.orbits
    orbits = moved(here)
    with OneDevice() as seen:
        energies = energies_of(orbits, torch.empty(4, 32, 32, device="meta"), orbits.norms.expand(4, -1))
        weights, logs = weights_and_evidence(energies, torch.empty(4, device="meta"))
        few, which = contenders(energies, torch.empty(4, device="meta"))
        sums = orbits.weighted_sum(few, which), orbits.weighted_sum(weights)
        made = orbits.basis.render(elements(orbits, draws(weights, 5)[0]))
    assert all(one.shape == (4, len(here.basis)) for one in sums)
    assert energies.shape == (4, *here.shape) and logs.shape == (4,) and made.shape == (5, 32, 32)
    assert made.is_meta and not seen.mixed
