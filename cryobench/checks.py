"""What settings may be, asked when an object is made of them: all that is wrong is told at once, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryobench.errors import InputError


def refuse(group: str, *wrong: dict[str, str]) -> None:
    """Raise InputError if anything is wrong of a group's settings: name → what was expected, and what came."""
    texts = [f"{group}.{name}: {text}" if group else f"{name}: {text}" for some in wrong for name, text in some.items()]
    if texts:
        raise InputError("; ".join(texts))


def at_least(settings: object, least: float, *names: str) -> dict[str, str]:
    """Of these settings of an object, those below `least`; None is never wrong."""
    return wrong_of(settings, names, lambda value: value >= least, f"at least {least:g}")


def above_zero(settings: object, *names: str) -> dict[str, str]:
    """Of these settings of an object, those that are not above 0; None is never wrong."""
    return wrong_of(settings, names, lambda value: value > 0, "a number above 0")


def shares(settings: object, *names: str) -> dict[str, str]:
    """Of these settings of an object, those outside [0, 1]."""
    return wrong_of(settings, names, lambda value: 0 <= value <= 1, "a share in [0, 1]")


def one_of(settings: object, **choices: tuple[str, ...]) -> dict[str, str]:
    """Of these settings of an object, those that are none of their choices."""
    return {
        name: f"expected one of {', '.join(known)}, got {getattr(settings, name)}"
        for name, known in choices.items()
        if getattr(settings, name) not in known
    }


def wrong_of(settings: object, names: tuple[str, ...], right: Callable[[Any], bool], expected: str) -> dict[str, str]:
    """Of these settings of an object, those that are not `right` (NaN never is), with what was expected."""
    values = {name: getattr(settings, name) for name in names}
    return {
        name: f"expected {expected}, got {value}"
        for name, value in values.items()
        if value is not None and not right(value)
    }
