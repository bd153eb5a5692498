"""The task of a denoising run: data → noise → method → metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryobench.config.compose import build, cache_folder
from cryobench.errors import RunFailed, in_short
from cryobench.evaluation import metrics
from cryobench.evaluation.analysis import Evidence, analyse
from cryobench.printed import called, short
from cryobench.runs.environment import cores

if TYPE_CHECKING:
    from cryobench.data.images import NoisyImages
    from cryobench.data.pairs import Pairs
    from cryobench.methods.base import Found, Setting, Uncertainty

WATCHED = 100  # test images that are scored during training where the config says watch
GALLERY = 6  # test images whose denoised version is kept, so that galleries need no second run


@dataclass(frozen=True)
class Denoising:
    """What a run does unless told otherwise: a Task."""

    def run(self, config: dict, folder: Path, progress: bool) -> dict:
        """As `Task.run` has it."""
        return work(config, folder, progress)


def work(config: dict, folder: Path, progress: bool) -> dict:
    """Data → noise → method → metrics."""
    from cryobench.methods.base import Watch

    method = build(config, "method")
    method.require()
    method.setting = setting(config, folder, progress)
    images = Images.of(config, progress)
    train, test = images.train, images.test
    if config["watch"]:
        seen = slice(WATCHED)
        ctf = test.hints(method.side_information & {"ctf"}, seen).get("ctf")
        method.setting = replace(method.setting, watch=Watch(config["watch"], test.noisy(seen), test.clean(seen), ctf))
    result = trial(method, images, config["method"]["name"])
    judged = Judged.of(images, result.outcomes, config["protocol"]["ssim_range"])
    leave_files(folder, images, judged, config, called(config["method"]), method.weights())
    method.leave(folder)
    judgement = judged.record(config, images, result.uncertainty, method.found)
    if method.found is not None:
        picture_structure(folder, method.found, judgement["analysis"]["structure"], images)
    n = len(result.outcomes) * (len(test) - len(judged.bad))
    return {
        **judgement,
        "side_information": sorted(method.side_information),
        "ctf": ctf_of_images(method, test),
        "images_per_s": number(n / result.denoise_s),
        "fit_s": number(result.fit_s),
        "contaminated": train.contaminated(),
        "method": method.report,
    }


@dataclass(frozen=True)
class Images:
    """What a run sees: its data set, and both splits under its noise."""

    pairs: Pairs
    train: NoisyImages
    test: NoisyImages

    @classmethod
    def of(cls, config: dict, progress: bool = False) -> Images:
        """The images of a resolved config, simulated where they are not in the cache."""
        from cryobench.data.pairs import open_pairs

        noise = build(config, "noise")
        pairs = open_pairs(build(config, "data"), cache_folder(config), progress=progress)
        train, test = (pairs.images(split, noise, config["seed"]) for split in ("train", "test"))
        return cls(pairs, train, test)

    @cached_property
    def clean(self) -> np.ndarray:
        """(n, L, L), the test images."""
        return self.test.clean()

    @cached_property
    def noisy(self) -> np.ndarray:
        """(n, L, L), the test images with their noise."""
        return self.test.noisy()


@dataclass(frozen=True)
class Trial:
    """A method fitted and tried: for each of its variants the denoised test images with those it refused; how sure the first
    one is of them; and seconds."""

    outcomes: list[tuple[np.ndarray, dict[str, str]]]
    uncertainty: Uncertainty | None
    fit_s: float
    denoise_s: float


def trial(method, images: Images, name: str) -> Trial:
    """Fit a method on the training images, as far as its side information goes, and denoise the test images."""
    clock = [time.perf_counter()]
    method.fit(images.train.only(method.side_information, f"method {name}"))
    clock.append(time.perf_counter())
    clean, noisy = images.clean, images.noisy
    clock.append(time.perf_counter())
    uncertainties, outcomes = [], []
    for variant in method.variants():
        outcomes.append(denoise(variant, images.test, noisy, clean))
        uncertainties.append(variant.uncertainty)
    return Trial(outcomes, uncertainties[0], clock[1] - clock[0], time.perf_counter() - clock[2])


@dataclass(frozen=True)
class Judged:
    """Denoised test images and what they are worth. scores: of each variant, metric → (n,); denoised and bad: of the first."""

    denoised: np.ndarray
    bad: dict[str, str]
    scores: list[dict[str, np.ndarray]]
    noisy_scores: dict[str, np.ndarray]

    @classmethod
    def of(cls, images: Images, outcomes: list[tuple[np.ndarray, dict[str, str]]], ssim_range: float) -> Judged:
        """outcomes: of each variant, as in `Trial`."""
        scores = [score(images.clean, denoised, ssim_range) for denoised, _ in outcomes]
        return cls(*outcomes[0], scores, score(images.clean, images.noisy, ssim_range))

    @cached_property
    def per_image(self) -> dict[str, np.ndarray]:
        """Metric → (n,), the mean over variants; NaN for an image that was refused."""
        return {name: np.mean([one[name] for one in self.scores], axis=0) for name in self.scores[0]}

    @property
    def metrics(self) -> dict[str, dict]:
        """Metric → mean and std over test images."""
        return {name: summary(values) for name, values in self.per_image.items()}

    @property
    def noisy_metrics(self) -> dict[str, dict]:
        """The same of the noisy images."""
        return {name: summary(values) for name, values in self.noisy_scores.items()}

    @property
    def variants(self) -> dict[str, dict]:
        """Metric → its mean over test images for each variant, and their spread; of two variants or more."""
        return {name: over_variants(self.scores, name) for name in self.scores[0]}

    def record(
        self, config: dict, images: Images, uncertainty: Uncertainty | None = None, found: Found | None = None
    ) -> dict:
        """The part of a record that says how good the images are, with its analyses."""
        good = np.isfinite(self.denoised).all(axis=(1, 2))
        pairs, train, test, clean, noisy = images.pairs, images.train, images.test, images.clean, images.noisy
        evidence = Evidence(
            clean=clean[good],
            noisy=noisy[good],
            denoised=self.denoised[good],
            mse=self.scores[0]["mse"][good],
            labels=test.labels[good],
            rotations=test.rotations[good],
            train_labels=train.labels,
            train_rotations=train.rotations,
            pixel_size=pairs.pixel_size,
            seed=config["seed"],
            uncertainty=uncertainty,
            volumes=pairs.volumes,
            found=found,
        )
        return {
            "metrics": self.metrics,
            **({"variants": self.variants} if len(self.scores) > 1 else {}),
            "noisy_metrics": self.noisy_metrics,
            "per_image": {name: [number(v, 6) for v in values] for name, values in self.per_image.items()},
            "bad_images": self.bad,
            "realised_snr": number(np.mean(clean.var(axis=(1, 2)) / (noisy - clean).var(axis=(1, 2)))),
            "data": {"key": pairs.key, "pixel_size": pairs.pixel_size, "train": len(train), "test": len(test)},
            "analysis": analyse(config["analysis"], evidence),
        }


def setting(config: dict, folder: Path | None, progress: bool) -> Setting:
    """Where and how the method runs, from the trainer group."""
    from cryobench.methods.base import Setting

    trainer = config["trainer"]
    if trainer["threads"]:
        import torch

        torch.set_num_threads(trainer["threads"])
    return Setting(
        seed=config["seed"],
        workdir=folder,
        workers=trainer["workers"] or cores(),
        progress=progress,
        accelerator=trainer["accelerator"],
        devices=trainer["devices"],
        precision=trainer["precision"],
        strategy=trainer["strategy"],
        cuda_graphs=trainer["cuda_graphs"],
        checkpoint_minutes=trainer["checkpoint_minutes"],
        logger=trainer["logger"],
    )


def denoise(method, test, noisy: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """All test images; one that the method refuses becomes NaN and is named with the reason, the others go on."""
    from cryobench.methods.base import denoised_by, without_bad

    hints = test.hints(method.side_information) | ({"truth": clean} if "truth" in method.side_information else {})
    denoised = np.full(noisy.shape, np.nan, dtype=np.float32)

    def take(rows: np.ndarray) -> None:
        told = {name: values[rows] for name, values in hints.items()}
        denoised[rows] = denoised_by(method, noisy[rows], told, lambda wrong: f"test image {in_short(rows[wrong])}")

    good, bad = without_bad(np.arange(len(noisy)), take)
    if not len(good):
        raise RunFailed(f"no image could be denoised; image 0: {bad.get('0')}")
    return denoised, bad


def ctf_of_images(method, test) -> dict:
    """What the record says where images were seen through a CTF that is known: whether the method was told of it, and whether
    what it denoised is "corrected", has the CTF "applied", or, of one that was not told, that it is "untold"."""
    if not test.has_ctf:
        return {}
    used = "ctf" in method.side_information
    return {"told": used, "denoised": getattr(method, "ctf", "corrected") if used else "untold"}


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


def leave_files(
    folder: Path, images: Images, judged: Judged, config: dict, method: str, weights: dict | None = None
) -> None:
    """The run's files: the metrics of each image, pictures that name data, noise and method, and weights where there are any."""
    from cryobench.figure import images_in, noise_in, strip

    per_image, mse = judged.per_image, judged.scores[0]["mse"]  # the latter of the images shown
    rows = zip(*(per_image[name] for name in metrics.NAMES), strict=True)
    lines = [",".join(("index", *metrics.NAMES))]
    lines += [",".join((str(i), f"{row[0]:.8g}", *(f"{value:.6g}" for value in row[1:]))) for i, row in enumerate(rows)]
    (folder / "per_image.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    denoised = judged.denoised[:GALLERY]
    np.savez_compressed(folder / "gallery.npz", denoised=denoised.astype(np.float16))
    by = f"denoised by {method}"
    shown = {"clean": images.clean[:GALLERY], "noisy": images.noisy[:GALLERY], by: denoised}
    notes = {by: [f"MSE {short(value)}" for value in mse[:GALLERY]]}
    size = images.pairs.pixel_size
    words = f"{images_in([config['data']['name']], [denoised.shape[-1]], [size])}, {noise_in(config)}"
    strip(shown, folder / "strip.png", notes, size, words)
    if weights is not None:
        from safetensors.torch import save_file

        save_file(weights, folder / "model.safetensors")


def picture_structure(folder: Path, found: Found, errors: dict, images: Images) -> None:
    """structure.png: the stages of a structure that was found, its FSC, and how far off its poses are; errors: the analysis."""
    from cryobench.figure import structure

    fsc = {} if found.fsc is None else {"between half maps": found.fsc}
    fsc |= {"with the true map": np.array([1.0, *errors["fsc"]])}
    edge = images.train.image_size * images.pairs.pixel_size
    structure(found.stages, fsc, errors["histogram"], edge, folder / "structure.png")
