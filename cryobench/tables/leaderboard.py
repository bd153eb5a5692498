"""Methods × tasks, over all results folders side by side: each NMSE as a multiple of the task's limit.

A task is what a run is but its method and seed, with a data set's shipped settings and the described protocol: molecule, scale,
noise model, SNR. It stands here if three methods or more have records of it. A method has one row, with one and the same
settings in all tasks: those of its yaml or, where no task has records of these, those that the most tasks have records of.
No result is looked at to choose them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryobench.evaluation.statistics import mean_and_spread
from cryobench.printed import called, multiple, named
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame
from cryobench.tables.comparison import Measure, by_row, digest, key_of, one_line, place_of
from cryobench.tables.limits import LIMITS, NO_METHODS, complete
from cryobench.tables.task import Task, place
from cryobench.tables.text import explained, page, pipes, sheet

LEAST = 3  # methods that make a task
CONTROLS = ("noisy", "mean_image")  # that count for none
UNITS = {"bayes": "× Bayes limit", "linear": "× linear limit", "": "NMSE"}
COLUMNS = (
    "task",
    "data",
    "scale",
    "noise",
    "snr",
    "method",
    "settings",
    "unit",
    "mean",
    "spread",
    "n_seeds",
    "nmse",
    "side_information",
    "runs",
)
SAID = """\
The NMSE of each method's test images, the mean over seeds (¹: one seed). A column is a task: the molecule (*phantom*, made \
in code; *rnap_ecoli* and *rnap_mtb*, the RNA polymerase of E. coli and of M. tuberculosis), the scale if it is not desk, the \
SNR. × Bayes limit: as a multiple of the NMSE of the posterior mean given the true volumes (`method=bayes`) under the same \
noise, seed by seed (where that has fewer seeds, of their mean). × linear limit, where no Bayes limit was run: of that of the \
best linear filter that turns with the image (`method=wiener`). NMSE, where no limit is set beside it here (clipped noise; a \
microscope, whose own table has limits): the NMSE itself. A row is a method, what one types for it in brackets. What it used \
beyond noisy images stands beside it: methods that were told more are no rivals of those that were told less."""
BELOW = """\
Rows have the settings of a method's yaml or, where no task has records of these, those that the most tasks have, and stand in \
the order of the geometric mean of their multiples of the linear limit under plain noise. Other tables' multiples are those of \
the MSE, which differ a little: there, images of large variance count for more. What methods do that are told of the CTF is in \
the table of the microscope (`python -m cryobench table microscope`)."""


@dataclass(frozen=True)
class Cell:
    """One method on one task: the value in the task's unit, and the NMSE, each mean and spread over seeds."""

    value: tuple[float, float | None]
    nmse: tuple[float, float | None]
    records: Sequence[Record]


@dataclass(frozen=True)
class Board:
    """tasks, and rows (method, its settings or "") → task by `key` → cell."""

    tasks: list[Task]
    rows: dict[tuple[str, str], dict[str, Cell]]


def beside(folder) -> list[Store]:
    """The results folders in a folder, by name."""
    return [Store(path) for path in sorted(folder.iterdir()) if (path / "runs").is_dir()] if folder.is_dir() else []


def board(stores: Iterable[Store]) -> Board:
    """The leaderboard of the finished runs of these folders, whichever of them each lies in."""
    done = [one for store in stores for one in store.all() if one.done and "truth" not in one.side_information]
    measure = Measure(done)
    tasks: list[Task] = []
    cells: dict[tuple[str, str], dict[str, Cell]] = {}
    for key, records in by_task(done).items():
        task = Task(key, place_of(records[0].config), records[0].config, unit_of(records, measure))
        tasks.append(task)
        for name, by_seed in by_row(records).items():
            runs = list(by_seed.values())
            if cell := cell_of(task, runs, measure):
                cells.setdefault((records_name(runs[0]), name), {})[key] = cell
    often = Counter(task.where for task in tasks)  # two people's noise models of one name
    tasks = [replace(one, where=f"{one.where} ({digest(one.key)})") if often[one.where] > 1 else one for one in tasks]
    chosen = {method: settings_of(method, cells) for method, _ in cells}
    rows = {(method, name.removeprefix(method).strip()): cells[method, name] for method, name in chosen.items()}
    crowd = Counter(key for by_key in rows.values() for key in by_key)
    tasks = sorted((task for task in tasks if crowd[task.key] > 1), key=lambda task: place(task, tasks, crowd))
    linear = {
        task.key: cell.nmse[0]
        for task in tasks
        if task.noise == "gaussian"
        if (cell := rows.get((LIMITS["linear"], ""), {}).get(task.key))
    }
    return Board(tasks, dict(sorted(rows.items(), key=lambda row: standing(row[1], linear))))


def by_task(done: Sequence[Record]) -> dict[str, list[Record]]:
    """Conditions that make a task → their records."""
    by_key: dict[str, list[Record]] = {}
    for record in done:
        if not any(name.startswith(("data.", "protocol.")) for name in frame.deviations(record.config)):
            by_key.setdefault(key_of(record.config), []).append(record)
    enough = {
        key: len({records_name(one) for one in records} - set(CONTROLS)) >= LEAST for key, records in by_key.items()
    }
    return {key: records for key, records in by_key.items() if enough[key]}


def records_name(record: Record) -> str:
    """What a method is called here."""
    return record.given or str(record.name("method"))


def unit_of(records: Sequence[Record], measure: Measure) -> str:
    """What a task's numbers are multiples of."""
    return next((name for name in LIMITS if measure.limit(records[0], name)), "")


def cell_of(task: Task, runs: Sequence[Record], measure: Measure) -> Cell | None:
    """None where the NMSE isn't known."""
    shares = complete([measure.nmse(one) for one in runs])
    values = complete([measure.times(one, task.unit, measure.nmse) for one in runs]) if task.unit else shares
    return Cell(mean_and_spread(values), mean_and_spread(shares), runs) if shares and values else None


def settings_of(method: str, cells: dict[tuple[str, str], dict]) -> str:
    """The label of a method with the settings of its yaml; without records of these, the one that the most tasks have, and of
    several the shortest."""
    counts = {name: len(by_key) for (one, name), by_key in cells.items() if one == method}
    return min(counts, key=lambda name: (name != method, -counts[name], len(name), name))


def standing(cells: dict[str, Cell], linear: dict[str, float]) -> float:
    """By which rows are ordered: the geometric mean of their NMSE over the linear limit's, task by task; without any, last."""
    values = [cell.nmse[0] / linear[key] for key, cell in cells.items() if key in linear]
    return float(np.exp(np.mean(np.log(values)))) if values else np.inf


def to_markdown(leaders: Board) -> str:
    """A page with a table for each noise model."""
    parts = ["# Methods by task", size(leaders), SAID]
    for noise, unit in dict.fromkeys((task.noise, task.unit) for task in leaders.tasks):
        tasks = [task for task in leaders.tasks if (task.noise, task.unit) == (noise, unit)]
        parts += [f"## Noise: {noise} ({UNITS[unit]})", pipes(lines(leaders, tasks), left=2)]
    words = explained(
        word for row in leaders.rows.values() for cell in row.values() for word in cell.records[0].side_information
    )
    return (
        page(*parts, words, BELOW)
        if leaders.tasks
        else page(*parts, f"A task needs records of {LEAST} methods or more.")
    )


def size(leaders: Board) -> str:
    """How many methods, limits, controls and tasks, in a sentence."""
    kinds = Counter(
        "limit" if method in LIMITS.values() else "control" if method in NO_METHODS else "method"
        for method, _ in leaders.rows
    )
    counts = {
        **{kind: kinds[kind] for kind in ("method", "limit", "control") if kinds[kind]},
        "task": len(leaders.tasks),
    }
    *others, last = (f"{n} {word}{'' if n == 1 else 's'}" for word, n in counts.items())
    return f"{', '.join(others)} and {last}."


def lines(leaders: Board, tasks: Sequence[Task], least: int = 1) -> list[list[str]]:
    """A table's texts: a line for each method that has records of `least` of these tasks, which are of one unit."""
    out = [[UNITS[tasks[0].unit], "side information", *(task.short for task in tasks)]]
    for (method, settings), cells in leaders.rows.items():
        row = [cells.get(task.key) for task in tasks]
        if sum(cell is not None for cell in row) >= least:
            first = next(cell for cell in row if cell).records[0]
            used = dict.fromkeys(word for cell in row if cell for one in cell.records for word in one.side_information)
            untold = any(task.config["noise"].get("ctf") for task in tasks) and "ctf" not in first.side_information
            name = one_line(titled(method, settings, first)) + (", not told of a CTF" if untold else "")
            out.append([name, ", ".join(sorted(used)) or "–", *map(shown, row)])
    return out


def titled(method: str, settings: str, record: Record) -> str:
    """A row's name: what tables call the method, with its net, and what one types for it where that is another word.

    >>> from cryobench.runs.record import Record
    >>> titled("nlm", "", Record("", "done", {"method": {"name": "nlm"}})), titled("mine", "h=2", Record("", "done"))
    ('Non-local means (nlm)', 'mine h=2')
    """
    config = record.config.get("method") or {"name": method}
    name = named(method) if record.given else called(config) + (", ResNet" if config.get("net") == "resnet" else "")
    typed = "" if name.lower() == method.lower() else f" ({method})"
    return f"{name}{typed} {settings}".strip()


def shown(cell: Cell | None) -> str:
    """A cell's text, marked where one seed says so."""
    return "–" if cell is None else f"{multiple(cell.value[0])}{'' if len(cell.records) > 1 else '¹'}"


def in_short(leaders: Board) -> str:
    """The table for a page that has other things to say: plain noise, the scale that has the most tasks, methods that have
    records of more than one molecule."""
    plain = [task for task in leaders.tasks if task.noise == "gaussian" and task.unit == "bayes"]
    scales = Counter(task.config["scale"]["name"] for task in plain)
    tasks = [task for task in plain if task.config["scale"]["name"] == max(scales, key=lambda name: scales[name])]
    if not tasks:
        return ""
    return pipes(lines(leaders, tasks, least=len(tasks) // 2 + 1), left=2)


def to_csv(leaders: Board) -> str:
    """One line for each method and task."""
    out = []
    for (method, settings), cells in leaders.rows.items():
        for task in leaders.tasks:
            if (cell := cells.get(task.key)) is None:
                continue
            config, (mean, spread) = task.config, cell.value
            out.append(
                [
                    task.where,
                    config["data"]["name"],
                    config["scale"]["name"],
                    task.noise,
                    config["noise"].get("snr"),
                    method,
                    settings,
                    UNITS[task.unit],
                    mean,
                    spread,
                    len(cell.records),
                    cell.nmse[0],
                    " ".join(cell.records[0].side_information),
                    " ".join(one.run_id for one in cell.records),
                ]
            )
    return sheet(COLUMNS, out)
