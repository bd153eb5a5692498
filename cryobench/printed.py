"""How a small number and a method are printed, in tables, pictures and messages alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What a sweep, a config or the paper's text calls a method → what the rows of the paper's tables call it.
NAMES = {
    "JSGAN": "(0,0)-GAN",
    "linear limit": "Linear limit",
    "wiener": "Linear limit",
    "bayes": "Bayes limit",
    "bm3d": "BM3D",
    "ksvd": "KSVD",
    "nlm": "Non-local means",
    "cwf": "CWF",
    "topaz": "Topaz",
    "abinitio": "ab initio",
    "mean_image": "mean image",
    "wgan_gp": "WGANgp",
    "pggan": "PGGAN",
    "unet": "U-Net",
    "autoencoder": "Autoencoder",
    "gan": "(α,β)-GAN",
    "mcd": "MCD",
    "tyler": "Tyler",
    "kendall": "Kendall",
}


def named(method: str) -> str:
    """A method as figures and the page's tables call it, whatever it is called in a sweep, a config or a stack's comparison.

    It is the row's name in the paper's tables, with ℓ for l. What stands behind the name, as in "JSGAN + l1" or "linear limit
    not whitened", is kept. Where α and β are given they are printed as in Table 1.

    >>> named("cwf"), named("JSGAN + l1"), named("(0.5,-0.5)-GAN"), named("a method of one's own")
    ('CWF', '(0,0)-GAN + ℓ1', '(.5,-.5)-GAN', "a method of one's own")
    """
    known = next((name for name in NAMES if method == name or method.startswith(f"{name} ")), "")
    words = re.sub(r"\bl(?=[12]\b)", "ℓ", NAMES.get(known, "") + method[len(known) :])
    return re.sub(r"(?<=[(,])(-?)0(?=\.\d)", r"\1", words)


def row_named(row: str) -> str:
    """A table's row where its table's heading is not at hand: Table 3's rows are numbers, weights of ℓ1.

    >>> row_named("0.1"), row_named("(0,0)"), row_named("l1-Autoencoder")
    ('λ = 0.1', '(0,0)', 'ℓ1-Autoencoder')
    """
    return f"λ = {row}" if row.replace(".", "").isdigit() else named(row)


LAM = {"gan": 10, "wgan_gp": 10, "pggan": 100}  # the paper's weight of ℓ1: its tables do not say it


def called(method: dict) -> str:
    """A method of these settings (the group `method` of a config), as `named` has it.

    >>> called({"name": "gan", "alpha": 0.5, "beta": 0.5, "lam": 10}), called({"name": "autoencoder", "loss": "l2"})
    ('(.5,.5)-GAN + ℓ1', 'ℓ2-Autoencoder')
    >>> called({"name": "wgan_gp", "lam": 500}), called({"name": "nlm"})
    ('WGANgp + ℓ1 (λ = 500)', 'Non-local means')
    >>> called({"name": "unet", "guide": "exemplar"}), called({"name": "unet", "guide": "none"})
    ('U-Net + exemplar', 'U-Net')
    """
    name, lam = method["name"], method.get("lam")
    words = named(f"({method['alpha']:g},{method['beta']:g})-GAN") if name == "gan" else named(name)
    if name == "autoencoder":
        words = named(f"{method['loss']}-Autoencoder")
    if name == "unet" and method.get("guide") == "exemplar":
        words += " + exemplar"
    return words + (f" + ℓ1{'' if lam == LAM[name] else f' (λ = {lam:g})'}" if name in LAM and lam else "")


def short(value: float | None, digits: int = 3) -> str:
    """2.99e-3, not 2.99e-03; `digits` in all before the e, which is left out where its exponent is 0. A dash for None.

    >>> short(0.00299), short(0.00299, 1), short(2.125), short(0), short(None)
    ('2.99e-3', '3e-3', '2.12', '0', '–')
    """
    if value is None:
        return "–"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}" if int(exponent) else mantissa


def multiple(value: float | None) -> str:
    """How many times something a number is: two decimals, one from 10 on, from 100 on three digits; a dash for None.

    >>> multiple(0.504747), multiple(1.1824), multiple(69.77), multiple(5109.59), multiple(None)
    ('0.50', '1.18', '69.8', '5110', '–')
    """
    if value is None:
        return "–"
    if value >= 99.95:
        return f"{float(f'{value:.2e}'):.0f}"
    return f"{value:.{2 if value < 9.995 else 1}f}"


def plain(value: float, digits: int = 2) -> str:
    """A number of so many digits, with an exponent where it has to have one: 0.16, 2.1e-9 and not 2.1e-09.

    >>> plain(0.16), plain(2.1e-9), plain(1234, 3)
    ('0.16', '2.1e-9', '1.23e3')
    """
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def percent(share: float, error: float | None = None) -> str:
    """A share as a whole percentage, with its standard error if it has one: 7 %, 7 ± 1 %."""
    return f"{100 * share:.0f}{'' if error is None else f' ± {100 * error:.0f}'} %"


def listed(words: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([*filter(None, [", ".join(words[:-1])]), *words[-1:]])


def counted(n: int, word: str) -> str:
    """1 run, 2 runs."""
    return f"{n} {word}" + ("" if n == 1 else "s")
