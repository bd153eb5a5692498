"""The verb export: a trained method as one file."""

from __future__ import annotations

from pathlib import Path

import typer

from cryobench.cli.failed import telling
from cryobench.cli.options import Force, RunResults
from cryobench.errors import InputError


def export(
    run: str = typer.Argument(help="Id of a finished run of a learned method."),
    out: str = typer.Option(..., "--out", "-o", help="The file: model.safetensors, or model.onnx with --onnx."),
    onnx: bool = typer.Option(False, "--onnx", help="The net alone as ONNX (needs the packages onnx and onnxscript)."),
    results: str = RunResults,
    force: bool = Force,
) -> None:
    """Write a trained method into one file: weights, config, and what its images look like.

    \b
      python -m cryobench export gan-5afb16153176 -o net.safetensors
    """
    from cryobench.particles.export import export_onnx, export_weights
    from cryobench.particles.model import from_run

    path, suffix = Path(out), ".onnx" if onnx else ".safetensors"
    if path.suffix != suffix:
        raise InputError(f"-o: expected a file that ends in {suffix}, got {out}")
    write = export_onnx if onnx else export_weights
    with telling(run, path):
        print(f"written: {write(from_run(run, results, []), path, force)}")
