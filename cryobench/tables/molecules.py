"""What a data set shows, in words."""

from __future__ import annotations

# Data sets that are shipped, in words; one's own has its name alone.
MOLECULES = {
    "empiar10028": "the 80S ribosome of P. falciparum, as recorded (EMPIAR-10028)",
    "particles": "recorded particles, given with the map that they were refined to",
    "phantom": "a phantom, a crab claw made in code that opens and closes",
    "rnap": "the paper's molecule, the RNA polymerase of T. aquaticus, its clamp open to closed",
    "rnap_ecoli": "the RNA polymerase of E. coli, its clamp open to closed",
    "rnap_mtb": "the RNA polymerase of M. tuberculosis, its clamp open to closed",
}


def molecule(data: str, scale: str) -> str:
    """A data set in words, where there are any, and as one types it.

    >>> molecule("phantom", "desk"), molecule("mine", "desk")
    ('a phantom, a crab claw made in code that opens and closes (phantom, desk scale)', 'mine, desk scale')
    """
    typed = f"{data}, {scale} scale"
    return f"{MOLECULES[data]} ({typed})" if data in MOLECULES else typed
