"""Where every number of the page comes from."""

from __future__ import annotations

from cryobench.runs.record import Record


def day_of(record: Record) -> str:
    """The day on which a run started, as 2026-05-20."""
    return record.started[:10]


def failed(records: list[Record]) -> list[dict]:
    """Runs that failed: id, method, error."""
    return [
        {"id": record.run_id, "method": record.name("method") or "", "error": record.error}
        for record in records
        if not record.done
    ]


def of(records: list[Record]) -> dict[str, dict]:
    """Run id → what a reader asks of a number: seed, config, commit, machine, day, seconds (None for a killed run)."""
    return {record.run_id: of_one(record) for record in records}


def of_one(record: Record) -> dict:
    """Where a number comes from, for the page: seed, day, seconds, machine, commit and config of its run."""
    made = record.environment
    machine = [made.get("cpu"), f"{made['cores']} cores" if made.get("cores") else None, made.get("gpu")]
    return {
        "seed": record.seed,
        "status": record.status,
        "day": day_of(record),
        "seconds": None if record.wall_s is None else round(record.wall_s),
        "commit": (made.get("commit") or "none")[:12],
        "machine": ", ".join(filter(None, machine)),
        "mse": record.mean("mse"),
        "config": record.config,
    }
