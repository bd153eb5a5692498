"""cryobench: where cryo-EM denoisers are compared, by the Bayes limit and by the paper that started it.

What Python code may build on is here, and comes when it is asked for: importing cryobench loads neither torch nor numpy.

    load(data, scale=, snr=, seed=) the images of a data set under noise, simulated when they are asked for
    evaluate(denoiser, data)        what a denoiser, or a function of noisy images, makes of them, scored as a run does
    Denoiser                        what a method promises (a subclass needs `denoise`, a dataclass its settings)
    check_denoiser(denoiser)        raises an error that names every promise that it breaks
    mse, psnr, ssim, nmse           of images (n, h, w) and (n, h, w) → (n,)
    AlphaBeta(alpha, beta)          the (α, β) scoring rule, with .real_slope(t) and .fake_slope(t)
    project(volume, rotations)      volume (L, L, L), rotations (n, 3, 3) → images (n, L, L)
    rotations_from_euler(rot, tilt, psi)    degrees, RELION's ZYZ → (n, 3, 3)

>>> import cryobench
>>> cryobench.AlphaBeta(0, 0).real_slope(0.25)
4.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryobench.data.project import project
    from cryobench.data.rotations import rotations_from_euler
    from cryobench.evaluation.metrics import mse, nmse, psnr, ssim
    from cryobench.methods.base import Denoiser
    from cryobench.methods.check import check_denoiser
    from cryobench.methods.learned.scores import AlphaBeta
    from cryobench.runs.notebook import evaluate, load

__version__ = "1.0.0"
__all__ = [
    "AlphaBeta",
    "Denoiser",
    "check_denoiser",
    "evaluate",
    "load",
    "mse",
    "nmse",
    "project",
    "psnr",
    "rotations_from_euler",
    "ssim",
]

PLACES = {
    "AlphaBeta": "methods.learned.scores",
    "Denoiser": "methods.base",
    "check_denoiser": "methods.check",
    "evaluate": "runs.notebook",
    "load": "runs.notebook",
    "mse": "evaluation.metrics",
    "nmse": "evaluation.metrics",
    "project": "data.project",
    "psnr": "evaluation.metrics",
    "rotations_from_euler": "data.rotations",
    "ssim": "evaluation.metrics",
}


def __getattr__(name: str):
    if name not in PLACES:
        raise AttributeError(f"module 'cryobench' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"cryobench.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
