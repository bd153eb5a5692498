"""What a method of one's own returns or raises is told alike by runs and by every verb that calls it, and writes no images."""

import sys

import mrcfile
import numpy as np
import pytest
from conftest import TINY

METHODS = """
import numpy as np
from dataclasses import dataclass
from cryobench import Denoiser


class Wrong(Denoiser):
    def denoise(self, noisy, **hints):
        return {returned}
"""
RETURNED = {
    "shape": ("noisy[:, :-2, :-2]", "expected denoised images of shape (16, 32, 32), got (16, 30, 30)"),
    "number": ("noisy[1:]", "expected denoised images of shape (16, 32, 32), got (15, 32, 32)"),
    "none": ("None", "expected denoised images of shape (16, 32, 32), got None"),
    "complex": ("noisy.astype(complex)", "expected denoised images of real numbers, as float32, got complex128"),
    "objects": ("noisy.astype(object)", "expected denoised images of real numbers, as float32, got object"),
    "nan": (
        "noisy + [[[np.nan]], *[[[0]]] * 15]",
        "expected denoised images of finite pixels, got NaN or infinity in ",
    ),
    "too large": ("noisy * 1e300", "expected denoised images of finite pixels, got NaN or infinity in "),
}


@pytest.fixture
def own(tmp_path):
    """Write a method of one's own and a stack of noise; the words that choose it."""

    def written(text: str) -> list[str]:
        (tmp_path / "conf" / "method").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / "method" / "wrong.yaml").write_text("_target_: own_wrong.Wrong\n")
        (tmp_path / "own_wrong.py").write_text(text)
        return ["--config-dir", "conf", "method=wrong"]

    noise = np.random.default_rng(0).normal(size=(16, 32, 32)).astype(np.float32)
    with mrcfile.new(tmp_path / "noise.mrcs", noise) as file:
        file.set_image_stack()
    yield written
    sys.modules.pop("own_wrong", None)


def said(err: str) -> str:
    assert "Traceback" not in err, err
    return err.strip().splitlines()[-1]


@pytest.mark.parametrize("what", RETURNED)
def test_wrong_images_are_told_alike_everywhere_and_written_nowhere(cli, own, tmp_path, what):
    returned, words = RETURNED[what]
    chosen = own(METHODS.format(returned=returned))
    status, _, err = cli(*chosen, *TINY, "data.n_test=16")
    assert status == 1 and words in said(err)
    for verb, out in (("denoise", "out.mrcs"), ("trust", "out.png")):
        status, _, err = cli(verb, "noise.mrcs", *chosen, "-o", out)
        assert status == 1 and said(err).startswith(f"cryobench: wrong failed: {words}"), err
        assert not (tmp_path / out).exists() and not (tmp_path / f"{out}.log").exists()
    status, out, err = cli("compare", "noise.mrcs", *chosen)
    assert status == 1 and f"| wrong | failed: {words}" in out and "Traceback" not in err


RAISING = """
from dataclasses import dataclass

import numpy as np

from cryobench import Denoiser


@dataclass
class Wrong(Denoiser):
    def __post_init__(self):
        {init}

    def fit(self, train):
        {fit}

    def denoise(self, noisy, **hints):
        {denoise}
        return noisy
"""
NOTHING = {"init": "pass", "fit": "pass", "denoise": "pass"}
RAISED = {
    "name": ({"denoise": "undefined"}, "NameError: name 'undefined' is not defined (own_wrong.py, line 18)"),
    "in numpy": ({"denoise": "np.zeros(2).reshape(3)"}, "(own_wrong.py, line 18)"),
    "fit": ({"fit": "1 / 0"}, "ZeroDivisionError: division by zero (own_wrong.py, line 15)"),
    "init": ({"init": "1 / 0"}, "ZeroDivisionError: division by zero (own_wrong.py, line 12)"),
    "file": ({"fit": "np.load('weights.npy')"}, "FileNotFoundError: "),
    "memory": ({"denoise": "raise MemoryError('no room')"}, "MemoryError: no room (own_wrong.py, line 18)"),
}


@pytest.mark.parametrize("what", RAISED)
def test_what_a_method_raises_is_one_line_with_its_place_and_a_log(cli, own, tmp_path, what):
    wrong, words = RAISED[what]
    chosen = own(RAISING.format(**NOTHING | wrong))
    for verb, out in (("denoise", "out.mrcs"), ("trust", "out.png")):
        status, _, err = cli(verb, "noise.mrcs", *chosen, "-o", out)
        last = said(err)
        assert status == 1 and last.startswith("cryobench: wrong failed: ") and words in last, err
        assert last.endswith(f"; log: {out}.log") and not (tmp_path / out).exists()
        assert "Traceback" in (tmp_path / f"{out}.log").read_text()
    status, out, err = cli("compare", "noise.mrcs", *chosen)
    assert status == 1 and "| wrong | failed: " in out and words in out
    assert said(err) == "compare: wrong failed; log: compare.png.log"
    assert "Traceback" in (tmp_path / "compare.png.log").read_text()


def test_reconstruct_tells_what_a_method_raises(cli, own, tmp_path):
    chosen = own(RAISING.format(**NOTHING))
    assert cli(*chosen, *TINY, "paths.results=r")[0] == 0
    (run,) = (path.parent.name for path in tmp_path.rglob("record.json"))
    sys.modules.pop("own_wrong")
    own(RAISING.format(**NOTHING | {"denoise": "noisy = noisy[:, :-2, :-2]"}))
    status, _, err = cli("reconstruct", "--run", run, "--results", "r", "-o", "maps", "--images", "9", *chosen[:2])
    assert status == 1 and f"{run} failed: expected denoised images of shape" in said(err)
    assert not (tmp_path / "maps").exists()
