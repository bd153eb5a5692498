"""A method made ready for images that are not its data set's: from a run, from an exported file, or by name.

Learned methods bring their weights; methods that learn from clean images or volumes without weights (exemplar, bayes)
are fitted to their data set again; all others (cwf, ksvd, bm3d, …) are fitted on the very stack that they denoise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from hydra.utils import get_class

from cryobench.config.again import at_home
from cryobench.config.compose import build, cache_folder, compose, resolve
from cryobench.config.mistakes import suggestion
from cryobench.errors import InputError, one_line
from cryobench.methods.base import Denoiser, WithSigma
from cryobench.methods.imaging import Whitening
from cryobench.noise.background import outside_circle
from cryobench.printed import called
from cryobench.runs.damage import is_number, is_whole
from cryobench.runs.store import Store, where_runs_are

if TYPE_CHECKING:
    pass

MEASURED = 200  # training images that the background is measured on
OF_A_STACK = {
    "ctf",
    "rotations",
    "poses",
    "sigma",
}  # side information that a stack has itself, σ in its images' corners
HEADER = "cryobench"  # where an exported file keeps what is no tensor
AnyDenoiser = TypeVar("AnyDenoiser", bound=Denoiser)


@dataclass
class Model:
    """A denoiser and what it expects of an image.

    config: of its run; image_size in pixels, pixel_size in Å and background (mean and deviation outside the inscribed
    circle) of the images that it knows, all None for a method that is fitted on the stack at hand (`fits_stack`).
    """

    name: str
    method: Denoiser
    config: dict
    image_size: int | None = None
    pixel_size: float | None = None
    background: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """What tables call its method."""
        return called(self.config["method"])

    @property
    def fits_stack(self) -> bool:
        """Whether the method is fitted on the stack that it denoises."""
        return self.image_size is None

    @property
    def learns_from_stack(self) -> bool:
        """Whether that fit does anything: what it makes of one image then depends on the others."""
        return self.fits_stack and self.method.learns


def from_run(run_id: str, results: Path | str, overrides: list[str], progress: bool = False) -> Model:
    """The method of a finished run. Raises InputError where there is none, or its weights are gone."""
    store = Store(results)
    record = store.read(run_id)
    if record is None or not record.done:
        known = sorted(r.run_id for r in store.all() if r.done)
        raise InputError(
            f"--run: expected a finished run in {store.runs}, got {run_id}{suggestion(run_id, known)}; "
            f"{where_runs_are(run_id)}"
        )
    config = at_home(record.config, overrides, f"--run {run_id}")
    if not is_learned(config):
        return fitted(config, run_id, progress)
    weights = store.folder(run_id) / "model.safetensors"
    if not weights.is_file():
        raise InputError(
            f"--run: expected the weights {weights}, which are not kept with committed records; do the run "
            "again with paths.results elsewhere, and name that folder with --results"
        )
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(weights, "pt") as file:
            exported = HEADER in (file.metadata() or {})
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise InputError(f"--run: expected weights in {weights}, got '{one_line(error)[:200]}'") from None
    if exported:  # in its place; it needs no data set
        return from_file(weights, overrides)
    background, pixel_size = training_images(config)
    return with_weights(config, run_id, tensors, config["data"]["image_size"], pixel_size, background)


def from_file(path: Path | str, overrides: list[str]) -> Model:
    """An exported file. Nothing in it is executed. Raises InputError for a file that is none of ours."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[HEADER])
        weights = load_file(path)
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        what = f"got {path}" if Path(path).exists() else f"there is none: {path}"
        if Path(path).is_dir():
            raise InputError(
                f"--model: expected a file written by cryobench export, got {path}, which is a folder"
            ) from None
        read = not isinstance(error, OSError | SafetensorError)
        why = "nothing of cryobench in its header" if read else " ".join(str(error).split())[:100]
        why = "" if isinstance(error, FileNotFoundError) else f" ({why})"
        raise InputError(f"--model: expected a file written by cryobench export, {what}{why}") from None
    if fault := fault_of_header(about):
        raise InputError(f"--model: expected a file written by cryobench export, got {path} ({fault})")
    config = at_home(about["config"], overrides, f"--model {path}")
    if not is_learned(config):
        raise InputError(f"--model: expected a method with weights in {path}, got {config['method']['name']}")
    return with_weights(
        config, about["run_id"], weights, about["image_size"], about["pixel_size"], tuple(about["background"])
    )


def fault_of_header(about) -> str | None:
    """Why something is not what `export` writes beside the weights, in a few words; None if it is."""
    if not isinstance(about, dict) or not isinstance(about.get("run_id"), str):
        return "no run_id in its header"
    values: list[Any] = [about.get(name) for name in ("image_size", "pixel_size", "background")]
    size, pixel, background = values
    if not is_whole(size) or not 16 <= size <= 4096:
        return "no image_size from 16 to 4096"
    if not is_number(pixel) or pixel <= 0:
        return "no pixel_size above 0"
    if (
        not isinstance(background, list)
        or len(background) != 2
        or not all(map(is_number, background))
        or background[1] <= 0
    ):
        return "no background of a mean and a deviation"
    return None


def from_overrides(overrides: list[str], progress: bool = False) -> Model:
    """A method by its name and settings, as a run's command line has them. Raises InputError for one to be trained."""
    config = resolve(compose(overrides))
    if is_learned(config):
        name = config["method"]["name"]
        raise InputError(
            f"method={name} has to be trained: expected --run RUN_ID of such a run or --model FILE; "
            f"`python -m cryobench method={name} …` does one"
        )
    return fitted(config, config["method"]["name"], progress)


def with_weights(config, name, weights, image_size, pixel_size, background) -> Model:
    """A learned method, its weights in place."""
    method = set_up(build(config, "method"), config)
    try:
        method.load_weights(weights, image_size)
    except (RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name}: expected weights of the net that its config names, got others ({one_line(error)[:200]})"
        ) from None
    return Model(name, method, config, image_size, pixel_size, background)


def fitted(config: dict, name: str, progress: bool) -> Model:
    """A method without weights: fitted to its data set if it needs clean images or volumes, else left to the stack."""
    from cryobench.data.pairs import open_pairs

    method = build(config, "method")
    if "truth" in method.side_information:
        raise InputError(
            f"method={config['method']['name']} needs the clean image itself, which nobody has; choose another"
        )
    if "spectrum" in method.side_information and not isinstance(method, Whitening):
        raise InputError(
            f"method={config['method']['name']} needs the true power spectrum of the noise, which nobody knows of recorded "
            "images; derive its class from cryobench.methods.imaging.Whitening, which takes it from their corners"
        )
    # Nor is their true σ known, but what their corners tell: by a setting, or as a hint to who has none (prepared.py).
    if "sigma" in method.side_information and isinstance(method, WithSigma):
        config["method"]["sigma"] = "border"
    if "spectrum" in method.side_information:
        config["method"]["whiten"] = "border"
    method = build(config, "method")
    method = set_up(method, config, progress)
    if not method.side_information - OF_A_STACK:
        return Model(name, method, config)
    pairs = open_pairs(build(config, "data"), cache_folder(config), progress=progress)
    train = pairs.images("train", build(config, "noise"), config["seed"])
    method.fit(train.only(method.side_information))
    return Model(
        name, method, config, train.image_size, pairs.pixel_size, background_of(train.noisy(slice(0, MEASURED)))
    )


def training_images(config: dict) -> tuple[tuple[float, float], float]:
    """Background and Å per pixel of what a run was trained on: its first images, which are simulated alike in any number."""
    from cryobench.data.pairs import open_pairs

    dataset: Any = get_class(config["data"]["_target_"])
    few = {} if dataset.recorded else {"n_train": min(MEASURED, config["data"]["n_train"]), "n_test": 1}
    pairs = open_pairs(build({**config, "data": {**config["data"], **few}}, "data"), cache_folder(config))
    train = pairs.images("train", build(config, "noise"), config["seed"])
    return background_of(train.noisy(slice(0, MEASURED))), pairs.pixel_size


def background_of(images: np.ndarray) -> tuple[float, float]:
    """Mean over images (n, L, L) of the mean outside the inscribed circle, and the root mean variance there."""
    outside = images[:, outside_circle(images.shape[-1])].astype(np.float64)
    return float(outside.mean()), float(np.sqrt(outside.var(axis=1).mean()))


def is_learned(config: dict) -> bool:
    """Whether the method of a config has weights that can be loaded."""
    return hasattr(get_class(config["method"]["_target_"]), "load_weights")


def set_up(method: AnyDenoiser, config: dict, progress: bool = False) -> AnyDenoiser:
    """The same method with where and how it runs, by the trainer group of its config."""
    from cryobench.runs.denoising import setting

    method.setting = setting(config, None, progress)
    return method
