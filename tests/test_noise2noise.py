"""Noise2Noise: pairs whose noise is independent, from which a linear filter is as good as from clean images, and whose
gradient is the supervised one; of recorded images from two half exposures, or not at all."""

import mrcfile
import numpy as np
import pytest
import starfile
import torch

from cryobench.data.images import NoisyImages
from cryobench.data.io.relion import write_split
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.data.recorded import Particles
from cryobench.errors import InputError, Undeclared
from cryobench.methods.base import Setting
from cryobench.methods.learned.noise2noise import Noise2Noise
from cryobench.noise.contaminated import Contaminated
from cryobench.noise.gaussian import Gaussian
from cryobench.noise.recorded import Recorded

MAPS = [f"conformation_{k}.mrc" for k in range(1, 6)]


@pytest.fixture(scope="module")
def images(cache):
    return open_pairs(Phantom(image_size=32, n_train=48, n_test=8), cache).images("train", Gaussian(0.2), 0)


def every(images) -> np.ndarray:
    return np.arange(len(images))


def patches(images: np.ndarray, reach: int = 2) -> np.ndarray:
    """(n, L, L) → the (2 reach + 1)² pixels around each pixel, one line each."""
    size = 2 * reach + 1
    return np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2)).reshape(-1, size**2)


def best_filter(shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The 5×5 filter of least squares from the one to the other."""
    return np.linalg.lstsq(patches(shown), wanted[:, 2:-2, 2:-2].ravel(), rcond=None)[0]


def test_the_best_linear_filter_of_noisy_pairs_is_that_of_clean_ones(images):
    """Lehtinen et al., section 2, where the best net is known in closed form; with the same noise twice it copies its input."""
    method, index = Noise2Noise(), every(images)
    found = best_filter(*method.pairs(images, index, epoch=0))
    supervised = best_filter(images.noisy(), images.clean())
    copies = best_filter(images.noisy(), images.noisy())
    error = (
        25 / len(patches(images.noisy()))
    ) ** 0.5  # of 25 weights, where input and target have the same noise level
    assert np.linalg.norm(found - supervised) < 2 * error < 0.1
    assert np.linalg.norm(copies - supervised) > 0.8


def test_the_gradient_is_the_supervised_one_in_expectation(images):
    """ℓ2's gradient is linear in the target: over many draws of it, that of the clean image, by the law of large numbers."""
    method = Noise2Noise(width=4)
    net = method.module(32).generator.eval()
    power = method.module(32).power
    shown = torch.from_numpy(images.noisy([0, 1]))[:, None]

    def gradient(wanted: np.ndarray) -> torch.Tensor:
        net.zero_grad()
        (net(shown) - torch.from_numpy(wanted)[:, None]).abs().pow(power).mean().backward()
        return torch.cat([p.grad.flatten() for p in net.parameters()])

    wanted = np.stack([images.independent([0, 1], draw) for draw in range(1, 201)])
    each = torch.stack([gradient(one) for one in wanted[:8]])
    torch.testing.assert_close(each.mean(0), gradient(wanted[:8].mean(0)), rtol=1e-3, atol=1e-6)
    supervised, away = gradient(images.clean([0, 1])), (each - gradient(images.clean([0, 1]))).norm(dim=1).mean()
    assert (gradient(wanted.mean(0)) - supervised).norm() < 2 * away / 200**0.5


@pytest.mark.parametrize("draws", [2, 3, 4])
def test_each_pair_of_draws_comes_once_and_none_is_its_own_target(images, draws):
    method, index = Noise2Noise(draws=draws), np.array([0, 5])
    seen = {
        tuple(part.tobytes() for part in method.pairs(images, index, epoch)) for epoch in range(draws * (draws - 1))
    }
    known = [images.independent(index, draw).tobytes() for draw in range(draws)]
    assert seen == {(one, other) for one in known for other in known if one != other}


def test_neither_part_of_a_pair_is_clean_and_their_noise_is_not_alike(images):
    index, clean = every(images), images.clean()
    for pair in (Noise2Noise().pairs(images, index, 3), Noise2Noise().held_pairs(images, index, 0)):
        noise = np.stack([part - clean for part in pair]).reshape(2, -1)
        assert noise.std(axis=1) == pytest.approx(np.sqrt(np.mean(images.sigma() ** 2)), rel=0.02)
        assert abs(np.corrcoef(noise)[0, 1]) < 4 / noise.shape[1] ** 0.5


def test_an_input_that_is_contaminated_is_so_anew_in_each_draw(images):
    spoilt = NoisyImages("train", images.clean(), None, None, None, 1.0, Contaminated(type="B", share=0.5), seed=0)
    where = spoilt.contaminated()["input"]
    one, other = (spoilt.independent(where, draw) for draw in (0, 1))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03
    assert len(where) > 20 and 0 <= other.min() and other.max() <= 1


def test_it_sees_no_clean_image_and_says_what_it_is_told(images):
    method = Noise2Noise(width=4, epochs=1, batch_size=10)
    assert method.side_information == {"draws"}
    with pytest.raises(Undeclared, match="'draws'"):
        method.fit(images.only(frozenset(), "method noise2noise"))
    with pytest.raises(InputError, match=r"method\.draws: expected at least 2"):
        Noise2Noise(draws=1)


@pytest.mark.trains
def test_it_trains_without_clean_images_and_denoises(images, tmp_path):
    """Flat images are at 1 by definition, noisy ones at 1 / SNR: it gets below a third of them for each seed."""
    for seed in (0, 1):
        method = Noise2Noise(width=4, epochs=4, batch_size=4)
        method.setting = Setting(seed=seed, workdir=tmp_path / str(seed))
        method.fit(images.only(method.side_information))
        clean, noisy = images.clean(), images.noisy()
        assert np.mean((method.denoise(noisy) - clean) ** 2) < np.mean((noisy - clean) ** 2) / 3
        assert method.report["val_mse_against"] == "noisy images"
        assert method.report["val_mse"] > 0.9 * np.mean(images.sigma() ** 2)


@pytest.fixture(scope="module")
def exposures(cache, tmp_path_factory):
    """A folder with 24 recorded particles of SNR 0.2: the whole exposure, and two halves whose mean it is."""
    pairs = open_pairs(Phantom(image_size=32, n_train=24, n_test=1), cache)
    folder = tmp_path_factory.mktemp("exposures") / "set"
    write_split(folder, pairs, "train", pairs.images("train", Gaussian(0.1), 0))
    clean, rng = np.array(pairs.train.clean), np.random.default_rng(0)
    sigma = np.sqrt(clean.var(axis=(1, 2), keepdims=True) / 0.1)
    halves = [(clean + sigma * rng.standard_normal(clean.shape)).astype(np.float32) for _ in range(2)]
    for name, stack in {"half_1": halves[0], "half_2": 3 * halves[1] - 1, "train": (halves[0] + halves[1]) / 2}.items():
        mrcfile.write(folder / f"{name}.mrcs", stack.astype(np.float32), voxel_size=6.4, overwrite=True)
    table = starfile.read(folder / "train.star")
    blocks = {
        **table,
        "particles": table["particles"].assign(
            rlnImageName=[name.replace("train.mrcs", "half_2.mrcs") for name in table["particles"].rlnImageName]
        ),
    }
    starfile.write(blocks, folder / "half_2.star")
    return folder


def particles(folder, **settings) -> Particles:
    given = {
        "image_size": 32,
        "n_train": 16,
        "n_test": 8,
        "star": "train.star",
        "maps": MAPS,
        "ctf": False,
        "shuffle": True,
        "halves": ["half_1.mrcs", "half_2.star"],
    }
    return Particles(**given | {"data_dir": str(folder)} | settings)


def test_two_half_exposures_are_two_independent_draws_on_the_clean_images_scale(exposures, cache):
    images = open_pairs(particles(exposures), cache).images("train", Recorded(), 0)
    clean, index = images.clean(), every(images)
    one, other = (images.independent(index, draw) for draw in (0, 1))
    for half in (one, other):  # half_2 has another gain and level
        slope, _ = np.polyfit(clean.ravel(), half.ravel(), 1)
        assert slope == pytest.approx(1, abs=0.15)
        assert np.mean((half - clean) ** 2) == pytest.approx(2 * np.mean((images.noisy() - clean) ** 2), rel=0.1)
    assert abs(np.corrcoef((one - clean).ravel(), (other - clean).ravel())[0, 1]) < 0.05
    shown, wanted = Noise2Noise().pairs(images, index, 1)
    assert np.array_equal(shown, other) and np.array_equal(wanted, one)


def test_a_draw_that_was_not_recorded_is_no_other_one_again(exposures, cache, tmp_path):
    method = Noise2Noise(width=4, epochs=1, batch_size=4)
    method.setting = Setting(workdir=tmp_path)
    without = open_pairs(particles(exposures, halves=None), cache).images("train", Recorded(), 0)
    with pytest.raises(InputError, match=r"expected a second recording .* data\.halves"):
        method.fit(without.only(method.side_information, "method noise2noise"))
    images = open_pairs(particles(exposures), cache).images("train", Recorded(), 0)
    method.draws = 3
    with pytest.raises(InputError, match=r"expected two draws .* method\.draws=2"):
        method.fit(images.only(method.side_information, "method noise2noise"))
    with pytest.raises(Undeclared):
        images.only(frozenset({"clean"})).independent([0], 0)


@pytest.mark.parametrize("halves", [["half_1.mrcs", "half_1.mrcs"], ["half_1.mrcs", "train.star"]])
def test_a_stack_given_twice_or_the_whole_exposure_is_no_second_half(exposures, cache, halves):
    with pytest.raises(InputError, match=r"each with noise of its own, got a correlation of (1\.00|0\.[67])"):
        open_pairs(particles(exposures, halves=halves), cache)


def test_wrong_halves_are_one_line(exposures, cache, tmp_path):
    for given, words in (
        (["half_1.mrcs"], "expected two stacks"),
        (["half_1.mrcs", "gone.mrcs"], "gone.mrcs"),
        (["half_1.mrcs", str(tmp_path / "few.mrcs")], "24 particles, got 3"),
    ):
        mrcfile.write(tmp_path / "few.mrcs", np.ones((3, 32, 32), np.float32), voxel_size=6.4, overwrite=True)
        with pytest.raises(InputError, match=words) as caught:
            open_pairs(particles(exposures, halves=given), cache)
        assert "\n" not in str(caught.value)
    table = starfile.read(exposures / "half_2.star")
    where = np.arange(24.0)
    for name, shift in (("a", 0), ("b", 5)):
        moved = table["particles"].assign(rlnCoordinateX=where + shift, rlnCoordinateY=where)
        starfile.write({**table, "particles": moved}, exposures / f"{name}.star", overwrite=True)
    with pytest.raises(InputError, match=r"other coordinates in .*b\.star for image 1-24"):
        open_pairs(particles(exposures, star="a.star", halves=["half_1.mrcs", "b.star"]), cache)


@pytest.mark.trains
def test_a_run_on_half_exposures_is_another_run_than_one_without_and_denoises_a_stack(exposures, cli):
    words = [
        "data=particles",
        "data.star=train.star",
        f"data.maps=[{','.join(MAPS)}]",
        f"paths.data='{exposures}'",
        "data.ctf=false",
        "data.n_train=16",
        "data.n_test=8",
        "scale.width=4",
        "scale.epochs=1",
        "protocol.batch_size=8",
        "paths.results=out",
    ]
    status, _, err = cli(*words, "method=noise2noise")
    assert status == 2 and "data.halves" in err and len(err.strip().splitlines()) == 1
    status, out, err = cli(*words, "method=noise2noise", "data.halves=[half_1.mrcs,half_2.mrcs]")
    assert status == 0, err
    name = next(part for part in out.split() if "noise2noise-" in part).split("/")[2]
    status, _, err = cli(
        "denoise",
        str(exposures / "train.mrcs"),
        "--run",
        name,
        "--results",
        "out",
        "-o",
        "d.mrcs",
        f"paths.data={exposures}",
    )
    assert status == 0, err
    assert mrcfile.read("d.mrcs").shape == (24, 32, 32)
