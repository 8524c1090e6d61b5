"""How much is read of a file that may be hostile, or broken: every bound of every reader, once.

They are generous: nothing that was made for this program comes near one. A message that refuses something
names the bound, and the reader's own docstring says what is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = [
    "ALWAYS_UNPACKED",
    "DEEPEST",
    "GREATEST_RATIO",
    "LARGEST_CLASS",
    "LONGEST_LINE",
    "MOST_DIGITS",
    "MOST_OPTIONS",
    "MOST_OPTION_BYTES",
    "WIDEST_VECTOR",
    "parse_json",
    "parse_json_at",
]

LONGEST_LINE = 1 << 24
"""Bytes of a line, or characters of a row of JSON: 16 MiB, some two million words."""

DEEPEST = 100
"""Values of JSON or YAML inside one another."""

MOST_DIGITS = 300
"""Digits of a whole number: none of more is a floating-point number, and reading takes time that is quadratic
in their number."""

MOST_OPTION_BYTES, MOST_OPTIONS = 1 << 20, 10_000
"""Of a YAML file: its size, and the values in it, aliases written out."""

WIDEST_VECTOR = 10_000
"""Numbers of a word's vector."""

LARGEST_CLASS = 2**31 - 1
"""Of an image."""

GREATEST_RATIO, ALWAYS_UNPACKED = 300, 1 << 28
"""How many times its size a compressed file may become, and how many bytes in any case.

Text packs 3 to 10 times, one line again and again some 300 times; gzip can reach 1,030, others more."""

_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^\[\]{}"]+', re.DOTALL)
_TOO_DEEP = f"nested more than {DEEPEST} deep"
_SQUARE = str.maketrans("{}", "[]")


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits; expected at most {MOST_DIGITS:,}")
    return int(text)


_DECODER = json.JSONDecoder(parse_int=_whole_number)


def parse_json(text: str) -> Any:
    """The value of a JSON text, within the bounds.

    >>> parse_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}

    Raises:
        ValueError: no JSON (its subclass JSONDecodeError, which says where), nested deeper than ``DEEPEST``,
            or a whole number of more than ``MOST_DIGITS``.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(text)
    return value


def parse_json_at(text: str, start: int) -> tuple[Any, int]:
    """The value that begins somewhere in a text, and where it ends; otherwise as :func:`parse_json`."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(text[start:end])
    return value, end


def _check_depth(text: str) -> None:
    """Refuse JSON that can be decoded, and is too deep for whoever goes through the value or shows it."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    brackets = _NO_BRACKETS.sub("", text).translate(_SQUARE)
    for _ in range(DEEPEST):
        brackets = brackets.replace("[]", "")  # the innermost
        if not brackets:
            return
    raise ValueError(_TOO_DEEP)
