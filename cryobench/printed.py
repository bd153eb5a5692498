"""How a small number is printed, in tables, pictures and messages alike."""

from __future__ import annotations


def short(value: float | None, digits: int = 3) -> str:
    """2.99e-3, not 2.99e-03; `digits` in all before the e. A dash for None.

    >>> short(0.00299), short(0.00299, 1), short(None)
    ('2.99e-3', '3e-3', '–')
    """
    if value is None:
        return "–"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
