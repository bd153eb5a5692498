"""What a run says about its denoised test images beyond the three metrics; kept in its record under "analysis".

An analysis is one module here with a function `analyse(evidence) -> dict` (JSON-able), named in the config's `analysis`
list; those in ALWAYS are done in every run.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import resources

import numpy as np

from cryobench.errors import InputError
from cryobench.methods.base import Found, Uncertainty

ALWAYS = ("posterior", "sharpness", "structure", "views")


@dataclass(frozen=True)
class Evidence:
    """The test images that were denoised, and what is known of them.

    clean, noisy, denoised: (n, L, L) float32; mse: (n,); labels (n,) int; rotations (n, 3, 3); train_labels,
    train_rotations: of the training images; pixel_size in Å; seed: the run's, for anything random in an analysis;
    uncertainty: the method's own, if it has any; volumes (k, L, L, L): of each conformation; found: the structure that the
    method found, if it looks for one.
    """

    clean: np.ndarray
    noisy: np.ndarray
    denoised: np.ndarray
    mse: np.ndarray
    labels: np.ndarray
    rotations: np.ndarray
    train_labels: np.ndarray
    train_rotations: np.ndarray
    pixel_size: float
    seed: int
    uncertainty: Uncertainty | None = None
    volumes: np.ndarray | None = None
    found: Found | None = None


def known() -> list[str]:
    """The analyses that there are."""
    names = (p.name.removesuffix(".py") for p in resources.files(__name__).iterdir() if p.name.endswith(".py"))
    return sorted(name for name in names if name != "__init__")


def check(names: list[str]) -> list[str]:
    """The names, each once, sorted. Raises InputError for one that isn't there."""
    for name in names:
        if name not in known():
            raise InputError(f"analysis: expected names out of {', '.join(known())}, got {name}")
    return sorted(set(names))


def analyse(names: list[str], evidence: Evidence) -> dict[str, dict]:
    """name → what it found, for the analyses asked for and those always done; without those that found nothing to say."""
    chosen = sorted({*ALWAYS, *names})
    results = {name: importlib.import_module(f"{__name__}.{name}").analyse(evidence) for name in chosen}
    return {name: result for name, result in results.items() if result}
