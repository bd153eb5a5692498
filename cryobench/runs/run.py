"""One run, whole: data → noise → method → metrics → record."""

from __future__ import annotations

import time
import traceback
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryobench.config.compose import build
from cryobench.config.identity import PLACES, run_id, task_name
from cryobench.errors import InputError, one_line, reason_of
from cryobench.runs.environment import environment, peak_memory
from cryobench.runs.own_code import OWN, own_code
from cryobench.runs.record import Record, to_json
from cryobench.runs.store import Store
from cryobench.signals import going_on, time_limit


@dataclass(frozen=True)
class Outcome:
    """What became of a run: status "done", "failed" or "elsewhere" (another process has it); `fresh` if run now."""

    run_id: str
    status: str
    error: str | None = None
    fresh: bool = False


def run(
    config: dict,
    *,
    in_sweep: bool = False,
    wait: bool = False,
    progress: bool = False,
    since: str | None = None,
    command: str | None = None,
) -> Outcome:
    """Do one run of a resolved config and write its record; a finished one is not run again.

    Alone, a user's mistake raises InputError and leaves no record; in a sweep it becomes a failed record.
    wait: until another process that has this run is done with it; since: a try that failed after this moment (as a
    record's "started") is not repeated, so that processes which share a sweep don't try the same thing in turn; command:
    what one would type to have this run, for its record.
    """
    store, name = Store(config["paths"]["results"]), run_id(config)
    if outcome := settled(store, name, since):
        return outcome
    with store.claim(name, wait=wait) as claimed:
        if not claimed:
            return Outcome(name, "elsewhere")
        store.recover(name)
        if outcome := settled(store, name, since):
            return outcome
        folder = store.begin(name)
        record = first_part(config, command)
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                with time_limit(config["trainer"]["time_limit"]), going_on(lambda: any(folder.iterdir())):
                    results = build(config, "task").run(config, folder, progress)
                record = Record.of({**record.document(), **results})
                to_json(record.document())  # a method's own report may hold what JSON can't
            except Exception as error:
                if isinstance(error, InputError) and not in_sweep:
                    store.forget(name)
                    raise
                record = failure(config, error, command, record.started)
                log = traceback.format_exc()
        record = replace(
            record,
            wall_s=round(time.perf_counter() - start, 3),
            peak_memory_mib=peak_memory(),
            warnings=sorted({one_line(w.message) for w in caught})[:20],
        )
        if record.done:
            store.finish(name, record)
        else:
            store.fail(name, record, log, keep_checkpoints=record.reason in ("memory", "time limit"))
        return Outcome(name, record.status, record.error, fresh=True)


def settled(store: Store, name: str, since: str | None) -> Outcome | None:
    """What is known of a run that needs no doing."""
    record = store.read(name)
    if record and record.done:
        return Outcome(name, "done")
    if record and since and record.started >= since:
        return Outcome(name, "failed", record.error)
    return None


def now() -> str:
    """The time as a record has it: UTC, ISO 8601, to a millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def first_part(config: dict, command: str | None) -> Record:
    """What a record says before the run."""
    return Record(
        run_id(config),
        "done",
        shareable(config),
        config["seed"],
        command=command,
        started=now(),
        environment={**environment(), **({OWN: own} if (own := own_code(config)) else {})},
    )


def failure(config: dict, error: Exception, command: str | None, started: str | None = None) -> Record:
    """The record of a run that failed so."""
    first = first_part(config, command)
    return replace(
        first, status="failed", error=one_line(error), reason=reason_of(error), started=started or first.started
    )


def shareable(config: dict) -> dict:
    """The config without the folders of one machine, and without groups that the task has no use for."""
    if task_name(config) != "denoising":
        return {key: config[key] for key in ("task", "seed", "scale", "trainer")}
    kept = {key: value for key, value in config.items() if key != "paths"}
    for group, places in PLACES.items():
        kept[group] = {key: value for key, value in kept[group].items() if key not in places}
    return kept
