"""Make a dialogue from the values of a row: one function for each shape of row in ``rows``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eureka_nlg.dialogue.formats.base import BadEntry, Dialogue, clean, said, turns_of_context

__all__ = [
    "chat_dialogue",
    "context_dialogue",
    "instruction_dialogue",
    "messages_dialogue",
    "prompt_dialogue",
    "turns_dialogue",
    "two_personas_dialogue",
    "utterance_rows_dialogue",
    "utterances_by_row_dialogue",
    "utterances_dialogue",
]

_USERS = frozenset({"user", "human", "prompter", "customer", "speaker", "0"})


_ASSISTANTS = frozenset(
    {"assistant", "gpt", "chatgpt", "bot", "model", "ai", "bing", "agent", "listener", "1"}
)


_SYSTEMS = frozenset({"system", "developer"})


# "User 1: Hi", also "*User 1:* Hi" and "* * User 1: * * Hi"
_SPEAKER = re.compile(r"[\s*]*(user|speaker|person)\s*([12])\s*:[\s*]*(.*)", re.IGNORECASE | re.DOTALL)


_NOT_SAID = re.compile(r"[\s*]*(\[[^]]*\])?[\s*]*")  # a rule, a stage direction, nothing


def utterances_dialogue(personality: Any, utterances: Any, where: str) -> Dialogue:
    """PersonaChat as Hugging Face publishes it: every reply with its history and its candidates.

    Args:
        personality: sentences about the speaker who replies.
        utterances: mappings with ``history``, all turns so far or the last of them, and ``candidates``, the
            last of which was said.
        where: file and place, for errors.

    Raises:
        BadEntry: another shape, or a history that does not continue the one before it.
    """
    expected = (
        '"personality": [text, ...], "utterances": [{"history": [text, ...], "candidates": [text, ...]}, ...]'
    )
    personality = [] if personality is None else personality
    if isinstance(utterances, Mapping):  # a list of structs can arrive as a struct of lists
        utterances = _transposed(utterances, f"{where}: expected {expected}")
    if not _is_texts(personality) or not isinstance(utterances, Sequence) or isinstance(utterances, str):
        raise BadEntry(f"{where}: expected {expected}")
    turns: list[str] = []
    for number, utterance in enumerate(utterances, start=1):
        history = utterance.get("history") if isinstance(utterance, Mapping) else None
        candidates = utterance.get("candidates") if isinstance(utterance, Mapping) else None
        if not history or not candidates or not _is_texts(history) or not _is_texts(candidates):
            raise BadEntry(f"{where}, utterance {number}: no history or no candidates; expected {expected}")
        place = f"{where}, utterance {number}"
        history = [clean(turn, place) for turn in history]
        before = history[:-1]
        if not turns:
            turns = history if len(history) % 2 else ["", *history]
        elif len(before) <= len(turns) and turns[len(turns) - len(before) :] == before:
            turns.append(history[-1])
        else:
            raise BadEntry(
                f"{place}: its history of {len(history)} turns does not continue the {len(turns)} turns "
                "before it; expected the turns so far, or the last of them, in each utterance"
            )
        reply = clean(candidates[-1], place)
        if not reply:
            raise BadEntry(f"{place}: the last candidate, which is the reply, is empty")
        turns.append(reply)
    return {"persona": _sentences(personality, where), "partner_persona": [], "turns": turns}


def utterance_rows_dialogue(rows: Sequence[Sequence[Any]], where: str) -> Dialogue:
    """PersonaChat with a row for each reply; the columns are dialogue, history, candidates, personality."""
    utterances = [{"history": history, "candidates": candidates} for _, history, candidates, _ in rows]
    return utterances_dialogue(rows[0][3], utterances, where)


def chat_dialogue(persona: Any, chat: Any, where: str) -> Dialogue:
    r"""Two cells of text: the persona of the second speaker, and the alternating utterances, one per line.

    Args:
        persona: one sentence per line; a single line is kept whole. May be empty or None.
        chat: the utterances, separated by ``\n``; blank lines are skipped.
        where: file and place, for errors.
    """
    turns = [clean(turn, where) for turn in chat.split("\n") if turn.strip()] if isinstance(chat, str) else []
    if not turns:
        raise BadEntry(f"{where}: the chat is empty; expected utterances, one per line of the cell")
    return {"persona": _persona(persona, where), "partner_persona": [], "turns": turns}


def two_personas_dialogue(first: Any, second: Any, conversation: Any, where: str) -> Dialogue:
    """Synthetic-Persona-Chat: two personas, and a conversation whose lines begin with ``User 1:``."""
    spoken: list[tuple[int, str]] = []
    for line in conversation.split("\n") if isinstance(conversation, str) else []:
        named = _SPEAKER.match(line)
        if named is not None:
            spoken.append((int(named[2]) - 1, named[3]))
        elif not _NOT_SAID.fullmatch(line):
            if not spoken:
                raise BadEntry(f"{where}: {line.strip()!r:.40} has no speaker; expected `User 1: text` lines")
            spoken[-1] = (spoken[-1][0], f"{spoken[-1][1]}\n{line}")  # an utterance of several lines
    if not spoken:
        raise BadEntry(f"{where}: the conversation is empty; expected `User 1: text` lines")
    dialogue = _alternating([(speaker, clean(text, where)) for speaker, text in spoken])
    return {**dialogue, "persona": _persona(second, where), "partner_persona": _persona(first, where)}


def messages_dialogue(messages: Any, system: Any, where: str) -> Dialogue:
    """A chat of messages ``{"role": ..., "content": ...}``, or ShareGPT's ``{"from": ..., "value": ...}``.

    The assistant is the second speaker, and the system message is its persona. Consecutive messages of one
    role are joined into one turn. A message of the assistant with weight 0 is not learnt.
    """
    expected = '[{"role": "user", "content": text}, {"role": "assistant", "content": text}, ...]'
    if isinstance(messages, Mapping):
        messages = _transposed(messages, f"{where}: expected {expected}")
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise BadEntry(f"{where}: no messages; expected {expected}")
    persona = _persona(system, where)
    spoken, silenced = [], set()
    for number, message in enumerate(messages, start=1):
        place = f"{where}, message {number}"
        if not isinstance(message, Mapping):
            raise BadEntry(f"{place}: expected {expected}")
        role = str(message.get("role", message.get("from", message.get("speaker", "")))).strip().lower()
        text = said(_content(message.get("content", message.get("value", message.get("text"))), place), place)
        if role in _SYSTEMS:
            persona += [sentence for line in text.split("\n") if (sentence := line.strip())]
        elif role in _USERS or role in _ASSISTANTS:
            spoken.append((int(role in _ASSISTANTS), text))
            if message.get("weight") == 0:
                silenced.add(len(spoken) - 1)
        else:
            raise BadEntry(f"{place}: its role is {role!r:.40}; expected system, user or assistant")
    dialogue = _alternating(spoken, frozenset(silenced))
    return {**dialogue, "persona": persona}


def utterances_by_row_dialogue(rows: Sequence[Sequence[Any]], where: str) -> Dialogue:
    """A row for each utterance: dialogue, text, and optionally its number and its speaker.

    EmpatheticDialogues is such a corpus; its ``_comma_`` is a comma. Whoever speaks first is the first
    speaker.
    """
    spoken: list[tuple[int, str]] = []
    speakers: list[str] = []
    last = None
    for _, text, number, speaker in rows:
        if not isinstance(text, str):
            raise BadEntry(f"{where}: the utterance {text!r:.40} is not a text")
        if number is not None:
            place = _whole_number(number, where)
            if place <= last if last is not None else place > 1:
                raise BadEntry(
                    f"{where}: utterance {place} comes after {'none' if last is None else last}; expected "
                    "the rows of a dialogue one after the other, numbered from 0 or 1"
                )
            last = place
        name = str(speaker).strip().lower() if speaker is not None else str(len(spoken) % 2)
        if name not in speakers:
            speakers.append(name)
        spoken.append((speakers.index(name), clean(text.replace("_comma_", ","), where)))
    if len(speakers) > 2:
        raise BadEntry(f"{where}: {len(speakers)} speakers ({', '.join(speakers)[:80]}); expected two")
    if set(speakers) <= _USERS | _ASSISTANTS and speakers[0] in _ASSISTANTS and not speakers[0].isdigit():
        spoken = [(1 - speaker, text) for speaker, text in spoken]  # the roles decide, not who was first
    return _alternating(spoken)


def turns_dialogue(turns: Any, system: Any, where: str) -> Dialogue:
    """A list of alternating utterances, or of messages."""
    if isinstance(turns, Sequence) and not isinstance(turns, str) and turns and _is_texts(turns):
        said_turns = [clean(turn, where) for turn in turns]
        return {"persona": _persona(system, where), "partner_persona": [], "turns": said_turns}
    return messages_dialogue(turns, system, where)


def prompt_dialogue(prompt: Any, completion: Any, system: Any, history: Any, where: str) -> Dialogue:
    """A prompt and its completion, as texts or messages; in a prompt of messages nothing is learnt.

    So it is with a history, the turns before the prompt or pairs of turns.
    """
    before = [clean(turn, where) for turn in _history(history, where)]
    return _after(before, _answered(prompt, completion, system, where))


def _answered(prompt: Any, completion: Any, system: Any, where: str) -> Dialogue:
    if not isinstance(prompt, str) and isinstance(prompt, Sequence):
        before = messages_dialogue(prompt, system, where)
        if isinstance(completion, str):
            completion = [{"role": "assistant", "content": completion}]
        whole = messages_dialogue([*prompt, *(completion or ())], system, where)
        learnt = range(len(before["turns"]), len(whole["turns"]))
        return {**whole, "replies": [place for place in learnt if place % 2]}
    if isinstance(prompt, str) and isinstance(completion, Sequence) and not isinstance(completion, str):
        answered = messages_dialogue(completion, system, where)
        if answered["turns"][0]:  # the prompt is the first of the messages
            return answered
        return messages_dialogue([{"role": "user", "content": prompt}, *completion], system, where)
    dialogue = _pair(prompt, completion, where)
    return {**dialogue, "persona": _persona(system, where)}


def instruction_dialogue(
    instruction: Any, output: Any, input: Any, system: Any, history: Any, where: str
) -> Dialogue:
    """An instruction, optionally with an input below it, and the expected output."""
    if isinstance(instruction, str) and isinstance(input, str) and input.strip():
        instruction = f"{instruction}\n{input}"
    return prompt_dialogue(instruction, output, system, history, where)


def context_dialogue(context: Any, reply: Any, last: Any, system: Any, where: str) -> Dialogue:
    r"""A context and its reply; an empty context is silence.

    Args:
        context: the turns so far: a list of turns or of pairs of turns, or text with ``__eou__``, ``__eot__``
            or line breaks between them.
        reply: text; the only turn that is learnt.
        last: the last turn, where it is not in the context; or None.
        system: persona sentences of the one who replies.
        where: file and place, for errors.
    """
    turns = _history(context, where)
    if isinstance(last, str) and last.strip():
        turns = [*turns, last] if any(turn.strip() for turn in turns) else [last]
    turns = turns or [""]
    if not isinstance(reply, str) or (
        not (answer := clean(reply.replace("__eou__", " "), where)) and not reply.strip()
    ):
        raise BadEntry(f"{where}: the reply is empty; expected a context and a reply")
    dialogue = _replied([clean(turn, where) for turn in turns], answer)
    return {**dialogue, "persona": _persona(system, where)}


def _history(history: Any, where: str) -> list[str]:
    """The turns of a history: text, a list of turns, or one of pairs ``[message, reply]``."""
    if history is None:
        return []
    if isinstance(history, str):
        return turns_of_context(history)
    if _is_texts(history):
        return list(history)
    if isinstance(history, Sequence) and all(_is_texts(pair) and len(pair) == 2 for pair in history):
        return [turn for pair in history for turn in pair]
    raise BadEntry(
        f"{where}: the context is {type(history).__name__}; expected text, or a list of texts or of pairs of "
        "texts"
    )


def _after(before: list[str], dialogue: Dialogue) -> Dialogue:
    """A dialogue with the turns before it, of which none is learnt."""
    if not any(before):
        return dialogue
    before = before if len(before) % 2 == 0 else ["", *before]
    turns = dialogue["turns"]
    learnt = dialogue.get("replies", list(range(1, len(turns), 2)))
    return {**dialogue, "turns": before + turns, "replies": [len(before) + place for place in learnt]}


def _pair(prompt: Any, completion: Any, where: str) -> Dialogue:
    if not isinstance(prompt, str) or not isinstance(completion, str) or not completion.strip():
        raise BadEntry(f"{where}: the reply is empty; expected a context and a reply")
    return _replied([said(prompt, where)], said(completion, where))


def _replied(turns: list[str], reply: str) -> Dialogue:
    """Turns and the reply to them; if there is more than one turn, only the reply is learnt."""
    if len(turns) == 1:
        return {"persona": [], "partner_persona": [], "turns": [*turns, reply]}
    turns = turns if len(turns) % 2 else ["", *turns]  # who replies has the odd places
    return {"persona": [], "partner_persona": [], "turns": [*turns, reply], "replies": [len(turns)]}


def _alternating(spoken: Sequence[tuple[int, str]], silenced: frozenset[int] = frozenset()) -> Dialogue:
    """Make turns that alternate, by joining consecutive utterances of one speaker.

    Args:
        spoken: speaker, 0 or 1, and text.
        silenced: indices in ``spoken`` of utterances that are not learnt.
    """
    turns: list[str] = []
    untaught = set()
    for place, (speaker, text) in enumerate(spoken):
        if len(turns) % 2 == speaker:
            turns.append(text)
        elif turns:
            turns[-1] = f"{turns[-1]}\n{text}".strip()
        else:
            turns += ["", text]
        if place in silenced:
            untaught.add(len(turns) - 1)
    dialogue: Dialogue = {"persona": [], "partner_persona": [], "turns": turns}
    if untaught:
        dialogue["replies"] = [place for place in range(1, len(turns), 2) if place not in untaught]
    return dialogue


def _content(content: Any, where: str) -> str:
    """The text of a message: text, or a list of parts that are text."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(
        isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)
    raise BadEntry(f"{where}: its content is not a text; expected a message of text")


def _transposed(columns: Mapping[str, Any], problem: str) -> list[dict[str, Any]]:
    if not all(isinstance(values, Sequence) for values in columns.values()):
        raise BadEntry(problem)
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def _whole_number(value: Any, where: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadEntry(f"{where}: {value!r:.40} is not the number of an utterance") from None
    return number


def _is_texts(value: Any) -> bool:
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(x, str) for x in value)
    )


def _persona(persona: Any, where: str) -> list[str]:
    """The sentences of a persona: the lines of a text, the items of a list, or none for None."""
    if persona is None:
        return []
    if isinstance(persona, str):
        return _sentences(persona.split("\n"), where)
    if not _is_texts(persona):
        raise BadEntry(f"{where}: the persona is {type(persona).__name__}; expected text, or a list of texts")
    return _sentences(persona, where)


def _sentences(lines: Sequence[str], where: str) -> list[str]:
    return [sentence for line in lines if (sentence := clean(line, where))]
