"""What a sweep will cost: against sums done by hand, and against a run that was timed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY

from cryobench.config.compose import build
from cryobench.config.sweep import plan
from cryobench.cost import estimate
from cryobench.cost.bench import scales
from cryobench.cost.speed import cost_key
from cryobench.errors import InputError


def bench_of(*jobs, **speeds) -> dict:
    speed = {
        "cores": 1,
        "fit_s": 3.0,
        "fit_s_per_image": 0.01,
        "denoise_s_per_image": 0.002,
        "weights_bytes": 1_000_000,
        "checkpoint_bytes": 5_000_000,
    } | speeds
    return {"methods": [{"key": cost_key(job.config), **speed} for job in jobs], "simulation_s": {"64": 0.003}}


def test_a_gans_time_is_start_fit_validation_and_test(monkeypatch, tmp_path):
    monkeypatch.setenv("CRYOBENCH_CACHE", str(tmp_path))
    (job,) = plan(["method=gan", "scale=desk"]).jobs
    bench = bench_of(job)
    # 4,000 pairs: 200 validate, 3,800 are 190 batches of 20; six epochs; 500 test images
    by_hand = 3.0 + 6 * 3800 * 0.01 + 6 * 200 * 0.002 + 500 * 0.002 + estimate.START
    assert estimate.run_seconds(job.config, bench["methods"][0]) == pytest.approx(by_hand)
    jobs = plan(["method=gan", "scale=desk", "seed=0,1,2,3"]).jobs
    cost = estimate.cost(jobs, bench, 2, 1, {})
    assert cost.simulation_s == pytest.approx(4500 * 0.003), "one data set, simulated once"
    assert cost.seconds == pytest.approx(2 * by_hand + 4500 * 0.003) and not cost.unmeasured
    assert cost.cache == 4500 * 64 * 64 * 4
    assert cost.disk == pytest.approx(4 * 1.2e6 + 2 * 5e6, rel=0.05)


def test_a_classical_methods_time_has_no_epochs(tmp_path):
    (job,) = plan(["method=nlm", "scale=desk"]).jobs
    (entry,) = bench_of(job)["methods"]
    assert estimate.run_seconds(job.config, entry) == pytest.approx(3.0 + 4000 * 0.01 + 500 * 0.002 + estimate.START)


def test_pggans_time_goes_by_images_of_a_phase_and_the_unets_by_epochs_and_once(tmp_path):
    pggan, unet = plan(["method=pggan,unet", "scale=desk"]).jobs
    (entry,) = bench_of(pggan)["methods"]
    # 64 px: 2·log₂(64) − 3 = 9 phases of five parts, each of which ends with 200 validation images
    by_hand = 3.0 + 3000 * 0.01 + 9 * 5 * 200 * 0.002 + 500 * 0.002 + estimate.START
    assert estimate.run_seconds(pggan.config, entry) == pytest.approx(by_hand)
    (entry,) = bench_of(unet, fit_s_once_per_image=0.05)["methods"]
    # 3,800 are 237 batches of 16; twelve epochs; 4,000 images are prepared once
    by_hand = 3.0 + 4000 * 0.05 + 12 * 237 * 16 * 0.01 + 12 * 200 * 0.002 + 500 * 0.002 + estimate.START
    assert estimate.run_seconds(unet.config, entry) == pytest.approx(by_hand)


def test_bench_alone_measures_all_there_is_and_less_when_asked():
    from cryobench.cost.bench import asked_for

    jobs = [job for words in asked_for(["seed=3"]) for job in plan(words).jobs]
    methods = {path.stem for path in (Path(__file__).parents[1] / "conf" / "method").glob("[!_]*.yaml")}
    assert {job.config["method"]["name"] for job in jobs} == methods
    assert {"resnet", "conv"} <= {job.config["method"].get("net") for job in jobs}
    assert {job.config["scale"]["name"] for job in jobs} == {"desk"} and {job.config["seed"] for job in jobs} == {3}
    assert asked_for(["method=nlm"]) == [["method=nlm"]] and asked_for(["+sweep=gap"]) == [["+sweep=gap"]]


@pytest.mark.slow
def test_a_method_that_cannot_be_measured_leaves_the_others(monkeypatch, tmp_path):
    from cryobench.cost import bench

    monkeypatch.setenv("CRYOBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(bench, "cores", lambda: 2)
    jobs = plan(["method=nlm,bm3d", *TINY, "data.image_size=16"]).jobs
    broken = [
        replace(job, config=job.config | {"method": job.config["method"] | {"sigma": "none"}}) for job in jobs[1:]
    ]
    entries = {entry["key"]["method"]: entry for entry in bench.side_by_side([jobs[0], *broken])}
    assert entries["nlm"]["denoise_s_per_image"] > 0 and "sigma" in entries["bm3d"]["error"]


def test_rows_that_differ_in_the_score_cost_the_same_and_others_do_not():
    jobs = plan(["+sweep=alpha_beta", "scale=paper"]).jobs
    assert len({json.dumps(cost_key(job.config)) for job in jobs}) == 1
    others = (["method=gan"], ["method=gan", "method.net=conv"], ["method=gan", "scale=desk"], ["method=autoencoder"])
    keys = [cost_key(plan(words).jobs[0].config) for words in others]
    assert len({json.dumps(key) for key in keys}) == 4


def test_what_was_not_measured_is_said(tmp_path):
    jobs = plan(["method=gan,nlm", "scale=desk"]).jobs
    cost = estimate.cost(jobs, bench_of(jobs[0]), 1, 1, {})
    assert cost.unmeasured == [jobs[1].run_id]
    (tmp_path / "bench.json").write_text("[]")
    with pytest.raises(InputError, match="remove it"):
        estimate.read_bench(tmp_path / "bench.json")


def test_ratios_are_taken_at_the_sizes_of_the_jobs_and_at_desk_width():
    def of(*words):
        return scales(plan(["method=nlm", *words]).jobs)

    assert of("scale=smoke") == ["smoke"] and of("scale=desk") == ["desk"]
    assert of("scale=desk128") == of("scale=paper") == ["desk128"]
    assert of("scale=desk", "data.image_size=64,128") == ["desk", "desk128"]


def test_bench_then_plan_then_run(cli, tmp_path, monkeypatch):
    """The verbs, one after the other; every number that bench gives is positive and of the right kind."""
    monkeypatch.setattr("cryobench.cost.bench.cores", lambda: 1)
    monkeypatch.setattr("cryobench.cost.ratios.IMAGES", 40)
    monkeypatch.setattr("cryobench.cost.turns.TURNS", 2)
    words = ["method=gan,nlm", *TINY]
    status, out, _ = cli("plan", *words)
    assert status == 0 and "2 runs: 0 done, 0 failed, 2 pending" in out and "python -m cryobench bench" in out
    assert all(line.startswith("pending ") and line.endswith(": cost unknown") for line in out.splitlines()[:2])
    status, out, err = cli("bench", *words)
    assert status == 0, err
    bench = json.loads((tmp_path / "results" / "phantom-quick" / "bench.json").read_text())
    assert {entry["key"]["method"] for entry in bench["methods"]} == {"gan", "nlm"}
    for entry in bench["methods"]:
        assert entry["denoise_s_per_image"] > 0 and entry["fit_s_per_image"] >= 0
        assert (entry["weights_bytes"] > 0) == (entry["key"]["method"] == "gan") == (entry["checkpoint_bytes"] > 0)
    assert bench["metrics"]["32"]["ssim"] > 0 and len(bench["ratios"]) >= 10
    assert cli("method=nlm", *TINY)[0] == 0
    status, out, _ = cli("plan", *words)
    assert status == 0 and "2 runs: 1 done, 0 failed, 1 pending" in out and "1 thread each" in out and "disk:" in out
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["pending", "done"]
    assert re.search(r": about \d+ s$", out.splitlines()[0]) and re.search(r": took \d+ s$", out.splitlines()[1])


def test_the_weights_that_bench_counts_are_those_of_the_net():
    from cryobench.methods.learned.nets.build import parameters

    (job,) = plan(["method=gan"]).jobs
    net = build(job.config, "method").build_generator(32)
    assert sum(v.nbytes for v in net.state_dict().values()) >= 4 * parameters(net)


def test_a_plan_without_a_bench_goes_by_finished_runs_like_its_own(cli, tmp_path):
    """Seeds cost the same; other sizes and other settings of the method don't."""
    assert cli("method=nlm", *TINY)[0] == 0
    folder = next((tmp_path / "results" / "phantom-quick" / "runs").glob("nlm-*"))
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record | {"wall_s": 3720.0}))
    status, out, _ = cli("plan", "method=nlm", "seed=0,1,2", *TINY)
    assert status == 0 and out.count(": about 62 min, as runs like it took") == 2, out
    assert (
        "took 62 min" in out and "about 2.1 h, one run at a time, 1 thread each" in out and "isn't known" not in out
    ), out
    for other in (["method=nlm", "method.patch=3"], ["method=nlm", "data.n_test=5"], ["method=noisy"]):
        out = cli("plan", "seed=1", *TINY, *other)[1]
        assert "cost unknown" in out and "isn't known here" in out, out


def test_runs_that_do_not_denoise_go_by_their_own_settings(cli, tmp_path):
    """Whatever bench knows of the methods and images that their config names, too: they use none of these."""
    words = ["task=robust_estimation", "task.n=400", "task.p=4", "task.steps=20", "paths.results=res"]
    gan = bench_of(*plan(["method=gan"]).jobs)
    gan["methods"][0]["key"] = cost_key(plan(words).jobs[0].config)
    (tmp_path / "res").mkdir()
    (tmp_path / "res" / "bench.json").write_text(json.dumps({**gan, "simulation_s": {"32": 9.0}}))
    status, out, _ = cli("plan", *words, "seed=0,1,2")
    assert (
        status == 0 and out.count(": cost unknown") == 3 and "3 runs don't denoise" in out and "isn't known" not in out
    )
    assert cli(*words)[0] == 0
    (file,) = (tmp_path / "res").rglob("record.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"wall_s": 3720.0}))
    status, out, _ = cli("plan", *words, "seed=0,1,2")
    assert status == 0 and out.count(": about 62 min, as runs like it took") == 2, out
    assert "simulation 0 s" in out and "0 GB of simulated images" in out and "don't denoise" not in out, out
    assert cli("plan", *words, "task.n=500")[1].count("cost unknown") == 1
    status, _, err = cli("bench", *words)
    assert (
        status == 2 and err.count("\n") == 1 and "expected runs that denoise" in err and "task=robust_estimation" in err
    )


def test_ratios_of_a_gpu_are_of_what_is_done_differently_there(tmp_path, monkeypatch):
    """Here on a CPU, where no step is recorded: what is computed is the same."""
    from cryobench.cost import bench, on_gpu

    monkeypatch.setattr(on_gpu, "STEPS", 2)
    monkeypatch.setattr(on_gpu, "EXEMPLARS", 20)
    monkeypatch.setattr(on_gpu, "DENOISED", 2)
    monkeypatch.setenv("CRYOBENCH_CACHE", str(tmp_path))
    words = ["scale=smoke", *TINY]
    (job,) = plan(["method=gan", *words, "trainer.precision=16-mixed"]).jobs
    assert not [*on_gpu.gains(job.config)]  # which records nothing
    monkeypatch.setattr(on_gpu, "asked_for", lambda where: True)
    for method, against in (
        ("gan", "kernel by kernel"),
        ("exemplar", "order by order"),
        ("abinitio", "images, order by order"),
    ):
        (ratio,) = on_gpu.gains(plan([f"method={method}", *words]).jobs[0].config)
        assert ratio.against.endswith(against) and ratio.unit == "images/s"
        assert min(ratio.ours) > 0 and min(ratio.theirs) > 0
    jobs = plan(["method=pggan,nlm,unet", *words, "trainer.accelerator=gpu"]).jobs
    assert len(jobs) == 3 and not [*bench.ratios_of(jobs)]
