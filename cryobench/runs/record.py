"""What a run leaves behind: one folder, never overwritten once it is done.

RESULTS/runs/RUN_ID/record.json       config, environment, metrics, training curve
                    per_image.csv     index,mse,psnr,ssim,nmse
                    gallery.npz       the first test images, denoised
                    strip.png         clean / noisy / denoised
                    model.safetensors weights of a learned method
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from cryobench.config.identity import task_name
from cryobench.errors import note
from cryobench.files import flush, replacing
from cryobench.methods.given import GIVEN
from cryobench.runs.damage import fault_of, is_number

DENOISING = {"part": "denoising"}  # metadata of what only a finished denoising run has
OLD_NAMES = {"knows": "side_information"}


@dataclass(frozen=True)
class Record:
    """One record.json (docs/formats.md), of whatever age: what is missing, or null, is at its default here.

    status: "done" or "failed"; config: resolved, without folders; command: what one would type to have this run; started:
    ISO 8601; metrics: name → mean and std over test images; variants: of a method that gives several versions, name → values
    and spread; per_image: name → a value for each test image; method: the method's own report; results: of robust estimation,
    one dict for each sample; wall_s None: of a run whose process was killed. more: fields that this version doesn't know, kept
    as they are.
    """

    run_id: str
    status: str
    config: dict = field(default_factory=dict)
    seed: int = 0
    command: str | None = None
    error: str | None = None
    reason: str | None = None
    started: str = ""
    environment: dict = field(default_factory=dict)
    metrics: dict[str, dict] = field(default_factory=dict)
    variants: dict[str, dict] = field(default_factory=dict)
    noisy_metrics: dict[str, dict] = field(default_factory=dict, metadata=DENOISING)
    per_image: dict[str, list] = field(default_factory=dict, metadata=DENOISING)
    bad_images: dict[str, str] = field(default_factory=dict, metadata=DENOISING)
    side_information: list[str] = field(default_factory=list, metadata=DENOISING)
    ctf: dict = field(default_factory=dict, metadata=DENOISING)
    realised_snr: float | None = field(default=None, metadata=DENOISING)
    images_per_s: float | None = None
    fit_s: float | None = field(default=None, metadata=DENOISING)
    contaminated: dict = field(default_factory=dict, metadata=DENOISING)
    data: dict = field(default_factory=dict, metadata=DENOISING)
    method: dict = field(default_factory=dict, metadata=DENOISING)
    analysis: dict = field(default_factory=dict, metadata=DENOISING)
    results: list[dict] = field(default_factory=list)
    wall_s: float | None = None
    peak_memory_mib: float | None = None
    warnings: list[str] = field(default_factory=list)
    more: dict = field(default_factory=dict)

    @classmethod
    def of(cls, document: dict) -> Record:
        """From the content of a record.json."""
        names = {f.name for f in fields(cls)} - {"more"}
        document = {OLD_NAMES.get(name, name): value for name, value in document.items()}
        known = {name: value for name, value in document.items() if name in names and value is not None}
        return cls(**known, more={name: value for name, value in document.items() if name not in names})

    def document(self) -> dict:
        """The content of its record.json: without what only other tasks have."""
        denoised = self.done and self.task == "denoising"
        out = {f.name: getattr(self, f.name) for f in fields(self) if denoised or f.metadata != DENOISING}
        for name in ("metrics", "variants", "results"):
            out[name] = out[name] or None
        absent = {name for name in ("variants", "results") if out[name] is None}
        return {name: value for name, value in out.items() if name not in absent | {"more"}} | self.more

    @property
    def done(self) -> bool:
        """Whether the run finished."""
        return self.status == "done"

    @property
    def task(self) -> str:
        """The name of the task that the run did, "denoising" unless it says another."""
        return task_name(self.config)

    @property
    def snr(self) -> float | None:
        """None where the noise has none: it is recorded, or there are no images."""
        return self.config.get("noise", {}).get("snr")

    def name(self, group: str) -> str | None:
        """What the config chose in one of its groups; None for a group that its task has no use for."""
        return self.config.get(group, {}).get("name")

    @property
    def given(self) -> str | None:
        """What images that were denoised outside are called in tables (verb score); None for a run of ours."""
        if self.name("method") != GIVEN:
            return None
        used = f", told {', '.join(self.side_information)}" if self.side_information else ""
        return f"{self.config['method']['title']} (given from outside{used})"

    def mean(self, metric: str) -> float | None:
        """A metric's mean over test images; None where it is infinite, or older than the metric."""
        return self.metrics.get(metric, {}).get("mean")


def write_record(folder: Path, record: Record) -> None:
    """record.json, whole or not at all."""
    with replacing(folder / "record.json") as part:
        part.write_text(to_json(record.document()), encoding="utf-8")
        flush(part)


def read_record(path: Path) -> Record | None:
    """A record.json, or None if there is none; a damaged one counts as none, with a word (`damage`)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):  # ValueError: bad JSON, or bytes that are no text
        fault: str | None = "no JSON"
    else:
        fault = fault_of(document)
    if fault:
        note(f"{path}: counts as none, since it is no record of a run ({fault})")
        return None
    return Record.of(document)


def to_json(value: dict) -> str:
    """JSON for people: indented, a list of numbers on one line. Raises ValueError for NaN or infinity."""
    return _lines(value, "\n") + "\n"


def _lines(value, end: str) -> str:
    """`value` as JSON whose last line follows the indentation `end`, a line break and spaces."""
    within = end + " "
    if isinstance(value, dict) and value:
        names = [json.dumps(key if isinstance(key, str) else json.dumps(key), ensure_ascii=False) for key in value]
        parts = [f"{name}: {_lines(one, within)}" for name, one in zip(names, value.values(), strict=True)]
        return "{" + within + f",{within}".join(parts) + end + "}"
    if isinstance(value, list | tuple) and not all(is_number(one, or_none=True) for one in value):
        return "[" + within + f",{within}".join(_lines(one, within) for one in value) + end + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
