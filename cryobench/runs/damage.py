"""What a file that calls itself a record may hold. Records come from elsewhere, too.

What one holds is text and numbers: nothing of it is executed, no module is imported because it is named there, and a name is
never part of a path before it was found to be a plain word.
"""

from __future__ import annotations

import math

from cryobench.config.identity import NAME, fault_of_config, task_name
from cryobench.methods.given import GIVEN, TITLE

SIZES = ("image_size", "n_train", "n_test")  # that every data set has
CALLED_BY = {"gan": ("alpha", "beta"), "autoencoder": ("loss",)}  # settings that a method is called by in tables


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
    for name in ("command", "started", "error", "reason"):
        if not isinstance(record.get(name) or "", str):
            return f"{name} is no text"
    for name in ("side_information", "knows", "warnings"):  # the second is an old name of the first
        words = record.get(name) or []
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return f"{name} is no list of words"
    for group in ("bad_images", "variants", "contaminated", "data", "method", "analysis", "environment"):
        if not isinstance(record.get(group) or {}, dict):
            return f"{group} is no table of names and values"
    if fault := fault_of_leaves(record):
        return fault
    if record["status"] == "failed" or task_name(config) != "denoising":
        return None
    for group in ("metrics", "noisy_metrics"):
        metrics = record.get(group, {} if group == "noisy_metrics" else None)
        if not isinstance(metrics, dict) or (group == "metrics" and not {"mse", "psnr", "ssim"} <= set(metrics)):
            return f"{group} are missing"
        for name, value in metrics.items():
            if not isinstance(value, dict) or not all(is_number(value.get(part, ""), True) for part in ("mean", "std")):
                return f"{group}.{name} has no mean and std"
    needed = {"data": SIZES, "method": CALLED_BY.get(config["method"]["name"], ())}
    for group, names in needed.items():
        if absent := [name for name in names if config[group].get(name) is None]:
            return f"config.{group}.{absent[0]} is missing"
    if not all(isinstance(reason, str) for reason in (record.get("bad_images") or {}).values()):
        return "bad_images has something else than reasons"
    method = config["method"]
    if method["name"] == GIVEN and not (isinstance(method.get("title"), str) and TITLE.fullmatch(method["title"])):
        return "config.method.title is no title"
    lists = record.get("per_image", {})
    if not isinstance(lists, dict) or not all(
        isinstance(values, list) and are_numbers(values) for values in lists.values()
    ):
        return "per_image holds something else than lists of numbers"
    if lists and ("mse" not in lists or len({len(values) for values in lists.values()}) != 1):
        return "per_image has no mse, or metrics of different numbers of images"
    return None


def fault_of_leaves(record: dict) -> str | None:
    """Which of LEAVES is of another kind. The groups are known to be mappings."""
    for kind, is_one, places in LEAVES:
        for place in places.split():
            *groups, name = place.split(".")
            node = record
            for group in groups:
                node = node.get(group) or {}
            if (value := node.get(name)) is not None and not is_one(value):
                return f"{place} is no {kind}"
    return None


def is_word(value) -> bool:
    """Whether it may name a folder."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def is_text(value) -> bool:
    """Whether it is a text, of any kind."""
    return isinstance(value, str)


def is_whole(value) -> bool:
    """Whether it is a whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def are_numbers(values: list) -> bool:
    """Whether all are finite numbers or null; by their kinds together, since a folder of records has a million."""
    return set(map(type, values)) <= {int, float, type(None)} and all(map(math.isfinite, filter(None, values)))


def is_number(value, or_none: bool = False) -> bool:
    """Whether it is a finite number, or None where `or_none`."""
    return (or_none and value is None) or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )


def is_size(value) -> bool:
    """Whether it is a finite number above 0."""
    return is_number(value) and value > 0


LEAVES = (  # what tables, pages and pictures take to be of a kind; each may be missing, or null
    ("text", is_text, "environment.cpu environment.gpu environment.commit data.key config.trainer.precision"),
    ("text", is_text, "config.method.loss config.method.net"),
    ("number", is_number, "wall_s fit_s images_per_s peak_memory_mib realised_snr config.noise.snr config.noise.share"),
    ("number", is_number, "config.method.alpha config.method.beta config.method.lam"),
    ("whole number", is_whole, "environment.cores config.data.image_size config.data.n_train config.data.n_test"),
    ("number above 0", is_size, "data.pixel_size"),
)
