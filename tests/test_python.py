"""The Python interface: images for a notebook, a denoiser scored as a run is, and the examples of docs/python.md."""

import doctest
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cryobench.baselines.nlm import NLM
from scipy.ndimage import gaussian_filter

import cryobench
from cryobench.errors import InputError, RunFailed, Undeclared
from cryobench.runs.store import Store

DOCS = Path(__file__).parents[1] / "docs"
SMALL = ("data.n_train=30", "data.n_test=6")


@pytest.fixture
def small(cache, monkeypatch):
    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    return cryobench.load("phantom", *SMALL, snr=0.2, seed=1)


def test_images_are_those_of_a_run_and_come_when_they_are_asked_for(small, cache):
    from cryobench.config.compose import build, compose, resolve
    from cryobench.data.pairs import open_pairs

    assert "images" not in vars(small) and repr(small) == "Data(phantom, quick scale, SNR 0.2, seed 1)"
    config = resolve(compose([*SMALL, "noise.snr=0.2", "seed=1"]))
    test = open_pairs(build(config, "data"), cache).images("test", build(config, "noise"), 1)
    np.testing.assert_array_equal(small.test.noisy(), test.noisy())
    assert len(small.train) == 30 and small.volumes.shape == (5, 32, 32, 32) and small.pixel_size == 6.4
    assert not np.array_equal(cryobench.load("phantom", *SMALL, snr=0.2, seed=2).test.noisy(), test.noisy())


@pytest.mark.parametrize(
    "words", [["method=nlm"], ["method=nlm", "method.sigma=known", "noise.clip=true", "protocol=released"]]
)
def test_a_notebook_scores_as_a_run_does(cli, cache, tmp_path, words):
    """Same numbers as the run's record, which has eight digits of a mean and six of an image's value."""
    assert cli(*words, *SMALL, "paths.results=out")[0] == 0
    (record,) = Store(tmp_path / "out").all()
    around = [word for word in words if not word.startswith("method")]
    data = cryobench.load("phantom", *SMALL, *around)
    result = cryobench.evaluate(NLM(sigma=record.config["method"]["sigma"]), data)
    assert result.metrics == record.metrics and result.noisy_metrics == record.noisy_metrics
    assert result.side_information == record.side_information
    for name, values in record.per_image.items():
        np.testing.assert_allclose(result.per_image[name], values, rtol=6e-6)
    gallery = Store(tmp_path / "out").gallery(record.run_id)
    np.testing.assert_allclose(result.denoised[:6], gallery, atol=2e-3)  # kept in half precision


def test_a_function_is_told_what_is_said_of_it_and_no_more(small):
    told = {}

    def blur(noisy, **hints):
        told.update(hints)
        return gaussian_filter(noisy, (0, 2, 2))

    plain = cryobench.evaluate(blur, small)
    assert told == {} and plain.side_information == [] and plain.fit_s >= 0
    result = cryobench.evaluate(blur, small, side_information={"sigma"})
    np.testing.assert_array_equal(told["sigma"], small.test.sigma())
    assert result.side_information == ["sigma"] and result.metrics == plain.metrics
    error = np.mean((plain.denoised - small.test.clean()) ** 2, axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(plain.per_image["mse"], error, rtol=1e-5)
    assert str(plain).startswith(f"MSE {error.mean():.3g}, PSNR ")


@dataclass
class Curious(cryobench.Denoiser):
    def fit(self, train):
        train.clean()

    def denoise(self, noisy):
        return noisy


def test_mistakes_are_told(small):
    with pytest.raises(Undeclared, match="Curious"):
        cryobench.evaluate(Curious(), small)
    with pytest.raises(RunFailed, match="expected denoised images of shape"):
        cryobench.evaluate(lambda noisy: noisy[:, 1:], small)
    with pytest.raises(InputError, match="a Denoiser or a function of noisy images"):
        cryobench.evaluate(NLM, small)  # the class, not an object of it
    with pytest.raises(InputError, match=r"what cryobench\.load gave, got ndarray"):
        cryobench.evaluate(NLM(), small.test.noisy())
    with pytest.raises(InputError, match="a Denoiser declares its own"):
        cryobench.evaluate(NLM(), small, side_information={"sigma"})
    with pytest.raises(InputError, match="did you mean phantom"):
        cryobench.load("phanton")


def test_the_examples_of_the_page_run(cache, monkeypatch):
    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    found = doctest.testfile(str(DOCS / "python.md"), module_relative=False)
    assert found.failed == 0 and found.attempted > 8


def test_the_notebook_runs_and_is_kept_without_its_outputs(cache, monkeypatch, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(DOCS / "python.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert len(notebook.cells) <= 8, "it is to be short"
    monkeypatch.setenv("CRYOBENCH_CACHE", str(cache))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    interrupt = signal.getsignal(signal.SIGINT)  # where it was ignored, nbclient leaves Python's own
    try:
        client.execute(env=dict(os.environ))
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert cells[0].outputs[0]["data"]["text/plain"] == "Data(phantom, smoke scale, SNR 0.1, seed 0)"
    printed = "".join(output["text"] for output in cells[2].outputs)
    assert "width 3: NMSE 0." in printed and "image/png" in cells[3].outputs[0]["data"]
