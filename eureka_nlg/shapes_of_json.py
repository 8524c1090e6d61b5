"""A check that a JSON document has the expected keys and types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["ANY", "NUMBER", "PERCENT", "SCORE", "TEXT", "WHOLE", "each", "misfit"]

SCORE = "a number or null"
PERCENT = "a number from 0 to 100 or null"
NUMBER = "a number"  # including NaN and infinity, which training can lead to
WHOLE = "a whole number from 0 on"
TEXT = "text"
ANY = "anything"
_ANY_KEY = "*"
_LARGEST = 2**53  # largest whole number up to which a float is exact


def each(shape: Any) -> dict[str, Any]:
    """The shape of an object with any keys, whose values have the given shape."""
    return {_ANY_KEY: shape}


def misfit(value: Any, shape: Any, name: str = "the document") -> str:
    """Description of the first part of a value that has another shape; empty if there is none.

    Args:
        value: the value.
        shape: one of the constants of this file; a dictionary for an object with at least these keys (a key
            that ends in ``?`` may be missing); or a list with one shape, for a list of such values.
        name: name of the value in the description.
    """
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return f"{name} is {_shown(value)}, expected an object"
        if _ANY_KEY in shape:
            shape = dict.fromkeys(value, shape[_ANY_KEY])
        else:
            given = {key: key.removesuffix("?") for key in shape}
            lacking = next((key for key in shape if given[key] not in value and not key.endswith("?")), None)
            if lacking is not None:
                return f"{name} has no {lacking}"
            shape = {given[key]: inner for key, inner in shape.items() if given[key] in value}
        found = (misfit(value[key], inner, f"{key}") for key, inner in shape.items())
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name} is {_shown(value)}, expected a list"
        found = (misfit(item, shape[0], f"{name}, item {i},") for i, item in enumerate(value, start=1))
    else:
        is_number = type(value) in (int, float)
        good = {
            SCORE: value is None or (is_number and math.isfinite(value)),
            PERCENT: value is None or (is_number and 0 <= value <= 100),
            NUMBER: is_number,
            WHOLE: type(value) is int and 0 <= value <= _LARGEST,
            TEXT: isinstance(value, str),
            ANY: True,
        }[shape]
        return "" if good else f"{name} is {_shown(value)}, expected {shape}"
    return next((wrong for wrong in found if wrong), "")


def _shown(value: Any) -> str:
    return repr(value)[:40]
