"""The first screen: what was run and found, in three sentences; and where every number comes from."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import table

PAPERS = ("alpha_beta", "methods")  # sweeps whose rows are the paper's
ANSWERS = {
    "holds": "hold", "reversed": "are reversed", "equivalent": "are equivalent",
    "undecided": "are undecided with the seeds run so far", "too few seeds": "have too few seeds", "not run": "are not run",
}  # fmt: skip


def sentences(store: Store, records: list[dict]) -> list[str]:
    """What was run, how near to the limit it came, what became of the supplement's claims."""
    return [text for text in (ran(records), nearest(records), claims(store.results / "tables" / "claims.csv")) if text]


def ran(records: list[dict]) -> str:
    done = [record for record in records if record["status"] == "done"]
    if not done:
        return "No run is finished here yet."
    configs = [record["config"] for record in done]
    methods = {config["method"]["name"] for config in configs if "method" in config}
    places = sorted(
        {f"{config['data']['name']} at {config['scale']['name']} scale" for config in configs if "data" in config}
    )
    days = sorted(record["started"][:10] for record in done)
    seeds = {record["seed"] for record in done}
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    failed = sum(record["status"] == "failed" for record in records)
    where = " and ".join(places)
    text = f"{len(done)} runs of {len(methods)} methods on {where}, with up to {len(seeds)} seeds, were made {when}"
    return text + (f"; {failed} failed and are named below." if failed else ".")


def nearest(records: list[dict]) -> str:
    """The Bayes limit, the method nearest to it, and the best row of the paper's, at each noise level."""
    limit, parts = table.bayes_limit(records), []
    for snr in (0.1, 0.05):
        floor = limit(snr)
        if floor is None:
            continue
        best: dict[str, tuple[float, str]] = {}
        for number, sweep in enumerate(PAPERS, start=1):
            cells, _ = table.cells(records, table.sweep_rows(sweep), number, (snr,), ("mse",))
            for cell in cells:
                if cell.times and cell.row not in ("oracle", "Bayes limit"):
                    kind = "net" if "clean" in cell.knows else "classical"
                    kind = kind if cell.paper is not None else "other"
                    best[kind] = min(best.get(kind, (float("inf"), "")), (cell.times[0], cell.row))
        said = [
            f"{text.format(best[kind][1])} {best[kind][0]:.{digits}f} times"
            for kind, text, digits in (
                ("net", "the best of the paper's nets, {}, stays at", 1),
                ("classical", "the best of its classical rows, {}, at", 1),
                ("other", "{} comes to", 2),
            )
            if kind in best
        ]
        if said:
            parts.append(f"at SNR {snr:g} the limit is a mean MSE of {floor:.2e}: {', '.join(said)}")
    text = "; ".join(parts)
    return f"No denoiser goes below the Bayes limit on average; {text}." if text else ""


def claims(file: Path) -> str:
    """From claims.csv: how many of the supplement's claims hold, how many are contradicted, and what is undecided."""
    if not file.is_file():
        return ""
    with open(file, encoding="utf-8", newline="") as lines:
        answers = [(line["claim"], line["verdict"]) for line in csv.DictReader(lines)]
    found: dict[str, list[str]] = {}
    for claim, says in answers:
        found.setdefault(claim, []).append(says)
    held = sum(set(says) in ({"holds"}, {"equivalent"}) for says in found.values())
    against = sum("reversed" in says for says in found.values())
    counts = Counter(says for _, says in answers)
    told = ", ".join(f"{counts[says]} {words}" for says, words in ANSWERS.items() if counts[says])
    return (
        f"Of {len(found)} claims of the supplement, {held} hold in every comparison and {against} are reversed in at least "
        f"one. Of their {len(answers)} comparisons {told}."
    )


def failed(records: list[dict]) -> list[dict]:
    """Runs that failed: id, method, error."""
    return [
        {"id": record["run_id"], "method": record["config"].get("method", {}).get("name", ""), "error": record["error"]}
        for record in records if record["status"] == "failed"
    ]  # fmt: skip


def provenance(records: list[dict]) -> dict[str, dict]:
    """Run id → what a reader asks of a number: seed, config, commit, machine, day, seconds."""
    return {
        record["run_id"]: {
            "seed": record["seed"], "status": record["status"], "day": record["started"][:10],
            "seconds": round(record["wall_s"]), "commit": (record["environment"]["commit"] or "none")[:12],
            "machine": f"{record['environment']['cpu']}, {record['environment']['cores']} cores"
                       + (f", {record['environment']['gpu']}" if record["environment"]["gpu"] else ""),
            "mse": ((record.get("metrics") or {}).get("mse") or {}).get("mean"),
            "config": record["config"],
        }
        for record in records
    }  # fmt: skip
