"""Start runs: one alone, or a sweep through Hydra's launchers; then say what came of it."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path

from hydra.utils import get_class
from rich.console import Console
from rich.table import Table

from cryobench.config import build
from cryobench.errors import InputError, Killed, MissingPackage, Stopped
from cryobench.progress import Sweep, SweepProgress, label, noise_label, results_of
from cryobench.record import Store, task_name
from cryobench.run import failure, now, one_line, run
from cryobench.signals import die_with_parent, stopping
from cryobench.sweep import Job, Plan
from cryobench.workers import share_the_machine, shut_workers, side_by_side, stop_workers

SINCE = "CRYOBENCH_SWEEP_SINCE"  # tells the jobs of a sweep when it began
STOPPED: list[bool] = []  # this worker got SIGTERM; the jobs that it is still given are left for the next call


def run_alone(job: Job) -> int:
    """One run with progress bars, a small table of metrics, and where its record lies."""
    console = Console()
    store = Store(job.config["paths"]["results"])
    outcome = run(job.config, wait=True, progress=console.is_terminal)
    folder = store.folder(outcome.run_id)
    if outcome.status == "failed":
        print(f"cryobench: {outcome.run_id} failed: {outcome.error}; log: {folder / 'log.txt'}", file=sys.stderr)
        return 1
    record = store.read(outcome.run_id)
    if not outcome.fresh:
        console.print("This run was done before; its record is shown.")
    console.print(metrics_table(record) if task_name(record["config"]) == "denoising" else errors_table(record))
    for what, name in (("pictures", "strip.png"), ("record", "record.json")):
        if (folder / name).exists():
            console.print(f"{what}: {folder / name}", soft_wrap=True, highlight=False)
    return 0


def metrics_table(record: dict) -> Table:
    """Noisy, denoised and oracle, each MSE, PSNR and SSIM as mean(spread over images)."""
    config = record["config"]
    table = Table(title=f"{config['method']['name']} on {config['data']['name']}, {config['scale']['name']} scale, "
                        f"{noise_label(config)}, seed {record['seed']}: mean (spread over images)")  # fmt: skip
    for column in ("", "MSE", "PSNR (dB)", "SSIM"):
        table.add_column(column, justify="left" if not column else "right")
    for name, key in (("noisy", "noisy_metrics"), ("denoised", "metrics")):
        mse, psnr, ssim = (record[key][metric] for metric in ("mse", "psnr", "ssim"))
        table.add_row(name, f"{mse['mean']:.2e} ({mse['std']:.1e})", *(
            f"{m['mean']:.2f} ({m['std']:.2f})" if m["mean"] is not None else "∞" for m in (psnr, ssim)
        ))  # fmt: skip
    table.add_row("oracle", "0", "∞", "1")
    return table


def errors_table(record: dict) -> Table:
    """Errors of every estimator, one line for each sample of a robust estimation."""
    from cryobench.layout import short

    table = Table(
        title=f"{task_name(record['config'])}, seed {record['seed']}: ‖θ̂−θ‖₂, and ‖Σ̂−Σ‖op where Σ is estimated"
    )
    for column in ("ε", "n", "errors"):
        table.add_column(column, justify="left" if column == "errors" else "right")
    for result in record["results"]:
        settings = result["settings"]
        errors = (f"{name} {short(value)}" for kind in ("location", "scatter") for name, value in result[kind].items())
        table.add_row(f"{settings['epsilon']:g}", str(settings["n"]), ", ".join(errors))
    return table


def run_sweep(planned: Plan, overrides: list[str]) -> int:
    """All runs of a sweep that are not done yet, then its tables and figures. Returns the exit status."""
    lacking = {job.row: lack for job in planned.jobs if (lack := lacks(job))}
    jobs = [job for job in planned.jobs if job.row not in lacking]
    for row, lack in lacking.items():
        if not jobs:
            raise InputError(f"{row}: {lack}")
        print(f"{row} is left out: {lack}")
    sweep = Sweep(jobs)
    for path, store in sweep.stores.items():  # before Hydra, which would show a traceback
        store.probe()
        store.tidy([job.run_id for job in jobs if results_of(job) == path])
    done = sum(map(sweep.finished, jobs))
    together = min(side_by_side(jobs[0].config["trainer"]), max(1, len(jobs) - done))
    print(f"{len(jobs)} runs, {done} done before", flush=True)
    if done < len(jobs):
        check_data([job for job in jobs if not sweep.finished(job)])
        start_all(sweep, overrides, together)

    failed = [job for job in jobs if not sweep.finished(job)]
    for job in failed:
        store = sweep.store(job)
        if record := store.read(job.run_id):
            why = f"failed: {record['error']}; log: {store.folder(job.run_id) / 'log.txt'}"
        else:
            why = "was not finished; the same command goes on with it"
        print(f"cryobench: {label(job)} {why}", file=sys.stderr)
    for name in planned.writes:
        experiment = importlib.import_module(f"cryobench.experiments.{name}")
        for path in sorted(sweep.stores):
            for file in experiment.write(Store(path)):
                print(f"written: {file}")
    return 1 if failed else 0


def check_data(jobs: list[Job]) -> None:
    """Raise InputError, once for all runs, if the files of a data set are not as they should be."""
    different = {
        json.dumps(job.config["data"], sort_keys=True): job for job in jobs if task_name(job.config) == "denoising"
    }
    for job in different.values():
        build(job.config, "data").check()


def start_all(sweep: Sweep, overrides: list[str], together: int) -> None:
    """Hand the runs to Hydra's launcher, until each is done or failed; raises Stopped after SIGTERM."""
    since = now()
    with SweepProgress(sweep, since):
        if on_a_cluster(chosen := launcher_of(overrides)):
            hand_to_cluster(sweep, overrides, since)
            sweep.wait_for_others()
            return
        if not chosen and together > 1:
            chosen = "joblib"
            overrides = [*overrides, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={together}"]
        with tempfile.TemporaryDirectory() as scratch:  # Hydra's own notes
            overrides = [*overrides, f"hydra.sweep.dir={scratch}"]
            if chosen == "joblib":
                hand_to_workers(sweep, overrides, since)
            else:
                hand_to_hydra(overrides, since)
        for job in sweep.jobs:  # those that another process had when their turn came
            if not sweep.finished(job) and sweep.store(job).read(job.run_id) is None:
                run(one_thread(job.config), in_sweep=True, wait=True)


def hand_to_workers(sweep: Sweep, overrides: list[str], since: str) -> None:
    """Runs side by side in processes of joblib; those whose process was killed once more, alone."""
    stopped: list[bool] = []

    def on_stop() -> bool:
        stopped.append(True)
        return stop_workers()

    while not stopped:
        try:
            with stopping(on_stop):
                hand_to_hydra(overrides, since)
            break
        except BrokenProcessPool:  # a worker was killed, and the others with it
            if not (suspects := sweep.abandoned()):
                break
            for suspect in [] if stopped else suspects:
                run_by_itself(suspect, since)
    if stopped:
        raise Stopped("SIGTERM")


def launcher_of(overrides: list[str]) -> str | None:
    """Hydra's launcher, if one is named."""
    named = [word.split("=", 1)[1] for word in overrides if word.lstrip("+").startswith("hydra/launcher=")]
    return named[-1] if named else None


def on_a_cluster(launcher: str | None) -> bool:
    return launcher in ("slurm", "submitit_slurm")  # ours, and the one that comes with submitit's plug-in


def hand_to_cluster(sweep: Sweep, overrides: list[str], since: str) -> None:
    """Submit to SLURM what is not done, and wait until all is over. Raises InputError if it does not take the jobs."""
    if find_spec("submitit") is None:
        raise MissingPackage(
            "hydra/launcher=slurm: expected the package hydra-submitit-launcher; pip install 'cryobench[slurm]'"
        )
    from cryobench import cluster

    left = {job.run_id for job in sweep.jobs if not sweep.finished(job)}
    with cluster.submitting(lambda words: run_of(words).run_id in left):
        try:
            hand_to_hydra(overrides, since)
        except Exception as error:
            raise InputError(
                f"hydra/launcher=slurm: expected SLURM to take the jobs, got '{one_line(error)}'; "
                "hydra.launcher.KEY=VALUE says what to ask for, as partition, account, timeout_min"
            ) from None


def run_of(overrides: list[str]) -> Job:
    """The run that one job of a sweep stands for."""
    from cryobench.sweep import plan

    (one,) = plan(list(overrides), single=True).jobs
    return one


def one_thread(config: dict) -> dict:
    """On a CPU one thread unless the user wants more, so that numbers don't depend on how many runs go side by side."""
    if config["trainer"]["accelerator"] == "cpu":
        config["trainer"]["threads"] = config["trainer"]["threads"] or 1
    return config


def hand_to_hydra(overrides: list[str], since: str) -> None:
    """Let Hydra's launcher (hydra/launcher=…) start the jobs; each finds out for itself whether it is done."""
    import hydra

    from cryobench.sweep import naming_rows

    before = sys.argv
    sys.argv = [before[0], "--multirun", *naming_rows(overrides)]
    os.environ |= {"HYDRA_FULL_ERROR": "1", SINCE: since}  # Hydra raises instead of printing; workers inherit both
    try:
        hydra.main(version_base="1.3", config_path="pkg://cryobench.conf", config_name="config")(job)()
    finally:
        sys.argv = before
        shut_workers()


def job(config) -> str:
    """What Hydra calls for each run of a sweep; never raises for a run that failed, so the others go on."""
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    launcher = hydra.runtime.choices["hydra/launcher"]
    if launcher == "joblib":
        signal.signal(signal.SIGTERM, lambda *_: STOPPED.append(True))  # between two runs
    one = run_of(hydra.overrides.task)
    if lacks(one):
        return "left out"
    if not on_a_cluster(launcher):
        one_thread(one.config)
    with contextlib.ExitStack() as stack:
        if launcher != "basic":  # a process of its own, which main() did not set up
            stack.enter_context(stopping())
        if launcher == "joblib":
            die_with_parent()
            share_the_machine(one.config["trainer"])
            if STOPPED:
                return "stopped"
        if on_a_cluster(launcher):
            from cryobench.cluster import back_into_the_queue

            stack.enter_context(back_into_the_queue())
        try:
            return run(one.config, in_sweep=True, since=os.environ.get(SINCE)).status
        except Stopped:
            if launcher != "joblib":
                raise
            STOPPED.append(True)
            return "stopped"
        except Exception as error:  # no record could be written; the others go on
            print(f"cryobench: {label(one)}: {type(error).__name__}: {error}", file=sys.stderr)
            return "failed"


def lacks(job: Job) -> str | None:
    """What the method of a sweep's row needs that isn't installed, and how to install it; None if nothing."""
    needs = getattr(get_class(job.config["method"]["_target_"]), "needs", {}) if job.row else {}
    missing = [f"it needs {name}; {command}" for name, command in needs.items() if find_spec(name) is None]
    return missing[0] if missing else None


def run_by_itself(job: Job, since: str) -> None:
    """A run whose process died, alone in a new one; if that dies too, the run has failed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            pool.submit(in_a_process, one_thread(job.config), since).result()
        except Stopped:
            for pid in pool._processes:
                with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                    os.kill(pid, signal.SIGTERM)
            raise
        except BrokenProcessPool:
            store = Store(results_of(job))
            with store.claim(job.run_id) as mine:
                if mine and not store.finished(job.run_id):
                    error = Killed("its process was killed, twice; the system does so when memory runs out")
                    record = failure(job.config, error) | {"wall_s": None, "peak_memory_mib": None, "warnings": []}
                    store.fail(job.run_id, record, f"{error}\n", keep_checkpoints=True)


def in_a_process(config: dict, since: str) -> None:
    """One run of a sweep in a process of its own, which ends with the one that started it."""
    die_with_parent()
    with stopping():
        run(config, in_sweep=True, since=since)


def results_folder(given: str | None) -> Path:
    """--results DIR, by default the committed folder. Raises InputError if it holds no runs."""
    folder = Path(os.path.expanduser(given or "results/rnap_ecoli-desk"))
    if not (folder / "runs").is_dir():
        raise InputError(
            f"--results: expected a folder with runs in it, got {folder}; run a sweep first, or name its folder"
        )
    return folder
