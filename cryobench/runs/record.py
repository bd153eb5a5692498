"""What a run leaves behind: one folder, never overwritten once it is done.

RESULTS/runs/RUN_ID/record.json       config, environment, metrics, training curve
                    per_image.csv     index,mse,psnr,ssim,nmse
                    gallery.npz       the first test images, denoised
                    strip.png         clean / noisy / denoised
                    model.safetensors weights of a learned method
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

from cryobench.config.identity import NAME, fault_of_config, task_name
from cryobench.errors import note
from cryobench.files import flush


def write_record(folder: Path, record: dict) -> None:
    """record.json, whole or not at all."""
    text, part = to_json(record), folder / "record.part"
    part.write_text(text, encoding="utf-8")
    flush(part)
    os.replace(part, folder / "record.json")


def read_record(path: Path) -> dict | None:
    """A record.json, or None if there is none; a damaged one counts as none, with a word.

    Records come from elsewhere, too. What one holds is text and numbers: nothing of it is executed, no module is imported
    because it is named there, and a name is never part of a path before it was found to be a plain word.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):  # ValueError: bad JSON, or bytes that are no text
        fault = "no JSON"
    else:
        fault = fault_of(record)
    if fault:
        note(f"{path}: counts as none, since it is no record of a run ({fault})")
        return None
    return record


def fault_of(record) -> str | None:
    """Why something is no record, in a few words; None if it is one."""
    if not isinstance(record, dict) or record.get("status") not in ("done", "failed"):
        return "status is neither done nor failed"
    config = record.get("config")
    if not isinstance(config, dict) or not is_word(record.get("run_id")):
        return "run_id or config is missing"
    if fault := fault_of_config(config):
        return fault
    if not is_whole(record.get("seed")):
        return "seed is no whole number"
    if record["status"] == "failed" or task_name(config) != "denoising":
        return None
    for group in ("metrics", "noisy_metrics"):
        metrics = record.get(group, {} if group == "noisy_metrics" else None)
        if not isinstance(metrics, dict) or (group == "metrics" and not {"mse", "psnr", "ssim"} <= set(metrics)):
            return f"{group} are missing"
        for name, value in metrics.items():
            if not isinstance(value, dict) or not all(is_number(value.get(part, ""), True) for part in ("mean", "std")):
                return f"{group}.{name} has no mean and std"
    if not is_number(config["noise"].get("snr", 0.0), True):
        return "noise.snr is no number"
    knows = record.get("knows", [])
    if not isinstance(knows, list) or not all(isinstance(word, str) for word in knows):
        return "knows is no list of words"
    lists = record.get("per_image", {})
    if not isinstance(lists, dict) or not all(
        isinstance(values, list) and all(is_number(value, True) for value in values) for values in lists.values()
    ):
        return "per_image holds something else than lists of numbers"
    return None


def is_word(value) -> bool:
    """Whether it may name a folder."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value, or_none: bool = False) -> bool:
    return (or_none and value is None) or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )


def to_json(record: dict) -> str:
    """JSON for people: indented, a list of numbers on one line. Raises ValueError for NaN or infinity."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\s+([-+.\de,\snul]+?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text) + "\n"
