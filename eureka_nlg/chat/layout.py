"""Lay out replies in columns of a terminal, with rare words marked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from eureka_nlg.chat.models import Piece

__all__ = ["Style", "columns", "printable", "width_of"]

_LEAST = 28  # columns of the terminal that a model needs beside others
_BETWEEN = " │ "
# those of a terminal's 16 colours that stand out on light and dark background
_COLORS = (36, 33, 32, 35, 34, 31)
_JOINERS = "\u200c\u200d"


class Style:
    """Adds escape sequences for colour and weight to text.

    Args:
        enabled: whether the output shows them; text stays as it is if not.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __call__(self, text: str, code: int | str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text

    def name(self, text: str, number: int) -> str:
        """The name of a model, in the colour of its number."""
        return self(text, f"1;{_COLORS[number % len(_COLORS)]}")

    def faint(self, text: str) -> str:
        return self(text, 2)

    def piece(self, piece: Piece) -> str:
        """A part of a reply; a rare word is underlined, and bold where it is very rare."""
        text, count = piece
        return text if count is None else self(text, "1;4" if count < 20 else 4)


def printable(text: str) -> str:
    """The text without control characters, which a terminal would interpret.

    Joiners, which Persian words, Indic letters and emoji are written with, stay.
    """
    return re.sub(r"\s+", " ", "".join(sign if _is_shown(sign) else " " for sign in text))


def _is_shown(sign: str) -> bool:
    return unicodedata.category(sign)[0] != "C" or sign in _JOINERS


def width_of(text: str) -> int:
    """The number of columns that a text takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(bool(unicodedata.combining(sign)) for sign in text)


def columns(
    names: Sequence[str], texts: Sequence[Sequence[Piece]], width: int, style: Style
) -> Iterator[str]:
    """The lines that show replies: side by side where there is room, else one below the other.

    Args:
        names: names of the models.
        texts: a reply of each model.
        width: columns of the terminal.
        style: how rare words are marked.
    """
    each = (width - len(_BETWEEN) * (len(names) - 1)) // len(names)
    if len(names) == 1 or each < _LEAST:
        indent = min(max(map(width_of, names)) + 2, width // 2)
        for number, (name, text) in enumerate(zip(names, texts)):
            head = style.name(name, number) + " " * max(1, indent - width_of(name))
            for line, _ in _wrapped(text, max(width - indent, 10), style):
                yield head + line
                head = " " * indent
        return
    heads = [(style.name(name, number), width_of(name)) for number, name in enumerate(names)]
    bodies = [list(_wrapped(text, each, style)) for text in texts]
    for row in (heads, *zip_longest(*bodies, fillvalue=("", 0))):
        cells = [line + " " * (each - size) for line, size in row]
        yield style.faint(_BETWEEN).join(cells).rstrip()


def _wrapped(text: Sequence[Piece], width: int, style: Style) -> Iterator[tuple[str, int]]:
    """Lines and the columns that they take."""
    line, size = "", 0
    for word in _words(text):
        length = sum(width_of(part) for part, _ in word)
        if size and size + 1 + length > width:
            yield line, size
            line, size = "", 0
        if length > width:  # a word that is longer than the line is cut
            word, length = [("".join(part for part, _ in word)[: width - 1] + "…", None)], width
        line += (" " if size else "") + "".join(map(style.piece, word))
        size += (1 if size else 0) + length
    yield line, size


def _words(text: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The words of a text, each in its pieces."""
    word: list[Piece] = []
    for part, count in text:
        for place, piece in enumerate(re.split(r"\s+", printable(part))):
            if place and word:
                yield word
                word = []
            if piece:
                word.append((piece, count))
    if word:
        yield word
