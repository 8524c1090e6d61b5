r"""ParlAI's text format (of fbdialog type), with or without candidates.

Each line starts with a number; a number that does not grow starts the next dialogue::

    1 your persona: i like tea.
    2 partner's persona: i have a dog.
    3 hello there<TAB>hi , how are you ?
    4 fine<TAB>good to hear .<TAB><TAB>candidate|another candidate|good to hear .
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eureka_nlg.dialogue.formats.base import Dialogue, clean, numbered_lines
from eureka_nlg.errors import UserError

__all__ = ["read_parlai"]

_NUMBERED = re.compile(r"(\d+) (.*)", re.DOTALL)
_PERSONA = re.compile(r"(your|partner's) persona:(.*)", re.DOTALL | re.IGNORECASE)
_MAX_FIELDS = 4  # text, labels, reward, candidates


def read_parlai(path: Path) -> Iterator[Dialogue]:
    """Dialogues of a ParlAI text file, in order.

    Raises:
        UserError: a line without number or tab, an empty reply, a malformed persona line.
    """
    dialogue: Dialogue = {"persona": [], "partner_persona": [], "turns": []}
    previous = 0
    for line_number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{line_number}"
        numbered = _NUMBERED.match(line)
        if numbered is None:
            raise UserError(
                f"{where}: the line starts with {line.split()[0]!r:.40}; expected ParlAI text, "
                "whose lines start with a number and a blank"
            )
        number = int(numbered[1])
        if number <= previous:
            if dialogue["turns"]:
                yield dialogue
            dialogue = {"persona": [], "partner_persona": [], "turns": []}
        previous = number
        # ParlAI writes a line break inside an utterance as a backslash and an n
        _add_line(dialogue, numbered[2].replace("\\n", " "), where)
    if dialogue["turns"]:
        yield dialogue


def _add_line(dialogue: Dialogue, content: str, where: str) -> None:
    fields = content.split("\t")
    persona = _PERSONA.match(fields[0].lstrip())
    if persona is not None:
        sentence = clean(persona[2], where)
        if len(fields) > 1 or not sentence or dialogue["turns"]:
            problem = (
                "a tab in it"
                if len(fields) > 1
                else "no text"
                if not sentence
                else "a turn of its dialogue before it"
            )
            raise UserError(
                f"{where}: persona line with {problem}; expected `N your persona: text` before the first turn"
            )
        dialogue["persona" if persona[1].lower() == "your" else "partner_persona"].append(sentence)
        return
    if len(fields) == 1:
        raise UserError(
            f"{where}: no tab in the line; expected `N context<TAB>reply` or `N your persona: text` "
            "(ParlAI text)"
        )
    if len(fields) > _MAX_FIELDS:
        raise UserError(
            f"{where}: {len(fields) - 1} tabs in the line; expected at most {_MAX_FIELDS - 1}: "
            "context, reply, reward, candidates (ParlAI text)"
        )
    if not fields[1].strip():
        raise UserError(f"{where}: the reply after the tab is empty; expected `N context<TAB>reply`")
    # several right answers are separated by |; the first is the one that was said
    dialogue["turns"] += [clean(fields[0], where), clean(fields[1].split("|")[0], where)]
