"""Start runs: one alone, or a sweep through Hydra's launchers; then say what came of it."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

from hydra.utils import get_class
from rich.console import Console
from rich.table import Table

from cryobench.errors import InputError
from cryobench.record import Store, writable
from cryobench.sweep import Job, Plan


def run_alone(job: Job) -> int:
    """One run with progress bars, a small table of metrics, and where its record lies."""
    from cryobench.run import run

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
    console.print(metrics_table(record))
    for what, name in (("pictures", "strip.png"), ("record", "record.json")):
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


def run_sweep(planned: Plan, overrides: list[str]) -> int:
    """All runs of a sweep that are not done yet, then its tables and figures. Returns the exit status."""
    lacking = {job.row: lack for job in planned.jobs if (lack := lacks(job))}
    jobs = [job for job in planned.jobs if job.row not in lacking]
    for row, lack in lacking.items():
        if not jobs:
            raise InputError(f"{row}: {lack}")
        print(f"{row} is left out: {lack}")
    results = {job.config["paths"]["results"] for job in jobs}
    stores = {path: Store(path) for path in results}

    def finished(job: Job) -> bool:
        return stores[job.config["paths"]["results"]].finished(job.run_id)

    done = sum(map(finished, jobs))
    print(f"{len(jobs)} runs, {done} done before", flush=True)
    if done < len(jobs):
        for store in stores.values():  # before Hydra, which would show a traceback
            with writable(store.runs):
                store.runs.mkdir(parents=True, exist_ok=True)
        hand_to_hydra(overrides)
        for job in jobs:  # those that another process had when their turn came
            if not finished(job):
                finish_elsewhere(job)

    failed = [job for job in jobs if not finished(job)]
    for job in failed:
        store = stores[job.config["paths"]["results"]]
        error = (store.read(job.run_id) or {}).get("error", "no record")
        print(f"cryobench: {label(job)} failed: {error}; log: {store.folder(job.run_id) / 'log.txt'}", file=sys.stderr)
    for name in planned.writes:
        experiment = importlib.import_module(f"cryobench.experiments.{name}")
        for path in sorted(results):
            for file in experiment.write(Store(path)):
                print(f"written: {file}")
    return 1 if failed else 0


def hand_to_hydra(overrides: list[str]) -> None:
    """Let Hydra's launcher (hydra/launcher=…) start the jobs; each finds out for itself whether it is done."""
    import hydra

    before = sys.argv
    sys.argv = [before[0], "--multirun", *overrides]
    try:
        hydra.main(version_base="1.3", config_path="pkg://cryobench.conf", config_name="config")(job)()
    finally:
        sys.argv = before


def job(config) -> str:
    """What Hydra calls for each run of a sweep; never raises for a run that failed, so the others go on."""
    from hydra.core.hydra_config import HydraConfig

    from cryobench.run import run
    from cryobench.sweep import plan

    (one,) = plan(list(HydraConfig.get().overrides.task), single=True).jobs
    if lacks(one):
        return "left out"
    try:
        outcome = run(one.config, in_sweep=True, progress=sys.stdout.isatty())
    except Exception as error:  # no record could be written; the others go on
        print(f"cryobench: {label(one)}: {type(error).__name__}: {error}", file=sys.stderr)
        return "failed"
    print(f"{label(one)}: {outcome.status}{'' if outcome.fresh else ' before'}", flush=True)
    return outcome.status


def lacks(job: Job) -> str | None:
    """What the method of a sweep's row needs that isn't installed, and how to install it; None if nothing."""
    needs = getattr(get_class(job.config["method"]["_target_"]), "needs", {}) if job.row else {}
    missing = [f"it needs {name}; {command}" for name, command in needs.items() if find_spec(name) is None]
    return missing[0] if missing else None


def finish_elsewhere(job: Job) -> None:
    """Wait for the process that has this run, and do it here if that one dies; a run that failed is left so."""
    from cryobench.run import run

    record = Store(job.config["paths"]["results"]).read(job.run_id)
    if record is None:
        run(job.config, in_sweep=True, wait=True)


def label(job: Job) -> str:
    """A run as people know it: its row or method, noise level and seed, and its id."""
    config = job.config
    return f"{job.row or config['method']['name']} {noise_label(config)} seed {config['seed']} [{job.run_id}]"


def noise_label(config: dict) -> str:
    """ "SNR 0.1", or the noise's name where it has no SNR."""
    noise = config["noise"]
    return f"SNR {noise['snr']:g}" if "snr" in noise else f"noise {noise['name']}"


def results_folder(given: str | None) -> Path:
    """--results DIR, by default the committed folder. Raises InputError if it holds no runs."""
    folder = Path(given or "results/rnap_ecoli-desk")
    if not (folder / "runs").is_dir():
        raise InputError(
            f"--results: expected a folder with runs in it, got {folder}; run a sweep first, or name its folder"
        )
    return folder
