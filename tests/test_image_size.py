"""The error against the image size: what finer pixels do to an MSE, and that an NMSE does not know of them."""

import pytest
from cryobench.experiments import fig_image_size, image_size
from cryobench.experiments.image_size import Point

from cryobench.config.sweep import plan
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.runs.store import Store


def test_an_mse_is_a_share_of_the_clean_variance(cache):
    """Both errors of one estimate, the mean image, from their definitions: NMSE is the MSE over the clean variance."""
    clean = open_pairs(Phantom(image_size=32, n_train=48, n_test=4), cache).train.clean
    error = (clean.mean(axis=0) - clean) ** 2
    variance = clean.var(axis=(1, 2))
    share = (error.sum(axis=(1, 2)) / (variance * 32**2)).mean()
    assert error.mean() == pytest.approx(share * variance.mean(), rel=0.1)


def test_the_page_has_each_size_and_the_papers_number_beside_an_mse_alone():
    points = [
        Point("CWF", 64, (4e-3, 4.2e-3), (0.14, 0.15)),
        Point("CWF", 128, (3e-3,), (0.145,)),
        Point("(.5,.5)-GAN + l1", 128, (3.2e-3,), (0.15,)),
    ]
    page = image_size.to_markdown(points)
    assert "| CWF | 4.10e-3(1.41e-4) | 3.00e-3(–) | 1–2 | 2.50e-2 |" in page
    assert "| (.5,.5)-GAN + ℓ1 | – | 3.20e-3(–) | 1 | 3.01e-3 |" in page
    assert "| CWF | 14.5 %(0.7) | 14.5 %(–) | 1–2 |" in page
    assert image_size.to_csv(points).splitlines()[1] == "CWF,64,0.0041,0.145,2"


def test_without_records_there_is_a_page_and_a_figure(tmp_path):
    store = Store(tmp_path)
    assert all(file.stat().st_size for file in (*image_size.write(store), *fig_image_size.write(store)))


def test_the_rows_of_128_px_are_those_of_tables_1_to_3():
    """At scale=desk128 a row of 128 px is a run that the tables have already."""
    sizes = {job.row: job.run_id for job in plan(["+sweep=image_size", "data=rnap_ecoli", "scale=desk128"]).jobs}
    shared = {"methods": "row=CWF,'Linear limit','Bayes limit'", "lambda": "row='10',l1-Autoencoder"}
    tables = {
        job.run_id
        for sweep, rows in shared.items()
        for job in plan([f"+sweep={sweep}", rows, "data=rnap_ecoli", "scale=desk128", "noise.snr=0.1"]).jobs
    }
    assert {run_id in tables for row, run_id in sizes.items() if row.endswith(", 128 px")} == {True}
    assert len(set(sizes.values())) == len(sizes) == 20
