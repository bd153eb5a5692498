"""Type hints as people say them, for a value that is of another kind."""

from __future__ import annotations

import types
import typing

SAID = {  # one and several
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    list: ("a list", "lists"),
    dict: ("a group of key: value", "groups of key: value"),
    types.NoneType: ("null", "null"),
}


def in_words(kind, several: bool = False) -> str:
    """A type hint in words; several: as what a list is of.

    >>> in_words(float | None), in_words(list[int]), in_words(bool)
    ('a number or null', 'a list of whole numbers', 'true or false')
    """
    parts, plain = typing.get_args(kind), typing.get_origin(kind) or kind
    if plain in (typing.Union, types.UnionType):
        return " or ".join(in_words(part, several) for part in parts)
    name = getattr(plain, "__name__", str(plain))
    said = SAID.get(plain, (name, name))[several]
    return f"{said} of {in_words(parts[0], several=True)}" if plain is list and parts else said
