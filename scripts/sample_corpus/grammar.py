"""Topics as tables of words and templates, and facts: one topic filled in for one speaker.

A topic file has blocks separated by blank lines; ``#`` starts a comment line.

- ``table: *one | *many | habit`` and one row per line, the frequent rows first. A column with a star names
  the thing itself; the others are details, told once. ``<my>``, ``<me>`` and ``<i>`` in a cell become your
  and you when the other speaker says them.
- ``name:`` and one template per line. ``{one}`` is the cell of the fact's row, ``{a one}`` the same with its
  article, ``{i one}`` the same in the first person of whoever speaks, ``[x|y]`` a free choice.
  ``question => answer`` makes a pair.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Draw", "Fact", "Topic", "read_topics", "with_article"]

Item = TypeVar("Item")

_SLOT = re.compile(r"\{(?:(a|i) )?(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_PRONOUN = re.compile(r"<(my|me|i)>")
_SECOND_PERSON = {"my": "your", "me": "you", "i": "you"}
_VOWEL_SOUND = re.compile(r"(?!uni|use|euro|one\b|ukulele|eucalyptus)[aeiou]|hour|honest|heir")


class Draw:
    """Random choices that are the same on every Python.

    Only ``random.random`` is promised to give the same sequence for a seed in later versions, so everything
    is made from it.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._random() * (high - low + 1))

    def one(self, items: Sequence[Item]) -> Item:
        """One of the items, all equally likely."""
        return items[int(self._random() * len(items))]

    def zipf(self, items: Sequence[Item]) -> Item:
        """One of the items with a long tail: item k, from 0, has a weight of about 1 / (k + 1.5).

        The weights are whole numbers because Python 3.12 changed how ``sum`` rounds.
        """
        weights = [1_000_000 // (2 * rank + 3) for rank in range(len(items))]
        point = int(self._random() * sum(weights))
        for item, weight in zip(items, weights):
            point -= weight
            if point < 0:
                return item
        raise IndexError("no items to choose from")

    def some(self, items: Sequence[Item], number: int) -> list[Item]:
        """``number`` different items in random order."""
        rest = list(items)
        return [rest.pop(int(self._random() * len(rest))) for _ in range(min(number, len(rest)))]


@dataclass(frozen=True)
class Topic:
    """Tables and templates of one topic file.

    Attributes:
        name: the file's name without ``.txt``.
        tables: each a list of rows, each a mapping from column to cell.
        details: columns without a star.
        templates: name of the section -> its lines.
    """

    name: str
    tables: tuple[tuple[dict[str, str], ...], ...]
    details: frozenset[str]
    templates: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: Path) -> Topic:
        """Read a topic file; a ValueError names the file and line of what is wrong in it."""
        tables: list[tuple[dict[str, str], ...]] = []
        details: set[str] = set()
        templates: dict[str, tuple[str, ...]] = {}
        columns: set[str] = set()
        for block in re.split(r"\n\s*\n", path.read_text(encoding="ascii")):
            lines = [line for line in block.splitlines() if line and not line.startswith("#")]
            if not lines:
                continue
            heading, colon, header = lines[0].partition(":")
            if not colon:
                raise ValueError(f"{path}: {lines[0]!r} begins a block, expected 'table: ...' or 'name:'")
            if heading != "table":
                templates[heading] = tuple(lines[1:])
                continue
            names = [name.strip() for name in header.split("|")]
            details.update(name for name in names if not name.startswith("*"))
            names = [name.lstrip("*") for name in names]
            columns.update(names)
            rows = [[cell.strip() for cell in line.split("|")] for line in lines[1:]]
            for row in rows:
                if len(row) != len(names) or not all(row):
                    raise ValueError(f"{path}: row {' | '.join(row)!r} has not the columns {names}")
            tables.append(tuple(dict(zip(names, row)) for row in rows))
        for line in (line for lines in templates.values() for line in lines):
            unknown = {name for _, name in _SLOT.findall(line)} - columns
            if tables and unknown:
                raise ValueError(f"{path}: {line!r} uses {sorted(unknown)}, which no table has")
        return cls(path.stem, tuple(tables), frozenset(details), templates)


def read_topics(folder: Path) -> tuple[list[Topic], Topic]:
    """All topics of a folder in the order of their names, and apart from them ``common.txt``."""
    topics = [Topic.read(path) for path in sorted(folder.glob("*.txt"))]
    common = next(topic for topic in topics if topic.name == "common")
    return [topic for topic in topics if topic is not common], common


class Fact:
    """What one speaker has to say on a topic: one row of each table, and what of it was said already.

    Args:
        topic: where the rows and templates come from.
        draw: the random choices.
        said: templates that were used in the conversation; they are avoided, and those used are added.
    """

    def __init__(self, topic: Topic, draw: Draw, said: set[str]) -> None:
        self.topic = topic
        self._draw = draw
        self._cells = {name: cell for table in topic.tables for name, cell in draw.zipf(table).items()}
        self._details_told: set[str] = set()
        self._said = said
        self.told = False  # whether the owner stated it

    def can_say(self, section: str) -> bool:
        """Whether the section still has a line that repeats nothing."""
        return bool(self._fresh(section))

    def same_row(self, other: Fact) -> bool:
        """Whether two facts of a topic are about the same thing (the row of the first table)."""
        columns = self.topic.tables[0][0]
        return all(self._cells[name] == other._cells[name] for name in columns)

    def persona(self) -> str:
        """A persona line. It is not spoken, so it counts as nothing said."""
        return self._fill(self._draw.one(self.topic.templates["persona"]), owner_speaks=True)

    def say(self, section: str, *, owner_speaks: bool) -> str:
        """A line of the section that tells no detail twice."""
        self.told |= owner_speaks
        return self._fill(self._choose(section), owner_speaks=owner_speaks)

    def ask(self, section: str = "probe") -> tuple[str, str]:
        """Both halves of a pair of the section: the other speaker's line and the owner's answer."""
        question, _, answer = self._choose(section).partition(" => ")
        return self._fill(question, owner_speaks=False), self._fill(answer, owner_speaks=True)

    def _fresh(self, section: str) -> list[str]:
        lines = self.topic.templates.get(section, ())
        return [
            line for line in lines if line not in self._said and not self._details(line) & self._details_told
        ]

    def _details(self, line: str) -> set[str]:
        return {name for _, name in _SLOT.findall(line)} & self.topic.details

    def _choose(self, section: str) -> str:
        line = self._draw.one(self._fresh(section) or self.topic.templates[section])
        self._said.add(line)
        self._details_told |= self._details(line)
        return line

    def _fill(self, line: str, *, owner_speaks: bool) -> str:
        def slot(match: re.Match[str]) -> str:
            mark, name = match.groups()
            first_person = owner_speaks or mark == "i"
            cell = _PRONOUN.sub(lambda p: p[1] if first_person else _SECOND_PERSON[p[1]], self._cells[name])
            return with_article(cell) if mark == "a" else cell

        line = _SLOT.sub(slot, line)
        line = _CHOICE.sub(lambda match: self._draw.one(match[1].split("|")), line)
        return " ".join(line.split())


def with_article(noun: str) -> str:
    """The noun with a or an, by its sound.

    >>> with_article("otter"), with_article("unicycle"), with_article("hourglass")
    ('an otter', 'a unicycle', 'an hourglass')
    """
    return f"{'an' if _VOWEL_SOUND.match(noun) else 'a'} {noun}"
