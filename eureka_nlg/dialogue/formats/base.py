"""What all corpus formats share: sources, the type of a dialogue, and the handling of bad lines."""

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

    The first speaker says ``turns[0]``, ``turns[2]``, ...; the second says ``turns[1]``, ``turns[3]``, ... An
    empty turn is silence. ``persona`` is that of the second speaker, ``partner_persona`` that of the first.
    ``replies`` are the indices of the turns to learn, where a format says so; without it the model learns all
    turns of the second speaker.
    """

    replies: list[int]


@dataclass(frozen=True)
class Source:
    """One file, or one split of a file or data set that holds several.

    Attributes:
        location: path, or name on the hub.
        format: key of ``FORMATS``.
        split: name of the split within the file or data set.
        partner: the file of the replies, where contexts and replies are in two files.
    """

    location: str
    format: str
    split: str
    partner: str | None = None


class BadEntry(UserError):
    """A line, row or dialogue that cannot be read, while those around it can."""


@dataclass
class Findings:
    """What was noticed while a corpus was read.

    Attributes:
        skip_bad: skip bad entries and count them; otherwise the first one raises an error.
        num_bad: number of bad entries.
        bad: messages of the first few of them.
        notes: something that the user should know -> how often it occurred, and where first.
    """

    skip_bad: bool = False
    num_bad: int = 0
    bad: list[str] = field(default_factory=list)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything that was noticed."""
        self.num_bad = 0
        self.bad.clear()
        self.notes.clear()

    def refuse(self, error: UserError) -> None:
        """Raise the error of a bad entry, or count it.

        Raises:
            BadEntry: ``skip_bad`` is false.
        """
        if not self.skip_bad:
            raise BadEntry(str(error)) from error
        self.num_bad += 1
        if len(self.bad) < _SHOWN:
            self.bad.append(str(error))

    def note(self, what: str, where: str) -> None:
        """Count something that the user should know."""
        count, first = self.notes.get(what, (0, where))
        self.notes[what] = (count + 1, first)


@dataclass(frozen=True)
class Format:
    """A corpus format.

    Attributes:
        description: a few words about it.
        read: yields the dialogues of a source, in order.
        splits: returns the names of the splits within a file or data set, None if it holds a single one; None
            for a format whose files always hold a single split.
    """

    description: str
    read: Callable[[Source, Findings], Iterator[Dialogue]]
    splits: Callable[[str], list[str] | None] | None = None


def numbered_lines(path: str | Path, findings: Findings | None = None) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 text file with their numbers from 1, without the line end; see ``TextFile``.

    Raises:
        UserError: the file is empty, or a line is not valid UTF-8 and bad lines are not skipped.
    """
    on_bad = findings.refuse if findings is not None else None
    file = TextFile(path, holds="one turn, exchange or dialogue", on_bad=on_bad)
    return ((file.num_lines, line) for line in file)


def clean(text: str, where: str) -> str:
    """Text with each run of white space replaced by one space; silence becomes the empty string.

    Args:
        text: an utterance or a persona sentence.
        where: file and place, for the error.

    Raises:
        BadEntry: half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    return " ".join(said(text, where).split())


def said(text: str, where: str) -> str:
    """Text with its line breaks, without white space at its ends; silence becomes the empty string.

    Raises:
        BadEntry: half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    if _SURROGATE.search(text):
        raise BadEntry(f"{where}: half of a surrogate pair (\\ud800 to \\udfff) is no character")
    text = text.strip()
    return "" if is_silence(text) else text


def is_silence(text: str) -> bool:
    """Whether a turn is the mark with which a corpus says that nothing was said."""
    return _SILENCE.fullmatch(text.strip()) is not None


def turns_of_context(text: str) -> list[str]:
    """Split a context into its turns.

    ``__eot__`` ends a turn. Without it, ``__eou__``, which ends an utterance, does so; without either, each
    line is a turn.
    """
    if "__eot__" in text:
        turns = [turn.replace("__eou__", " ") for turn in text.split("__eot__")]
    elif "__eou__" in text:
        turns = text.split("__eou__")
    else:
        turns = [line for line in text.split("\n") if line.strip()] or [text]
    return turns if len(turns) == 1 or turns[-1].strip() else turns[:-1]
