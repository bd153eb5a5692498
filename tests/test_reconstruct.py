"""Back-projection gives back the volume, and the shell correlation with it says how far."""

import json

import mrcfile
import numpy as np
import pytest
import torch
from conftest import TINY
from torch_fourier_shell_correlation import fourier_shell_correlation
from torch_fourier_slice import backproject_2d_to_3d

from cryobench.config.compose import build, compose, resolve
from cryobench.data.project import project
from cryobench.data.rotations import random_rotations
from cryobench.errors import InputError
from cryobench.particles import reconstruct as module
from cryobench.particles.model import Model
from cryobench.particles.reconstruct import Reconstructions, backproject, verdict

SIZE = 24


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    grid = np.stack(np.mgrid[:SIZE, :SIZE, :SIZE], axis=-1) - SIZE // 2
    return sum(np.exp(-((grid - c) ** 2).sum(-1) / 6) for c in rng.uniform(-5, 5, (10, 3))).astype(np.float32)


def test_in_pieces_it_is_the_packages_own_and_gives_the_volume_back(volume, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 7)
    rotations = random_rotations(60, np.random.default_rng(1))
    images = project(volume, rotations)
    again = backproject(lambda rows: images[rows], np.arange(60), rotations)
    whole = backproject_2d_to_3d(torch.from_numpy(images), torch.from_numpy(rotations).float()).numpy()
    np.testing.assert_allclose(again, whole, atol=1e-5)
    assert np.corrcoef(again.ravel(), volume.ravel())[0, 1] > 0.99


def test_shell_correlation_is_one_with_itself_and_falls_where_noise_begins(volume):
    """White noise of a shell's own power brings the correlation there to 1/√2; frequencies in 1/Å, the last Nyquist."""
    rng = np.random.default_rng(2)
    spectrum = np.abs(np.fft.fftn(volume))
    noise = np.fft.ifftn(np.fft.fftn(rng.normal(size=volume.shape)) * spectrum).real * volume.size**-0.5
    volumes = {"noisy": volume, "equal": (volume + noise).astype(np.float32)}
    frequency, curves = Reconstructions(volumes, volume, 1, 2.0).curves()
    assert frequency[-1] == pytest.approx(1 / 4) and len(frequency) == SIZE // 2
    np.testing.assert_allclose(curves["noisy"], 1, atol=1e-5)
    assert curves["equal"][2:6].mean() == pytest.approx(0.5**0.5, abs=0.12)


@pytest.mark.parametrize(
    ("snr", "words"), [(1, "0.71 where signal and noise\nare equal"), (1 / 3, "0.5 where there is a third")]
)
def test_what_a_correlation_with_the_truth_says_of_the_signal(snr, words):
    """√(SNR/(1 + SNR)), by torch_fourier_shell_correlation from white signal and white noise; and so says the module."""
    signal, noise = torch.randn(2, 48, 48, 48, generator=torch.Generator().manual_seed(0))
    correlation = fourier_shell_correlation(signal + snr**-0.5 * noise, signal)[8:24].mean()
    assert float(correlation) == pytest.approx((snr / (1 + snr)) ** 0.5, abs=0.01)
    assert float(words.split()[0]) == pytest.approx(float(correlation), abs=0.02) and words in module.__doc__


def test_the_verdict_compares_with_the_noisy_images():
    def line(name, half):
        return {"name": name, "resolution_0.143": half, "resolution_0.5": half}

    lines = [line("clean", 5.0), line("noisy", 10.0), line("a", 9.0), line("b", 11.0), line("c", 10.1), line("d", None)]
    words = verdict(lines)
    assert "a helped" in words and "b hurt" in words and "c changed nothing" in words and "d hurt" in words


def test_the_verb_leaves_maps_curves_and_a_figure(cli, tmp_path):
    run = ("method=nlm", *TINY)
    assert cli(*run)[0] == 0
    (folder,) = (tmp_path / "results" / "phantom-quick" / "runs").glob("[!.]*")
    call = ("reconstruct", "--run", folder.name, "--results", "results/phantom-quick", "-o", "out")
    status, out, err = cli(*call, "--images", "60", "--conformation", "2")
    assert status == 0 and "nlm" in out, err
    about = json.loads((tmp_path / "out" / "fsc.json").read_text())
    assert about["views"] < 60 and set(about["fsc"]) == {"clean", "noisy", "nlm"}
    clean, noisy = (np.mean(about["fsc"][name][:6]) for name in ("clean", "noisy"))
    assert clean > 0.6 and clean > noisy
    for name in ("clean", "noisy", "nlm", "truth"):
        with mrcfile.open(tmp_path / "out" / f"{name}.mrc") as file:
            assert (
                file.is_volume() and file.data.shape == (32, 32, 32) and float(file.voxel_size.x) == pytest.approx(6.4)
            )
    assert (tmp_path / "out" / "figures" / "fsc.png").read_bytes()[:4] == b"\x89PNG"
    status, _, err = cli(*call, "--conformation", "9")
    assert status == 2 and "--conformation" in err


def test_runs_of_one_data_set_go_together_whatever_the_age_of_their_records(cache):
    """A setting that came later is missing from an older record; at its default it is the same data set."""
    config = resolve(compose(["method=nlm", *TINY, f"paths.cache={cache}"]))
    newer = {**config, "data": {**config["data"], "test_view": "random"}}
    assert newer["data"] != config["data"]
    models = [Model(name, build(one, "method"), one) for name, one in (("old", config), ("new", newer))]
    assert set(module.reconstruct(models, n_test=6, conformation=1).volumes) >= {"noisy", "clean"}
    other = Model("other", build(config, "method"), {**config, "data": {**config["data"], "seed": 5}})
    with pytest.raises(InputError, match="another data in other"):
        module.reconstruct([models[0], other], n_test=6, conformation=1)


def test_curves_have_names_of_their_own_whatever_methods_are_called(cli, tmp_path):
    """The method that changes nothing is called as the noisy images are; its curve is theirs, beside theirs."""
    for words in (["method=noisy"], ["method=nlm"], ["method=nlm", "method.sigma=known"]):
        assert cli(*words, *TINY)[0] == 0
    folder = tmp_path / "results" / "phantom-quick" / "runs"
    (noisy,), nlm = ([path.name for path in sorted(folder.glob(f"{name}-*"))] for name in ("noisy", "nlm"))
    results, few = (
        ("--results", "results/phantom-quick"),
        ("--images", "60", "-o", "results/phantom-quick/reconstruction"),
    )
    given = [word for name in (noisy, *nlm) for word in ("--run", name)]
    status, out, err = cli("reconstruct", *given, *results, *few)
    assert status == 0, err
    about = json.loads((tmp_path / "results/phantom-quick/reconstruction/fsc.json").read_text())
    assert list(about["fsc"]) == ["clean", "noisy", noisy, *nlm] and about["runs"] == [noisy, *nlm]
    assert about["fsc"][noisy] == about["fsc"]["noisy"] and f"{noisy} changed nothing" in out
    status, out, err = cli("figure", "reconstruction_fsc", *results)
    assert status == 0 and (tmp_path / "results/phantom-quick/figures/reconstruction_fsc.png").exists(), err
    status, _, err = cli("reconstruct", "--run", nlm[0], "--run", nlm[0], *results, "-o", "twice")
    assert status == 2 and f"got {nlm[0]} more than once" in err and len(err.strip().splitlines()) == 1, err


@pytest.mark.parametrize("name", ["clean", "noisy", "truth"])
def test_a_model_does_not_take_the_name_of_what_it_is_compared_with(name):
    def named(run, method):
        return Model(run, None, {"method": {"name": method}})

    labels = module.by_label(
        [named("run-1", name), named("run-2", "cwf"), named("run-3", "gan"), named("run-4", "gan")]
    )
    assert {label: model.name for label, model in labels.items()} == {
        "run-1": "run-1", "cwf": "run-2", "run-3": "run-3", "run-4": "run-4"
    }  # fmt: skip
