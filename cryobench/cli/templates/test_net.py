"""Does Mine keep what a denoiser promises? python -m pytest test_mine.py"""

from pathlib import Path

import numpy as np
from mine import Mine

from cryobench import check_denoiser
from cryobench.cli.main import main

SMALL = {"width": 8, "epochs": 2, "batch_size": 8}


def test_it_keeps_its_promises_and_its_weights_can_be_loaded():
    method, again = Mine(**SMALL), Mine(**SMALL)
    check_denoiser(method)
    again.load_weights(method.weights(), image_size=32)
    noisy = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
    assert np.array_equal(again.denoise(noisy), method.denoise(noisy))


def test_its_yaml_has_its_settings():
    assert main(["--config-dir", str(Path(__file__).parent / "conf"), "--cfg", "method=mine"]) == 0
