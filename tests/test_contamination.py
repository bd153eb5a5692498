"""Contaminated training pairs: which, how many, with what, and never a test image."""

import json

import numpy as np
import pytest
from conftest import TINY
from scipy import stats

from cryobench.config.compose import compose, resolve
from cryobench.config.identity import run_id
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError, Undeclared
from cryobench.noise.contaminated import Contaminated
from cryobench.noise.gaussian import Gaussian

N = 400


@pytest.fixture(scope="module")
def clean():
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    widths = np.linspace(0.15, 0.4, N)[:, None, None]
    return np.exp(-(x**2 + y**2) / widths**2).astype(np.float32)


def images(clean, noise, split="train", seed=0):
    return NoisyImages(split, clean, None, None, None, 1.0, noise, seed)


def changed(one: np.ndarray, other: np.ndarray) -> list[int]:
    return np.flatnonzero((one != other).any(axis=(1, 2))).tolist()


@pytest.mark.parametrize(("kind", "parts"), [("A", {"reference"}), ("B", {"input"}), ("C", {"reference", "input"})])
def test_what_the_record_lists_is_what_is_contaminated(clean, kind, parts):
    plain, contaminated = images(clean, Gaussian(0.1)), images(clean, Contaminated(0.1, type=kind, share=0.2))
    listed = contaminated.contaminated()
    assert set(listed) == parts
    assert changed(contaminated.clean(), clean) == listed.get("reference", [])
    assert changed(contaminated.noisy(), plain.noisy()) == listed.get("input", [])
    assert all(len(indices) == N / 5 for indices in listed.values()), "whole tenths are met exactly"


def test_the_two_halves_of_type_c_are_independent(clean):
    listed = images(clean, Contaminated(0.1, type="C", share=0.5)).contaminated()
    both = len(set(listed["reference"]) & set(listed["input"]))
    assert abs(both - N / 4) < 4 * np.sqrt(N * 3 / 16)
    contaminated = images(clean, Contaminated(0.1, type="C", share=0.5))
    index = next(i for i in listed["reference"] if i in listed["input"])
    assert abs(np.corrcoef(contaminated.clean([index]).ravel(), contaminated.noisy([index]).ravel())[0, 1]) < 4 / 32


def test_what_stands_in_their_place_is_uniform_and_each_image_has_its_own(clean):
    contaminated = images(clean, Contaminated(0.1, type="A", share=0.1))
    where = contaminated.contaminated()["reference"]
    drawn = contaminated.clean(where)
    assert stats.kstest(drawn.ravel(), "uniform").pvalue > 1e-3 and drawn.dtype == np.float32
    assert len({image.tobytes() for image in drawn}) == len(where)


def test_a_pair_is_contaminated_whatever_stands_beside_it_and_a_larger_share_holds_a_smaller_one(clean):
    small, large = (images(clean, Contaminated(0.1, type="C", share=share)) for share in (0.1, 0.25))
    for part, indices in small.contaminated().items():
        assert set(indices) < set(large.contaminated()[part])
    some = np.array([77, 3, 250])
    assert np.array_equal(large.clean(some), large.clean()[some])
    assert np.array_equal(large.noisy(some), large.noisy()[some])
    assert large.subset(some).contaminated()["input"] == [i for i in some if i in large.contaminated()["input"]]
    half = images(clean[: N // 2], Contaminated(0.1, type="C", share=0.25))
    assert np.array_equal(half.clean(), large.clean()[: N // 2]), "a smaller data set is the start of a larger one"
    assert images(clean, Contaminated(0.1, type="C"), seed=1).contaminated() != small.contaminated()


def test_by_batch_whole_blocks_are_contaminated(clean):
    noise = Contaminated(0.1, type="B", share=0.3, unit="batch", batch_size=8)
    listed = np.array(images(clean, noise).contaminated()["input"])
    blocks, sizes = np.unique(listed // 8, return_counts=True)
    assert (sizes == 8).all() and len(blocks) == 0.3 * N / 8


def test_test_images_are_left_alone_and_the_noise_level_is_the_instruments(clean):
    plain, contaminated = (
        images(clean, noise, "test") for noise in (Gaussian(0.1), Contaminated(0.1, type="C", share=0.9))
    )
    assert np.array_equal(plain.noisy(), contaminated.noisy()) and np.array_equal(contaminated.clean(), clean)
    assert not any(contaminated.contaminated().values())
    assert np.array_equal(images(clean, Contaminated(0.1, type="C", share=0.9)).sigma(), plain.sigma())


def test_no_method_is_told_which(clean):
    with pytest.raises(Undeclared, match="contaminated"):
        images(clean, Contaminated(0.1)).only({"clean", "sigma"}).contaminated()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"type": "D"}, "noise.type: expected one of A, B, C, got D"),
        ({"unit": "epoch"}, "noise.unit"),
        ({"share": 1.0}, r"noise.share: expected a share in \[0, 1\), got 1.0"),
        ({"share": float("nan")}, "share"),
        ({"batch_size": 0}, "batch_size"),
        ({"snr": 0}, r"noise\.snr"),
    ],
)
def test_mistakes_are_one_line(wrong, message):
    with pytest.raises(InputError, match=message):
        Contaminated(**wrong)


def test_a_share_of_0_is_the_clean_run():
    def name(*overrides):
        return run_id(resolve(compose(list(overrides))))

    assert name("noise=contaminated", "noise.share=0", "noise.type=B", "noise.snr=0.05") == name("noise.snr=0.05")
    assert name("noise=contaminated") != name() != name("noise=contaminated", "noise.type=B")
    with pytest.raises(InputError, match="type"):
        name("noise=contaminated", "noise.share=0", "noise.type=D")


@pytest.mark.trains
def test_a_run_lists_its_contaminated_pairs(cli, tmp_path):
    """And its checkpoint is chosen on a validation part that is contaminated too: 0.3 of references are noise there."""
    contaminated = ("method=autoencoder", "noise=contaminated", "noise.share=0.3", *TINY)
    for command in (contaminated, ("method=autoencoder", *TINY)):
        status, _, err = cli(*command)
        assert status == 0, err
    records = [json.loads(file.read_text()) for file in tmp_path.rglob("record.json")]
    contaminated, plain = sorted(records, key=lambda record: record["config"]["noise"]["name"])
    listed = contaminated["contaminated"]["reference"]
    assert len(listed) == pytest.approx(0.3 * 36, abs=2) and plain["contaminated"] == {}
    assert any(index >= 36 - contaminated["method"]["validation_images"] for index in listed)
    assert contaminated["method"]["val_mse"] > plain["method"]["val_mse"] + 0.01
    assert contaminated["noisy_metrics"] == plain["noisy_metrics"]
