"""Limits for reading files that may be malicious or broken, for all readers of the package, and for seeds.

They are generous, so that normal files stay far below them. An error message contains the limit that was
exceeded.
"""

from __future__ import annotations

import json
import re
from typing import Any

from eureka_nlg.errors import UserError

__all__ = [
    "ALWAYS_UNPACKED",
    "DEEPEST",
    "GREATEST_RATIO",
    "LARGEST_CLASS",
    "LARGEST_SEED",
    "LONGEST_LINE",
    "MOST_DIGITS",
    "MOST_OPTIONS",
    "MOST_OPTION_BYTES",
    "MOST_PIECES",
    "MOST_WORKERS",
    "WIDEST_VECTOR",
    "check_seed",
    "parse_json",
    "parse_json_at",
]

LONGEST_LINE = 1 << 24
"""Largest length of a line in bytes, or of a row of JSON in characters: 16 Mi, about two million words."""

DEEPEST = 100
"""Greatest depth of nested JSON or YAML values."""

MOST_DIGITS = 300
"""Largest number of digits of a whole number. Larger numbers exceed the range of floating-point numbers, and
the time to read one is quadratic in its digits."""

MOST_OPTION_BYTES, MOST_OPTIONS = 1 << 20, 10_000
"""Largest size of a YAML file, and largest number of values in it, with aliases expanded."""

WIDEST_VECTOR = 10_000
"""Largest dimension of a word vector."""

MOST_PIECES = 1_000_000
"""Largest vocabulary of a SentencePiece model: its trainer begins with so many candidates. Sizes near 2^31
overflow there, and it never ends."""

MOST_WORKERS = 1024
"""Largest number of worker processes. All of them are started, however little work there is."""

LARGEST_CLASS = 2**31 - 1
"""Largest class index of an image."""

LARGEST_SEED = 2**32 - 1
"""Largest seed of a random generator: numpy's bound, which fairseq and transformers have, too."""

GREATEST_RATIO, ALWAYS_UNPACKED = 300, 1 << 28
"""Largest ratio of the unpacked to the compressed size of a file, and the size that is always allowed.

Text has a ratio of 3 to 10, and a repeated line about 300; gzip can reach 1,030, other formats more."""

_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^\[\]{}"]+', re.DOTALL)
_TOO_DEEP = f"nested more than {DEEPEST} deep"
_SQUARE = str.maketrans("{}", "[]")


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits; expected at most {MOST_DIGITS:,}")
    return int(text)


_DECODER = json.JSONDecoder(parse_int=_whole_number)


def check_seed(name: str, seed: int) -> None:
    """Raise UserError if a seed is not one that every random generator takes."""
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"{name}: {seed}, expected 0 to {LARGEST_SEED:,}")


def parse_json(text: str) -> Any:
    """The value of a JSON text, within the limits.

    >>> parse_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}

    Raises:
        ValueError: the text is not JSON (as JSONDecodeError, which has the position), is nested deeper than
            ``DEEPEST``, or has a whole number of more than ``MOST_DIGITS`` digits.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(text)
    return value


def parse_json_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at ``start``, and its end position; otherwise as :func:`parse_json`."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(text[start:end])
    return value, end


def _check_depth(text: str) -> None:
    """Refuse JSON that can be decoded but is too deep for code that walks through or prints the value."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    brackets = _NO_BRACKETS.sub("", text).translate(_SQUARE)
    for _ in range(DEEPEST):
        brackets = brackets.replace("[]", "")  # the innermost
        if not brackets:
            return
    raise ValueError(_TOO_DEEP)
