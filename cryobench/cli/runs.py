"""The verbs runs and rerun: what was run, and one of it once more."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cryobench.errors import InputError

Wanted = typer.Argument(
    None,
    metavar="[RUN_ID | FILTERS]...",
    help="A run's id, or settings: method=gan seed=0,1 noise.snr=0.1 status=failed.",
)
Where = typer.Argument(None, help="Where it runs: trainer.threads=2, paths.data=FOLDER.")
Everywhere = typer.Option(None, "--results", help="The results folder.", show_default="all in results/")


def runs(
    words: list[str] = Wanted,
    results: str = Everywhere,
) -> None:
    """List runs, all or those with the settings that you name, the newest last; or show one."""
    from cryobench.cli.shown import list_of, one_of
    from cryobench.runs.filters import having, matching, stores

    words = list(words or [])
    named = [word for word in words if "=" not in word]
    if named and len(words) > 1:
        raise InputError(f"expected one RUN_ID, or filters like method=gan, got {' '.join(words)}")
    if named:
        for store, record in having(named[0], results):
            print(one_of(store, record))
        return
    places = stores(results)
    records = [(store, record) for store in places for record in store.all(task=None)]
    chosen = {id(record) for record in matching((record for _, record in records), words)}
    listed = sorted((one for one in records if id(one[1]) in chosen), key=lambda one: one[1].started)
    for line in list_of(listed):
        print(line)
    done = sum(record.done for _, record in listed)
    where = ", ".join(str(store.results) for store in places)
    print(f"{len(listed)} of {len(records)} runs in {where}: {done} done, {len(listed) - done} failed", file=sys.stderr)


def rerun(
    run_id: str = typer.Argument(help="The run's id, as `runs` lists it."),
    overrides: list[str] = Where,
    results: str = Everywhere,
    out: str = typer.Option(
        None,
        "--out",
        "-o",
        help="The results folder that it goes to.",
        show_default="results/rerun, or a failed run's own",
    ),
) -> None:
    """Do a run once more with the settings of its record, and say whether the numbers are the same: exit status 1 if not.

    \b
      python -m cryobench rerun gan-5afb16153176
    """
    from cryobench.cli.shown import beside
    from cryobench.config.again import to_run
    from cryobench.config.sweep import Job
    from cryobench.launch.alone import run_alone
    from cryobench.runs.filters import having
    from cryobench.runs.store import Store

    records = [(store, record) for store, record in having(run_id, results) if not out or store.results != Path(out)]
    if not records:
        raise InputError(f"-o: expected another results folder than that of the record, got {out}")
    store, record = next(((s, r) for s, r in records if r.done), records[0])
    config = to_run(record.config, run_id, list(overrides or []))
    config["paths"]["results"] = out or ("results/rerun" if record.done else str(store.results))
    words = ("rerun", run_id, *(overrides or []))
    there = Store(config["paths"]["results"])
    if (again := there.read(run_id)) and again.done:
        when = again.started[:16].replace("T", " ")
        print(
            f"rerun: {there.results} has it from {when}, which is compared; -o another folder does it once more",
            file=sys.stderr,
        )
    status = run_alone(Job(None, config, run_id, words))
    if status == 0 and record.done and (now := there.read(run_id)):
        text, alike = beside(record, now)
        print(text)
        status = 0 if alike else 1
    if status:
        raise typer.Exit(status)
