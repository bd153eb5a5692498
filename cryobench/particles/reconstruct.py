"""Does denoising help a reconstruction? Back-projection with known angles, against the volume that the images came from.

Test images of one conformation, noisy, denoised and clean, are inserted as central slices (torch-fourier-slice) into one
3-D transform, divided by the weights that fell on each voxel. Each reconstruction is compared with the true volume by
Fourier shell correlation within a soft sphere. Against the truth a shell has √(SNR/(1 + SNR)): 0.71 where signal and noise
are equal, and 0.5 where there is a third as much signal as noise, the level that 0.143 is between two half maps
(Rosenthal & Henderson 2003). Resolutions at 0.5 and at 0.143 are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch_fourier_shell_correlation import fourier_shell_correlation

from cryobench import figure
from cryobench.config.compose import build, cache_folder
from cryobench.data.backproject import back_project
from cryobench.data.images import NoisyImages
from cryobench.data.io.stack import write_map
from cryobench.data.pairs import open_pairs
from cryobench.errors import InputError
from cryobench.evaluation.analysis.sharpness import resolution
from cryobench.methods.base import Denoiser, denoised_by
from cryobench.particles.model import Model

AT_ONCE = 32  # images inserted, or denoised, at a time
THRESHOLDS = tuple(sorted(figure.THRESHOLDS))
BESIDE = "clean", "noisy", "truth"  # names of what methods are compared with
EDGE = 0.1  # of the radius: the soft edge of the sphere


@dataclass(frozen=True)
class Reconstructions:
    """volumes: name → (L, L, L), "clean" and "noisy" first; truth (L, L, L); views: how many images; pixel_size in Å; models: the
    name of each other volume → the model that denoised its images."""

    volumes: dict[str, np.ndarray]
    truth: np.ndarray
    views: int
    pixel_size: float
    models: dict[str, Model] = field(default_factory=dict)

    def curves(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Frequencies (L/2,) in 1/Å from shell 1 on, and for each name the shell correlation with the truth."""
        size = len(self.truth)
        frequency = np.arange(1, size // 2 + 1) / (size * self.pixel_size)
        mask = soft_sphere(size)
        truth = torch.from_numpy(self.truth * mask)
        return frequency, {
            name: fourier_shell_correlation(torch.from_numpy(volume * mask), truth).numpy()[1:]
            for name, volume in self.volumes.items()
        }


def reconstruct(models: list[Model], *, n_test: int, conformation: int, progress: bool = False) -> Reconstructions:
    """Reconstruct one conformation (from 1) from n_test test images of the models' common data set, noise and seed.

    The first images of a longer test set are those of a shorter one; no training image is among them.
    Raises InputError for models of different data, one that comes twice, or a conformation that is not there.
    """
    named, first = by_label(models), models[0].config
    for model in models[1:]:
        # What is built is compared: an older record's config is without the settings that came later, at their defaults.
        differs = {group: build(model.config, group) != build(first, group) for group in ("data", "noise")}
        for group, other in {**differs, "seed": model.config["seed"] != first["seed"]}.items():
            if other:
                raise InputError(
                    f"--run: expected runs of one data set, noise and seed, got another {group} in {model.name}"
                )
    dataset = replace(build(first, "data"), n_test=n_test)
    if dataset.recorded:
        raise InputError(
            "reconstruct: expected a simulated data set, whose true volume is known, got recorded particles"
        )
    pairs = open_pairs(dataset, cache_folder(first), progress=progress)
    if not 1 <= conformation <= len(pairs.volumes):
        raise InputError(f"--conformation: expected 1 to {len(pairs.volumes)}, got {conformation}")
    noise = build(first, "noise")
    train, test = (pairs.images(split, noise, first["seed"]) for split in ("train", "test"))
    rows = np.flatnonzero(test.labels == conformation - 1)
    if not len(rows):
        raise InputError(
            f"--images: expected enough test images to have conformation {conformation} among them, got {n_test}"
        )
    rotations = test.rotations[rows]
    sources: dict[str, Callable[[np.ndarray], np.ndarray]] = {"clean": test.clean, "noisy": test.noisy}
    for label, model in named.items():
        if model.fits_stack:
            model.method.fit(train.only(model.method.side_information))
        sources[label] = denoising(model.method, test)
    volumes = {name: backproject(take, rows, rotations, name if progress else None) for name, take in sources.items()}
    return Reconstructions(volumes, np.array(pairs.volumes[conformation - 1]), len(rows), pairs.pixel_size, named)


def by_label(models: list[Model]) -> dict[str, Model]:
    """What each model's volume is called → the model: its method's name, or its run's where several or BESIDE have that name.

    Raises InputError for a run that comes twice.
    """
    runs = [model.name for model in models]
    if twice := sorted({name for name in runs if runs.count(name) > 1}):
        raise InputError(f"--run: expected each run once, got {', '.join(twice)} more than once")
    methods = [model.config["method"]["name"] for model in models]
    taken = {*BESIDE, *(name for name in methods if methods.count(name) > 1)}
    return {run if name in taken else name: model for run, name, model in zip(runs, methods, models, strict=True)}


def denoising(method: Denoiser, test: NoisyImages) -> Callable[[np.ndarray], np.ndarray]:
    """Positions in the test images → those images denoised."""
    return lambda index: denoised_by(method, test.noisy(index), test.hints(method.side_information, index))


def backproject(take, rows: np.ndarray, rotations: np.ndarray, progress: str | None = None) -> np.ndarray:
    """The volume (L, L, L) float32 of images take(rows) seen under rotations (n, 3, 3), the images a few at a time. L is even."""
    starts = range(0, len(rows), AT_ONCE)
    shown = track(starts, f"reconstructing {progress}", console=Console(stderr=True), disable=progress is None)
    blocks = (slice(start, start + AT_ONCE) for start in shown)
    batches = (
        (torch.from_numpy(np.ascontiguousarray(take(rows[block]))), torch.from_numpy(rotations[block]).float())
        for block in blocks
    )
    return back_project(batches).contiguous().numpy()


def soft_sphere(size: int) -> np.ndarray:
    """(L, L, L) float32: 1 within, falling as a cosine to 0 at the box's faces."""
    axis = np.arange(size) - size // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / (size / 2)
    return (0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 1 + EDGE) / EDGE, 0, 1))).astype(np.float32)


def write(result: Reconstructions, folder: Path) -> tuple[list[Path], list[dict]]:
    """FOLDER/NAME.mrc, figures/fsc.png and .svg, and fsc.json; returns the files and a line for each reconstruction."""
    frequency, curves = result.curves()
    lines = [
        {"name": name, **{f"resolution_{level}": resolution(frequency, curve, level) for level in THRESHOLDS}}
        for name, curve in curves.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = [write_map(folder / f"{name}.mrc", volume, result.pixel_size) for name, volume in result.volumes.items()]
    files.append(write_map(folder / "truth.mrc", result.truth, result.pixel_size))
    about = {
        "views": result.views,
        "pixel_size": result.pixel_size,
        "runs": [model.name for model in result.models.values()],
        "resolutions": lines,
        "frequency": [float(f"{f:.6g}") for f in frequency],
        "fsc": {name: [float(f"{value:.5g}") for value in curve] for name, curve in curves.items()},
    }
    (folder / "fsc.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    names = {
        label: figure.used(model.config["method"], model.method.side_information)
        for label, model in result.models.items()
    }
    snrs = {model.config["noise"].get("snr") for model in result.models.values()}
    read = {name: resolution(frequency, curve, figure.READ_AT) for name, curve in curves.items()}
    drawn = figure.fsc(frequency, curves, read, result.views, names, snrs.pop() if len(snrs) == 1 else None)
    names_of_data = {model.config["data"]["name"] for model in result.models.values()}
    images = figure.images_in(names_of_data, [result.truth.shape[-1]], [result.pixel_size])
    return [*files, folder / "fsc.json", *figure.save(drawn, folder, "fsc", images)], lines


def verdict(lines: list[dict]) -> str:
    """One line on each method: what it did to the resolution that the noisy images give."""
    noisy = next(line for line in lines if line["name"] == "noisy")["resolution_0.5"]
    if noisy is None:
        return "the noisy images alone give no reconstruction that agrees with the truth"
    sentences = []
    for line in lines:
        if line["name"] in BESIDE:
            continue
        resolution = line["resolution_0.5"]
        if resolution is None or resolution > noisy / 0.98:
            effect = "hurt"
        elif resolution < 0.98 * noisy:
            effect = "helped"
        else:
            effect = "changed nothing"
        shown = "none" if resolution is None else resolution
        sentences.append(f"{line['name']} {effect} ({shown} Å at 0.5, where noisy images give {noisy} Å)")
    return "; ".join(sentences)
