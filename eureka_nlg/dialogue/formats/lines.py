"""Formats with a dialogue, or a context and its reply, on each line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from eureka_nlg.dialogue.formats.base import (
    BadEntry,
    Dialogue,
    Findings,
    Source,
    clean,
    numbered_lines,
    turns_of_context,
)
from eureka_nlg.dialogue.formats.shapes import context_dialogue
from eureka_nlg.errors import UserError

__all__ = ["DIALOGPT", "read_dialogpt", "read_eou", "read_parallel"]

_WEIGHTED = re.compile(r"(\d+(?:\.\d+)?) (.*)", re.DOTALL)
# each cell begins with a weight: 0.0 or 1.0
DIALOGPT = re.compile(r"[01]\.\d+ [^\t]*\t[01]\.\d+ [^\t]*")


def read_eou(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """DailyDialog's format: a dialogue per line, ``__eou__`` after each utterance; the speakers alternate.

    ``__eot__``, as in the Ubuntu corpus, ends a turn, which may have several utterances.

    Raises:
        BadEntry: a line without any of these marks.
    """
    for number, line in numbered_lines(source.location, findings):
        if not line.strip():
            continue
        where = f"{source.location}:{number}"
        try:
            if "__eou__" not in line and "__eot__" not in line:
                raise BadEntry(
                    f"{where}: no __eou__ in the line; expected a dialogue, with __eou__ after each utterance"
                )
            turns = [clean(turn, where) for turn in turns_of_context(line)]
        except BadEntry as error:
            findings.refuse(error)
            continue
        yield {"persona": [], "partner_persona": [], "turns": turns}


def read_dialogpt(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """DialoGPT's format: ``0.0 turn EOS 1.0 turn<TAB>1.0 reply``; turns of weight 0 are read but not learnt.

    Raises:
        BadEntry: a line without its tab, or a turn without its weight.
    """
    for number, line in numbered_lines(source.location, findings):
        if not line.strip():
            continue
        where = f"{source.location}:{number}"
        try:
            yield _weighted(line, where)
        except BadEntry as error:
            findings.refuse(error)


def _weighted(line: str, where: str) -> Dialogue:
    cells = line.split("\t")
    if len(cells) != 2:
        raise BadEntry(
            f"{where}: {len(cells) - 1} tabs in the line; expected one, `0.0 turn EOS 1.0 turn<TAB>1.0 reply`"
        )
    turns: list[str] = []
    replies: list[int] = []
    for cell in cells:
        for text in cell.split(" EOS "):
            weighted = _WEIGHTED.match(text.strip())
            if weighted is None:
                raise BadEntry(
                    f"{where}: {text.strip()!r:.40} does not begin with a weight; expected "
                    "`0.0 turn EOS 1.0 turn<TAB>1.0 reply`"
                )
            if turns and float(weighted[1]) > 0:
                replies.append(len(turns))
            turns.append(clean(weighted[2].removesuffix(" EOS"), where))
    return {"persona": [], "partner_persona": [], "turns": turns, "replies": replies}


def read_parallel(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Two files side by side: each line of one is a context, the same line of the other its reply.

    Raises:
        UserError: files of different lengths.
        BadEntry: an empty reply.
    """
    assert source.partner is not None
    # A line that is skipped in one file would have to be skipped in the other: bad bytes raise an error here.
    sides = (numbered_lines(source.location), numbered_lines(source.partner))
    for number, (context, reply) in enumerate(zip_longest(*sides), start=1):
        where = f"{source.location}:{number}"
        if context is None or reply is None:
            short, long = (
                (source.location, source.partner) if context is None else (source.partner, source.location)
            )
            raise UserError(
                f"{long}:{number}: {Path(short).name} has only {number - 1} lines; expected as many contexts "
                "as replies"
            )
        try:
            yield context_dialogue(context[1], reply[1], None, None, where)
        except BadEntry as error:
            findings.refuse(error)
