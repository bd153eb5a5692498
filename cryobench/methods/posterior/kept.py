"""What a fit from noisy images alone leaves on disk: each stage, from which a stopped fit goes on, and in the end its maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cryobench.data.io.relion import write_poses
from cryobench.data.io.stack import write_map
from cryobench.files import replacing
from cryobench.methods.posterior.half_maps import HalfMaps
from cryobench.methods.posterior.pose_mixture import Contrast
from cryobench.methods.posterior.structure import Structure, poses_of

STATE = "structure.safetensors"


def keep(folder: Path, structure: Structure, report: dict, images: str, shown: dict[str, np.ndarray]) -> None:
    """Keep a stage in a folder; report: what was found so far; images: which ones it is of; shown: pictures of the stages."""
    maps, likely = structure.maps, structure.likely
    tensors = {"one": maps.halves[0], "other": maps.halves[1], "both": maps.both, "fsc": maps.fsc, "likely": likely}
    tensors |= {"rotations": torch.from_numpy(structure.rotations), "shifts": torch.from_numpy(structure.shifts)}
    tensors |= {f"shown {stage}": torch.from_numpy(picture) for stage, picture in shown.items()}
    about = {"contrast": vars(structure.contrast), "report": report, "images": images, "shown": list(shown)}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / STATE) as partial:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, partial, {"about": json.dumps(about)}
        )


def kept(folder: Path, images: str, device) -> tuple[Structure, dict, dict[str, np.ndarray]] | None:
    """The stage that was kept in a folder, the report then and what was shown; None where there is none, or it is of other
    images."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError):  # cut short: begin anew
        return None
    if about["images"] != images or "shown" not in about:  # the latter by an older version
        return None
    poses = poses_of(tensors["both"].shape[-1], about["report"]["stages"][-1]["step"], device)
    maps = HalfMaps((tensors["one"], tensors["other"]), tensors["both"], tensors["fsc"])
    rotations, shifts = (tensors[name].cpu().numpy() for name in ("rotations", "shifts"))
    contrast = Contrast(**about["contrast"])
    shown = {stage: tensors[f"shown {stage}"].cpu().numpy() for stage in about["shown"]}
    return Structure(maps, contrast, poses, tensors["likely"], rotations, shifts), about["report"], shown


def write(folder: Path, structure: Structure, size: int, pixel_size: float) -> list[Path]:
    """map.mrc, half1.mrc, half2.mrc, map1.mrc … of the conformations, fsc.csv and poses.star of images of L = `size` px at
    pixel_size Å."""
    maps, edge = structure.maps, size * pixel_size
    volumes = {"map": maps.both, "half1": maps.halves[0], "half2": maps.halves[1]}
    volumes |= {f"map{number}": several.both for number, several in enumerate(structure.several, 1)}
    files = [
        write_map(folder / f"{name}.mrc", volume.cpu().numpy(), edge / maps.size) for name, volume in volumes.items()
    ]
    lines = [f"{shell / edge:.6g},{float(value):.5g}" for shell, value in enumerate(maps.fsc) if shell]
    (folder / "fsc.csv").write_text("\n".join(["frequency,fsc", *lines]) + "\n", encoding="utf-8")
    poses = write_poses(folder / "poses.star", structure.rotations, size, pixel_size, shifts=structure.shifts * size)
    return [*files, folder / "fsc.csv", poses]
