"""Does Mine keep what a denoiser promises? python -m pytest test_mine.py"""

from pathlib import Path

from mine import Mine

from cryobench import check_denoiser
from cryobench.cli.main import main


def test_it_keeps_its_promises():
    check_denoiser(Mine())


def test_its_yaml_has_its_settings():
    assert main(["--config-dir", str(Path(__file__).parent / "conf"), "--cfg", "method=mine"]) == 0
