"""What every corpus format shares: the shape of a dialogue, and lines that know their number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from eureka_nlg.errors import UserError
from eureka_nlg.text_files import TextFile

__all__ = ["Dialogue", "numbered_lines", "clean", "is_silence"]

# "__SILENCE__" in ParlAI's files, "__ SILENCE __" in the JSON made from them
_SILENCE = re.compile(r"__\s*silence\s*__", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Dialogue(TypedDict):
    """One conversation of two speakers.

    The first speaker says ``turns[0]``, ``turns[2]``, ...; the second, whose persona ``persona`` is, says
    ``turns[1]``, ``turns[3]``, ... An empty turn is silence.
    """

    persona: list[str]
    partner_persona: list[str]
    turns: list[str]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 text file with their numbers from 1, without the line end; see ``TextFile``.

    Raises:
        UserError: the file is empty, or a line is not valid UTF-8.
    """
    file = TextFile(path, holds="one turn, exchange or dialogue")
    return ((file.num_lines, line) for line in file)


def clean(text: str, where: str) -> str:
    """Text with every run of white space, of any kind, as one blank; silence as the empty string.

    Args:
        text: an utterance or a persona sentence.
        where: file and place, for the error.

    Raises:
        UserError: half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    if _SURROGATE.search(text):
        raise UserError(f"{where}: half of a surrogate pair (\\ud800 to \\udfff) is no character")
    text = " ".join(text.split())
    return "" if is_silence(text) else text


def is_silence(text: str) -> bool:
    """Whether a turn is the corpus's mark for saying nothing."""
    return _SILENCE.fullmatch(text.strip()) is not None
