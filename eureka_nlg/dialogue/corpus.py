"""Dialogue corpora of any format, read one dialogue at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eureka_nlg.dialogue.formats import FORMATS, HUB, BadEntry, Dialogue, Findings, Source
from eureka_nlg.errors import UserError

__all__ = ["Dialogues"]


@dataclass(frozen=True)
class Dialogues:
    """The dialogues of a split, in order. They can be iterated over repeatedly; memory holds one at a time.

    Attributes:
        sources: the parts of the split, from ``find_sources``.
        findings: what was noticed the last time they were read.

    Raises:
        UserError: while iterating, if a line is malformed and bad lines are not skipped; the message says how
            many there are.
    """

    sources: Sequence[Source]
    findings: Findings = field(default_factory=Findings)

    def __iter__(self) -> Iterator[Dialogue]:
        self.findings.clear()
        for source in self.sources:
            try:
                yield from FORMATS[source.format].read(source, self.findings)
            except BadEntry as error:
                raise UserError(f"{error}{_how_many(source)}") from error


def _how_many(source: Source) -> str:
    """How many entries of a source are bad, and what can be done about it."""
    if source.format == HUB:
        return "; --skip-bad skips such rows"
    findings = Findings(skip_bad=True)
    try:
        deque(FORMATS[source.format].read(source, findings), maxlen=0)
    except UserError:
        return ""  # something else is broken as well
    name = Path(source.location).name
    bad = "this one is" if findings.num_bad == 1 else f"{findings.num_bad:,} of its entries are"
    return f" ({name}: {bad} bad; --skip-bad skips bad entries)"
