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


def plain(value: float, digits: int = 2) -> str:
    """A number of so many digits, with an exponent where it has to have one: 0.16, 2.1e-9 and not 2.1e-09.

    >>> plain(0.16), plain(2.1e-9), plain(1234, 3)
    ('0.16', '2.1e-9', '1.23e3')
    """
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa
