"""What a run leaves behind: one folder, never overwritten once it is done.

RESULTS/runs/RUN_ID/record.json       config, environment, metrics, training curve
                    per_image.csv     index,mse,psnr,ssim,nmse
                    gallery.npz       the first test images, denoised
                    strip.png         clean / noisy / denoised
                    model.safetensors weights of a learned method
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from cryobench.files import flush


def write_record(folder: Path, record: dict) -> None:
    """record.json, whole or not at all."""
    text, part = to_json(record), folder / "record.part"
    part.write_text(text, encoding="utf-8")
    flush(part)
    os.replace(part, folder / "record.json")


def read_record(path: Path) -> dict | None:
    """A record.json, or None if there is none; a damaged one counts as none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: bad JSON, or bytes that are no text
        return None
    return record if isinstance(record, dict) and "status" in record else None


def to_json(record: dict) -> str:
    """JSON for people: indented, a list of numbers on one line. Raises ValueError for NaN or infinity."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\s+([-+.\de,\snul]+?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text) + "\n"
