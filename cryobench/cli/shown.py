"""Records as lines of text for a terminal. They may come from elsewhere: nothing in them moves a cursor or changes a colour."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from cryobench.launch.progress import duration
from cryobench.printed import plain, short
from cryobench.runs.damage import is_number
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables.text import decimal, formatted

GROUPS = ("data", "noise", "method", "protocol", "task")  # whose settings tell runs apart
SAME = 1e-6  # relative; two numbers that differ by less are the same


def printable(text) -> str:
    """One line of text without what a terminal would obey: control characters, and those that turn the writing round."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def list_of(records: Sequence[tuple[Store, Record]]) -> list[str]:
    """One line for each run, in columns; `settings` are those in which runs of one method in this list differ."""
    if not records:
        return []
    head = ["run", "status", "data", "scale", "noise", "seed", "MSE", "NMSE", "started", "settings"]
    apart = settings_apart([record for _, record in records])
    lines = [head, *(cells(record, settings) for (_, record), settings in zip(records, apart, strict=True))]
    if len({store.results for store, _ in records}) > 1:
        lines = [
            [*line, *place]
            for line, place in zip(lines, [["in"], *([str(s.results)] for s, _ in records)], strict=True)
        ]
    lines = [list(map(printable, line)) for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def cells(record: Record, settings: str) -> list[str]:
    """A run's line of the list."""
    mse, nmse = (record.mean(name) if denoised(record) else None for name in ("mse", "nmse"))
    noise = f"SNR {record.snr:g}" if is_number(record.snr) else record.name("noise")
    return [
        record.run_id,
        record.status,
        record.name("data") or record.task,
        record.name("scale") or "–",
        noise or "–",
        str(record.seed),
        short(mse),
        decimal(nmse, 4),
        record.started[:16].replace("T", " "),
        settings,
    ]


def denoised(record: Record) -> bool:
    """Whether a record has metrics of images."""
    return record.done and record.task == "denoising"


def settings_apart(records: Sequence[Record]) -> list[str]:
    """Of each record the settings in which it differs from another of the same method (or task) in this list."""
    by_kind: dict[str, list[dict]] = {}
    flat = [settings_of(record) for record in records]
    kinds = [record.name("method") or record.task for record in records]
    for kind, one in zip(kinds, flat, strict=True):
        by_kind.setdefault(kind, []).append(one)
    differ = {kind: keys_apart(those) for kind, those in by_kind.items()}
    return [
        " ".join(f"{key}={one[key]}" for key in one if key in differ[kind])
        for kind, one in zip(kinds, flat, strict=True)
    ]


def settings_of(record: Record) -> dict[str, object]:
    """Dotted name → value, without what the list has columns for and where classes and files lie."""
    nodes = {group: record.config[group] for group in GROUPS if isinstance(record.config.get(group), dict)}
    named = {
        f"{group}.{key}" if key != "name" else group: value
        for group, node in nodes.items()
        for key, value in node.items()
        if key not in ("_target_", "content")
    }
    return {key: value for key, value in named.items() if key not in ("data", "noise", "noise.snr", "method", "task")}


def keys_apart(settings: Sequence[dict[str, object]]) -> set[str]:
    """The keys whose values are not the same everywhere, where they are given."""
    keys = {key for one in settings for key in one}
    return {key for key in keys if len({repr(one[key]) for one in settings if key in one}) > 1}


def one_of(store: Store, record: Record) -> str:
    """A record for reading: what was run, by what, how it went and what came of it."""
    folder, code = store.folder(record.run_id), record.environment
    about = {
        "command": record.command,
        "started": record.started,
        "took": record.wall_s and duration(record.wall_s),
        "on": code.get("gpu") or code.get("cpu"),
        "code": commit(code),
        "error": record.error,
        "used": ", ".join(record.side_information) or None,
        "in": folder,
        "files": ", ".join(sorted(p.name for p in folder.iterdir() if p.name != "record.json")) or None,
    }
    lines = [f"{record.run_id}: {record.status}"]
    lines += [f"{name:>9}  {printable(value)}" for name, value in about.items() if value]
    lines += [f"{'warning':>9}  {printable(text)}" for text in record.warnings]
    lines += metrics(record)
    settings = {name: node for name, node in record.config.items() if node not in ({}, [], None)}
    try:
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=120)
    except RecursionError:
        text = "settings: nested too deeply to be shown"
    return "\n".join([*lines, "", *map(printable, text.splitlines())])


def commit(code: dict) -> str | None:
    """The commit that a record was made with, and whether more was changed."""
    return f"{code['commit']}{' with changes' if code.get('dirty') else ''}" if code.get("commit") else None


def metrics(record: Record) -> list[str]:
    """The metrics of noisy and denoised images, mean(spread over images); none where there are none."""
    if not denoised(record):
        return []
    names = [name for name in ("mse", "nmse", "psnr", "ssim") if name in record.metrics]
    lines = [f"{'':>9}  " + "".join(name.upper().ljust(20) for name in names).rstrip()]
    for what, values in (("noisy", record.noisy_metrics), ("denoised", record.metrics)):
        numbers = [(name, values.get(name, {})) for name in names]
        shown = (formatted("mse" if "mse" in name else name, of.get("mean"), of.get("std")) for name, of in numbers)
        lines.append(f"{what:>9}  " + "".join(text.ljust(20) for text in shown).rstrip())
    return lines


def beside(before: Record, now: Record) -> tuple[str, bool]:
    """What a run gives now beside its record, metric by metric, and whether all of it is the same."""
    parts, alike = [], True
    for name in before.metrics if denoised(before) else ():
        old, new = before.mean(name), now.mean(name)
        if old is None or new is None:
            continue
        away = abs(new - old) / max(abs(old), 1e-30)
        alike = alike and away < SAME
        differs = f"was {old:.6g} (differs by {plain(100 * away)} %)"
        parts.append(f"{name} {new:.6g}, {'the same' if away < SAME else differs}")
    return "beside its record: " + ("; ".join(parts) or "no numbers to compare"), alike
