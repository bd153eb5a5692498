"""What each method of a results folder is, in the sentence that its yaml begins with, and how tables call it."""

from __future__ import annotations

from importlib import resources

from cryobench.printed import named
from cryobench.report.summary import Row

# What a finding says of a method where it names it first.
IN_SHORT = {
    "abinitio": "the posterior mean under the structure that noisy images alone imply",
    "autoencoder": "a net trained by its distance to clean images",
    "bayes": "the posterior mean given the true volumes",
    "bm3d": "groups of similar patches, filtered together",
    "cwf": "a covariance Wiener filter, fitted on noisy images alone",
    "exemplar": "the posterior mean over clean training images",
    "gan": "a net trained by an adversary",
    "ksvd": "patches made of a learnt dictionary",
    "nlm": "means over similar patches",
    "noise2noise": "a net trained on pairs of noisy images",
    "pggan": "a net grown from coarse to fine, trained by an adversary",
    "rebuilt": "the posterior mean under volumes rebuilt from clean training images of known pose",
    "refined": "the posterior mean under a map of noisy images whose poses are known",
    "topaz": "a pretrained U-Net",
    "unet": "a net on top of the posterior mean over clean training images",
    "wgan_gp": "a net trained by an adversary",
    "wiener": "a rotation-equivariant Wiener filter, from clean training images",
}


def in_short(row: Row) -> str:
    """What a row's method is, in few words; "" for a method from elsewhere."""
    joint = " and by its distance to clean images" if "GAN + l1" in row.name or "WGANgp + l1" in row.name else ""
    return IN_SHORT.get(row.method, "") + joint


def in_words(ranked: list[Row]) -> list[dict]:
    """[{"name" as typed, "rows" (how the page's first table calls it, "" where it has several rows), "is"}].

    Of the methods that have a yaml here.
    """
    names: dict[str, list[str]] = {}
    for row in ranked:
        names.setdefault(row.method, []).append(row.name)
    known = {method: sentence(method) for method in names}
    return [
        {"name": method, "rows": named(rows[0]) if len(rows) == 1 and rows[0] != method else "", "is": known[method]}
        for method, rows in names.items()
        if known[method]
    ]


def sentence(method: str) -> str:
    """The first line of conf/method/NAME.yaml, which says what the method is; "" for a method from elsewhere, or a yaml
    that begins with no comment."""
    file = resources.files("cryobench.conf.method") / f"{method}.yaml"
    if not file.is_file():
        return ""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").partition(" Needs ")[0].strip() if first.startswith("#") else ""
