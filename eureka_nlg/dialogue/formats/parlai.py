r"""ParlAI's two text formats.

``parlai``: the numbered lines of fbdialog, with or without candidates. A number that is not larger than the
one before it starts the next dialogue::

    1 your persona: i like tea.
    2 partner's persona: i have a dog.
    3 hello there<TAB>hi , how are you ?
    4 fine<TAB>good to hear .<TAB><TAB>candidate|another candidate|good to hear .

``parlai-fields``: named fields separated by tabs. ``episode_done:True`` ends a dialogue::

    text:your persona: i like tea.\nhello there<TAB>labels:hi , how are you ?
    text:fine<TAB>labels:good to hear .<TAB>episode_done:True
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from eureka_nlg.dialogue.formats.base import BadEntry, Dialogue, Findings, Source, clean, numbered_lines

__all__ = ["FIELDS", "NUMBERED", "read_parlai", "read_parlai_fields"]

NUMBERED = re.compile(r"(\d{1,9}) (.*)", re.DOTALL)
FIELDS = re.compile(r"text:.*\t(eval_labels|labels|episode_done):|(eval_labels|labels):.*\ttext:", re.DOTALL)
_FIELD = re.compile(r"([a-z_]+):(.*)", re.DOTALL)
_PERSONA = re.compile(r"(your|partner's) persona:(.*)", re.DOTALL | re.IGNORECASE)
_MAX_FIELDS = 4  # text, labels, reward, candidates
_JOINED = "a context without a reply, joined to the next one of its dialogue, as ParlAI does"


class _Episode:
    """A dialogue that grows line by line."""

    def __init__(self) -> None:
        self._dialogue: Dialogue = {"persona": [], "partner_persona": [], "turns": []}
        self._waiting: list[str] = []  # what was said and not answered

    def add(self, text: str, reply: str | None, where: str, findings: Findings) -> None:
        """Add a line of the file: persona sentences and a context, separated by line breaks, and a reply.

        Raises:
            BadEntry: a persona line without a sentence, with a reply, or after the first turn.
        """
        sentences, spoken = [], []
        for part in text.split("\\n"):  # ParlAI writes a line break inside a text as a backslash and an n
            persona = _PERSONA.match(part.lstrip())
            if persona is None:
                spoken.append(part)
            else:
                sentences.append((persona[1].lower(), clean(persona[2], where)))
        problem = None
        if sentences and not spoken and reply is not None:
            problem = "a tab in it"
        elif not all(sentence for _, sentence in sentences):
            problem = "no text"
        elif sentences and (self._dialogue["turns"] or self._waiting):
            problem = "a turn of its dialogue before it"
        if problem is not None:
            raise BadEntry(
                f"{where}: persona line with {problem}; expected `your persona: text` before the first turn"
            )
        context = clean(" ".join(spoken), where)
        answer = clean(reply.split("|")[0], where) if reply is not None and reply.strip() else None
        for whose, sentence in sentences:
            self._dialogue["persona" if whose == "your" else "partner_persona"].append(sentence)
        if answer is not None:
            self._dialogue["turns"] += [" ".join([*self._waiting, context]).strip(), answer]
            self._waiting = []
        elif context:
            self._waiting.append(context)
            findings.note(_JOINED, where)

    def finish(self) -> Iterator[Dialogue]:
        """The dialogue, if anything was said in it."""
        if self._waiting:
            self._dialogue["turns"].append(" ".join(self._waiting))
        if self._dialogue["turns"]:
            yield self._dialogue


def read_parlai(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of numbered lines, in order.

    Raises:
        BadEntry: a line without a number or with too many tabs, a malformed persona line.
    """
    episode, previous = _Episode(), 0
    for line_number, line in numbered_lines(source.location, findings):
        if not line.strip():
            continue
        where = f"{source.location}:{line_number}"
        numbered = NUMBERED.match(line)
        if numbered is None:
            findings.refuse(
                BadEntry(
                    f"{where}: the line starts with {line.split()[0]!r:.40}; expected ParlAI text, "
                    "whose lines start with a number and a blank"
                )
            )
            continue
        number = int(numbered[1])
        if number <= previous:
            yield from episode.finish()
            episode = _Episode()
        previous = number
        # several correct answers are separated by |; the first one was said
        fields = numbered[2].split("\t")
        try:
            if len(fields) > _MAX_FIELDS:
                raise BadEntry(
                    f"{where}: {len(fields) - 1} tabs in the line; expected at most {_MAX_FIELDS - 1}: "
                    "context, reply, reward, candidates (ParlAI text)"
                )
            episode.add(fields[0], fields[1] if len(fields) > 1 else None, where, findings)
        except BadEntry as error:
            findings.refuse(error)
    yield from episode.finish()


def read_parlai_fields(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of lines of named fields, in order.

    Raises:
        BadEntry: a line without a text or with a field that has no name, a malformed persona line.
    """
    episode = _Episode()
    for line_number, line in numbered_lines(source.location, findings):
        if not line.strip():
            continue
        where = f"{source.location}:{line_number}"
        fields: dict[str, str] = {}
        try:
            for text in line.split("\t"):
                field = _FIELD.match(text)
                if field is None and text.strip():
                    raise BadEntry(
                        f"{where}: {text!r:.40} has no name; expected `text:context<TAB>labels:reply`, "
                        "fields with their names and tabs between them (ParlAI text)"
                    )
                if field is not None:
                    fields[field[1]] = field[2].replace("\\t", " ")
            if "text" not in fields:
                raise BadEntry(f"{where}: no text in the line; expected `text:context<TAB>labels:reply`")
            reply = fields.get("labels", fields.get("eval_labels"))
            episode.add(fields["text"], reply and reply.replace("\\n", " "), where, findings)
        except BadEntry as error:
            findings.refuse(error)
        if fields.get("episode_done", "").strip().lower() == "true":
            yield from episode.finish()
            episode = _Episode()
    yield from episode.finish()
