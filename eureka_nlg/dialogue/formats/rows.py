"""The shapes a row of a corpus can have, each turned into a dialogue.

Shared by the files that hold such rows (JSON, CSV, TSV) and by data sets on the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eureka_nlg.dialogue.formats.base import Dialogue, clean
from eureka_nlg.errors import UserError

__all__ = ["utterances_dialogue", "chat_dialogue", "pair_dialogue", "row_reader"]


def utterances_dialogue(personality: Any, utterances: Any, where: str) -> Dialogue:
    """PersonaChat as Hugging Face publishes it: every reply with its whole history and its candidates.

    Args:
        personality: sentences about who replies.
        utterances: mappings of ``history``, all turns so far, and ``candidates``, of which the last was said.
        where: file and place, for errors.

    Raises:
        UserError: another shape, or a history that does not continue the one before it.
    """
    expected = (
        '"personality": [text, ...], "utterances": [{"history": [text, ...], "candidates": [text, ...]}, ...]'
    )
    if isinstance(utterances, Mapping):  # a list of structs can arrive as a struct of lists
        utterances = [dict(zip(utterances, values)) for values in zip(*utterances.values())]
    if not _is_texts(personality) or not isinstance(utterances, Sequence) or isinstance(utterances, str):
        raise UserError(f"{where}: expected {expected}")
    turns: list[str] = []
    for number, utterance in enumerate(utterances, start=1):
        history = utterance.get("history") if isinstance(utterance, Mapping) else None
        candidates = utterance.get("candidates") if isinstance(utterance, Mapping) else None
        if not history or not candidates or not _is_texts(history) or not _is_texts(candidates):
            raise UserError(f"{where}, utterance {number}: no history or no candidates; expected {expected}")
        place = f"{where}, utterance {number}"
        history = [clean(turn, place) for turn in history]
        if len(history) != len(turns) + 1 or history[:-1] != turns:
            raise UserError(
                f"{place}: its history of {len(history)} turns does not continue the {len(turns)} turns "
                "before it; expected the whole history in each utterance"
            )
        reply = clean(candidates[-1], place)
        if not reply:
            raise UserError(f"{place}: the last candidate, which is the reply, is empty")
        turns = [*history, reply]
    return {"persona": _sentences(personality, where), "partner_persona": [], "turns": turns}


def chat_dialogue(persona: Any, chat: Any, where: str) -> Dialogue:
    r"""Two cells of text: the persona of the second speaker, and the utterances, one per line, in turn.

    Args:
        persona: one sentence per line; a single line is kept whole. May be empty or None.
        chat: the utterances, separated by ``\n``; blank lines are skipped.
        where: file and place, for errors.
    """
    turns = [clean(turn, where) for turn in chat.split("\n") if turn.strip()] if isinstance(chat, str) else []
    if not turns:
        raise UserError(f"{where}: the chat is empty; expected utterances, one per line of the cell")
    sentences = persona.split("\n") if isinstance(persona, str) else persona or []
    return {"persona": _sentences(sentences, where), "partner_persona": [], "turns": turns}


def pair_dialogue(context: Any, reply: Any, where: str) -> Dialogue:
    """A context and its reply; an empty context is silence.

    Args:
        context: text, may be empty.
        reply: text.
        where: file and place, for errors.
    """
    if not isinstance(context, str) or not isinstance(reply, str) or not reply.strip():
        raise UserError(f"{where}: the reply is empty; expected a context and a reply")
    return {"persona": [], "partner_persona": [], "turns": [clean(context, where), clean(reply, where)]}


# The columns that tell the shape, and the function that takes their values in this order.
_SHAPES = (
    (("personality", "utterances"), utterances_dialogue),
    (("persona", "chat"), chat_dialogue),
    (("context", "reply"), pair_dialogue),
)


def row_reader(columns: Sequence[str], where: str) -> Any:
    """The function that makes a dialogue of a row with these columns.

    Args:
        columns: the names, in any case; more than are needed do no harm.
        where: file and place, for errors.

    Returns:
        A function of a row, as a mapping, and of its place.

    Raises:
        UserError: no known shape has these columns.
    """
    names = {column.strip().lower(): column for column in columns}
    for wanted, make in _SHAPES:
        if all(name in names for name in wanted):
            first, second = (names[name] for name in wanted)
            return lambda row, place, make=make: make(row[first], row[second], place)
    raise UserError(
        f"{where}: the columns are {', '.join(columns) or 'none'}; expected "
        + ", or ".join(" and ".join(wanted) for wanted, _ in _SHAPES)
    )


def _is_texts(value: Any) -> bool:
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(x, str) for x in value)
    )


def _sentences(lines: Sequence[str], where: str) -> list[str]:
    return [sentence for line in lines if (sentence := clean(line, where))]
