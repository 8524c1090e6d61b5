"""From dialogues to exchanges: what a model reads before a reply, and the reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from eureka_nlg.dialogue.formats import Dialogue

__all__ = ["PERSONA", "PARTNER", "SELF", "SILENCE", "RESERVED", "Exchange", "ContextOptions", "exchanges"]

# Marks of who speaks, and the token that stands for an empty context.
PERSONA, PARTNER, SELF, SILENCE = "<persona>", "<partner>", "<self>", "__silence__"
# Tokens with a meaning to the model or to fairseq, which therefore cannot be words of a corpus.
RESERVED = frozenset({PERSONA, PARTNER, SELF, SILENCE, "<s>", "<pad>", "</s>", "<unk>"})

Part = tuple[str, list[str]]  # (PERSONA, PARTNER or SELF; tokens)


@dataclass(frozen=True)
class Exchange:
    """A reply and what came before it, both as tokens."""

    context: list[str]
    reply: list[str]


@dataclass(frozen=True)
class ContextOptions:
    """Which parts of a dialogue a model reads before it replies.

    Attributes:
        history_turns: number of last turns (utterances) kept; None for all.
        persona: begin with the persona sentences of the speaker who replies.
        speaker_tokens: put ``<persona>``, ``<partner>`` or ``<self>`` before each part.
        max_context_tokens: number of last tokens kept; None for all.
    """

    history_turns: int | None = None
    persona: bool = True
    speaker_tokens: bool = True
    max_context_tokens: int | None = None

    def context(self, persona: Sequence[list[str]], history: Sequence[Part]) -> list[str]:
        """Tokens of the context of one reply.

        Args:
            persona: tokens of each persona sentence of the speaker who replies.
            history: the turns before the reply, oldest first, each with its speaker; without silences.

        Returns:
            At least one token: an empty context is ``["__silence__"]``.
        """
        parts: list[Part] = [(PERSONA, sentence) for sentence in persona] if self.persona else []
        parts += history if self.history_turns is None else history[-self.history_turns :]
        tokens: list[str] = []
        for mark, words in parts:
            if self.speaker_tokens:
                tokens.append(mark)
            tokens += words
        if self.max_context_tokens is not None:
            tokens = tokens[-self.max_context_tokens :]
        return tokens or [SILENCE]


def exchanges(
    dialogue: Dialogue,
    tokenize: Callable[[str], list[str]],
    options: ContextOptions,
    both_sides: bool = False,
) -> Iterator[Exchange]:
    """The exchanges of one dialogue, in the order of their replies.

    Args:
        dialogue: the conversation.
        tokenize: text to tokens; called once per turn and persona sentence.
        options: what the contexts hold.
        both_sides: yield the first speaker's turns as replies too, with that speaker's own persona where the
            corpus gives it. It has no effect on a dialogue that itself says which turns are replies.
    """
    turns = [tokenize(turn) for turn in dialogue["turns"]]
    # persona of the speaker of even turns, of odd turns
    personas = [[tokenize(sentence) for sentence in dialogue[key]] for key in ("partner_persona", "persona")]
    learnt = dialogue.get("replies")
    spoken: list[tuple[int, list[str]]] = []  # place and words of the turns so far, without silences
    for index, turn in enumerate(turns):
        if not turn:
            continue
        if (index % 2 or both_sides) if learnt is None else index in learnt:
            before = spoken if options.history_turns is None else spoken[-options.history_turns :]
            history = [(SELF if (index - earlier) % 2 == 0 else PARTNER, words) for earlier, words in before]
            yield Exchange(options.context(personas[index % 2], history), turn)
        spoken.append((index, turn))
