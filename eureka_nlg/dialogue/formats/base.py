"""What every corpus format shares: sources, the shape of a dialogue, and what is done with bad lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from eureka_nlg.errors import UserError
from eureka_nlg.text_files import TextFile

__all__ = [
    "BadEntry",
    "Dialogue",
    "Findings",
    "Format",
    "Source",
    "clean",
    "is_silence",
    "numbered_lines",
    "said",
    "turns_of_context",
]

# "__SILENCE__" in ParlAI's files, "__ SILENCE __" in the JSON made from them
_SILENCE = re.compile(r"__\s*silence\s*__", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 5  # messages about bad lines


class _Dialogue(TypedDict):
    persona: list[str]
    partner_persona: list[str]
    turns: list[str]


class Dialogue(_Dialogue, total=False):
    """One conversation of two speakers.

    The first speaker says ``turns[0]``, ``turns[2]``, ...; the second, whose persona ``persona`` is, says
    ``turns[1]``, ``turns[3]``, ... An empty turn is silence. ``replies``, where a format says so, are the
    places of the turns to learn; without it they are all of the second speaker's.
    """

    replies: list[int]


@dataclass(frozen=True)
class Source:
    """One file, or one split of a file or data set that holds several.

    Attributes:
        location: path, or name on the hub.
        format: key of ``FORMATS``.
        split: what the file or data set itself calls the split.
        partner: the file of the replies, where two files are read side by side.
    """

    location: str
    format: str
    split: str
    partner: str | None = None


class BadEntry(UserError):
    """A line, row or dialogue that cannot be read, while those around it can."""


@dataclass
class Findings:
    """What was met while a corpus was read.

    Attributes:
        skip_bad: leave bad entries out and count them; otherwise the first one is raised.
        num_bad: number of bad entries.
        bad: messages of the first of them.
        notes: what was read in a way that is worth a word -> how often, and where first.
    """

    skip_bad: bool = False
    num_bad: int = 0
    bad: list[str] = field(default_factory=list)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget what was met."""
        self.num_bad = 0
        self.bad.clear()
        self.notes.clear()

    def refuse(self, error: UserError) -> None:
        """Raise the error of a bad entry, or count it.

        Raises:
            BadEntry: bad entries are not to be left out.
        """
        if not self.skip_bad:
            raise BadEntry(str(error)) from error
        self.num_bad += 1
        if len(self.bad) < _SHOWN:
            self.bad.append(str(error))

    def note(self, what: str, where: str) -> None:
        """Count something that the user should hear of."""
        count, first = self.notes.get(what, (0, where))
        self.notes[what] = (count + 1, first)


@dataclass(frozen=True)
class Format:
    """A way to write dialogues down.

    Attributes:
        description: for the help text and for messages.
        read: the dialogues of a source, in order.
        splits: names of the splits within one file or data set; None if a file is one split.
    """

    description: str
    read: Callable[[Source, Findings], Iterator[Dialogue]]
    splits: Callable[[str], list[str] | None] | None = None


def numbered_lines(path: str | Path, findings: Findings | None = None) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 text file with their numbers from 1, without the line end; see ``TextFile``.

    Raises:
        UserError: the file is empty, or a line is not valid UTF-8 and not to be left out.
    """
    on_bad = findings.refuse if findings is not None else None
    file = TextFile(path, holds="one turn, exchange or dialogue", on_bad=on_bad)
    return ((file.num_lines, line) for line in file)


def clean(text: str, where: str) -> str:
    """Text with every run of white space, of any kind, as one blank; silence as the empty string.

    Args:
        text: an utterance or a persona sentence.
        where: file and place, for the error.

    Raises:
        BadEntry: half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    return " ".join(said(text, where).split())


def said(text: str, where: str) -> str:
    """Text as it was written, line breaks among it, without blanks at its ends; silence as the empty string.

    Raises:
        BadEntry: half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    if _SURROGATE.search(text):
        raise BadEntry(f"{where}: half of a surrogate pair (\\ud800 to \\udfff) is no character")
    text = text.strip()
    return "" if is_silence(text) else text


def is_silence(text: str) -> bool:
    """Whether a turn is the corpus's mark for saying nothing."""
    return _SILENCE.fullmatch(text.strip()) is not None


def turns_of_context(text: str) -> list[str]:
    """The turns of a context in one piece of text, where marks tell them apart.

    ``__eot__`` ends a turn and ``__eou__`` an utterance, which is a turn where there is no ``__eot__``; else
    each line is a turn.
    """
    if "__eot__" in text:
        turns = [turn.replace("__eou__", " ") for turn in text.split("__eot__")]
    elif "__eou__" in text:
        turns = text.split("__eou__")
    else:
        turns = [line for line in text.split("\n") if line.strip()] or [text]
    return turns if len(turns) == 1 or turns[-1].strip() else turns[:-1]
