"""A task of the leaderboard, its name at the head of a column, and which column comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cryobench.tables.comparison import around


@dataclass(frozen=True)
class Task:
    """key: what its runs agree in (`key_of`); where: that in words, of another task others; config: of one of its runs; unit:
    "bayes", "linear" or "" (NMSE itself)."""

    key: str
    where: str
    config: dict
    unit: str

    @property
    def short(self) -> str:
        """Its name at the head of a column."""
        noise, scale = self.config["noise"], self.config["scale"]["name"]
        words = [
            self.config["data"]["name"],
            "" if scale == "desk" else scale,
            f"{noise['snr']:g}" if noise.get("snr") is not None else "",
        ]
        settings = {key.removeprefix("noise."): value for key, value in sorted(around(self.config).items())}
        noise_settings = ", ".join(filter(None, (in_words(*one) for one in settings.items() if one[0] != "name")))
        return " ".join(filter(None, [*words, f"({noise_settings})" if noise_settings else ""]))

    @property
    def noise(self) -> str:
        """Its noise model."""
        noise = self.config["noise"]
        return f"{noise['name']}, clipped" if noise.get("clip") else noise["name"]


def in_words(key: str, value) -> str:
    """A setting of a noise model, as `around` has it, at the head of a column; nothing for what is not there.

    >>> settings = {"ctf": "True", "colour": "0", "shift": "2", "train": "True", "share": "0.3", "gain": "2"}
    >>> [in_words(*setting) for setting in settings.items()]
    ['CTF', '', 'shifts of up to 2 px', 'also in training', '30 %', 'gain=2']
    """
    if value in ("0", "0.0", "False"):
        return ""
    words = {
        "clip": "clipped",
        "ctf": "CTF",
        "colour": "coloured noise",
        "shift": f"shifts of up to {value} px",
        "train": "also in training",
        "type": f"type {value}",
    }
    return f"{100 * float(value):.3g} %" if key == "share" else words.get(key, f"{key}={value}")


def place(task: Task, tasks: Sequence[Task], crowd: Counter[str]) -> tuple:
    """The order of tasks: plain noise first; of the molecules and scales that first which has the most results, which number
    `crowd` counts for each task; less noise first."""
    noise = task.config["noise"]
    kind = ("gaussian", "gaussian, clipped").index(task.noise) if task.noise.startswith("gaussian") else 2
    images = imaged(task)
    results = sum(crowd[one.key] for one in tasks if (one.noise, imaged(one)) == (task.noise, images))
    return (kind, noise["name"], -results, *images, -(noise.get("snr") or 0.0), task.where)


def imaged(task: Task) -> tuple[int, str]:
    """Image size and molecule."""
    return task.config["data"]["image_size"], task.config["data"]["name"]
