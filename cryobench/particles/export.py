"""A trained method as one file: its weights with what its images look like, or its net alone as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cryobench.errors import InputError
from cryobench.files import new_file, whole
from cryobench.particles.model import HEADER, Model, is_learned

if TYPE_CHECKING:
    from cryobench.methods.learned.trained import Trained


def export_weights(model: Model, path: Path, force: bool) -> Path:
    """Write weights, config and what images are brought to into one safetensors file. Raises InputError."""
    from safetensors.torch import save_file

    from cryobench.runs.run import shareable

    weights = learned(model).weights()
    about = {
        "run_id": model.name,
        "image_size": model.image_size,
        "pixel_size": model.pixel_size,
        "background": model.background,
        "config": shareable(model.config),
    }
    return written(path, force, lambda partial: save_file(weights, partial, {HEADER: json.dumps(about)}))


def export_onnx(model: Model, path: Path, force: bool) -> Path:
    """Write the net alone as ONNX: "noisy" (n, channels, L, L) float32 → "denoised", any n, any L that the net takes."""
    import torch

    method, size = learned(model), model.image_size or 0
    net, example = method.net_in_place.eval(), torch.zeros(2, method.channels, size, size)
    batch = torch.export.Dim("batch")

    def write(partial: Path) -> None:
        try:
            torch.onnx.export(
                net,
                (example,),
                str(partial),
                input_names=["noisy"],
                output_names=["denoised"],
                dynamo=True,
                dynamic_shapes=({0: batch},),
                external_data=False,
                verbose=False,
            )
        except ImportError as error:
            raise InputError(
                f"--onnx: expected the package {error.name}, it is not installed; pip install onnx onnxscript"
            ) from None

    return written(path, force, write)


def learned(model: Model) -> Trained:
    """The method of a model that has weights. Raises InputError for one without."""
    if not is_learned(model.config):
        raise InputError(
            f"expected a run of a method with weights, got {model.config['method']['name']}; name a trained run"
        )
    return cast("Trained", model.method)


def written(path: Path, force: bool, write) -> Path:
    """What `write(partial)` makes, moved to `path` when whole. Raises InputError if that exists, unless `force`."""
    new_file(path, force)
    with whole(path) as partial:
        write(partial)
    return path
