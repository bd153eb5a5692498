"""The supplement's other sweeps (notes 2, 5, 7) at smoke scale: exit 0, and every table and figure is written."""

import pandas as pd

from cryobench.sweep import plan

SMALL = ("data.n_train=36", "data.n_test=6", "trainer.threads=1", "paths.results=out")


def test_lambda_is_the_papers_eight_and_their_limit():
    jobs = {job.row: job for job in plan(["+sweep=lambda"]).jobs}
    lams = {row: job.config["method"].get("lam") for row, job in jobs.items()}
    assert lams == {"0.1": 0.1, "1": 1, "5": 5, "10": 10, "50": 50, "100": 100, "500": 500, "10000": 10000,
                    "l1-Autoencoder": None, "oracle": None}  # fmt: skip
    shared = plan(["+sweep=alpha_beta", "row='(.5,.5)'", "noise.snr=0.1"]).jobs[0]
    assert jobs["10"].run_id == shared.run_id, "a run of Table 1 is Table 3's too"


def test_lambda_ends_in_table_3_and_its_strip(cli, tmp_path):
    status, _, err = cli("+sweep=lambda", "row='10','10000',l1-Autoencoder,oracle", *SMALL)
    assert status == 0, err
    found = pd.read_csv(tmp_path / "out/tables/table3.csv", dtype={"row": str})
    ours = found[found["mean"].notna()]
    assert set(ours["row"]) == {"10", "10000", "l1-Autoencoder"} and set(found["snr"]) == {0.1}
    text = (tmp_path / "out/tables/table3.md").read_text()
    assert "Lowest MSE at λ = 10" in text and "| λ | MSE | PSNR | SSIM |" in text and "10000: " in text
    assert all((tmp_path / f"out/figures/fig2_lambda.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))
