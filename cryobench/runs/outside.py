"""Test images for tools that know nothing of cryobench, and the record of what such a tool made of them.

The verb data writes a stack and, beside it, data.json: which images these are (all settings, and a digest of the pixels), and
what a tool may need (pixel size, SNR, σ). The verb score takes the denoised stack, makes the same images again from the settings,
and judges as a run does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from cryobench.config.again import at_home
from cryobench.config.compose import build, settings
from cryobench.config.identity import run_id, task_name
from cryobench.data.io.relion import digest_of
from cryobench.data.io.stack import Stack
from cryobench.errors import InputError, note
from cryobench.evaluation.order import check_order
from cryobench.methods.given import GIVEN
from cryobench.printed import short
from cryobench.runs.damage import is_word
from cryobench.runs.denoising import Images, Judged, leave_files
from cryobench.runs.record import Record, to_json
from cryobench.runs.run import first_part, shareable
from cryobench.runs.store import Store

ABOUT, FORMAT = "data.json", 1
BLOCK = 256  # images in memory at a time
FITS = 0.25  # how far off a grey scale may be, relative
ROUNDING = 1e-3  # of the noise's deviation, by which pixels may differ that two machines simulate

README = """\
{n} {kind} images of {size} x {size} pixels, {pixel_size:g} A per pixel, written by cryobench.

{split}.mrcs   the images, float32. Clean images have grey values from 0 to 1; noise was added to that.
{split}.star   the same for RELION and its kin, with the true orientation and class of each image. Who uses these says so
            (--used rotations,labels).
data.json   what the images are: all settings, SNR, the noise's true standard deviation sigma for each image (--used sigma),
            and sha256, a digest of all pixels as little-endian float32, row by row.
*.mrc       the molecule's conformations (--used volumes).
{score}"""
SCORE = """
Denoise {split}.mrcs with whatever tool you like, keeping the order, the number and the size of the images and their grey scale,
and write an .mrcs stack. Then

    python -m cryobench score denoised.mrcs --data THIS_FOLDER --name "My tool" [--used clean,sigma]

scores it as a run of cryobench's own is scored. Clean images to train on, where a tool wants them:
the same command that wrote this folder, with --split train and without --noisy.
"""


def texts(config: dict, images: Images, split: str, noisy: bool, digest: str) -> dict[str, str]:
    """data.json and README.txt for the folder of a written split: name → text."""
    part = getattr(images, split)
    try:
        sigma = [float(f"{value:.6g}") for value in part.sigma()] if noisy else None
    except InputError:  # of recorded images nobody knows it
        sigma = None
    about = {
        "format": FORMAT,
        "split": split,
        "noisy": noisy,
        "images": len(part),
        "image_size": part.image_size,
        "pixel_size": images.pairs.pixel_size,
        "snr": config["noise"].get("snr") if noisy else None,
        "sha256": digest,
        "seed": config["seed"],
        "config": {key: value for key, value in shareable(config).items() if key != "method"},
        "sigma": sigma,
    }
    score = SCORE.format(split=split) if noisy and split == "test" else ""
    readme = README.format(
        n=len(part),
        kind="noisy" if noisy else "clean",
        size=part.image_size,
        split=split,
        pixel_size=images.pairs.pixel_size,
        score=score,
    )
    return {ABOUT: to_json(about), "README.txt": readme}


def read_about(folder: Path) -> dict:
    """The data.json of a folder. Raises InputError where there is none, or it is none of noisy test images."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        about = None
    wanted = {"format": FORMAT, "split": "test", "noisy": True}
    if (
        not isinstance(about, dict)
        or not isinstance(about.get("config"), dict)
        or not isinstance(about.get("sha256"), str)
    ):
        raise InputError(
            f"--data: expected a folder that `python -m cryobench data … --noisy -o {folder}` wrote, got none ({path})"
        )
    if wrong := [f"{name} {about.get(name)}" for name, value in wanted.items() if about.get(name) != value]:
        raise InputError(f"--data: expected noisy test images (data … --noisy), got {', '.join(wrong)} in {path}")
    return about


def usual_results(about: dict) -> str:
    """results/DATA-SCALE of a data.json. Raises InputError for names that are no plain words."""
    names: list[Any] = [
        group.get("name") if isinstance(group := about["config"].get(key), dict) else None for key in ("data", "scale")
    ]
    if not all(map(is_word, names)):
        raise InputError(f"--data: expected plain words for the names of data and scale in {ABOUT}, got {names}")
    return f"results/{'-'.join(names)}"


def config_of(about: dict, title: str, used: list[str], overrides: list[str], what: str) -> dict:
    """The resolved config of the record of a tool's images. Raises InputError for settings that can't be."""
    node = {"name": GIVEN, "title": title, "used": sorted(set(used))}
    build(
        {"method": {"_target_": "cryobench.methods.given.Given", **node}}, "method"
    )  # raises for a wrong title or word
    config = at_home({**about["config"], "method": node}, overrides, what)
    for name in ("protocol", "scale"):
        config[name] = settings(OmegaConf.create(config[name]), name)
        if not is_word(config[name]["name"]):
            raise InputError(f"{what}: expected a plain word for config.{name}.name, got {config[name]['name']!r}")
    return {
        "task": {"name": "denoising", "_target_": "cryobench.runs.denoising.Denoising"},
        **config,
        "analysis": [],
        "watch": 0,
    }


def score(
    denoised: Path,
    folder: Path,
    title: str,
    used: list[str],
    results: Path,
    overrides: list[str],
    force: bool = False,
    progress: bool = False,
) -> tuple[Record, bool]:
    """Judge a stack of denoised test images, and leave a record in a results folder; False: it was there already.

    folder: what the verb data wrote; title and used: as `cryobench.methods.given.Given` has them; overrides: of paths and
    trainer. Raises InputError for a stack of another number, size or order, for pixels that are not finite, where the images
    in the folder are not those that its settings give, and where this title has other images in the results, without `force`.
    """
    about = read_about(folder)
    config = config_of(about, title, used, overrides, f"--data {folder}")
    if task_name(about["config"]) != "denoising":
        raise InputError(f"--data {folder}: expected images to denoise, got the task {task_name(about['config'])}")
    stack = Stack(denoised)
    store, name = Store(results), run_id(config)
    images = Images.of(config, progress)
    shape = (len(images.test), images.test.image_size, images.test.image_size)
    if stack.shape != shape:
        raise InputError(
            f"{denoised}: expected {shape[0]} images of {shape[1]} × {shape[2]} px, as in {folder}, got "
            f"{stack.shape[0]} of {stack.shape[1]} × {stack.shape[2]}"
        )
    check_images(about["sha256"], folder, images)
    result = finite_images(stack)
    check_order(images.noisy, result, images.clean, str(denoised))
    if scale := scale_lost(images.clean, result):
        note(
            f"{denoised}: {scale}; does the tool normalise images? Bring them to the grey scale of the noisy images and score "
            f"again with --force; or remove {store.folder(name)}, which every comparison shows"
        )
    digest = digest_of([result])
    with store.claim(name, wait=True):
        before = store.read(name)
        if before and before.done and before.method.get("sha256") == digest:
            return before, False
        if before and before.done and not force:
            raise InputError(
                f"--name: expected a name that has no other images here, got {title}, of which {store.folder(name)} "
                "has some; give another, or --force"
            )
        work = store.begin(name)
        judged = Judged.of(images, [(result, {})], config["protocol"]["ssim_range"])
        leave_files(work, images, judged, config, title)
        record = Record.of(
            {
                **first_part(config, command=None).document(),
                **judged.record(config, images),
                "side_information": config["method"]["used"],
                "contaminated": images.train.contaminated(),
                "method": {"sha256": digest},
            }
        )
        store.finish(name, record)
    return record, True


def check_images(digest: str, folder: Path, images: Images) -> None:
    """Raise InputError where the noisy images of a folder are not those that its settings give here, up to rounding."""
    made, path = images.noisy, folder / f"{images.test.split}.mrcs"
    written = Stack(path) if path.is_file() else None
    if written is not None:
        if written.shape != made.shape:
            raise InputError(
                f"--data: expected the stack that was written, got another shape in {path}; write it again"
            )
        blocks = [
            written.raw(np.arange(start, min(start + BLOCK, len(written)))) for start in range(0, len(written), BLOCK)
        ]
        if digest_of(blocks) != digest:
            raise InputError(f"--data: expected the images that were written, got others in {path}; write them again")
    if digest_of([made]) == digest:
        return
    close = (
        written is not None and np.abs(np.concatenate(blocks) - made).max() <= ROUNDING * (made - images.clean).std()
    )
    if not close:
        raise InputError(
            f"--data: expected the images that the settings in {folder / ABOUT} give, got others; it was changed, "
            "or another version wrote it: write the folder again"
        )


def finite_images(stack: Stack) -> np.ndarray:
    """All of a stack, (n, L, L). Raises InputError for NaN or infinity: none can be left out, as all are counted."""
    images = stack.raw(np.arange(len(stack)))
    if not (finite := np.isfinite(images).all(axis=(1, 2))).all():
        raise InputError(
            f"{stack.path}: expected finite pixels, got NaN or infinity in {stack.named(np.flatnonzero(~finite))}; make its "
            f"pixels finite, or put the noisy image there, since all {len(stack)} are scored"
        )
    return images


def scale_lost(clean: np.ndarray, denoised: np.ndarray) -> str:
    """What another grey scale, one line a·x + b for all images, would bring: where it would halve their error, else "".

    Nor where it is right already. Noisy images, too, would come nearer to the clean ones with less contrast, but only because
    of their noise: they hold the clean images once (`signal`). Of one that is denoised well `slope` is 1, and neither is more.
    """
    centred = denoised - denoised.mean(dtype=np.float64)
    variance = float(np.mean(centred**2, dtype=np.float64))
    error = float(np.mean((denoised - clean) ** 2, dtype=np.float64))
    slope = float(np.mean(centred * clean, dtype=np.float64)) / variance if variance else 0.0
    best = float(clean.var(dtype=np.float64)) - slope**2 * variance
    signal = slope * variance / float(clean.var(dtype=np.float64))  # of the clean images' contrast, how much is in them
    offset = float(denoised.mean(dtype=np.float64) - clean.mean(dtype=np.float64)) ** 2
    if best >= error / 2 or (max(slope, signal) < 1 + FITS and offset < FITS * error):
        return ""
    return (
        f"with another grey scale ({slope:.3g} × image + a constant) its MSE would be {short(best)}, not {short(error)}"
    )
