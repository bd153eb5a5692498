"""The task of a denoising run: data → noise → method → metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryobench.config.compose import build, cache_folder
from cryobench.errors import BadImages, NotFinite, RunFailed
from cryobench.evaluation import metrics
from cryobench.evaluation.analysis import Evidence, analyse
from cryobench.runs.environment import cores

WATCHED = 100  # test images that are scored during training where the config says watch
GALLERY = 6  # test images whose denoised version is kept, so that galleries need no second run


@dataclass(frozen=True)
class Denoising:
    """What a run does unless told otherwise: a Task."""

    def run(self, config: dict, folder: Path, progress: bool) -> dict:
        return work(config, folder, progress)


def work(config: dict, folder: Path, progress: bool) -> dict:
    """Data → noise → method → metrics."""
    from cryobench.data.pairs import open_pairs
    from cryobench.methods.base import Watch

    noise, method = build(config, "noise"), build(config, "method")
    method.require()
    method.setting = setting(config, folder, progress)
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=progress)
    train, test = (pairs.images(split, noise, config["seed"]) for split in ("train", "test"))
    if config["watch"]:
        seen = slice(WATCHED)
        ctf = test.hints(method.side_information & {"ctf"}, seen).get("ctf")
        method.setting = replace(method.setting, watch=Watch(config["watch"], test.noisy(seen), test.clean(seen), ctf))

    clock = [time.perf_counter()]
    method.fit(train.only(method.side_information, f"method {config['method']['name']}"))
    clock.append(time.perf_counter())
    clean, noisy = test.clean(), test.noisy()
    clock.append(time.perf_counter())
    uncertainties, outcomes = [], []
    for variant in method.variants():
        outcomes.append(denoise(variant, test, noisy, clean))
        uncertainties.append(variant.uncertainty)
    clock.append(time.perf_counter())

    scores = [score(clean, images, config["protocol"]["ssim_range"]) for images, _ in outcomes]
    per_image = {name: np.mean([one[name] for one in scores], axis=0) for name in scores[0]}
    denoised, bad = outcomes[0]
    leave_files(folder, method, clean, noisy, denoised, per_image, scores[0]["mse"])
    good = np.isfinite(denoised).all(axis=(1, 2))
    evidence = Evidence(
        clean[good], noisy[good], denoised[good], scores[0]["mse"][good], test.labels[good], test.rotations[good],
        train.labels, train.rotations, pairs.pixel_size, config["seed"], uncertainties[0],
    )  # fmt: skip
    return {
        "metrics": {name: summary(values) for name, values in per_image.items()},
        **({"variants": {name: over_variants(scores, name) for name in scores[0]}} if len(scores) > 1 else {}),
        "noisy_metrics": {
            name: summary(v) for name, v in score(clean, noisy, config["protocol"]["ssim_range"]).items()
        },
        "per_image": {name: [number(v, 6) for v in values] for name, values in per_image.items()},
        "bad_images": bad,
        "side_information": sorted(method.side_information),
        "ctf": ctf_of_images(method, test),
        "realised_snr": number(np.mean(clean.var(axis=(1, 2)) / (noisy - clean).var(axis=(1, 2)))),
        "images_per_s": number(len(outcomes) * (len(noisy) - len(bad)) / (clock[3] - clock[2])),
        "fit_s": number(clock[1] - clock[0]),
        "contaminated": train.contaminated(),
        "data": {"key": pairs.key, "pixel_size": pairs.pixel_size, "train": len(train), "test": len(test)},
        "method": method.report,
        "analysis": analyse(config["analysis"], evidence),
    }


def setting(config: dict, folder: Path, progress: bool):
    """Where and how the method runs, from the trainer group."""
    import torch

    from cryobench.methods.base import Setting

    trainer = config["trainer"]
    if trainer["threads"]:
        torch.set_num_threads(trainer["threads"])
    return Setting(
        seed=config["seed"], workdir=folder, workers=trainer["workers"] or cores(), progress=progress,
        accelerator=trainer["accelerator"], devices=trainer["devices"], precision=trainer["precision"],
        strategy=trainer["strategy"], checkpoint_minutes=trainer["checkpoint_minutes"],
    )  # fmt: skip


def denoise(method, test, noisy: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """All test images; one that the method refuses becomes NaN and is named with the reason, the others go on."""
    hints = test.hints(method.side_information) | ({"truth": clean} if "truth" in method.side_information else {})
    good, bad = np.arange(len(noisy)), {}
    denoised = np.full(noisy.shape, np.nan, dtype=np.float32)
    while len(good):
        try:
            result = method.denoise(noisy[good], **{name: values[good] for name, values in hints.items()})
            if np.shape(result) != noisy[good].shape:
                raise RunFailed(f"expected denoised images of shape {noisy[good].shape}, got {np.shape(result)}")
            denoised[good] = result
            break
        except BadImages as error:
            bad |= {str(good[i]): error.reason for i in error.indices}
            good = np.delete(good, error.indices)
    if not len(good):
        raise RunFailed(f"no image could be denoised; image 0: {bad.get('0')}")
    broken = ~np.isfinite(denoised[good]).all(axis=(1, 2))
    if broken.any():
        raise NotFinite(f"the denoised image {int(good[np.argmax(broken)])} has pixels that are not finite")
    return denoised, bad


def ctf_of_images(method, test) -> dict:
    """What the record says where images were seen through a CTF that is known: whether the method was told of it, and whether
    what it denoised is "corrected", has the CTF "applied", or, of one that was not told, that it is "untold"."""
    if not test.has_ctf:
        return {}
    told = "ctf" in method.side_information
    return {"told": told, "denoised": getattr(method, "ctf", "corrected") if told else "untold"}


def score(clean: np.ndarray, denoised: np.ndarray, ssim_range: float) -> dict[str, np.ndarray]:
    """The metrics of every image; NaN for an image that was not denoised.

    "ssim_range2": SSIM with a data range of 2, which is what the library of the paper's day took for floats, whatever
    `ssim_range` is: the paper doesn't say which of the two it prints.
    """
    good = np.isfinite(denoised).all(axis=(1, 2))
    wanted = {name: (getattr(metrics, name), 1.0) for name in metrics.NAMES}
    wanted |= {"ssim": (metrics.ssim, ssim_range), "ssim_range2": (metrics.ssim, 2.0)}
    scores = {}
    for name, (metric, data_range) in wanted.items():
        scores[name] = np.full(len(clean), np.nan)
        scores[name][good] = metric(clean[good], denoised[good], data_range=data_range)
    return scores


def summary(values: np.ndarray) -> dict:
    """Mean and standard deviation over images; null where infinite (the PSNR of a perfect image)."""
    with np.errstate(invalid="ignore"):
        return {"mean": number(np.nanmean(values)), "std": number(np.nanstd(values))}


def over_variants(scores: list[dict[str, np.ndarray]], name: str) -> dict:
    """One metric's mean over images for each of a method's variants, and their standard deviation."""
    means = [np.nanmean(one[name]) for one in scores]
    return {"values": [number(value) for value in means], "spread": number(np.std(means, ddof=1))}


def number(value, digits: int = 8) -> float | None:
    """A JSON number of so many significant digits, or None if it isn't finite."""
    return float(f"{float(value):.{digits}g}") if np.isfinite(value) else None


def leave_files(folder: Path, method, clean, noisy, denoised, per_image, mse) -> None:
    """The run's files; `mse` (n,) is that of the images shown, `per_image` what is reported."""
    from cryobench.figure import strip

    rows = zip(*(per_image[name] for name in metrics.NAMES), strict=True)
    lines = [",".join(("index", *metrics.NAMES))]
    lines += [",".join((str(i), f"{row[0]:.8g}", *(f"{value:.6g}" for value in row[1:]))) for i, row in enumerate(rows)]
    (folder / "per_image.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.savez_compressed(folder / "gallery.npz", denoised=denoised[:GALLERY].astype(np.float16))
    shown = {"clean": clean[:GALLERY], "noisy": noisy[:GALLERY], "denoised": denoised[:GALLERY]}
    strip(shown, folder / "strip.png", {"denoised": [f"MSE {value:.2e}" for value in mse[:GALLERY]]})
    if (weights := method.weights()) is not None:
        from safetensors.torch import save_file

        save_file(weights, folder / "model.safetensors")
